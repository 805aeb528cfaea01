// The evidence behind one exceedance, walked backwards: notice, clause, average, measurements, registers, manual page.

import { get } from "./api.js";
import { Chart } from "./chart.js";
import { h, icon, put, symbol, unit } from "./dom.js";
import { label, moment, plainNumber, span, standing, t, value } from "./i18n.js";
import { excess } from "./incidents.js";
import { limitText } from "./overview.js";

const seconds = (time) => Date.parse(time) / 1000;

export class Evidence {
  /** dialog: where it is shown. pointOf(item): the point an exceedance belongs to. onClose(). */
  constructor(dialog, { pointOf, onClose }) {
    Object.assign(this, { dialog, pointOf });
    dialog.addEventListener("close", () => { this.chart?.clear(); this.chart = null; this.shown = null; onClose(); });
    // The backdrop is the dialog itself; a click there closes, as people expect of a drawer.
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  }

  /** Show what an exceedance stands on. */
  async show(id) {
    if (this.shown === id) return;
    this.shown = id;
    put(this.dialog, h("p.empty", { role: "status" }, t("loading")), this.#closer());
    if (!this.dialog.open) this.dialog.showModal();
    try {
      this.trail = await get(`evidence/${id}`);
      if (this.shown === id) this.#draw();
    } catch (problem) {
      put(this.dialog, h("p.empty", { role: "alert" }, t("failed", problem.message)), this.#closer());
    }
  }

  /** The language has changed. */
  redraw() {
    if (this.shown && this.trail) this.#draw();
  }

  close() {
    if (this.dialog.open) this.dialog.close();
  }

  #closer() {
    return h("button.icon-button.drawer-close", { type: "button", "aria-label": t("close"), onclick: () => this.dialog.close() }, icon("close"));
  }

  #draw() {
    const { trail } = this;
    const { exceedance: found } = trail;
    const point = this.pointOf(found);
    this.zone = point?.timezone ?? "UTC";
    put(this.dialog,
      h("div.drawer-body", {},
        h("header.drawer-head", {},
          h("p.eyebrow", {}, t("evidence")),
          h("h2", { id: "evidence-title" }, label(trail.clause.title)),
          h("p.quiet", {}, point ? label(point.name) : found.point, " · ", span(found.from, found.to, this.zone)),
          h("p.verdict", {},
            h("strong", {}, value(found.value, found.unit)), h("span.unit", {}, unit(found.unit)),
            h("span.quiet", {}, t("of_limit", found.low !== null && found.value < found.low ? `≥ ${plainNumber(found.low)}` : plainNumber(found.limit))),
            h("span.excess", {}, excess(found))),
          h("p.chips", {},
            h("span.chip", { "data-standing": found.standing }, standing(found.standing)),
            h("span.chip", { "data-verified": String(found.verified) }, icon(found.verified ? "check" : "no_data"), t(found.verified ? "verified" : "unverified")),
            found.late ? h("span.chip", { "data-late": "", title: t("late_hint") }, t("late")) : null,
            found.change === "withdrawn" ? h("span.chip", {}, t("withdrawn")) : null)),
        h("ol.trail", {},
          this.#step("notice", "step_notice", this.#notices()),
          this.#step("clause", "step_clause", this.#clause()),
          this.#step("average", "step_average", this.#average()),
          this.#step("measurements", "step_measurements", this.#measurements()),
          this.#step("registers", "step_registers", this.#registers()),
          this.#step("manual", "step_manual", this.#manual()))),
      this.#closer());
    this.#plot();
  }

  #step(mark, title, ...content) {
    return h("li.step", { "data-step": mark }, h("span.step-mark", {}, icon(mark)), h("div.step-body", {}, h("h3", {}, t(title)), content));
  }

  #notices() {
    const { notices } = this.trail;
    if (!notices.length) return h("p.quiet", {}, t("no_notice_yet"));
    return h("ul.lines", {}, notices.map((notice) => h("li", {},
      icon(notice.kind),
      h("span", {}, t(`channel_${notice.kind}`), " ", t("to", notice.recipient), h("span.quiet", {}, ` · ${moment(notice.time, this.zone)}`)),
      h("span.chip", { "data-sent": notice.state }, t(`notice_${notice.state}`)))));
  }

  #clause() {
    const { clause } = this.trail;
    return [
      h("p", {}, h("strong", {}, label(clause.pack_title) || clause.pack), h("br"), clause.cite),
      facts([
        [t("limit"), `${limitText(clause)} ${unit(clause.unit)}`],
        [t("window"), t(`window_${clause.window}`)],
        [t("source"), clause.source],
      ]),
      clause.note ? h("p.quiet", {}, clause.note) : null,
    ];
  }

