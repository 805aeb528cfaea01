// The page: loads plants, points, incidents and notices, follows the live stream, and keeps in the address
// what is on show (#plant/point/parameter/range, #evidence-7, #incident-3), so that it can be sent to somebody.

import { follow, get, list, onTokenWanted } from "./api.js";
import { ask } from "./ask.js";
import { Evidence } from "./evidence.js";
import { Events } from "./events.js";
import { Focus, RANGES } from "./focus.js";
import { showGateways } from "./gateways.js";
import { clock, language, setLanguage, t } from "./i18n.js";
import { Incidents } from "./incidents.js";
import { Overview } from "./overview.js";

const RELOAD_MS = 60_000; // states change without an event too: silence, limits that hang on conditions
const SETTLE_MS = 20_000; // averages of a minute are in the book some seconds after it
const REDRAW_MS = 600_000; // judged values come by the hour
const QUIET_MS = 700; // changes come in bursts; one load answers a burst

const $ = (id) => document.getElementById(id);
const state = { plants: [], points: [], incidents: [], notices: [], health: {}, plant: "", point: "", parameter: "", range: "24h" };

const overview = new Overview($("plants"), $("tally"), (point, parameter) => {
  choose({ plant: point.plant, point: point.id, parameter: parameter ?? "", range: state.range });
  view("chart");
});
const focus = new Focus($("focus"), ({ parameter, range }) => choose({ ...state, parameter, range }));
const evidence = new Evidence($("evidence"), { pointOf, onClose: () => writeAddress() });
const incidents = new Incidents(
  { list: $("incidents"), filter: $("incident-filter"), notices: $("notices"), count: $("tab-count") },
  { onEvidence: (id) => { location.hash = `evidence-${id}`; }, onChanged: () => setTimeout(loadVerdicts, 400), ask: (question) => ask($("ask"), question) },
);
const events = new Events($("events"), { zoneOf, attempt });

/** The time zone of a gateway's plant; the first plant's where it has none. */
function zoneOf(gateway) {
  const plant = state.health.gateways?.[gateway]?.plant;
  return (state.points.find((point) => point.plant === plant) ?? state.points[0])?.timezone ?? "UTC";
}

function pointOf(item) {
  return state.points.find((point) => point.plant === item.plant && point.id === item.point);
}

// --- what is on show -------------------------------------------------------------------------------

function choose({ plant, point, parameter, range }) {
  const found = state.points.find((item) => item.plant === plant && item.id === point) ?? first();
  if (!found) return;
  const code = found.parameters.some((item) => item.code === parameter) ? parameter : preferred(found);
  Object.assign(state, { plant: found.plant, point: found.id, parameter: code, range: RANGES[range] ? range : "24h" });
  writeAddress();
  overview.choose(found);
  focus.show(found, code, state.range);
}

/** Where something is wrong, else the first point. */
function first() {
  return state.points.find((point) => point.state === "exceeded") ?? state.points[0];
}

/** The parameter of the point's open incident, else the first one with a limit. */
function preferred(point) {
  const open = state.incidents.find((item) => item.state !== "closed" && item.plant === point.plant && item.point === point.id);
  return open?.parameter ?? (point.parameters.find((item) => item.limits.length) ?? point.parameters[0])?.code ?? "";
}

function writeAddress() {
  const hash = `#${[state.plant, state.point, state.parameter, state.range].map(encodeURIComponent).join("/")}`;
  if (location.hash !== hash) history.replaceState(null, "", hash);
}

function readAddress() {
  const hash = location.hash.slice(1);
  const proof = /^(evidence|incident)-(\d+)$/.exec(hash);
  if (!state.points.length) return;
  if (proof) {
    if (!state.point) {
      choose(shownBy(proof));
      history.replaceState(null, "", `#${hash}`);
    }
    const id = Number(proof[2]);
    const incident = state.incidents.find((item) => item.id === id);
    if (proof[1] === "evidence") evidence.show(id);
    else if (incident) evidence.show(incident.worst.exceedance);
    return;
  }
  evidence.close();
  const [plant, point, parameter, range] = hash.split("/").map(decoded);
  const same = plant === state.plant && point === state.point && parameter === state.parameter && range === state.range;
  if (!same || !state.point) choose({ plant, point, parameter, range });
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // written by hand; no point has such a name, so the first one is shown
  }
}

