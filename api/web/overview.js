// The overview: every plant with its points, their state, and the newest values against their limits.

import { h, icon, put, symbol, unit } from "./dom.js";
import { label, plainNumber, t, value } from "./i18n.js";

const STATES = ["exceeded", "no_data", "ok"];
const CELLS = 3;

/** A state as a mark with its word; never by colour alone. */
export function stateMark(state) {
  return h("span.state", { "data-state": state }, icon(state), h("span", {}, t(state)));
}

/** The limit that was judged last; where none was yet, the first that is a number. */
export function limitShown(parameter) {
  const bounded = parameter.limits.filter((limit) => limit.limit !== null || limit.low !== null);
  const judged = bounded.filter((limit) => limit.judged).sort((a, b) => (a.judged.to < b.judged.to ? 1 : -1));
  return judged[0] ?? bounded[0] ?? null;
}

export class Overview {
  /** onChoose(point, parameter code or null): called when a point or one of its values is chosen. */
  constructor(root, tally, onChoose) {
    this.root = root;
    this.tally = tally;
    this.onChoose = onChoose;
    this.cells = new Map();
    this.cards = new Map();
  }

  /** Draw plants and points anew. */
  show(plants, points) {
    this.cells.clear();
    this.cards.clear();
    const worst = [...plants].sort((a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state));
    put(this.root, worst.map((plant) => this.#plant(plant, points.filter((point) => point.plant === plant.id))));
    this.#tally(points);
  }

  #tally(points) {
    const count = (state) => points.filter((point) => point.state === state).length;
    put(this.tally, STATES.filter((state) => count(state)).map((state) =>
      h("li", { "data-state": state }, icon(state), h("b", {}, String(count(state))), h("span", {}, t(state)))));
  }

  #plant(plant, points) {
    return h("section.plant", { "aria-label": label(plant.name) },
      h("header.plant-head", {}, h("h3", {}, label(plant.name)), stateMark(plant.state)),
      h("ul.points", {}, points.map((point) => h("li", {}, this.#card(point)))));
  }

  #card(point) {
    const key = `${point.plant}/${point.id}`;
    const card = h("article.card", { "data-state": point.state, "data-point": key },
      h("button.card-head", { type: "button", onclick: () => this.onChoose(point, null) },
        h("span.kind", { title: t(point.kind) }, icon(point.kind)),
        h("span.card-name", {}, label(point.name)),
        stateMark(point.state)),
      point.commissioning ? h("p.chips.card-note", {}, h("span.chip", { "data-commissioning": "", title: t("commissioning_hint") }, t("commissioning"))) : null,
      h("div.cells", {}, this.#chosen(point).map((parameter) => this.#cell(point, parameter))));
    this.cards.set(key, card);
    return card;
  }

  /** Those with limits first: they are what the point is watched for. */
  #chosen(point) {
    const limited = point.parameters.filter((parameter) => parameter.limits.length);
    const others = point.parameters.filter((parameter) => !parameter.limits.length);
    return [...limited, ...others].slice(0, CELLS);
  }

  #cell(point, parameter) {
    const limit = limitShown(parameter);
    const judged = limit?.judged?.value ?? null;
    const number = h("span.number", {});
    const bar = h("span.gauge-bar", {});
    const cell = h("button.cell", {
      type: "button", "data-parameter": parameter.code, "data-over": judged !== null && isOver(judged, limit),
      onclick: () => this.onChoose(point, parameter.code),
    },
    h("span.cell-name", {}, symbol(parameter.code, label(parameter.name))),
    h("span.cell-value", {}, number, h("span.unit", {}, unit(parameter.unit))),
    h("span.gauge", { "data-limit": limit ? "" : null }, bar),
    h("span.cell-limit", {}, limit ? judgedText(limit, parameter.unit) : t("none_limit")));
    const share = judged === null ? null : gauge(judged, limit, parameter.unit);
    bar.style.width = share === null ? "0" : `${(share * 100).toFixed(1)}%`;
    this.cells.set(`${point.plant}/${point.id}/${parameter.code}`, { cell, number, parameter });
    this.#write(`${point.plant}/${point.id}/${parameter.code}`, parameter.latest);
    return cell;
  }

  #write(key, latest) {
    const found = this.cells.get(key);
    if (!found) return;
    const { cell, number, parameter } = found;
    number.textContent = latest ? value(latest.value, parameter.unit) : "–";
    cell.dataset.status = latest?.status ?? "no_comm";
    cell.title = [label(parameter.name), latest && latest.status !== "ok" ? t(`status_${latest.status}`) : ""].filter(Boolean).join(" – ");
  }

  /** Write newest measurements into the values on show. */
  update(items) {
    for (const item of items) this.#write(`${item.plant}/${item.point}/${item.parameter}`, item);
  }

  /** Mark the point that the chart shows. */
  choose(point) {
    const chosen = point ? `${point.plant}/${point.id}` : "";
    for (const [key, card] of this.cards) {
      card.toggleAttribute("data-chosen", key === chosen);
      card.querySelector(".card-head").setAttribute("aria-pressed", String(key === chosen));
    }
  }
}

/** What was judged last against its limit: night 53 / 50. Without a judged value the limit alone. */
function judgedText(limit, unitText) {
  if (!limit.judged) return limitText(limit);
  const bound = limit.low !== null && limit.limit !== null ? limitText(limit) : limit.limit ?? limit.low;
  return [h("span.cell-window", {}, limit.statistic === "maximum" ? t("peak") : t(`window_${limit.window}`)), " ", h("b", {}, value(limit.judged.value, unitText)), ` / ${typeof bound === "number" ? plainNumber(bound) : bound}`];
}

/** ≤ 50, or 6 – 9 for a two-sided limit. */
export function limitText(limit) {
  if (limit.low !== null && limit.limit !== null) return `${plainNumber(limit.low)} – ${plainNumber(limit.limit)}`;
  return limit.limit !== null ? `≤ ${plainNumber(limit.limit)}` : `≥ ${plainNumber(limit.low)}`;
}

function isOver(number, limit) {
  return number !== null && ((limit.limit !== null && number > limit.limit) || (limit.low !== null && number < limit.low));
}

/** Where a value stands on its gauge, whose mark for the limit is at three quarters. Levels start at 30 dB. */
function gauge(number, limit, unitText) {
  if (limit.low !== null && limit.limit !== null) {
    const width = (limit.limit - limit.low) * 2;
    return clamp((number - limit.low + width / 4) / width);
  }
  const zero = unitText.startsWith("dB") ? 30 : 0;
  return limit.limit > zero ? clamp(((number - zero) / (limit.limit - zero)) * 0.75) : null;
}

function clamp(share) {
  return Math.min(1, Math.max(0.01, share));
}
