"""What the gateway's clock is worth: whether it is held, whether it is right, how often it jumped.

Wall time comes from a clock that people and time servers may set; monotonic time never jumps. The
two run together, so a change of their difference is a step of the wall clock. Rules of this file:

- the clock is *right* while a time server holds it, or when the collector's clock in a verified
  acknowledgement agrees within OFF_NS. It is *wrong* when that says otherwise, and presumed wrong
  when it shows a time that cannot be: before this software was released, or before the last time
  that is known. Else it is *presumed* right: most honest machines have no time server to ask;
- by how much it is off is bounded by cause and effect, whatever the way took: the collector spoke
  before its word arrived, and after the batch arrived that it acknowledges;
- what is sealed by a wrong clock is flagged UNSYNCED: it is kept, and not judged;
- a step, and the first time the clock is right after it was not, are records of their own. Once the
  clock is no longer wrong, the record names the batches that a wrong clock has dated, and by how much
  their times have to be moved: their bytes never change, the collector shows the corrected times;
- values that were dated before a step and are sealed after it are dated anew, so that all that follows a
  record is of one clock; which clock dated them is known, since each is seen (`glance`) as values come in.

Pure. Source: protocol 2.2, 2.4 (clock).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from gateway.measurement import SECOND_NS, Columns, Status
from gateway.wire import Clk

STEP_NS = 500_000_000  # a change of wall against monotonic time that is a step, not a correction
OFF_NS = 5 * SECOND_NS  # a clock that is further off is wrong
RELEASED_NS = 1_793_491_200 * SECOND_NS  # 2026-11-01: no honest clock shows less
MIXED_NS = 60 * SECOND_NS  # for so long after a step values may still come that the clock before it dated
MAX_SEEN = 16  # clocks within that time
MAX_SPANS = 64  # times of one clock that are remembered; a clock that is set more often is beyond help


@dataclass(frozen=True, slots=True)
class Discipline:
    """What the system says of its clock. synced: a time server holds it. err_ms: largest error. [ms]"""

    synced: bool
    err_ms: int


UNKNOWN = Discipline(synced=False, err_ms=0)


class Standing(StrEnum):
    """Whether the time that the clock shows is right."""

    RIGHT = "right"
    PRESUMED = "presumed"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Change:
    """The wall clock at one monotonic instant: as it was going, and as it is now. step_id: steps so far. [ns]"""

    mono_ns: int
    wall_before_ns: int
    wall_after_ns: int
    step_id: int


class _Span(msgspec.Struct, frozen=True):
    """Batches that one clock has dated.

    first_ns, last_ns: wall against monotonic time when it began and ended. [ns] measured: it is known how far off it
    was. from_seq, to_seq: its batches, both included; to_seq 0 while it lasts. told_ns: by how much they were said
    to be moved, None = nothing was said.
    """

    first_ns: int
    last_ns: int
    standing: Standing
    measured: bool = False
    from_seq: int = 1
    to_seq: int = 0
    told_ns: int | None = None


@dataclass(slots=True)
class Clock:
    """Watches wall against monotonic time; one for each epoch.

    earliest_ns: no right clock shows less; None = the clock is not judged (a back-fill brings its own).
    """

    earliest_ns: int | None = None
    _step_id: int = 0
    _ever_synced: bool = False
    _now: _Span | None = None
    _before: list[_Span] = field(default_factory=list)  # the last of them ends with the batches of before a commit
    _changes: list[Change] = field(default_factory=list)
    _seen: tuple[tuple[int, int], ...] = ()  # each clock since a while: when it was seen last, and its offset then
    _bounds: tuple[int, int | None] | None = None  # the collector's clock against monotonic time: at least, at most
    offset_ns: tuple[int | None, int | None] = (None, None)  # of the clock against the collector's: at least, at most

    # --- what happens ---------------------------------------------------------------------------------

    def glance(self, wall_ns: int, mono_ns: int) -> None:
        """See by which clock values are dated that come in now: it may have been set again before they are sealed."""
        offset, seen = wall_ns - mono_ns, self._seen
        if seen and abs(offset - seen[-1][1]) <= STEP_NS:
            seen = seen[:-1]
        recent = (one for one in seen if mono_ns - one[0] < MIXED_NS)
        self._seen = (*recent, (mono_ns, offset))[-MAX_SEEN:]

    def observe(self, wall_ns: int, mono_ns: int, discipline: Discipline = UNKNOWN) -> Clk:
        """The clock's verdict at an instant; call it in the order of time. [ns]

        holdover: it was synced in this epoch and no longer is.
        """
        self.glance(wall_ns, mono_ns)
        offset, before = wall_ns - mono_ns, self._now
        stepped = before is not None and abs(offset - before.last_ns) > STEP_NS
        self._step_id += stepped
        standing, measured = self._standing(wall_ns, mono_ns, discipline, stepped=stepped)
        first_sync = discipline.synced and not self._ever_synced
        if before is None:
            self._now = _Span(offset, offset, standing, measured)
        elif stepped or (before.standing, standing) in _TURNS:
            self._before.append(before)
            self._now = _Span(offset, offset, standing, measured, from_seq=0)
        else:
            self._now = _Span(before.first_ns, offset, standing, measured, before.from_seq)
        if before is not None and (stepped or first_sync or self._owing()):
            self._changes.append(Change(mono_ns, mono_ns + before.last_ns, wall_ns, self._step_id))
        if self.earliest_ns is not None and standing is not Standing.WRONG:
            self.earliest_ns = max(self.earliest_ns, wall_ns - OFF_NS)
        self._ever_synced |= discipline.synced
        state = "synced" if discipline.synced else "holdover" if self._ever_synced else "unsynced"
        return Clk(state, max(discipline.err_ms, 0), self._step_id)  # type: ignore[arg-type]

    def heard(self, now_ns: int, mono_ns: int, rtt_ns: int | None) -> None:
        """A verified acknowledgement has come in. now_ns: the collector's clock in it. [ns since 1970 UTC]

        rtt_ns: since the batch went out, once, that it acknowledges for the first time; None = there is none. [ns]
        """
        least = now_ns - mono_ns
        if rtt_ns is not None:
            self._bounds = least, least + rtt_ns
        elif self._bounds is None or least > self._bounds[0]:
            most = None if self._bounds is None else self._bounds[1]
            self._bounds = least, None if most is not None and most < least else most

    def _standing(self, wall_ns: int, mono_ns: int, discipline: Discipline, *, stepped: bool) -> tuple[Standing, bool]:
        """What the clock is worth now, and whether that was measured."""
        if self._bounds is not None:
            least, most = self._bounds
            offset = wall_ns - mono_ns
            self.offset_ns = None if most is None else offset - most, offset - least
        if self.earliest_ns is None:
            return Standing.PRESUMED, False
        low, high = self.offset_ns
        if discipline.synced:
            return Standing.RIGHT, True
        if (low is not None and low > OFF_NS) or (high is not None and high < -OFF_NS):
            return Standing.WRONG, True
        if low is not None and high is not None and low >= -OFF_NS and high <= OFF_NS:
            return Standing.RIGHT, True
        if self._now is not None and self._now.standing is Standing.RIGHT and not stepped:
            return Standing.RIGHT, True
        return (Standing.WRONG if wall_ns < self.earliest_ns else Standing.PRESUMED), False

    # --- what is to be said, and how values are dated ---------------------------------------------------

    @property
    def standing(self) -> Standing:
        """What the clock was worth when it was last observed."""
        return self._now.standing if self._now else Standing.PRESUMED

    @property
    def changes(self) -> tuple[Change, ...]:
        """Changes that are not recorded yet."""
        return tuple(self._changes)

    def records(self, seq: int) -> list[dict[str, Any]]:
        """What the clock records add to their headers that are sealed now, the first of them as number `seq`."""
        if not self._changes:
            return []
        spans = self._ended(seq)
        said = [asdict(change) for change in self._changes]
        dues = [(s.from_seq, s.to_seq, shift) for s in spans if (shift := self._due(s)) is not None]
        if dues:
            said[-1]["moved"] = [{"from_seq": a, "to_seq": b, "shift_ns": shift} for a, b, shift in dues]
        return [{"clock": one} for one in said]

    def recorded(self, seq: int) -> None:
        """All that `records` gave for this number is on disk."""
        if self._now is None:
            return
        spans = self._ended(seq)
        due = {s.from_seq: self._due(s) for s in spans} if self._changes else {}
        self._before = [s if (shift := due.get(s.from_seq)) is None else replace(s, told_ns=shift) for s in spans][
            -MAX_SPANS:
        ]
        if not self._now.from_seq:
            self._now = replace(self._now, from_seq=seq + len(self._changes))
        self._changes.clear()

    def _ended(self, seq: int) -> list[_Span]:
        """The spans before this one that have batches; one that has just ended did so below `seq`."""
        spans = [s if s.to_seq else replace(s, to_seq=seq - 1) for s in self._before if s.from_seq]
        return [s for s in spans if s.from_seq <= s.to_seq]

    def _owing(self) -> bool:
        """Whether there are batches whose times can be told only now."""
        return any(span.from_seq and self._due(span) is not None for span in self._before)

    def _due(self, span: _Span) -> int | None:
        """By how much an ended span's times have to be moved; None = not at all, or it was said already. [ns]"""
        assert self._now, "there is a clock"
        shift = self._now.first_ns - span.last_ns
        far = abs(shift) > OFF_NS
        doubted = span.standing is Standing.PRESUMED and self._now.standing is Standing.RIGHT and far
        if self._now.standing is Standing.WRONG or not (span.standing is Standing.WRONG or doubted):
            return None
        if abs(shift) <= STEP_NS and (span.measured or self._now.standing is Standing.PRESUMED):
            return None  # led back bit by bit, or nothing new is known: nobody can say how far off each value is
        return None if span.told_ns is not None and abs(shift - span.told_ns) <= STEP_NS else shift

    def dated(self, columns: Columns, mono_ns: int) -> Columns:
        """Measurements as they are sealed now: by the clock as it is, and flagged while that is wrong."""
        if self.earliest_ns is None or self._now is None or not len(columns):
            return columns
        time_ns, status = columns.time_ns, columns.status
        before = [offset for seen_ns, offset in self._seen[:-1] if mono_ns - seen_ns < MIXED_NS]
        if not before and self._now.standing is not Standing.WRONG:
            return columns
        if before:
            offsets = np.array([self._now.last_ns, *before], np.int64)
            away = np.abs(time_ns[:, None] - (mono_ns + offsets))
            step = (self._now.first_ns - offsets)[away.argmin(axis=1)]
            time_ns = np.where((np.abs(step) > OFF_NS) & (away.min(axis=1) < MIXED_NS), time_ns + step, time_ns)
        if self._now.standing is Standing.WRONG:
            status = np.where(status == Status.OK, np.uint8(Status.UNSYNCED), status)
        return Columns(columns.series, columns.series_index, time_ns, columns.value, status)

    def report(self) -> dict[str, Any]:
        """How the clock is, for the gateway's state."""
        low, high = self.offset_ns
        off = low if low is not None and low > OFF_NS else high if high is not None and high < -OFF_NS else None
        return {
            "standing": self.standing.value,
            "steps": self._step_id,
            "off_s": None if off is None else round(off / SECOND_NS, 1),
        }


# Changes of standing without a step that end a span: what came before them is not worth what comes after.
_TURNS = frozenset({
    (Standing.RIGHT, Standing.WRONG), (Standing.WRONG, Standing.RIGHT), (Standing.WRONG, Standing.PRESUMED),
})  # fmt: skip