/** The point that a link to an incident is about, so that the chart behind the evidence shows it. */
function shownBy([, kind, id]) {
  const incident = kind === "incident" && state.incidents.find((item) => item.id === Number(id));
  return incident ? { ...incident, range: state.range } : state;
}

function view(name) {
  $("main").dataset.view = name;
  for (const button of document.querySelectorAll("[data-go]")) button.setAttribute("aria-current", String(button.dataset.go === name));
  scrollTo(0, 0);
}

// --- loading ----------------------------------------------------------------------------------------

async function attempt(load) {
  try {
    await load();
    $("alarm").hidden = true;
  } catch (problem) {
    $("alarm").textContent = t("failed", problem.message);
    $("alarm").hidden = false;
  }
}

function loadPoints() {
  return attempt(async () => {
    const [plants, points] = await Promise.all([list("plants"), list("points")]);
    Object.assign(state, { plants, points });
    showPoints();
  });
}

function showPoints() {
  overview.show(state.plants, state.points);
  const chosen = pointOf(state);
  overview.choose(chosen);
  if (chosen && focus.point) focus.refresh(chosen);
}

function loadVerdicts() {
  return attempt(async () => {
    const [found, notices] = await Promise.all([get("incidents"), get("notices", { limit: 100 })]);
    Object.assign(state, { incidents: found.items, notices: notices.items });
    incidents.show(state.incidents, state.notices, state.points);
  });
}

/** How the gateways are, and what the collector noticed. */
function loadHouse() {
  return attempt(async () => {
    state.health = await get("health");
    showGateways($("gateways"), state.health, zoneOf);
    await events.load();
  });
}

let waiting = null;

function loadSoon() {
  waiting ??= setTimeout(async () => {
    waiting = null;
    await loadPoints();
    await loadVerdicts();
  }, QUIET_MS);
}

// --- live -------------------------------------------------------------------------------------------

let newest = 0;

function onEvent(name, data) {
  if (name === "measurements") {
    for (const item of data.items) {
      const point = pointOf(item);
      const parameter = point?.parameters.find((found) => found.code === item.parameter);
      if (parameter && !(parameter.latest?.time > item.time)) parameter.latest = item;
    }
    newest = Date.now();
    overview.update(data.items);
    focus.update(data.items);
  } else if (name === "changed") {
    loadSoon();
  } else if (name === "reload") {
    loadSoon();
    focus.redraw();
  }
}

function onLink(link) {
  const before = $("link").dataset.state;
  $("link").dataset.state = link;
  writeLink();
  // Whatever happened while the line was down is asked for again.
  if (link === "live" && before === "waiting" && newest) { loadSoon(); focus.redraw(); }
}

function writeLink() {
  const link = $("link").dataset.state;
  const zone = pointOf(state)?.timezone;
  $("link-text").textContent = link === "live" && zone ? `${t("live")} ${clock(Date.now(), zone, true)}` : t(link);
}

// --- start ------------------------------------------------------------------------------------------

function speak(next) {
  setLanguage(next);
  writeLink();
  if (!state.points.length) return;
  showPoints();
  choose(state);
  incidents.show(state.incidents, state.notices, state.points);
  showGateways($("gateways"), state.health, zoneOf);
  events.draw();
  evidence.redraw();
}

onTokenWanted(async (refused) => {
  const given = await ask($("ask"), {
    title: t("token_title"), why: t("token_why"), action: t("enter"), cancel: false, error: refused ? t("token_wrong") : "",
    fields: [{ name: "token", label: t("token_title"), required: true, secret: true }],
  });
  return given?.token ?? "";
});

async function start() {
  setLanguage(language());
  for (const button of document.querySelectorAll("button[data-language]")) button.addEventListener("click", () => speak(button.dataset.language));
  for (const button of document.querySelectorAll("[data-go]")) button.addEventListener("click", () => view(button.dataset.go));
  writeLink();
  view("overview"); // before anything is waited for: what a person chooses meanwhile stays
  await loadPoints();
  await loadVerdicts();
  loadHouse();
  addEventListener("hashchange", readAddress);
  readAddress();
  setInterval(loadPoints, RELOAD_MS);
  setInterval(loadHouse, RELOAD_MS);
  setInterval(() => focus.settle().catch(() => {}), SETTLE_MS);
  setInterval(() => focus.redraw(), REDRAW_MS);
  setInterval(writeLink, 1000);
  follow(onEvent, onLink);
}

start();
