// Incidents, newest first, and the notices that were sent about them.

import { post } from "./api.js";
import { h, icon, put, symbol, unit } from "./dom.js";
import { label, moment, plainNumber, span, standing, t, value } from "./i18n.js";

const SHOWN = 12;
const FILTERS = ["open", "all"];

/** The title of a clause in the language of the page: the points know it in both, an exceedance in one. */
export function clauseTitle(item, points) {
  const point = points.find((found) => found.plant === item.plant && found.id === item.point);
  const limits = point?.parameters.flatMap((parameter) => parameter.limits) ?? [];
  const limit = limits.find((found) => found.pack === item.pack && found.clause === item.clause);
  return limit ? label(limit.title) : item.title;
}

/** By how much a value lies outside its limits, in words. */
export function excess(item) {
  const below = item.low !== null && item.value < item.low;
  const by = below ? item.low - item.value : item.value - item.limit;
  return t(below ? "under" : "over", plainNumber(Math.round(by * 10) / 10 || by));
}

export class Incidents {
  /** roots: { list, filter, notices, count }. onEvidence(exceedance id). onChanged(): something was acknowledged. */
  constructor(roots, { onEvidence, onChanged, ask }) {
    Object.assign(this, roots, { onEvidence, onChanged, ask });
    this.filterName = "open";
    this.most = { incidents: SHOWN, notices: SHOWN };
    this.items = [];
  }

  /** Draw both lists anew. */
  show(items, notices, points) {
    Object.assign(this, { items, messages: notices, points });
    this.#draw();
  }

  #draw() {
    const open = this.items.filter((item) => item.state !== "closed");
    const shown = this.filterName === "open" ? open : this.items;
    const waiting = this.items.filter((item) => item.state === "open").length;
    this.count.textContent = String(waiting);
    this.count.hidden = !waiting;
    put(this.filter, FILTERS.map((name) => h("button", {
      type: "button", "aria-pressed": String(name === this.filterName),
      onclick: () => { this.filterName = name; this.#draw(); },
    }, t(name), h("span.count", {}, String(name === "open" ? open.length : this.items.length)))));
    const empty = this.items.length ? t("no_open") : t("no_incidents");
    this.#list(this.list, "incidents", shown.map((item) => () => this.#incident(item)), empty);
    this.#list(this.notices, "notices", this.messages.map((notice) => () => this.#notice(notice)), t("no_notices"));
  }

  #list(root, name, makers, empty) {
    const rest = makers.length - this.most[name];
    put(root,
      makers.length ? h("ul.rows", {}, makers.slice(0, this.most[name]).map((make) => h("li", {}, make()))) : h("p.empty", {}, icon("ok"), empty),
      rest > 0 ? h("button.ghost.more", { type: "button", onclick: () => { this.most[name] += 50; this.#draw(); } }, t("more", rest)) : null);
  }

  #point(item) {
    return this.points.find((point) => point.plant === item.plant && point.id === item.point);
  }

  #incident(item) {
    const point = this.#point(item);
    const zone = point?.timezone ?? "UTC";
    const { worst } = item;
    return h("article.incident", { "data-state": item.state, "data-incident": String(item.id) },
      h("header", {},
        h("h3", {}, clauseTitle(item, this.points)),
        h("span.chip", { "data-state": item.state }, t(`state_${item.state}`))),
      h("p.where", {}, point ? label(point.name) : item.point, " · ", symbol(item.parameter)),
      h("p.figures", {},
        h("strong", {}, value(worst.value, item.unit)), h("span.unit", {}, unit(item.unit)),
        h("span.quiet", {}, t("of_limit", plainNumber(worst.low !== null && worst.value < worst.low ? worst.low : worst.limit))),
        h("span.excess", {}, excess(worst))),
      h("p.when", {}, span(item.from, item.to, zone), item.count > 1 ? h("span.quiet", {}, ` · ${t("count_windows", item.count)}`) : null),
      h("p.chips", {},
        h("span.chip", { "data-standing": item.standing, title: t("standing") }, standing(item.standing)),
        item.late ? h("span.chip", { "data-late": "", title: t("late_hint") }, t("late")) : null,
        point?.commissioning ? h("span.chip", { "data-commissioning": "", title: t("commissioning_hint") }, t("commissioning")) : null,
        item.verified ? null : h("span.chip", { "data-verified": "false" }, t("unverified"))),
      this.#word(item, zone),
      h("footer", {},
        h("button.main", { type: "button", "data-evidence": String(worst.exceedance), onclick: () => this.onEvidence(worst.exceedance) },
          t("show_evidence"), icon("right")),
        item.state === "open" ? h("button.ghost", { type: "button", onclick: () => this.#acknowledge(item) }, icon("check"), t("acknowledge")) : null));
  }

  #word(item, zone) {
    if (item.acknowledged) {
      return h("p.word", {}, icon("check"), h("span", {}, t("acknowledged_by", item.acknowledged_by, moment(item.acknowledged, zone)),
        item.note ? h("q", {}, item.note) : null));
    }
    return item.closed ? h("p.word", {}, h("span", {}, t("closed_at", moment(item.closed, zone)))) : null;
  }

  async #acknowledge(item) {
    const given = await this.ask({
      title: t("acknowledge"), why: `${clauseTitle(item, this.points)} – ${label(this.#point(item)?.name)}`, action: t("acknowledge"),
      fields: [
        { name: "who", label: t("your_name"), value: localStorage.getItem("who") ?? "", required: true, maxlength: 64 },
        { name: "note", label: t("note"), value: "", multiline: true, maxlength: 1000 },
      ],
      send: (fields) => post(`incidents/${item.id}/acknowledge`, fields),
    });
    if (!given) return;
    localStorage.setItem("who", given.who);
    this.onChanged();
  }

  #notice(notice) {
    const item = this.items.find((found) => found.id === notice.incident);
    const point = item && this.#point(item);
    const zone = point?.timezone ?? "UTC";
    return h("details.notice", { "data-state": notice.state },
      h("summary", {},
        h("span.channel", { title: t(`channel_${notice.kind}`) }, icon(notice.kind)),
        h("span.notice-what", {},
          h("span.notice-title", {}, notice.subject || (item ? clauseTitle(item, this.points) : `#${notice.incident}`)),
          h("span.quiet", {}, [t("to", notice.recipient), t(`reason_${notice.reason}`), moment(notice.time, zone)].join(" · "))),
        h("span.chips", {},
          notice.late ? h("span.chip", { "data-late": "", title: t("late_hint") }, t("late")) : null,
          h("span.chip", { "data-sent": notice.state }, t(`notice_${notice.state}`)))),
      h("pre", {}, notice.text));
  }
}
