"""What a request asks for, taken apart and checked: spans of time, points, cursors.

A span that is not given ends now and begins a day before. Cursors are opaque to clients; here they are
the id or the instant at which the rest begins. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from api.inventory import Inventory, Place
from api.problems import Problem
from api.times import format_time, parse_time
from api.views import Item, journal_event_item, measurement_items, page_of, show_marks
from collector.marks import Filed
from collector.store import Entry, Slice
from collector.verdicts.book import Book, ExceedanceRow
from collector.verdicts.marks import Layer, Overlay, overlay
from gateway.measurement import SECOND_NS, Float64, Int64, Series, UInt8

DAY_NS = 86_400 * SECOND_NS
LIMIT = 10_000  # items of one answer, as the interface promises
_LOOKS = 5  # times LIMIT events
MAX_ID = 2**63 - 1  # what SQLite counts to


@dataclass(frozen=True, slots=True)
class Span:
    """From (inclusive) to (exclusive). [ns since 1970 UTC]"""

    from_ns: int
    to_ns: int


def read_span(from_text: str, to_text: str, now_ns: int, default_ns: int = DAY_NS) -> Span:
    """The span of `from` and `to`; raises Problem where they are no times or in the wrong order."""
    to_ns = _instant("to", to_text) if to_text else now_ns
    from_ns = _instant("from", from_text) if from_text else to_ns - default_ns
    if from_ns > to_ns:
        raise Problem(422, "'from' is later than 'to'", "from is inclusive, to is exclusive")
    return Span(from_ns, to_ns)


def _instant(name: str, text: str) -> int:
    try:
        return parse_time(text)
    except ValueError as error:
        raise Problem(422, f"{name}: {error}", "RFC 3339, with Z or an offset") from error


def find_exceedance(book: Book, id: int) -> ExceedanceRow:
    """The exceedance of an id, in that version; raises Problem where there is none."""
    row = book.exceedance(id) if id > 0 else None
    if row is None:
        raise Problem(404, f"there is no exceedance {id}", "`exceedances` lists them")
    return row


def read_cursor(text: str) -> int:
    """The number in a cursor, 0 where none is given; raises Problem on one that we did not make."""
    if not text:
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 19 or int(text) > MAX_ID:
        raise Problem(422, f"cursor {text!r} is not one of ours", "send what `next` said, or leave it out")
    return int(text)


def find_place(inventory: Inventory, plant: str, point: str) -> Place:
    """The point of a plant; raises Problem where there is none."""
    if place := inventory.places.get((plant, point)):
        return place
    if any(site.plant.id == plant for site in inventory.sites):
        raise Problem(404, f"plant {plant!r} has no point {point!r}", "`points` lists them")
    raise Problem(404, f"there is no plant {plant!r}", "`plants` lists them")


def merge(parts: list[Slice]) -> tuple[Int64, Float64, UInt8]:
    """Several sensors' measurements of one parameter as one series, by time."""
    time_ns = np.concatenate([part.time_ns for part in parts])
    order = np.argsort(time_ns, kind="stable")
    value = np.concatenate([part.value for part in parts])[order]
    return time_ns[order], value, np.concatenate([part.status for part in parts])[order]


def raw_page(series: Series, parts: list[Slice], limit: int, marks: Sequence[Filed] = ()) -> Item:
    """The first `limit` measurements of some slices, each asked for limit + 1; a page ends between two instants.

    marks: those that stand and speak of the series' parameter; items under one say so.
    """
    time_ns, value, status = merge(parts)
    end, next = len(time_ns), None
    if end > limit:
        # Two sensors may share the instant where the page is full: it then belongs to the next page as a whole.
        end = int(np.searchsorted(time_ns, time_ns[limit])) or limit
        next = str(int(time_ns[end]))
    items = measurement_items(Slice(series, time_ns[:end], value[:end], status[:end]))
    if marks:
        show_marks(items, under(marks, parts), {one.position: one.mark.kind for one in marks})
    return page_of(items, next)


def standing(book: Book, series: Series, from_ns: int, to_ns: int) -> list[Filed]:
    """The marks that change what a series' parameter is judged by in [from_ns, to_ns)."""
    found = book.marks(plant=series.plant, point=series.point, from_ns=from_ns, to_ns=to_ns)
    marks = Layer(found).standing(series.plant, series.point, from_ns, to_ns)
    return [one for one in marks if one.mark.parameter in ("", series.parameter)]


def under(marks: Sequence[Filed], parts: list[Slice]) -> Overlay:
    """Several sensors' measurements of one parameter as they are judged, in the order of `merge`."""
    laid = [
        overlay(
            marks, part.time_ns, part.value, part.status, {part.series.sensor: np.ones(len(part.time_ns), np.bool_)}
        )
        for part in parts
    ]
    order = np.argsort(np.concatenate([part.time_ns for part in parts]), kind="stable")
    value = np.concatenate([one.value for one in laid])[order]
    status = np.concatenate([one.status for one in laid])[order]
    return Overlay(value, status, np.concatenate([one.mark for one in laid])[order])


def event_page(
    read: Callable[[int, int], list[Entry]], before: int, span: Span, wanted: Callable[[Item], bool], limit: int
) -> Item:
    """The newest `limit` events below a position, received in a span and wanted; `next` says where to go on.

    A page may end before it is full: so many events are looked at for one answer, not more.
    """
    items: list[Item] = []
    for _ in range(_LOOKS):
        found = read(before, LIMIT)
        for entry in found:
            if entry.received_ns < span.from_ns:
                return page_of(items)
            before = entry.position
            if entry.received_ns < span.to_ns and wanted(item := journal_event_item(entry)):
                items.append(item)
                if len(items) == limit:
                    return page_of(items, str(before))
        if len(found) < LIMIT:
            return page_of(items)
    return page_of(items, str(before))


def describe(span: Span) -> str:
    """A span in words."""
    return f"{format_time(span.from_ns)} to {format_time(span.to_ns)}"
