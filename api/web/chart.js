// One chart: a curve, its limits as lines where they hold, nights shaded, judged values as bars, live values
// appended. Data come from the server already thinned to minutes; here they are only drawn.

import { clock, day, plainNumber, t } from "./i18n.js";
import { drawBands, drawCorrected } from "./marks.js";

const KEEP_GAP = 3.5; // a hole longer than so many intervals breaks the line
const PAD_S = 0.015; // share of the range kept free at the right, for the newest value

/** Colours of the style sheet by name, read again when the colour scheme changes. */
function colours() {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(`--${name}`).trim();
}

export class Chart {
  /** onZoom(from, to): seconds, when a part of the chart was chosen. onRead(time, value): under the cursor, or null. */
  constructor(root, { onZoom, onRead }) {
    this.root = root;
    this.onZoom = onZoom;
    this.onRead = onRead;
    this.plot = null;
    this.now = document.createElement("i");
    this.now.className = "now";
    new ResizeObserver(() => this.#resize()).observe(root);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.scene && this.show(this.scene));
  }

  /**
   * Draw a scene: { times, values, step, from, to, following, zone, unit, limits, nights, judged, zero, title,
   * bands, corrected }. times, from, to, nights, judged, bands in seconds; step: expected distance of two values;
   * limits as the API has them; corrected: pairs of seconds and value.
   */
  show(scene) {
    this.scene = scene;
    this.times = [];
    this.values = [];
    for (let i = 0; i < scene.times.length; i += 1) this.#append(scene.times[i], scene.values[i], scene.step);
    this.plot?.destroy();
    this.ink = colours();
    this.plot = new uPlot(this.#options(), [this.times, this.values], this.root);
    this.plot.over.append(this.now);
    this.#touch(this.plot.over);
  }

  /** Add live measurements: seconds and values, in order. */
  push(times, values, step) {
    if (!this.plot || !this.scene.following) return;
    for (let i = 0; i < times.length; i += 1) {
      if (!this.times.length || times[i] > this.times.at(-1)) this.#append(times[i], values[i], step);
    }
    this.#frame();
  }

  /** Put averages in the place of the values since `from`: the minute is over and known now. */
  settle(from, times, values) {
    if (!this.plot || !times.length) return;
    const last = times.at(-1) + this.scene.step;
    const tail = this.times.map((time, i) => [time, this.values[i]]).filter(([time]) => time >= last);
    const kept = this.times.findIndex((time) => time >= from);
    if (kept >= 0) this.times.length = this.values.length = kept;
    for (let i = 0; i < times.length; i += 1) this.#append(times[i], values[i], this.scene.step);
    for (const [time, value] of tail) this.#append(time, value, this.scene.step);
    this.#frame();
  }

  #append(time, value, step) {
    const last = this.times.at(-1);
    if (last !== undefined && time - last > step * KEEP_GAP) {
      this.times.push(last + step);
      this.values.push(null);
    }
    this.times.push(time);
    this.values.push(value);
  }

  #frame() {
    this.pending ??= requestAnimationFrame(() => {
      this.pending = null;
      if (!this.plot) return;
      const range = this.scene.to - this.scene.from;
      this.scene.to = Math.max(this.scene.to, this.times.at(-1) ?? 0);
      this.scene.from = this.scene.to - range;
      let old = 0;
      while (this.times.length - old > 2 && this.times[old + 1] < this.scene.from) old += 1;
      this.times.splice(0, old);
      this.values.splice(0, old);
      this.plot.setData([this.times, this.values], false);
      this.plot.setScale("x", { min: this.scene.from, max: this.scene.to + range * PAD_S });
    });
  }

