"""Who says in which state a plant is, and whose word counts.

From the weakest to the strongest, each painted over the one before:

- values that come with the status `stopped` (HJ 212 flag F, source out of service) say that the plant is stopped;
- a threshold: where a channel of the point, as flow or load, is above a number the plant is operating, and stopped
  where it is not;
- a channel that codes the state, parameter `plant_state`; what its numbers mean, the site says;
- marks of operators, in the order of the journal.

What says nothing (a value that is not good, a number that means nothing, a gap) leaves what the weaker said. Channels
say it by the minute, or by what their values stand for: the last code in it, the mean against the threshold. A value
that speaks of a window may lie before it, or after it in the same stretch of time: whoever asks for the states of a
window gives these too (`reach`), so that they never depend on what was derived with it. No law names these numbers:
they are the operator's own, and evidence shows them among the settings of the point. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from collector.verdicts.pack import Setting
from collector.verdicts.screening import Booleans, Signal, usable
from collector.verdicts.states import ALWAYS, OPERATING, STATES, Spans, State, Timeline, marked, painted
from collector.verdicts.windows import MINUTE_NS
from gateway.measurement import Int64, Status
from gateway.settings import Label

CHANNEL = "plant_state"
STOPPED = STATES.index("stopped")
# Windows are counted from local midnight, and all zones lie on quarters of an hour: no cell lies across a window.
_GRIDS_NS = (MINUTE_NS, 5 * MINUTE_NS, 15 * MINUTE_NS)
_PAIR = re.compile(r'"?([-+.\w]+)"?\s*[=:]\s*"?(\w+)"?')
_ABOVE = re.compile(r"([A-Za-z][\w.-]{0,31})\s*>\s*([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d{1,3})?)")


class Codes(Setting):
    """What the numbers of a channel mean: `{ 0 = "stopped", 1 = "operating" }`, or as text `0=stopped,1=operating`."""

    def read(self, value: object) -> dict[str, str]:
        """The state of each number, as text. ValueError says what is wrong."""
        pairs = dict(_PAIR.findall(value)) if isinstance(value, str) else value
        if not isinstance(pairs, Mapping) or not pairs:
            raise ValueError(f'{value!r} is no table of states as {{ 0 = "stopped", 1 = "operating" }}')
        found = {}
        for number, state in pairs.items():
            if state not in STATES:
                raise ValueError(f"{state!r} is none of {', '.join(STATES)}")
            try:
                found[f"{float(number):g}"] = str(state)
            except ValueError as error:
                raise ValueError(f"{number!r} is not a number that a channel shows") from error
        return found


class Above(Setting):
    """A channel and what it has to be above while the plant is operating: `load > 10`."""

    def read(self, value: object) -> str:
        """The text, as it was given. ValueError says what is wrong."""
        if not isinstance(value, str) or not _ABOVE.fullmatch(value.strip()):
            raise ValueError(f'{value!r} is no threshold as "flow > 5000"')
        return value.strip()


_OWN = "the operator's own; no standard here gives one (unverified)"
SETTINGS = (
    Codes(name="state_codes", kind="states", cite=_OWN, title=Label("What plant_state's numbers mean", "工况代码")),
    Above(name="operating_where", kind="threshold", cite=_OWN, title=Label("Operating where", "运行判定条件")),
    Setting(
        name="other_states_max", kind="number", low=0.0, high=1.0, default=0.0,
        cite="working value: any part of the operating time in another state; no text here gives a share",
        title=Label("Share of a judged window that may be in another plant state", "允许其他工况占比"),
    ),
)  # fmt: skip


def timeline(settings: Mapping[str, Any], signals: Mapping[str, Signal], said: Iterable[State]) -> Timeline:
    """The states of a plant, from what is measured at one point and what operators marked there.

    settings: of the point, as `limits.read_settings` gives them. said: in the order of the journal.
    """
    found = ALWAYS
    for signal in signals.values():
        for part in _alike(signal, signal.status == Status.STOPPED):
            found = painted(found, _cells(part)[0])
    for over in (*_by_threshold(settings, signals), *_by_code(settings, signals)):
        found = painted(found, over)
    return marked(found, said)


def channels(settings: Mapping[str, Any]) -> set[str]:
    """The parameters that tell the state of a point with these settings."""
    above = _ABOVE.fullmatch(settings.get("operating_where") or "")
    return ({above[1]} if above else set()) | ({CHANNEL} if settings.get("state_codes") else set())


def grid_ns(stands_ns: int) -> int:
    """The cells for which values speak that stand for so long, 0 = each speaks for itself, from its instant on. [ns]"""
    return next((grid for grid in _GRIDS_NS if grid >= stands_ns), 0)


def _by_threshold(settings: Mapping[str, Any], signals: Mapping[str, Signal]) -> Iterator[Spans]:
    wanted = _ABOVE.fullmatch(settings.get("operating_where") or "")
    signal = signals.get(wanted[1]) if wanted else None
    if wanted is None or signal is None:
        return
    for part in _alike(signal, usable(signal.value, signal.status)):
        cells, last = _cells(part)
        count = np.diff(last, prepend=-1)
        mean = np.add.reduceat(part.value, last - count + 1) / count
        code = np.where(mean > float(wanted[2]), OPERATING, STOPPED).astype(np.uint8)
        yield Spans(cells.from_ns, cells.to_ns, code)


def _by_code(settings: Mapping[str, Any], signals: Mapping[str, Signal]) -> Iterator[Spans]:
    signal, meant = signals.get(CHANNEL), settings.get("state_codes")
    if signal is None or not meant:
        return
    for part in _alike(signal, usable(signal.value, signal.status)):
        cells, last = _cells(part)
        numbers, place = np.unique(part.value[last], return_inverse=True)
        names = [f"{number:g}" for number in numbers.tolist()]
        code = np.array([STATES.index(meant[name]) if name in meant else -1 for name in names])[place]
        says = code >= 0
        yield Spans(cells.from_ns[says], cells.to_ns[says], code[says].astype(np.uint8))


def _alike(signal: Signal, rows: Booleans) -> Iterator[Signal]:
    """Some values by how long they stand, the longest first: of two instruments the finer has the last word."""
    if not rows.any():
        return
    some = signal.rows(rows)
    intervals_ns = some.interval_ns
    for interval_ns in np.unique(intervals_ns)[::-1]:
        yield some.rows(intervals_ns == interval_ns)


def _cells(signal: Signal) -> tuple[Spans, npt.NDArray[np.intp]]:
    """The stretches of time that values speak for, as stopped, and the last value in each; at least one, all alike."""
    time_ns, stands_ns = signal.time_ns, int(signal.interval_ns[0])
    cell_ns = grid_ns(stands_ns)
    from_ns: Int64 = time_ns // cell_ns * cell_ns if cell_ns else time_ns
    last = np.flatnonzero(np.append(np.diff(from_ns) != 0, True))
    begin = from_ns[last]
    end = begin + (cell_ns or stands_ns)
    end[:-1] = np.minimum(end[:-1], begin[1:])
    return Spans(begin, end, np.full(len(begin), STOPPED, np.uint8)), last
