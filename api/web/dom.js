// Building blocks of the page. Text always goes in as text, so nothing a server or a site file says can
// become markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children; `on…` are listeners, null attributes and children are left out. */
export function h(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  return fill(element, attributes, children);
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Put children in the place of all there are. */
export function put(element, ...children) {
  element.replaceChildren(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
}

const PATHS = {
  noise: "M4 10v4M8 7v10M12 4v16M16 8v8M20 10v4",
  stack: "M3 21h18M5 21V12l4.5 3v-3l4.5 3V8.5h4L19 21M15.5 5.5c-1.5-2 2-2.5 1-4",
  water: "M12 3c4 5 6 7.6 6 11a6 6 0 0 1-12 0c0-3.4 2-6 6-11zM9.5 14.5c.2 1.5 1.2 2.5 2.5 2.6",
  ok: "M5 12.5l4.5 4.5L19 7.5",
  exceeded: "M12 4l9 16H3zM12 10v4.5M12 17.2v.3",
  no_data: "M5 12h2.5M10.7 12h2.6M16.5 12H19",
  email: "M4 6h16v12H4zM4 7l8 6 8-6",
  webhook: "M10 14a4 4 0 0 0 6 .3l3-3a4 4 0 0 0-5.7-5.7L12 7M14 10a4 4 0 0 0-6-.3l-3 3a4 4 0 0 0 5.7 5.7L12 17",
  console: "M4 5h16v14H4zM7 9l3 3-3 3M12.5 15H17",
  close: "M6 6l12 12M18 6L6 18",
  right: "M9 5l7 7-7 7",
  back: "M15 5l-7 7 7 7",
  check: "M5 12.5l4.5 4.5L19 7.5",
  clause: "M6 3h9l4 4v14H6zM14 3v5h5M9 12h7M9 16h5",
  average: "M4 17c3 0 3-9 6-9s3 6 5 6 2-3 5-3M4 21h16",
  measurements: "M5 19v-5M9 19V9M13 19v-8M17 19V5M21 19v-7",
  registers: "M4 5h16v14H4zM4 10h16M4 14.5h16M9 5v14",
  manual: "M4 5c3-1.5 6-1 8 1 2-2 5-2.5 8-1v13c-3-1.5-6-1-8 1-2-2-5-2.5-8-1zM12 6v13",
  notice: "M6 17V11a6 6 0 0 1 12 0v6l2 1.5H4zM10 20.5h4",
  zoom: "M10 4a6 6 0 1 0 0 12 6 6 0 0 0 0-12zM15 15l5 5M7.5 10h5",
};

/** A line icon; decoration only, the text beside it says the same. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name] ?? PATHS.right);
  svg.append(path);
  return svg;
}

const PRETTY = { "m/s": "m/s", degC: "°C", "mg/m3": "mg/m³", "m3/h": "m³/h", m3: "m³" };

/** A unit as people write it. */
export function unit(text) {
  return PRETTY[text] ?? text;
}

/** A parameter's symbol with its indices lowered (SO2, NOx, LAeq, NH3-N); one without a symbol by its short name. */
export function symbol(code, name = "") {
  const level = /^L(A[A-Za-z]*\d*)$/.exec(code);
  if (level) return [h("span.sym", {}, "L", h("sub", {}, level[1]))];
  if (/^[a-z]/.test(code) && code !== "pH") return [name.split(/[(（]/)[0].trim() || code.replaceAll("_", " ")];
  if (!/^[A-Z][A-Za-z0-9]{0,3}(-[A-Z])?$/.test(code) || !/\d|x$/.test(code)) return [code];
  const parts = code.split(/(\d+|x(?=$))/).filter(Boolean);
  return [h("span.sym", {}, parts.map((part) => (/^(\d+|x)$/.test(part) ? h("sub", {}, part) : part)))];
}