  #size() {
    const width = Math.max(240, Math.floor(this.root.clientWidth));
    return { width, height: Math.max(220, Math.floor(this.root.clientHeight)) };
  }

  #resize() {
    if (this.plot && this.root.clientWidth) {
      this.plot.setSize(this.#size());
    }
  }

  #options() {
    const { scene, ink } = this;
    const range = scene.to - scene.from;
    const axis = {
      stroke: ink("ink-3"), grid: { stroke: ink("grid"), width: 1 }, ticks: { show: false },
      font: `12px ${getComputedStyle(document.body).fontFamily}`,
    };
    return {
      ...this.#size(),
      padding: [14, scene.following ? 8 : 28, 0, 0],
      legend: { show: false },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), scene.zone),
      cursor: {
        y: false,
        points: { size: 9, fill: ink("data"), stroke: ink("surface"), width: 2 },
        drag: { x: true, y: false, setScale: false },
        bind: { dblclick: () => () => {} },
      },
      scales: {
        x: { time: true, range: () => [scene.from, scene.to + range * PAD_S] },
        y: { range: (_, low, high) => this.#yRange(low, high) },
      },
      axes: [
        { ...axis, space: 68, size: 44, gap: 8, values: (_, splits) => this.#timeLabels(splits) },
        { ...axis, size: 46, gap: 6, values: (_, splits) => splits.map((split) => plainNumber(split)) },
      ],
      series: [
        {},
        {
          stroke: ink("data"), width: 1.6, points: { show: false }, spanGaps: false,
          fill: (plot) => this.#fade(plot),
        },
      ],
      hooks: {
        drawClear: [(plot) => this.#drawNights(plot), (plot) => this.#drawBands(plot)],
        draw: [(plot) => this.#drawCorrected(plot), (plot) => this.#drawJudged(plot), (plot) => this.#drawLimits(plot), (plot) => this.#placeNow(plot)],
        setCursor: [(plot) => this.#read(plot)],
        setSelect: [(plot) => this.#select(plot)],
      },
    };
  }

  #timeLabels(splits) {
    let shown = "";
    return splits.map((split) => {
      const date = day(split * 1000, this.scene.zone);
      const time = clock(split * 1000, this.scene.zone, splits.length > 1 && splits[1] - splits[0] < 60);
      const text = date === shown ? time : `${time}\n${date}`;
      shown = date;
      return text;
    });
  }

  /** The values and their limits with some air; a limit far above all values would flatten the curve and stays out. */
  #yRange(low, high) {
    const { limits, zero, judged, corrected = [] } = this.scene;
    const bounds = [low, high, ...judged.map((bar) => bar.value), ...corrected.map((pair) => pair[1])].filter((bound) => bound !== null && Number.isFinite(bound));
    if (!bounds.length) bounds.push(...limits.map((limit) => limit.limit ?? limit.low));
    let bottom = Math.min(...bounds);
    let top = Math.max(...bounds);
    for (const bound of limits.flatMap((limit) => [limit.limit, limit.low])) {
      if (bound === null || (top > 0 && bound > top * 5)) continue;
      top = Math.max(top, bound);
      bottom = Math.min(bottom, bound);
    }
    if (!Number.isFinite(bottom)) return [0, 1];
    const air = (top - bottom || Math.abs(top) || 1) * 0.1;
    return [zero ? Math.min(0, bottom) : bottom - air, top + air * 2];
  }

  #fade(plot) {
    const { top, height } = plot.bbox;
    const fade = plot.ctx.createLinearGradient(0, top, 0, top + height);
    fade.addColorStop(0, this.ink("data-fade"));
    fade.addColorStop(1, this.ink("data-fade-end"));
    return fade;
  }

  #x(plot, seconds) {
    const { left, width } = plot.bbox;
    return Math.min(left + width, Math.max(left, plot.valToPos(seconds, "x", true)));
  }

  #drawNights(plot) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.fillStyle = this.ink("night");
    for (const night of this.scene.nights) {
      const from = this.#x(plot, night.from);
      const to = this.#x(plot, night.to);
      if (to <= from) continue;
      ctx.fillRect(from, bbox.top, to - from, bbox.height);
    }
    ctx.fillStyle = this.ink("night-ink");
    ctx.font = `${11 * devicePixelRatio}px ${getComputedStyle(document.body).fontFamily}`;
    ctx.textBaseline = "top";
    ctx.textAlign = "left";
    for (const night of this.scene.nights) {
      const from = this.#x(plot, night.from);
      if (this.#x(plot, night.to) - from > 60 * devicePixelRatio) {
        ctx.fillText(`☾ ${t("night")}`, from + 6 * devicePixelRatio, bbox.top + 5 * devicePixelRatio);
      }
    }
    ctx.restore();
  }

  #drawBands(plot) {
    drawBands(plot, this.scene.bands ?? [], { x: (seconds) => this.#x(plot, seconds), ink: this.ink });
  }

  #drawCorrected(plot) {
    const { corrected, step } = this.scene;
    if (corrected?.length) drawCorrected(plot, corrected, step, this.ink);
  }

  #drawJudged(plot) {
    const { ctx } = plot;
    ctx.save();
    ctx.lineWidth = 3 * devicePixelRatio;
    ctx.lineCap = "round";
    for (const bar of this.scene.judged) {
      if (bar.value === null) continue;
      const from = this.#x(plot, bar.from);
      const to = this.#x(plot, bar.to);
      if (to - from < 1) continue;
      const y = plot.valToPos(bar.value, "y", true);
      ctx.strokeStyle = this.ink(bar.over ? "exceeded" : "judged");
      ctx.beginPath();
      ctx.moveTo(from + 2 * devicePixelRatio, y);
      ctx.lineTo(Math.max(from + 2 * devicePixelRatio, to - 2 * devicePixelRatio), y);
      ctx.stroke();
    }
    ctx.restore();
  }

  #drawLimits(plot) {
    const { ctx, bbox } = plot;
    const ratio = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.font = `600 ${11.5 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
    for (const line of this.#lines()) {
      const y = Math.round(plot.valToPos(line.value, "y", true)) + 0.5;
      if (y < bbox.top || y > bbox.top + bbox.height) continue;
      ctx.strokeStyle = this.ink("limit");
      ctx.lineWidth = 1.5 * ratio;
      ctx.setLineDash([6 * ratio, 4 * ratio]);
      let last = null;
      for (const [from, to] of line.spans.map((span) => span.map((edge) => this.#x(plot, edge)))) {
        if (to - from < 1) continue;
        ctx.beginPath();
        ctx.moveTo(from, y);
        ctx.lineTo(to, y);
        ctx.stroke();
        if (!last || to - from > 40 * ratio) last = [from, to];
      }
      ctx.setLineDash([]);
      if (last) this.#limitLabel(ctx, line.text, last, y, bbox);
    }
    ctx.restore();
  }

  #limitLabel(ctx, text, [from, to], y, bbox) {
    const ratio = devicePixelRatio;
    const width = ctx.measureText(text).width + 10 * ratio;
    const x = Math.max(bbox.left + 2, Math.max(from, to - width - 4 * ratio));
    const left = Math.min(x, bbox.left + bbox.width - width - 2);
    const top = y - 18 * ratio < bbox.top ? y + 3 * ratio : y - 18 * ratio;
    ctx.fillStyle = this.ink("surface");
    ctx.globalAlpha = 0.85;
    ctx.fillRect(left, top, width, 15 * ratio);
    ctx.globalAlpha = 1;
    ctx.fillStyle = this.ink("limit");
    ctx.textBaseline = "middle";
    ctx.textAlign = "left";
    ctx.fillText(text, left + 5 * ratio, top + 8 * ratio);
  }

  /** Each bound as a line with the spans of time where it holds. */
  #lines() {
    const { limits, nights, from, to } = this.scene;
    const end = to + (to - from) * PAD_S;
    const dark = nights.map((night) => [Math.max(from, night.from), Math.min(end, night.to)]).filter(([a, b]) => b > a);
    const bright = [];
    let edge = from;
    for (const [a, b] of [...dark, [end, end]]) {
      if (a > edge) bright.push([edge, a]);
      edge = b;
    }
    const spans = { night: dark, day: bright, "": [[from, end]] };
    const lines = new Map();
    for (const limit of limits) {
      for (const [bound, sign] of [[limit.limit, "≤"], [limit.low, "≥"]]) {
        if (bound === null) continue;
        const key = `${sign} ${plainNumber(bound)} ${limit.period}`;
        const line = lines.get(key) ?? { value: bound, spans: spans[limit.period] ?? spans[""], sign, names: [], windows: [] };
        line.names.push(limit.name);
        line.windows.push(limit.window);
        lines.set(key, line);
      }
    }
    // Clauses with one bound (hour and day) share a line, and its name says both.
    return [...lines.values()].map(({ names, windows, sign, ...line }) => ({
      ...line,
      text: `${names.length === 1 ? names[0] : `${t("limit")} (${windows.map((name) => t(`window_${name}`)).join(", ")})`} ${sign} ${plainNumber(line.value)}`,
    }));
  }

  #placeNow(plot) {
    let last = this.times.length - 1;
    while (last >= 0 && this.values[last] === null) last -= 1;
    const show = this.scene.following && last >= 0;
    this.now.hidden = !show;
    if (!show) return;
    this.now.style.left = `${plot.valToPos(this.times[last], "x")}px`;
    this.now.style.top = `${plot.valToPos(this.values[last], "y")}px`;
  }

  #read(plot) {
    const index = plot.cursor.idx;
    const inside = plot.cursor.left >= 0 && index !== null && index !== undefined && this.values[index] !== null;
    this.onRead(inside ? this.times[index] : null, inside ? this.values[index] : null);
  }

  #select(plot) {
    const { left, width } = plot.select;
    if (width < 8) return;
    const from = plot.posToVal(left, "x");
    const to = plot.posToVal(left + width, "x");
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.onZoom(from, Math.min(to, this.scene.to));
  }

  /** A finger moves the cursor as a mouse does; moving it up or down still scrolls the page. */
  #touch(over) {
    const move = (event) => {
      const box = over.getBoundingClientRect();
      this.plot.setCursor({ left: event.touches[0].clientX - box.left, top: 10 });
    };
    over.addEventListener("touchstart", move, { passive: true });
    over.addEventListener("touchmove", move, { passive: true });
    over.addEventListener("touchend", () => this.plot.setCursor({ left: -10, top: -10 }), { passive: true });
  }

  /** Take the chart away. */
  clear() {
    this.plot?.destroy();
    this.plot = null;
    this.scene = null;
  }
}
