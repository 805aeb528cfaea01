"""What the gateway's clock is worth: whether it is synced, how wrong it may be, how often it jumped.

Wall time comes from a clock that people and time servers may set; monotonic time never jumps. The
two run together, so a change of their difference is a step of the wall clock. Every batch carries
the verdict (`wire.Clk`), so that a reader can tell a night of bad clock from a night of good one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.wire import Clk

STEP_NS = 500_000_000  # a change of wall against monotonic time that is a step, not a correction


@dataclass(frozen=True, slots=True)
class Discipline:
    """What the system says of its clock. synced: a time server holds it. err_ms: largest error. [ms]"""

    synced: bool
    err_ms: int


UNKNOWN = Discipline(synced=False, err_ms=0)


@dataclass(slots=True)
class Clock:
    """Watches wall against monotonic time; one for each epoch."""

    _offset_ns: int | None = None
    _step_id: int = 0
    _ever_synced: bool = field(default=False)

    def observe(self, wall_ns: int, mono_ns: int, discipline: Discipline = UNKNOWN) -> Clk:
        """The clock's verdict at an instant; call it in the order of time. [ns]

        holdover: it was synced in this epoch and no longer is.
        """
        offset = wall_ns - mono_ns
        if self._offset_ns is not None and abs(offset - self._offset_ns) > STEP_NS:
            self._step_id += 1
        self._offset_ns = offset
        self._ever_synced |= discipline.synced
        state = "synced" if discipline.synced else "holdover" if self._ever_synced else "unsynced"
        return Clk(state, max(discipline.err_ms, 0), self._step_id)  # type: ignore[arg-type]
