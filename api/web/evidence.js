// The evidence behind one exceedance, walked backwards: notice, clause, average, measurements, registers, manual page.

import { address, get, openSealed } from "./api.js";
import { Chart } from "./chart.js";
import { h, icon, put, symbol, unit } from "./dom.js";
import { label, language, moment, plainNumber, span, standing, t, value } from "./i18n.js";
import { excess } from "./incidents.js";
import { bands, markList } from "./marks.js";
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
          h("h2", { id: "evidence-title" }, label(trail.title)),
          h("p.quiet", {}, point ? label(point.name) : found.point, " · ", span(found.from, found.to, this.zone)),
          h("p.verdict", {},
            h("strong", {}, value(found.value, found.unit)), h("span.unit", {}, unit(found.unit)),
            h("span.quiet", {}, t("of_limit", found.low !== null && found.value < found.low ? `≥ ${plainNumber(found.low)}` : plainNumber(found.limit))),
            h("span.excess", {}, excess(found))),
          h("p.chips", {},
            h("span.chip", { "data-standing": found.standing }, standing(found.standing)),
            h("span.chip", { "data-verified": String(found.verified) }, icon(found.verified ? "check" : "no_data"), t(found.verified ? "verified" : "unverified")),
            found.late ? h("span.chip", { "data-late": "", title: t("late_hint") }, t("late")) : null,
            found.change === "withdrawn" ? h("span.chip", {}, t("withdrawn")) : null),
          h("p", {}, this.#printed(found.id))),
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

  /** The page of its own, to print or to save. */
  #printed(id) {
    const href = address(`evidence/${id}.html`, { lang: language() });
    return h("a.print-page", { href, target: "_blank", rel: "noopener", onclick: (event) => openSealed(href) && event.preventDefault() }, icon("manual"), t("print_page"));
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
    const { pack, evidence, exceedance: found } = this.trail;
    const clause = evidence.clause ?? found;
    const conditions = Object.entries(clause.conditions ?? {}).map(([name, number]) => `${name.replaceAll("_", " ")} ${plainNumber(Math.round(number * 100) / 100)}`);
    return [
      h("p", {}, h("strong", {}, label(pack.title)), h("br"), clause.cite),
      facts([
        [t("limit"), `${limitText({ low: clause.low ?? null, limit: clause.limit })} ${unit(clause.unit)}`],
        [t("conditions"), conditions.join(", ")],
        [t("window"), windowName(clause)],
        [t("compared"), [t(clause.corrected === "converted" ? "converted" : "as_measured"), clause.rounding && clause.rounding !== "none" ? t("rounded", clause.places) : ""].filter(Boolean).join(", ")],
        [t("source"), pack.source],
      ]),
      pack.note ? h("p.quiet", {}, pack.note) : null,
    ];
  }

  #average() {
    const { exceedance: found, evidence } = this.trail;
    const average = evidence.average ?? this.trail.average;
    if (!average) return h("p.quiet", {}, "–");
    const figure = (number, digits = 0) => `${value(number, average.unit, digits)} ${unit(average.unit)}`;
    const levels = Object.entries(average.percentiles ?? {});
    return [
      facts([
        [t("window"), `${windowName(found)} · ${span(average.from, average.to, this.zone)}`],
        [t("value"), figure(average.value, 2)],
        average.evaluated !== null ? [t("evaluated"), h("b.key", {}, `${plainNumber(Math.round(average.evaluated * 1000) / 1000)} ${unit(average.unit)}`)] : null,
        average.maximum !== null ? [t("maximum_in"), figure(average.maximum)] : null,
        [t("coverage"), `${(average.coverage * 100).toFixed(1)} %`],
        average.parts ? [t("validity"), `${t("parts_needed", plainNumber(Math.round(average.parts.valid)), needed(average.parts))} · ${average.parts.cite}`] : null,
      ]),
      levels.length ? h("ul.levels", {}, levels.map(([name, level]) => h("li", {}, symbol(`LA${name.slice(1)}`), h("b", {}, value(level, average.unit))))) : null,
      average.corrections?.length ? this.#corrections(average) : null,
      h("p.quiet", {}, t("version", average.version), this.trail.average && this.trail.average.version !== average.version ? ` · ${t("newer", this.trail.average.version, figure(this.trail.average.evaluated ?? this.trail.average.value))}` : ""),
      h("details.history", {}, h("summary", {}, t("history")), this.#history()),
    ];
  }

  /** Each correction with what it took; the standard's own order. */
  #corrections(average) {
    return h("ol.corrections", {},
      h("li", {}, h("span", {}, t("as_measured")), h("b", {}, value(average.value, average.unit, 1))),
      average.corrections.map(({ step, ...taken }) => h("li", {},
        h("span", {}, t(`correction_${step}`)),
        h("span.quiet", {}, Object.entries(taken).filter(([, number]) => number !== null).map(([name, number]) => `${t(`taken_${name}`)} ${takenValue(name, number)}`).join(" · ")))),
      average.standard_dry !== undefined && average.standard_dry !== null ? h("li", {}, h("span", {}, t("standard_dry")), h("b", {}, value(average.standard_dry, average.unit, 1))) : null,
      average.converted !== undefined && average.converted !== null ? h("li", {}, h("span", {}, t("converted")), h("b", {}, value(average.converted, average.unit, 1))) : null);
  }

  #measurements() {
    const { measurements, exceedance: found } = this.trail;
    this.canvas = h("div.canvas.small", { role: "img", "aria-label": t("chart_label", measurements.parameter, found.point, "") });
    return [
      h("p", {}, h("strong", {}, t("measured_count", measurements.count.toLocaleString())), h("span.quiet", {}, ` · ${span(measurements.from, measurements.to, this.zone)}`)),
      this.canvas,
      h("ul.statuses", { "aria-label": t("statuses") }, Object.entries(measurements.statuses).map(([name, count]) =>
        h("li", { "data-status": name }, t(`status_${name}`), " ", h("b", {}, count.toLocaleString())))),
      h("p.quiet", {}, t("stored_as")),
      this.#marks(),
    ];
  }

  /** What was said of the point in the window. */
  #marks() {
    const { marks } = this.trail;
    return marks.length ? h("section.marks", { "aria-label": t("marks") }, h("h4", {}, t("marks_window")), markList(marks, this.zone)) : null;
  }

  #plot() {
    const { measurements, exceedance: found } = this.trail;
    const clause = this.trail.evidence.clause ?? found;
    if (!measurements.items.length) { this.canvas.remove(); return; }
    this.chart?.clear();
    this.chart = new Chart(this.canvas, { onZoom: () => {}, onRead: () => {} });
    const from = seconds(measurements.from);
    const to = seconds(measurements.to);
    const times = measurements.items.map((item) => seconds(item.time));
    const step = measurements.interval === "1m" ? 60 : Math.max(1, (times.at(-1) - times[0]) / Math.max(1, times.length - 1));
    const highest = clause.statistic === "maximum";
    const counted = clause.count ?? null; // windows beyond a value are what is limited: that value is the line
    this.chart.show({
      times, values: measurements.items.map((item) => (item.status === "ok" ? (highest && item.maximum !== undefined ? item.maximum : item.value) : null)),
      step, from, to, following: false, zone: this.zone, unit: measurements.unit, nights: [],
      limits: [{ limit: counted ? counted.above : clause.limit, low: counted ? counted.below : clause.low ?? null, period: "", name: t("limit") }],
      judged: highest || counted ? [] : [{ from, to, value: found.value, over: true }],
      bands: bands(this.trail.marks),
      zero: /^(mg|ug)/.test(measurements.unit),
    });
  }

  /** Every version, the newest first, with what differs from the one before. */
  #history() {
    const { versions } = this.trail;
    const line = (one, name, figure) => h("li", {},
      h("span", {}, t("version", one.version), ` · ${name} · ${figure}`, h("br"),
        h("span.quiet", {}, `${moment(one.derived, this.zone)} · ${one.because.map((cause) => this.#cause(cause)).join("; ") || t("because_first")}`)));
    return [
      h("ul.lines", {}, [...versions.exceedance].reverse().map((one) => line(one, t(`change_${one.change}`), `${value(one.value, one.unit)} ${unit(one.unit)}`))),
      versions.average.length > 1 ? h("ul.lines", {}, [...versions.average].reverse().map((one) => line(one, t("change_average"), `${value(one.evaluated ?? one.value, one.unit)} ${unit(one.unit)}`))) : null,
    ];
  }

  #cause({ what, mark, count, change }) {
    const said = this.trail.marks.find((one) => one.id === mark);
    if (what === "mark") return t("because_mark", mark, said ? t(`mark_${said.kind}`) : "–", said?.author ?? "–");
    if (what === "statuses") return t("because_statuses", Object.entries(change).map(([name, more]) => `${t(`status_${name}`)} ${more > 0 ? "+" : ""}${more}`).join(", "));
    return t(`because_${what}`, mark ?? count);
  }

  #registers() {
    const rows = this.#sensors().map((sensor) => h("section.instrument", {},
      h("p", {}, h("strong", {}, sensor.sensor), sensor.title ? ` · ${label(sensor.title)}` : "", h("br"), h("code", {}, sensor.link ?? "")),
      h("div.table-box", { tabindex: "0", role: "region", "aria-label": t("step_registers") }, h("table", {},
        h("thead", {}, h("tr", {}, [t("parameter"), t("function"), t("address"), t("type"), t("scale")].map((title) => h("th", { scope: "col" }, title)))),
        h("tbody", {}, sensor.registers.map((register) => h("tr", { "data-main": register.parameter === this.trail.exceedance.parameter ? "" : null },
          h("th", { scope: "row" }, symbol(register.parameter)),
          h("td", {}, String(register.fc).padStart(2, "0")),
          h("td", {}, `${register.address}`, h("span.quiet", {}, ` 0x${register.address.toString(16).toUpperCase().padStart(4, "0")}`)),
          h("td", {}, register.type, register.order && register.order !== "AB" ? h("span.quiet", {}, ` ${register.order}`) : null),
          h("td", {}, `× ${plainNumber(register.scale)}`, register.offset ? ` + ${plainNumber(register.offset)}` : "", " ", unit(register.unit)))))))));
    return rows.length ? rows : h("p.quiet", {}, "–");
  }

  #manual() {
    const rows = this.#sensors().map((sensor) => h("section.instrument", {},
      h("p", {}, h("strong", {}, [sensor.maker, sensor.model].filter(Boolean).join(" ") || sensor.profile), this.#serials(sensor.sensor), h("br"), sensor.manual),
      h("ul.lines.pages", {}, sensor.registers.map((register) => h("li", {}, icon("manual"), h("span", {}, h("b", {}, symbol(register.parameter)), " ", register.manual)))),
      h("p.quiet", {}, `${t("source")}: ${sensor.source}`)));
    return rows.length ? rows : h("p.quiet", {}, "–");
  }

  /** The serial numbers of the instruments that stood at a sensor's place in the window. */
  #serials(id) {
    const known = (this.trail.instruments ?? []).filter((one) => one.sensor === id && one.serial).map((one) => one.serial);
    return known.length ? ` · ${t("serial", known.join(" → "))}` : "";
  }

  /** The instruments that had a part, each with the registers of what it measured; the judged parameter's first. */
  #sensors() {
    const judged = this.trail.exceedance.parameter;
    return (this.trail.evidence.sensors ?? []).map((sensor) => ({
      ...sensor,
      registers: (sensor.registers ?? []).filter((register) => !sensor.parameters || sensor.parameters.includes(register.parameter))
        .sort((a, b) => Number(b.parameter === judged) - Number(a.parameter === judged)),
    }));
  }
}

const TAKEN_UNITS = { temperature_c: "degC", static_pa: "Pa", barometric_pa: "Pa", moisture_percent: "%", oxygen_percent: "%", oxygen_dry: "%", reference_percent: "%" };

function takenValue(name, number) {
  const text = typeof number === "number" ? plainNumber(Math.round(number * 100) / 100) : String(number);
  const own = TAKEN_UNITS[name] ?? (name.includes("oxygen") || name.includes("percent") ? "%" : "");
  return `${text} ${unit(own)}`.trim();
}

/** night, hour …, or "highest of each minute" where maxima are judged. */
function windowName(item) {
  return item.statistic === "maximum" ? t("peak_of", t(`window_${item.window}`)) : t(`window_${item.window}`);
}

function needed(parts) {
  return parts.minimum !== null && parts.minimum !== undefined ? String(parts.minimum) : `${Math.round((parts.share ?? 0) * 100)} %`;
}

function facts(rows) {
  return h("dl.facts", {}, rows.filter((row) => row && row[1]).map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, text))));
}
