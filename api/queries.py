"""What a request asks for, taken apart and checked: spans of time, points, cursors.

A span that is not given ends now and begins a day before. Cursors are opaque to clients; here they are
the id or the instant at which the rest begins. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from api.inventory import Inventory, Place
from api.problems import Problem
from api.times import format_time, parse_time
from api.views import Item, measurement_items, page_of
from collector.store import Slice
from gateway.measurement import SECOND_NS, Float64, Int64, Series, UInt8

DAY_NS = 86_400 * SECOND_NS
LIMIT = 10_000  # items of one answer, as the interface promises
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


def raw_page(series: Series, parts: list[Slice], limit: int) -> Item:
    """The first `limit` measurements of some slices, each asked for limit + 1; a page ends between two instants."""
    time_ns, value, status = merge(parts)
    end, next = len(time_ns), None
    if end > limit:
        # Two sensors may share the instant where the page is full: it then belongs to the next page as a whole.
        end = int(np.searchsorted(time_ns, time_ns[limit])) or limit
        next = str(int(time_ns[end]))
    return page_of(measurement_items(Slice(series, time_ns[:end], value[:end], status[:end])), next)


def describe(span: Span) -> str:
    """A span in words."""
    return f"{format_time(span.from_ns)} to {format_time(span.to_ns)}"
