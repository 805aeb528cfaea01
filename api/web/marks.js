// Marks: what a person says of measurements, beside what was measured. Never instead of it, and for ever.

import { h, symbol } from "./dom.js";
import { moment, plainNumber, span, t } from "./i18n.js";

const seconds = (time) => Date.parse(time) / 1000;
// What leaves measurements as they are; a state of the plant says what is judged, not what it was.
const STATES = ["operating", "start_up", "shut_down", "stopped", "drying", "cool_down", "breakdown", "accident", "otnoc"];
const SILENT = new Set(["note", "swap", "sound_check", "sheet", ...STATES]);

/** Marks of a point that speak of one of its parameters. */
export function speakingOf(marks, point, parameter) {
  const own = (sensor) => !sensor || sensor === parameter.sensor || !point.parameters.some((other) => other.sensor === sensor);
  return marks.filter((mark) => (!mark.parameter || mark.parameter === parameter.code) && own(mark.sensor));
}

/** Those that nobody took back: { from, to, text } in seconds, for the chart. */
export function bands(marks) {
  return marks.filter((mark) => mark.kind !== "revocation" && mark.kind !== "sheet" && !mark.revoked_by)
    .map((mark) => ({ mark, from: seconds(mark.from), to: seconds(mark.to), text: t(`mark_${mark.kind}`) }));
}

/** The spans whose measurements count otherwise than measured, joined, within a range: [from, to] in seconds. */
export function spansUnder(marks, from, to) {
  const joined = [];
  const spans = bands(marks).filter(({ mark }) => !SILENT.has(mark.kind)).map((band) => [Math.max(from, band.from), Math.min(to, band.to)]);
  for (const [start, end] of spans.filter(([a, b]) => b > a).sort((a, b) => a[0] - b[0])) {
    const last = joined.at(-1);
    if (last && start <= last[1]) last[1] = Math.max(last[1], end);
    else joined.push([start, end]);
  }
  return joined;
}

/** Marks that have a place of their own in a list: a revocation is told with what it takes back. */
export function listed(marks) {
  const ids = new Set(marks.map((mark) => mark.id));
  return marks.filter((mark) => mark.kind !== "revocation" || !ids.has(mark.revokes));
}

/** Marks as a list, the newest first: kind, span, reason, who and when; one that was taken back says by whom. */
export function markList(marks, zone) {
  const byId = new Map(marks.map((mark) => [mark.id, mark]));
  return h("ul.mark-list", {}, listed(marks).toReversed().map((mark) => h("li", { "data-kind": mark.kind, "data-back": mark.revoked_by ? "" : null },
    h("p.chips", {},
      h("span.chip", { "data-marked": "" }, t(`mark_${mark.kind}`)),
      mark.revoked_by ? h("span.chip", {}, t("taken_back")) : null,
      h("span", {}, span(mark.from, mark.to, zone))),
    h("p.mark-reason", {}, mark.reason),
    recorded(mark),
    h("p.quiet", {}, spoken(mark), mark.author, ` (${t(`role_${mark.role}`)}) · ${t("made_at", moment(mark.made, zone))}`),
    mark.revoked_by ? back(byId.get(mark.revoked_by), zone) : null)));
}

/** What a record of commissioning says: serial numbers, what was found and left, the file. */
function recorded(mark) {
  const { swap, sound_check: check, sheet } = mark;
  const levels = ({ as_found, as_left }, unitText) => t("found_left", `${plainNumber(as_found)} ${unitText}`.trim(), `${plainNumber(as_left)} ${unitText}`.trim());
  if (swap) return h("p.quiet", {}, `${swap.old_serial || "?"} → ${swap.serial} · ${levels(swap, swap.unit)}`);
  if (check) return h("p.quiet", {}, `${plainNumber(check.level)} dB · ${levels(check, "dB")} · ${t(check.passed ? "check_passed" : "check_failed")}`);
  return sheet ? h("p.quiet", {}, `${sheet.name} · SHA-256 ${sheet.sha256.slice(0, 16)}…`) : null;
}

/** What of the point a mark is about, and how a correction reads its values. */
function spoken(mark) {
  const given = mark.values.length ? t("values_given", mark.values.length) : "";
  const scaled = [mark.scale === null ? "" : `× ${plainNumber(mark.scale)}`, mark.offset === null ? "" : signed(mark.offset)].join(" ").trim();
  const parts = [mark.parameter ? symbol(mark.parameter) : t("whole_point"), mark.sensor, given || scaled].filter((part) => part.length);
  return parts.flatMap((part) => [part, " · "]);
}

function signed(number) {
  return number < 0 ? `− ${plainNumber(-number)}` : `+ ${plainNumber(number)}`;
}

function back(mark, zone) {
  return mark ? h("p.quiet", {}, `${t("taken_back_by", mark.author, moment(mark.made, zone))}: ${mark.reason}`) : null;
}

/** Draw spans under the curve, each with its label at the foot, those too near to one another in rows. */
export function drawBands(plot, shown, { x, ink }) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  const foot = bbox.top + bbox.height;
  const rows = [];
  ctx.save();
  ctx.font = `600 ${11 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  for (const band of shown) {
    const from = x(band.from);
    const width = Math.max(2 * ratio, x(band.to) - from);
    if (x(band.to) <= bbox.left || from >= bbox.left + bbox.width) continue;
    // A note or a record changes nothing: its span is a line at the foot alone.
    ctx.fillStyle = ink("mark");
    if (!SILENT.has(band.mark.kind)) ctx.fillRect(from, bbox.top, width, bbox.height);
    ctx.fillStyle = ink("mark-ink");
    ctx.fillRect(from, foot - 3 * ratio, width, 3 * ratio);
    const long = ctx.measureText(band.text).width + 8 * ratio;
    const left = Math.max(bbox.left, Math.min(from, bbox.left + bbox.width - long));
    let row = rows.findIndex((end) => end <= left);
    if (row < 0) row = rows.push(0) - 1;
    rows[row] = left + long;
    const middle = foot - (12 + 15 * row) * ratio;
    ctx.globalAlpha = 0.85;
    ctx.fillStyle = ink("surface");
    ctx.fillRect(left, middle - 7 * ratio, long, 14 * ratio);
    ctx.globalAlpha = 1;
    ctx.fillStyle = ink("mark-ink");
    ctx.fillText(band.text, left + 4 * ratio, middle + 0.5 * ratio);
  }
  ctx.restore();
}

/** Draw the values that count instead, as a dashed line beside those measured. corrected: [seconds, value]. */
export function drawCorrected(plot, corrected, step, ink) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.strokeStyle = ink("mark-ink");
  ctx.lineWidth = 1.6 * devicePixelRatio;
  ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
  ctx.beginPath();
  let before = -Infinity;
  for (const [time, value] of corrected) {
    const place = [plot.valToPos(time, "x", true), plot.valToPos(value, "y", true)];
    if (time - before > step * 3.5) ctx.moveTo(...place);
    else ctx.lineTo(...place);
    before = time;
  }
  ctx.stroke();
  ctx.restore();
}
