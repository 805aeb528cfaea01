// The point that was chosen: its parameters with newest values, the chart of one of them, and its limits.

import { get, list } from "./api.js";
import { Chart } from "./chart.js";
import { h, icon, put, symbol, unit } from "./dom.js";
import { clock, label, moment, standing, t, value } from "./i18n.js";
import { limitText, stateMark } from "./overview.js";

export const RANGES = { "1h": 3600, "6h": 21_600, "24h": 86_400, "48h": 172_800 };
const RAW_UP_TO_S = 7200; // longer ranges show minutes: two days of seconds would be 172,800 values
const MINUTE_S = 60;

const seconds = (time) => Date.parse(time) / 1000;
const iso = (second) => new Date(Math.round(second * 1000)).toISOString();

export class Focus {
  /** onChange({parameter, range}): the user chose another one. */
  constructor(root, onChange) {
    this.root = root;
    this.onChange = onChange;
    this.tiles = new Map();
    this.generation = 0;
  }

  /** Show a point with one of its parameters over a range. */
  show(point, code, range) {
    this.point = point;
    this.parameter = point.parameters.find((parameter) => parameter.code === code) ?? point.parameters[0];
    this.range = range;
    this.zoomed = null;
    this.#build();
    return this.load();
  }

  /** What the server says of the point has changed: state and limits, but not the chart. */
  refresh(point) {
    this.point = point;
    this.parameter = point.parameters.find((parameter) => parameter.code === this.parameter?.code) ?? point.parameters[0];
    put(this.state, stateMark(point.state));
  }

  #build() {
    const { point, parameter } = this;
    this.tiles.clear();
    this.chart?.clear();
    this.readout = h("p.readout", { "aria-live": "off" });
    this.canvas = h("div.canvas", { role: "img", tabindex: "0" });
    this.message = h("p.canvas-message", { role: "status" });
    this.state = h("span", {}, stateMark(point.state));
    this.legend = h("ul.legend");
    put(this.root,
      h("header.focus-head", {},
        h("span.kind.big", {}, icon(point.kind)),
        h("div.focus-name", {},
          h("h2", { id: "point-name" }, label(point.name)),
          h("p.quiet", {}, [t(point.kind), ...point.rules.map((rule) => label(rule.title))].join(" · "))),
        this.state),
      h("div.tiles", { role: "group", "aria-label": t("parameter") }, point.parameters.map((item) => this.#tile(item))),
      h("section.panel", { "aria-label": t("chart") },
        h("div.panel-head", {}, this.readout, this.#ranges()),
        h("div.canvas-box", {}, this.canvas, this.message),
        this.legend),
      this.#limits());
    this.chart = new Chart(this.canvas, {
      onZoom: (from, to) => this.#zoom({ from, to }),
      onRead: (time, number) => this.#read(time, number),
    });
    for (const item of point.parameters) this.#write(item.code, item.latest);
    this.#read(null);
    this.canvas.setAttribute("aria-label", t("chart_label", label(parameter.name), label(point.name), this.range));
  }

  #tile(parameter) {
    const number = h("span.number");
    const tile = h("button.tile", {
      type: "button", title: label(parameter.name), "aria-pressed": String(parameter === this.parameter),
      onclick: () => this.onChange({ parameter: parameter.code, range: this.range }),
    }, h("span.tile-name", {}, symbol(parameter.code, label(parameter.name))), h("span.tile-value", {}, number, h("span.unit", {}, unit(parameter.unit))));
    this.tiles.set(parameter.code, { tile, number, parameter });
    return tile;
  }

  #ranges() {
    const buttons = Object.keys(RANGES).map((range) => h("button", {
      type: "button", "aria-pressed": String(range === this.range && !this.zoomed),
      onclick: () => this.onChange({ parameter: this.parameter.code, range }),
    }, range));
    this.zoomOut = h("button.ghost", { type: "button", hidden: true, onclick: () => this.#zoom(null) }, icon("zoom"), t("zoom_out"));
    return h("div.ranges", {}, this.zoomOut, h("div.segments", { role: "group", "aria-label": t("range") }, buttons));
  }

  #limits() {
    const { limits } = this.parameter;
    if (!limits.length) return null;
    return h("section.panel.limits", { "aria-labelledby": "limits-title" },
      h("h3", { id: "limits-title" }, t("limits_here")),
      h("ul", {}, limits.map((limit) => h("li", {},
        h("div.limit-what", {}, h("strong", {}, label(limit.title)), h("span.quiet", {}, limit.cite)),
        h("span.limit-value", {}, limitText(limit), h("span.unit", {}, unit(limit.unit))),
        h("span.chips", {},
          h("span.chip", { "data-standing": limit.standing }, standing(limit.standing)),
          h("span.chip", { "data-verified": String(limit.verified), title: t(limit.verified ? "verified" : "unverified") },
            icon(limit.verified ? "check" : "no_data"), t(limit.verified ? "verified" : "unverified")))))));
  }

  #zoom(part) {
    this.zoomed = part;
    this.zoomOut.hidden = !part;
    return this.load();
  }

  /** Ask the server for what the chart shows and draw it. */
  async load() {
    const generation = ++this.generation;
    this.message.textContent = this.chart.scene ? "" : t("loading");
    const to = this.zoomed?.to ?? Date.now() / 1000;
    const from = this.zoomed?.from ?? to - RANGES[this.range];
    const raw = this.#raw(to - from);
    try {
      const parts = await this.#fetch(from, to, raw);
      if (generation === this.generation) this.#draw(parts, { from, to, raw });
    } catch (problem) {
      if (generation === this.generation) this.message.textContent = t("failed", problem.message);
    }
  }

  /** Whether a range is shown as measured: a short one, or that of an instrument slower than the minutes. */
  #raw(seconds) {
    return seconds <= RAW_UP_TO_S || this.parameter.interval_s > MINUTE_S;
  }

