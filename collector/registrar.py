"""The registrar: takes marks in, or says why not.

It believes nothing but the author's signature. Rules of this file:

- what is not signed by an author of the plant, or not of the role he has there, is refused;
- a mark is made now: its own time may differ from the journal's by TOLERANCE_NS, so that none can be back-dated
  or kept for later; what it speaks of may lie up to AHEAD_NS in the future, for work that is announced;
- what it says of the journal (`old`, `prev`, `revokes`) is compared with the journal; where another mark came
  first, or late measurements, the author has to look again and sign again;
- one mark at a time: the next is looked at when the one before it is on the disk. The same bytes again are
  the same mark.

It joins the wings: the journal, the book, and the way batches are given to plants.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from collector.authors import Authors
from collector.marks import Filed, Kind, Mark, MarkError, Old, decode, filed, old_digest, require_signed
from collector.proof.leaves import plant_of
from collector.store import Entry, EntryKind
from gateway.identity import public_key
from gateway.measurement import SECOND_NS
from gateway.seal import SealError

TOLERANCE_NS = 300 * SECOND_NS
AHEAD_NS = 31 * 86_400 * SECOND_NS
WAIT_S = 10.0
_ALL = 2**62
Stream = tuple[str, bytes]


class Why(StrEnum):
    """The kinds of reasons for which a mark is not taken."""

    MALFORMED = "malformed"
    FORBIDDEN = "forbidden"
    CONFLICT = "conflict"
    BUSY = "busy"


class MarkRefused(Exception):
    """A mark that is not taken; the text says what is wrong with it, the hint what to do."""

    def __init__(self, why: Why, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.why, self.hint = why, hint


class Journal(Protocol):
    """What the registrar reads of the journal."""

    last: int

    @property
    def received_ns(self) -> int:
        """The last receive time. [ns since 1970 UTC]"""

    def read(self, after: int, limit: int) -> list[Entry]:
        """Up to `limit` entries with position > after."""

    def marks(self, after: int, limit: int) -> list[Entry]:
        """Up to `limit` marks with position > after."""

    def hashes_within(self, from_ns: int, to_ns: int, upto: int) -> list[tuple[int, Stream, bytes]]:
        """Position, stream and hash of the batches with a measurement in [from_ns, to_ns) and position <= upto."""


class Book(Protocol):
    """Where marks are found whose part of the journal was put away."""

    def cursor(self) -> int:
        """Up to which position the book has them."""

    def marks(self) -> list[Filed]:
        """All of them."""


@dataclass(frozen=True, slots=True)
class Basis:
    """What a new mark has to name. old: of its span. prev: hash of the plant's last mark, "" = none."""

    old: Old
    prev: str


