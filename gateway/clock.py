"""What the gateway's clock is worth: whether it is synced, how wrong it may be, how often it jumped.

Wall time comes from a clock that people and time servers may set; monotonic time never jumps. The
two run together, so a change of their difference is a step of the wall clock. Every batch carries
the verdict (`wire.Clk`), so that a reader can tell a night of bad clock from a night of good one.
A step, and the first time a time server holds the clock, are records of their own (`Change`): with
both clocks before and after, a reader can place what was measured before.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from gateway.wire import Clk

STEP_NS = 500_000_000  # a change of wall against monotonic time that is a step, not a correction


@dataclass(frozen=True, slots=True)
class Discipline:
    """What the system says of its clock. synced: a time server holds it. err_ms: largest error. [ms]"""

    synced: bool
    err_ms: int


UNKNOWN = Discipline(synced=False, err_ms=0)


@dataclass(frozen=True, slots=True)
class Change:
    """The wall clock at one monotonic instant: as it was going, and as it is now. step_id: steps so far. [ns]"""

    mono_ns: int
    wall_before_ns: int
    wall_after_ns: int
    step_id: int

    def fields(self) -> dict[str, Any]:
        """What a clock record adds to its header."""
        return {"clock": asdict(self)}


@dataclass(slots=True)
class Clock:
    """Watches wall against monotonic time; one for each epoch."""

    _offset_ns: int | None = None
    _step_id: int = 0
    _ever_synced: bool = field(default=False)
    _changes: list[Change] = field(default_factory=list)

    def observe(self, wall_ns: int, mono_ns: int, discipline: Discipline = UNKNOWN) -> Clk:
        """The clock's verdict at an instant; call it in the order of time. [ns]

        holdover: it was synced in this epoch and no longer is.
        """
        offset, before = wall_ns - mono_ns, self._offset_ns
        if before is not None:
            stepped = abs(offset - before) > STEP_NS
            self._step_id += stepped
            if stepped or (discipline.synced and not self._ever_synced):
                self._changes.append(Change(mono_ns, mono_ns + before, wall_ns, self._step_id))
        self._offset_ns = offset
        self._ever_synced |= discipline.synced
        state = "synced" if discipline.synced else "holdover" if self._ever_synced else "unsynced"
        return Clk(state, max(discipline.err_ms, 0), self._step_id)  # type: ignore[arg-type]

    @property
    def changes(self) -> tuple[Change, ...]:
        """Steps and the first sync that are not recorded yet."""
        return tuple(self._changes)

    def recorded(self) -> None:
        """All changes so far are on disk."""
        self._changes.clear()
