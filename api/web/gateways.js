// The gateways, one quiet line each: heard when, who answers, clock, declared lost. Red only where something is wrong.

import { h, icon, put } from "./dom.js";
import { clock, moment, t } from "./i18n.js";

const DAY_MS = 86_400_000;

/** Draw what the collector's health says of its gateways, and what is wrong with the collector itself. */
export function showGateways(root, health, zoneOf) {
  const gateways = Object.entries(health.gateways ?? {});
  put(root,
    (health.problems ?? []).map((problem) => h("p.problem", { lang: "en" }, icon("exceeded"), h("span", {}, problem))),
    gateways.length ? h("h3.column-title", {}, t("gateways")) : null,
    h("ul.gateways", {}, gateways.map(([id, told]) => h("li", { "data-gateway": id },
      h("span.gateway-name", {}, id), h("span.gateway-said", {}, line(told, zoneOf(id)))))));
}

function line(told, zone) {
  const parts = [h("span", {}, told.received_ns ? t("heard", when(told.received_ns / 1e6, zone)) : t("not_heard"))];
  const sensors = told.state?.online ? told.state.sensors : null;
  if (sensors?.all) parts.push(h("span", {}, t("sensors_answer", sensors.answering ?? 0, sensors.all)));
  const lost = told.gaps?.measurements ?? 0;
  if (lost) parts.push(h("span", {}, t("declared_lost", lost.toLocaleString())));
  if (told.trusted === false) parts.push(wrong("no_key"));
  if (told.clock_wrong) parts.push(wrong("clock_wrong"));
  else if (told.received_ns) parts.push(h("span", {}, t("clock_right")));
  return parts;
}

function when(time, zone) {
  return Date.now() - time < DAY_MS ? clock(time, zone, true) : moment(time, zone);
}

function wrong(word) {
  return h("span.wrong", {}, icon("exceeded"), t(word));
}