class Registrar:
    """Takes marks of all plants. Safe to call from any thread."""

    def __init__(
        self, *, journal: Journal, book: Book, authors: Authors, points: Collection[tuple[str, str]],
        file: Callable[[Entry], Future[int]], now_ns: Callable[[], int] = time.time_ns,
    ) -> None:  # fmt: skip
        """file: brings an entry into the journal; its result is the position."""
        self._journal, self._authors, self._points = journal, authors, points
        self._file, self._now_ns = file, now_ns
        self._lock = threading.Lock()
        self._marks: dict[str, list[Filed]] = {}
        self._plants: dict[Stream, str] = {}
        self._seen = book.cursor()
        for one in book.marks():
            self._marks.setdefault(one.mark.plant, []).append(one)
        self._open: Future[int] | None = None

    def basis(self, plant: str, from_ns: int, to_ns: int) -> Basis:
        """What a mark of [from_ns, to_ns) of a plant names when it is made now."""
        with self._lock:
            self._catch_up()
            return Basis(self._old(plant, from_ns, to_ns, self._journal.last), self._prev(plant))

    def take(self, payload: bytes) -> tuple[int, bool]:
        """The position of a mark in the journal, and whether it is new; raises MarkRefused. It is on the disk then."""
        with self._lock:
            if self._open is not None and not self._open.done():
                raise MarkRefused(Why.BUSY, "the mark before this one is not on the disk yet", "try again in a while")
            self._catch_up()
            mark = self._signed(payload)
            for known in self._marks.get(mark.plant, ()):
                if known.payload == payload:
                    return known.position, False
            self._require_timely(mark)
            self._require_fitting(mark)
            entry = Entry(0, 0, EntryKind.MARK, payload=payload, first_ns=mark.from_ns, last_ns=mark.to_ns)
            try:
                self._open = self._file(entry)
                return self._open.result(WAIT_S), True
            except (queue.Full, TimeoutError) as error:
                hint = "`health` says what is wrong; send the same mark again, it is taken once"
                raise MarkRefused(Why.BUSY, "the journal does not take anything now", hint) from error

    def _catch_up(self) -> None:
        """Take in the marks that the journal has since the last look."""
        for entry in self._journal.marks(self._seen, _ALL):
            try:
                one = filed(entry)
            except MarkError:  # of a newer version
                continue
            self._marks.setdefault(one.mark.plant, []).append(one)
            self._seen = entry.position

    def _signed(self, payload: bytes) -> Mark:
        """The mark, if an author of its plant has signed it and may."""
        try:
            mark = decode(payload)
        except MarkError as error:
            raise MarkRefused(Why.MALFORMED, str(error)) from error
        author = self._authors.get((mark.plant, mark.author))
        if author is None or author.retired:
            said = "is retired" if author else f"is no author of plant {mark.plant!r}"
            raise MarkRefused(Why.FORBIDDEN, f"{mark.author!r} {said}", "[[author]] of the site file lists them")
        try:
            require_signed(payload, public_key(author.public_key))
        except SealError as error:
            raise MarkRefused(
                Why.FORBIDDEN, f"author {author.id}: {error}", "is it the key of his [[author]]?"
            ) from error
        if mark.role != author.role:
            raise MarkRefused(Why.FORBIDDEN, f"author {author.id} has role {author.role!r}, not {mark.role!r}")
        return mark

    def _require_timely(self, mark: Mark) -> None:
        now_ns = max(self._now_ns(), self._journal.received_ns)  # a clock set back is not what the receipt will say
        if abs(mark.made_ns - now_ns) > TOLERANCE_NS:
            away_s = round((mark.made_ns - now_ns) / SECOND_NS)
            hint = f"set the clock; marks are taken within {TOLERANCE_NS // SECOND_NS} s of their making"
            raise MarkRefused(Why.MALFORMED, f"made_ns: {away_s} s from the collector's time", hint)
        if mark.to_ns > now_ns + AHEAD_NS:
            raise MarkRefused(Why.MALFORMED, "to: more than 31 days ahead", "announce it when it is nearer")

    def _require_fitting(self, mark: Mark) -> None:
        """Raise MarkRefused where a mark names what the site files or the journal do not have."""
        if (mark.plant, mark.point) not in self._points:
            raise MarkRefused(Why.MALFORMED, f"plant {mark.plant!r} has no point {mark.point!r}")
        if mark.prev != self._prev(mark.plant):
            raise MarkRefused(Why.CONFLICT, "prev: another mark of the plant came first", "look at it, and sign again")
        if mark.kind is Kind.REVOCATION:
            self._require_revocable(mark)
        elif mark.old.position > self._journal.last or mark.old != self._old(
            mark.plant, mark.from_ns, mark.to_ns, mark.old.position
        ):
            raise MarkRefused(Why.CONFLICT, "old: the journal holds something else of that span", "ask for it again")

    def _require_revocable(self, mark: Mark) -> None:
        assert mark.revokes is not None, "a revocation was decoded without what it takes back"
        there = self._marks.get(mark.plant, [])
        taken_back = {one.mark.revokes.position for one in there if one.mark.revokes}
        for one in there:
            if (one.position, one.sha256) == (mark.revokes.position, mark.revokes.sha256):
                if one.mark.kind is Kind.REVOCATION or one.position in taken_back:
                    raise MarkRefused(Why.CONFLICT, f"mark {one.position} is taken back already, or takes back itself")
                if place(one.mark) != place(mark) or mark.old != one.mark.old:
                    raise MarkRefused(Why.MALFORMED, "a revocation repeats place, span and old of what it takes back")
                return
        raise MarkRefused(
            Why.MALFORMED, f"revokes: there is no such mark of plant {mark.plant!r}", "`marks` lists them"
        )

    def _prev(self, plant: str) -> str:
        there = self._marks.get(plant)
        return there[-1].sha256 if there else ""

    def _old(self, plant: str, from_ns: int, to_ns: int, upto: int) -> Old:
        rows = self._journal.hashes_within(from_ns, to_ns, upto)
        count, sha256 = old_digest(hash for position, stream, hash in rows if self._plant(stream, position) == plant)
        return Old(upto, count, sha256)

    def _plant(self, stream: Stream, position: int) -> str:
        """The plant of a stream, by one of its batches, as in the trees."""
        if stream not in self._plants:
            (entry,) = self._journal.read(position - 1, 1)
            self._plants[stream] = plant_of(entry.payload)
        return self._plants[stream]


def place(mark: Mark) -> tuple[str, str, str, str, int, int]:
    """What a mark speaks of."""
    return mark.plant, mark.point, mark.parameter, mark.sensor, mark.from_ns, mark.to_ns
