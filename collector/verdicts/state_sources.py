"""Who says in which state a plant is, and whose word counts.

From the weakest to the strongest, each painted over the one before:

- values that come with the status `stopped` (HJ 212 flag F, source out of service) say that the plant is stopped;
- a threshold: where a channel of the point, as flow or load, is above a number the plant is operating, and stopped
  where it is not;
- a channel that codes the state, parameter `plant_state`; what its numbers mean, the site says;
- marks of operators, in the order of the journal.

What says nothing (a value that is not good, a number that means nothing, a gap) leaves what the weaker said. Channels
say it by the minute, or by what their values stand for: the last code in it, the mean against the threshold. So what a
window's states are never depends on what was derived with it. No law names these numbers: they are the
operator's own, and evidence shows them among the settings of the point. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
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
        rows = signal.status == Status.STOPPED
        if rows.any():
            found = painted(found, _cells(signal, rows)[0])
    for over in (_by_threshold(settings, signals), _by_code(settings, signals)):
        found = found if over is None else painted(found, over)
    return marked(found, said)


def channels(settings: Mapping[str, Any]) -> set[str]:
    """The parameters that tell the state of a point with these settings."""
    above = _ABOVE.fullmatch(settings.get("operating_where") or "")
    return ({above[1]} if above else set()) | ({CHANNEL} if settings.get("state_codes") else set())


def _by_threshold(settings: Mapping[str, Any], signals: Mapping[str, Signal]) -> Spans | None:
    wanted = _ABOVE.fullmatch(settings.get("operating_where") or "")
    signal = signals.get(wanted[1]) if wanted else None
    if wanted is None or signal is None:
        return None
    rows = usable(signal.value, signal.status)
    cells, last = _cells(signal, rows)
    count = np.diff(last, prepend=-1)
    mean = np.add.reduceat(signal.value[rows], last - count + 1) / count if len(last) else np.empty(0)
    code = np.where(mean > float(wanted[2]), OPERATING, STOPPED).astype(np.uint8)
    return Spans(cells.from_ns, cells.to_ns, code)


def _by_code(settings: Mapping[str, Any], signals: Mapping[str, Signal]) -> Spans | None:
    signal, meant = signals.get(CHANNEL), settings.get("state_codes")
    if signal is None or not meant:
        return None
    rows = usable(signal.value, signal.status)
    cells, last = _cells(signal, rows)
    numbers, place = np.unique(signal.value[rows][last], return_inverse=True)
    known = np.array([STATES.index(meant[name]) if (name := f"{n:g}") in meant else -1 for n in numbers.tolist()], int)
    code = known[place] if len(known) else np.empty(0, int)
    says = code >= 0
    return Spans(cells.from_ns[says], cells.to_ns[says], code[says].astype(np.uint8))


def _cells(signal: Signal, rows: Booleans) -> tuple[Spans, npt.NDArray[np.intp]]:
    """The stretches of time that some values speak for, as stopped, and the last of these values in each."""
    time_ns, stands_ns = signal.time_ns[rows], signal.coarsest_ns
    grid_ns = next((grid for grid in _GRIDS_NS if grid >= stands_ns), 0)
    from_ns: Int64 = time_ns // grid_ns * grid_ns if grid_ns else time_ns
    last = np.flatnonzero(np.append(np.diff(from_ns) != 0, True)[: len(from_ns)])
    begin = from_ns[last]
    end = begin + (grid_ns or stands_ns)
    end[:-1] = np.minimum(end[:-1], begin[1:])
    return Spans(begin, end, np.full(len(begin), STOPPED, np.uint8)), last