  async #fetch(from, to, raw) {
    const { point, parameter } = this;
    const key = { plant: point.plant, point: point.id };
    const series = { ...key, parameter: parameter.code };
    const span = { from: iso(from), to: iso(to) };
    const windows = [...new Set(parameter.limits.map((limit) => limit.window))].filter((window) => window !== "1m");
    const before = { from: iso(from - RANGES["24h"]), to: span.to };
    const tail = raw ? null : { from: iso(Math.max(from, to - 5 * MINUTE_S)), to: span.to };
    const [curve, last, nights, exceedances, ...judged] = await Promise.all([
      list("measurements", { ...series, ...span, interval: raw ? "raw" : "1m" }),
      tail ? list("measurements", { ...series, ...tail, interval: "raw" }) : [],
      list("periods", { ...key, ...before, period: "night" }),
      list("exceedances", { ...series, ...before }),
      ...windows.map((window) => list("averages", { ...series, ...before, window })),
    ]);
    return { curve, last, nights, exceedances, judged: judged.flat() };
  }

  #draw({ curve, last, nights, exceedances, judged }, { from, to, raw }) {
    const { parameter, point } = this;
    const step = raw ? parameter.interval_s : Math.max(MINUTE_S, parameter.interval_s);
    const usable = (item) => (item.status === "ok" || item.status === "manual" ? item.value : null);
    const known = curve.length ? seconds(curve.at(-1).time) + (raw ? 0 : step) : from;
    const rows = raw ? curve : [...curve, ...last.filter((item) => seconds(item.time) >= known)];
    const over = new Set(exceedances.filter((item) => item.change !== "withdrawn").map((item) => `${item.window} ${item.from}`));
    this.settled = known;
    this.chart.show({
      times: rows.map((item) => seconds(item.time)), values: rows.map(usable), step, from, to,
      following: !this.zoomed, zone: point.timezone, unit: parameter.unit,
      limits: parameter.limits.filter((limit) => limit.limit !== null || limit.low !== null)
        .map((limit) => ({ ...limit, name: label(limit.title) })),
      nights: nights.map((night) => ({ from: seconds(night.from), to: seconds(night.to) })),
      judged: judged.filter((bar) => bar.valid && seconds(bar.to) > from)
        .map((bar) => ({ from: seconds(bar.from), to: seconds(bar.to), value: bar.evaluated ?? bar.value, over: over.has(`${bar.window} ${bar.from}`) })),
      zero: !/^(dB|degC|kPa)/.test(parameter.unit) && parameter.unit !== "",
    });
    this.message.textContent = rows.some((item) => usable(item) !== null) ? "" : t("no_values");
    this.#legend(raw, judged);
    this.#read(null);
  }

  #legend(raw, judged) {
    const { parameter, point } = this;
    const every = parameter.interval_s < 60 ? t("second", parameter.interval_s) : t("minute", parameter.interval_s / 60);
    const curve = raw ? t("raw", every) : t({ energy: "curve_energy", maximum: "curve_maximum" }[parameter.average] ?? "curve_mean");
    const windows = [...new Set(judged.map((bar) => bar.window))];
    put(this.legend,
      h("li", { "data-mark": "line" }, curve),
      windows.length ? h("li", { "data-mark": "judged" }, t("judged", windows.map((window) => t(`window_${window}`)).join(", "))) : null,
      parameter.limits.length ? h("li", { "data-mark": "limit" }, t("limit")) : null,
      h("li", { "data-mark": "night" }, `${t("night")} ${point.night.join(" – ")}`));
  }

  #read(time, number) {
    const { parameter, point } = this;
    const latest = this.newest ?? parameter.latest;
    const shown = time === null ? { time: latest?.time, value: latest?.value } : { time: time * 1000, value: number };
    const text = shown.value === undefined ? "–" : value(shown.value, parameter.unit);
    put(this.readout,
      h("span.readout-name", {}, label(parameter.name)),
      h("span.readout-value", {}, text, h("span.unit", {}, unit(parameter.unit))),
      h("span.quiet", {}, shown.time ? (time === null ? clock(shown.time, point.timezone, true) : moment(shown.time, point.timezone)) : ""));
  }

  #write(code, latest) {
    const found = this.tiles.get(code);
    if (!found) return;
    found.number.textContent = latest ? value(latest.value, found.parameter.unit) : "–";
    found.tile.dataset.status = latest?.status ?? "no_comm";
    if (code === this.parameter.code) this.newest = latest;
  }

  /** Newest measurements of all points: those of this one are shown and drawn. */
  update(items) {
    if (!this.point) return;
    const own = items.filter((item) => item.plant === this.point.plant && item.point === this.point.id);
    for (const item of own) this.#write(item.parameter, item);
    const drawn = own.filter((item) => item.parameter === this.parameter.code);
    if (!drawn.length) return;
    this.chart.push(drawn.map((item) => seconds(item.time)),
      drawn.map((item) => (item.status === "ok" || item.status === "manual" ? item.value : null)), this.parameter.interval_s);
    if (!this.chart.plot?.cursor.left || this.chart.plot.cursor.left < 0) this.#read(null);
  }

  /** Load again what is followed, for new judged values; a zoomed part stays as it is. */
  redraw() {
    if (this.chart?.scene && !this.zoomed) this.load();
  }

  /** New averages are in the book: take those of the last minutes. */
  async settle() {
    if (!this.chart?.scene || this.zoomed || this.#raw(RANGES[this.range])) return;
    const generation = this.generation;
    const from = this.settled - 2 * MINUTE_S;
    const { plant, id: point } = this.point;
    const page = await get("measurements", { plant, point, parameter: this.parameter.code, interval: "1m", from: iso(from), to: iso(Date.now() / 1000) });
    if (generation !== this.generation || !page.items.length) return;
    this.chart.settle(from, page.items.map((item) => seconds(item.time)), page.items.map((item) => item.value));
    this.settled = seconds(page.items.at(-1).time) + MINUTE_S;
  }
}
