// The point that was chosen: its parameters with newest values, the chart of one of them, and its limits.

import { get, list } from "./api.js";
import { Chart } from "./chart.js";
import { h, icon, put, symbol, unit } from "./dom.js";
import { clock, label, moment, standing, t, value } from "./i18n.js";
import { bands, listed, markList, spansUnder, speakingOf } from "./marks.js";
import { limitText, stateMark } from "./overview.js";

export const RANGES = { "1h": 3600, "6h": 21_600, "24h": 86_400, "48h": 172_800 };
const RAW_UP_TO_S = 7200; // longer ranges show minutes: two days of seconds would be 172,800 values
const MINUTE_S = 60;

const seconds = (time) => Date.parse(time) / 1000;
const spoken = (marks) => marks.map((mark) => `${mark.id} ${mark.revoked_by}`).join();
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
    this.said = h("p.said", { hidden: true });
    this.markBox = h("section.panel.marks", { "aria-label": t("marks"), hidden: true });
    Object.assign(this, { marks: [], bands: [], corrected: new Map(), measured: new Set() });
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
        this.said,
        h("div.canvas-box", {}, this.canvas, this.message),
        this.legend),
      this.#limits(),
      this.markBox);
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
      if (generation !== this.generation) return;
      this.#marks(parts.marks, from, to);
      this.#draw(parts, { from, to, raw });
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
    const [curve, last, marks, nights, exceedances, ...judged] = await Promise.all([
      list("measurements", { ...series, ...span, interval: raw ? "raw" : "1m" }),
      tail ? list("measurements", { ...series, ...tail, interval: "raw" }) : [],
      list("marks", { ...key, ...span }),
      list("periods", { ...key, ...before, period: "night" }),
      list("exceedances", { ...series, ...before }),
      ...windows.map((window) => list("averages", { ...series, ...before, window })),
    ]);
    const under = raw ? [] : await this.#asMeasured(series, marks, from, to);
    return { curve, last, marks, under, nights, exceedances, judged: judged.flat() };
  }

  /** Minutes under a mark are judged otherwise than measured; what was measured is shown, where it is not too much. */
  async #asMeasured(series, marks, from, to) {
    const spans = spansUnder(speakingOf(marks, this.point, this.parameter), from, to);
    if (spans.reduce((sum, [start, end]) => sum + end - start, 0) > RAW_UP_TO_S) return [];
    const parts = spans.map(([start, end]) => list("measurements", { ...series, from: iso(start), to: iso(end), interval: "raw" }));
    return (await Promise.all(parts)).flat();
  }

  /** Keep and list the marks of what is shown. */
  #marks(found, from, to) {
    const { point, parameter } = this;
    this.spoken = spoken(found);
    this.marks = speakingOf(found, point, parameter);
    this.bands = bands(this.marks).filter((band) => band.to > from && band.from < to);
    this.said.hidden = this.markBox.hidden = !this.marks.length;
    put(this.markBox, h("h3", {}, t("marks_here")), h("p.quiet", {}, t("marks_why")), markList(this.marks, point.timezone));
  }

  #draw({ curve, last, under, nights, exceedances, judged }, { from, to, raw }) {
    const { parameter, point } = this;
    const step = raw ? parameter.interval_s : Math.max(MINUTE_S, parameter.interval_s);
    const usable = (item) => (item.status === "ok" || item.status === "manual" ? item.value : null);
    const known = curve.length ? seconds(curve.at(-1).time) + (raw ? 0 : step) : from;
    const rows = this.#rows(raw ? curve : [...curve, ...last.filter((item) => seconds(item.time) >= known)], under);
    const over = new Set(exceedances.filter((item) => item.change !== "withdrawn").map((item) => `${item.window} ${item.from}`));
    this.corrected = new Map(rows.filter((item) => item.corrected !== undefined && item.corrected !== null).map((item) => [seconds(item.time), item.corrected]));
    this.measured = new Set(rows.filter((item) => item.marked).map((item) => seconds(item.time)));
    this.settled = known;
    this.chart.show({
      times: rows.map((item) => seconds(item.time)), values: rows.map(usable), step, from, to,
      following: !this.zoomed, zone: point.timezone, unit: parameter.unit,
      limits: parameter.limits.filter((limit) => limit.limit !== null || limit.low !== null)
        .map((limit) => ({ ...limit, name: label(limit.title) })),
      nights: nights.map((night) => ({ from: seconds(night.from), to: seconds(night.to) })),
      judged: judged.filter((bar) => bar.valid && seconds(bar.to) > from)
        .map((bar) => ({ from: seconds(bar.from), to: seconds(bar.to), value: bar.evaluated ?? bar.value, over: over.has(`${bar.window} ${bar.from}`) })),
      bands: this.bands, corrected: [...this.corrected],
      zero: !/^(dB|degC|kPa)/.test(parameter.unit) && parameter.unit !== "",
    });
    this.message.textContent = rows.some((item) => usable(item) !== null) ? "" : t("no_values");
    this.#legend(raw, judged);
    this.#read(null);
  }

  /** Minutes, and measurements in the place of those under a mark. */
  #rows(rows, under) {
    if (!under.length) return rows;
    const spans = spansUnder(this.marks, -Infinity, Infinity);
    const kept = rows.filter((item) => {
      const start = seconds(item.time);
      return !spans.some(([from, to]) => start < to && start + MINUTE_S > from);
    });
    return [...kept, ...under].sort((a, b) => seconds(a.time) - seconds(b.time));
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
      this.bands.length ? h("li", { "data-mark": "marked" }, t("marked")) : null,
      this.corrected.size ? h("li", { "data-mark": "corrected" }, t("corrected")) : null,
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
    if (!this.said.hidden) this.#say(time, text);
  }

  /** Beside the value, as measured, the mark that it stands under; a line of its own, so that nothing moves. */
  #say(time, text) {
    const { parameter } = this;
    const latest = this.newest ?? parameter.latest;
    const at = time ?? (latest ? seconds(latest.time) : NaN);
    const over = this.bands.filter((band) => band.from <= at && at < band.to).at(-1);
    if (!over) { put(this.said, h("span.quiet", {}, t("marks_count", listed(this.marks).length))); return; }
    const corrected = this.corrected.get(at);
    const measured = time === null || this.measured.has(at);
    put(this.said,
      h("span.chip", { "data-marked": "" }, over.text),
      measured ? h("span", {}, `${t("as_measured")} ${text}`) : null,
      corrected === undefined ? null : h("b", {}, `${t("corrected")} ${value(corrected, parameter.unit)}`),
      h("span.quiet", {}, `${over.mark.author}: ${over.mark.reason}`));
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
    if (!this.chart?.scene || this.zoomed) return;
    const generation = this.generation;
    const from = this.settled - 2 * MINUTE_S;
    const { plant, id: point } = this.point;
    const marks = await list("marks", { plant, point, from: iso(this.chart.scene.from), to: iso(this.chart.scene.to) });
    if (generation !== this.generation) return;
    const raw = this.#raw(RANGES[this.range]);
    // A new mark changes what is drawn of the past; one that reaches to now, what becomes of each new minute.
    if (spoken(marks) !== this.spoken || (!raw && this.bands.some((band) => band.to > from))) { this.load(); return; }
    if (raw) return;
    const page = await get("measurements", { plant, point, parameter: this.parameter.code, interval: "1m", from: iso(from), to: iso(Date.now() / 1000) });
    if (generation !== this.generation || !page.items.length) return;
    this.chart.settle(from, page.items.map((item) => seconds(item.time)), page.items.map((item) => item.value));
    this.settled = seconds(page.items.at(-1).time) + MINUTE_S;
  }
}
