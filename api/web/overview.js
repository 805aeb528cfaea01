// The overview: every plant with its points, their state, and the newest values against their limits.

import { h, icon, put, symbol, unit } from "./dom.js";
import { label, plainNumber, t, value } from "./i18n.js";

const STATES = ["exceeded", "no_data", "ok"];
const CELLS = 3;

/** A state as a mark with its word; never by colour alone. */
export function stateMark(state) {
  return h("span.state", { "data-state": state }, icon(state), h("span", {}, t(state)));
}

/** The limits of a parameter that can be drawn against its newest value: the night one at night, else the day one. */
export function limitNow(parameter, night) {
  const bounded = parameter.limits.filter((limit) => limit.limit !== null || limit.low !== null);
  const wanted = night ? "night" : "day";
  return bounded.find((limit) => limit.period === wanted) ?? bounded.find((limit) => !limit.period) ?? null;
}

/** Whether it is night at a point, by its own hours and time zone. */
export function isNight(point, now = Date.now()) {
  const time = new Intl.DateTimeFormat("en-GB", { timeZone: point.timezone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(now);
  const [begin, end] = point.night;
  return begin > end ? time >= begin || time < end : time >= begin && time < end;
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
    put(this.root, plants.map((plant) => this.#plant(plant, points.filter((point) => point.plant === plant.id))));
    this.#tally(points);
  }

  #tally(points) {
    const count = (state) => points.filter((point) => point.state === state).length;
    put(this.tally, STATES.filter((state) => count(state)).map((state) =>
      h("li", { "data-state": state }, icon(state), t(`points_${state}`, count(state)))));
  }

  #plant(plant, points) {
    return h("section.plant", { "aria-label": label(plant.name) },
      h("header.plant-head", {}, h("h3", {}, label(plant.name)), stateMark(plant.state)),
      h("ul.points", {}, points.map((point) => h("li", {}, this.#card(point)))));
  }

  #card(point) {
    const key = `${point.plant}/${point.id}`;
    const night = isNight(point);
    const card = h("article.card", { "data-state": point.state, "data-point": key },
      h("button.card-head", { type: "button", onclick: () => this.onChoose(point, null) },
        h("span.kind", { title: t(point.kind) }, icon(point.kind)),
        h("span.card-name", {}, label(point.name)),
        stateMark(point.state)),
      h("div.cells", {}, this.#chosen(point).map((parameter) => this.#cell(point, parameter, night))));
    this.cards.set(key, card);
    return card;
  }

  /** Those with limits first: they are what the point is watched for. */
  #chosen(point) {
    const limited = point.parameters.filter((parameter) => parameter.limits.length);
    const others = point.parameters.filter((parameter) => !parameter.limits.length);
    return [...limited, ...others].slice(0, CELLS);
  }

  #cell(point, parameter, night) {
    const limit = limitNow(parameter, night);
    const number = h("span.number", {});
    const bar = h("span.gauge-bar", {});
    const cell = h("button.cell", { type: "button", "data-parameter": parameter.code, onclick: () => this.onChoose(point, parameter.code) },
      h("span.cell-name", { title: label(parameter.name) }, symbol(parameter.code)),
      h("span.cell-value", {}, number, h("span.unit", {}, unit(parameter.unit))),
      h("span.gauge", { "data-limit": limit ? "" : null }, bar),
      h("span.cell-limit", {}, limit ? limitText(limit) : t("none_limit")));
    this.cells.set(`${point.plant}/${point.id}/${parameter.code}`, { cell, number, bar, limit, parameter });
    this.#write(`${point.plant}/${point.id}/${parameter.code}`, parameter.latest);
    return cell;
  }

  #write(key, latest) {
    const found = this.cells.get(key);
    if (!found) return;
    const { cell, number, bar, limit, parameter } = found;
    number.textContent = latest ? value(latest.value, parameter.unit) : "–";
    cell.dataset.status = latest?.status ?? "no_comm";
    cell.title = latest && latest.status !== "ok" ? t(`status_${latest.status}`) : label(parameter.name);
    const share = limit && latest?.value !== null && latest ? gauge(latest.value, limit, parameter.unit) : null;
    bar.style.width = share === null ? "0" : `${(share * 100).toFixed(1)}%`;
    cell.toggleAttribute("data-over", Boolean(limit && latest && isOver(latest.value, limit)));
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
