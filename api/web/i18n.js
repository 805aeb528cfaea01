// The page's language, and how it writes numbers and times. Times are the plant's local time, always.

import { WORDS } from "./words.js";

const KNOWN = ["en", "zh"];
let current = localStorage.getItem("language") ?? (navigator.language?.startsWith("zh") ? "zh" : "en");
if (!KNOWN.includes(current)) current = "en";

/** The language now: en or zh. */
export function language() {
  return current;
}

/** Change the language and write every static text of the page anew. */
export function setLanguage(next) {
  current = KNOWN.includes(next) ? next : "en";
  localStorage.setItem("language", current);
  document.documentElement.lang = current === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = t(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", t(element.dataset.label));
  for (const button of document.querySelectorAll("button[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === current));
  }
}

/** A word of the page; {0}, {1} are filled in. An unknown one is shown as it is. */
export function t(key, ...values) {
  const word = WORDS[key]?.[current === "zh" ? 1 : 0] ?? key;
  return word.replace(/\{(\d)\}/g, (_, place) => values[Number(place)] ?? "");
}

/** A name in the language of the page. */
export function label(name) {
  return name?.[current] ?? name?.en ?? "";
}

export function standing(name) {
  return t(name === "evidence" ? "evidence_standing" : name);
}

const DECIMALS = { "dB(A)": 1, "dB(C)": 1, "dB(Z)": 1, dB: 1, "mg/m3": 1, "%": 1, degC: 1, "mg/L": 2, "": 2, kPa: 2, "m/s": 1, "L/s": 1, "m3/h": 0 };

/** A value with as many digits as its unit bears; – where there is none. */
export function value(number, unit, more = 0) {
  if (number === null || number === undefined || Number.isNaN(number)) return "–";
  const digits = (DECIMALS[unit] ?? (Math.abs(number) < 10 ? 2 : 1)) + more;
  return number.toFixed(digits).replace(/^-(0(\.0*)?)$/, "$1");
}

/** A limit as the clause writes it: no digits added. */
export function plainNumber(number) {
  return number === null || number === undefined ? "–" : String(Math.round(number * 1e6) / 1e6);
}

const formats = new Map();

function format(zone, options) {
  const key = `${current} ${zone} ${JSON.stringify(options)}`;
  if (!formats.has(key)) {
    formats.set(key, new Intl.DateTimeFormat(current === "zh" ? "zh-CN" : "en-GB", { timeZone: zone, hourCycle: "h23", ...options }));
  }
  return formats.get(key);
}

/** 22:00, or 22:00:05 with seconds. */
export function clock(time, zone, seconds = false) {
  const options = { hour: "2-digit", minute: "2-digit" };
  return format(zone, seconds ? { ...options, second: "2-digit" } : options).format(new Date(time));
}

/** 21 Nov, 11月21日. */
export function day(time, zone) {
  return format(zone, { day: "numeric", month: "short" }).format(new Date(time));
}

/** 21 Nov 22:00. */
export function moment(time, zone) {
  return `${day(time, zone)} ${clock(time, zone)}`;
}

/** 21 Nov 22:00 – 06:00, with the second date where it is another one and the span is longer than a day. */
export function span(from, to, zone) {
  const short = new Date(to) - new Date(from) <= 86_400_000;
  return `${moment(from, zone)} – ${short ? clock(to, zone) : moment(to, zone)}`;
}