  #average() {
    const { average, exceedance: found } = this.trail;
    if (!average) return h("p.quiet", {}, "–");
    const inputs = Object.entries(average.inputs ?? {}).filter(([, item]) => item !== null && !(Array.isArray(item) && !item.length));
    return [
      facts([
        [t("window"), `${t(`window_${found.window}`)} · ${span(average.from, average.to, this.zone)}`],
        [t("value"), `${value(average.value, average.unit, 2)} ${unit(average.unit)}`],
        average.evaluated !== null ? [t("evaluated"), `${plainNumber(average.evaluated)} ${unit(average.unit)}`] : null,
        average.maximum !== null ? [t("maximum_in"), `${value(average.maximum, average.unit)} ${unit(average.unit)}`] : null,
        [t("coverage"), `${(average.coverage * 100).toFixed(1)} %`],
        ...Object.entries(average.percentiles).map(([name, level]) => [name, `${value(level, average.unit)} ${unit(average.unit)}`]),
      ]),
      inputs.length ? h("details.inner", { open: this.trail.clause.corrected === "converted" }, h("summary", {}, t("corrections")), tree(average.inputs)) : null,
      h("p.quiet", {}, t("version", average.version)),
    ];
  }

  #measurements() {
    const { measurements } = this.trail;
    this.canvas = h("div.canvas.small", { role: "img", "aria-label": t("chart_label", measurements.parameter, this.trail.exceedance.point, "") });
    return [
      h("p", {}, h("strong", {}, t("measured_count", measurements.count.toLocaleString()))),
      this.canvas,
      h("ul.statuses", { "aria-label": t("statuses") }, Object.entries(measurements.statuses).map(([name, count]) =>
        h("li", { "data-status": name }, t(`status_${name}`), " ", h("b", {}, count.toLocaleString())))),
      h("p.quiet", {}, t("stored_as")),
    ];
  }

  #plot() {
    const { measurements, clause, exceedance: found } = this.trail;
    if (!measurements.items.length) { this.canvas.remove(); return; }
    this.chart?.clear();
    this.chart = new Chart(this.canvas, { onZoom: () => {}, onRead: () => {} });
    const from = seconds(measurements.from);
    const to = seconds(measurements.to);
    const times = measurements.items.map((item) => seconds(item.time));
    const step = measurements.interval === "1m" ? 60 : Math.max(1, (times.at(-1) - times[0]) / Math.max(1, times.length - 1));
    const highest = clause.statistic === "maximum";
    this.chart.show({
      times, values: measurements.items.map((item) => (item.status === "ok" ? (highest && item.maximum !== undefined ? item.maximum : item.value) : null)),
      step, from, to, following: false, zone: this.zone, unit: measurements.unit, nights: [],
      limits: [{ ...clause, period: "", name: t("limit") }],
      judged: highest ? [] : [{ from, to, value: found.value, over: true }], zero: false,
    });
  }

  #registers() {
    const rows = this.trail.sensors.map((sensor) => h("section.instrument", { "data-main": sensor.main ? "" : null },
      h("p", {}, h("strong", {}, sensor.id), ` · ${label(sensor.title)}`, h("br"), h("code", {}, sensor.link)),
      h("div.table-box", { tabindex: "0", role: "region", "aria-label": t("step_registers") }, h("table", {},
        h("thead", {}, h("tr", {}, [t("parameter"), t("function"), t("address"), t("type"), t("scale")].map((title) => h("th", { scope: "col" }, title)))),
        h("tbody", {}, sensor.registers.map((register) => h("tr", { "data-main": register.parameter === this.trail.exceedance.parameter ? "" : null },
          h("th", { scope: "row" }, symbol(register.parameter)),
          h("td", {}, String(register.function).padStart(2, "0")),
          h("td", {}, `${register.address}`, h("span.quiet", {}, ` 0x${register.address.toString(16).toUpperCase().padStart(4, "0")}`)),
          h("td", {}, register.type, register.order ? h("span.quiet", {}, ` ${register.order}`) : null),
          h("td", {}, `× ${plainNumber(register.scale)}`, register.offset ? ` + ${plainNumber(register.offset)}` : "", " ", unit(register.unit)))))))));
    return rows.length ? rows : h("p.quiet", {}, "–");
  }

  #manual() {
    const { sensors, exceedance: found } = this.trail;
    return sensors.map((sensor) => h("section.instrument", { "data-main": sensor.main ? "" : null },
      h("p", {}, h("strong", {}, [sensor.maker, sensor.model].filter(Boolean).join(" ") || sensor.profile), h("br"), sensor.manual),
      h("ul.lines.pages", {}, distinct(sensor.registers, found.parameter).map((register) => h("li", {}, icon("manual"), h("span", {}, symbol(register.parameter), ": ", register.manual)))),
      h("p.quiet", {}, `${t("source")}: ${sensor.source}`)));
  }
}

/** Registers, the judged parameter's first. */
function distinct(registers, parameter) {
  return [...registers].sort((a, b) => Number(b.parameter === parameter) - Number(a.parameter === parameter));
}

function facts(rows) {
  return h("dl.facts", {}, rows.filter((row) => row && row[1]).map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, text))));
}

/** Anything nested as lists of names and values: corrections differ from kind to kind of point. */
function tree(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") return plainNumber(value);
  if (typeof value !== "object") return String(value).replaceAll("_", " ");
  if (Array.isArray(value)) return h("ol.tree", {}, value.map((item) => h("li", {}, tree(item))));
  return h("dl.tree", {}, Object.entries(value).map(([key, item]) =>
    h("div", { "data-nested": item !== null && typeof item === "object" ? "" : null }, h("dt", {}, key.replaceAll("_", " ")), h("dd", {}, tree(item)))));
}
