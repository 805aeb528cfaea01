// What the collector noticed, newest first: gaps, conflicts, clocks, refusals. Closed to a count once looked at;
// what may mean tampering stands out. Texts come from gateways and the journal, and go in as text.

import { get } from "./api.js";
import { h, icon, put } from "./dom.js";
import { moment, t } from "./i18n.js";

const PAGE = 10;
const SEEN = "events-seen"; // position of the newest event when the list was closed last

export class Events {
  /** zoneOf(gateway): the time zone of its plant. attempt(load): shows what went wrong. */
  constructor(root, { zoneOf, attempt }) {
    Object.assign(this, { root, zoneOf, attempt, items: [], next: null, security: false, opened: null });
  }

  /** Ask for the newest; draws only what has changed, so that the keyboard stays where it is. */
  async load() {
    const { security } = this;
    const page = await this.#page();
    if (security !== this.security) return;
    const newest = this.items[0]?.position ?? 0;
    if (this.drawn && page.items[0]?.position === this.items[0]?.position) return;
    const fresh = page.items.filter((item) => item.position > newest);
    // More news than a page holds: what lies between is behind the cursor of the new page.
    if (!newest || fresh.length === page.items.length) Object.assign(this, { items: page.items, next: page.next });
    else this.items = [...fresh, ...this.items];
    this.draw();
  }

  #page(cursor = undefined) {
    return get("events", { limit: PAGE, security: this.security || undefined, cursor });
  }

  async #more() {
    const page = await this.#page(this.next);
    const first = this.items.length;
    this.items.push(...page.items);
    this.next = page.next;
    this.draw();
    this.root.querySelectorAll(".event")[first]?.focus();
  }

  /** Draw everything anew, also in another language. */
  draw() {
    this.drawn = true;
    const seen = Number(localStorage.getItem(SEEN) ?? 0);
    const fresh = this.items.filter((item) => item.position > seen);
    const risky = fresh.filter((item) => item.security).length;
    this.opened ??= fresh.length > 0;
    put(this.root, h("details.events", { open: this.opened },
      h("summary", { onclick: (event) => this.#toggle(event) },
        h("h2.column-title", {}, t("events")),
        h("span.count", {}, `${this.items.length}${this.next ? "+" : ""}`),
        h("span.chips", {},
          risky ? h("span.chip", { "data-security": "" }, icon("exceeded"), t("security_new", risky)) : null,
          fresh.length > risky ? h("span.chip", {}, t("events_new", fresh.length - risky)) : null),
        icon("right")),
      this.#filter(),
      this.items.length ? h("ul.event-rows", {}, this.items.map((item) => this.#event(item))) : h("p.empty", {}, icon("ok"), t("no_events")),
      this.next ? h("button.ghost.more", { type: "button", onclick: () => this.attempt(() => this.#more()) }, t("older")) : null));
  }

  /** At the click itself: the browser tells of what it has opened later, when the list may be another one by then. */
  #toggle(click) {
    click.preventDefault();
    this.opened = !this.opened;
    if (!this.opened && this.items.length) localStorage.setItem(SEEN, String(Math.max(this.items[0].position, Number(localStorage.getItem(SEEN) ?? 0))));
    this.draw();
    this.root.querySelector("summary").focus({ preventScroll: true });
  }

  #filter() {
    return h("div.segments", { role: "group", "aria-label": t("show") }, [false, true].map((security) => h("button", {
      type: "button", "aria-pressed": String(security === this.security), onclick: () => this.attempt(() => this.#choose(security)),
    }, t(security ? "security" : "all"))));
  }

  async #choose(security) {
    Object.assign(this, { security, items: [], next: null, drawn: false });
    await this.load();
    this.root.querySelector('.segments [aria-pressed="true"]')?.focus();
  }

  #event(item) {
    return h("li.event", { "data-security": item.security ? "" : null, "data-what": item.what, tabindex: "-1" },
      h("p.event-head", {},
        h("strong", {}, t(`event_${item.what}`)),
        item.security ? h("span.chip", { "data-security": "" }, icon("exceeded"), t("security")) : null,
        h("time.quiet", { datetime: item.received }, moment(item.received, this.zoneOf(item.gateway)))),
      h("p", { lang: "en" }, item.text),
      item.gateway ? h("p.quiet", {}, item.gateway) : null);
  }
}
