"""Plant states: in which state a plant was from instant to instant, and how much of a window it was in which.

Rules of this file:

- a plant is operating unless something says otherwise: what nobody said excuses nothing;
- states are painted one over the other, and what is painted later holds: who says what, and in which order, is
  the business of `state_sources`;
- time is counted in whole nanoseconds, over the pieces of a window that count, so that the states of a window add
  up to it exactly, wherever it is cut;
- which states a text judges, and what it calls operating time, is data of rule packs. A short window counts for a
  clause where no part of its operating time was in a state that the clause does not judge. Longer ones are
  made of what is left, so that an hour of start-up does not excuse a day.

Names after: 2010/75/EU (start-up, shut-down, breakdown of the abatement, other than normal operating conditions),
and the marks of Chinese incinerators (drying, cool-down, fault, accident: MEE Announcement 2019 No. 50, from secondary
pages). Arrays in, arrays out. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from collector.verdicts.screening import OTHER_STATE, Booleans, Signal, usable
from collector.verdicts.windows import FIXED_NS, Windows
from gateway.measurement import SECOND_NS, Float64, Int64, UInt8

STATES = (
    "operating",  # 运行
    "start_up",  # 启炉: from the first feed of fuel or waste until it runs steadily
    "shut_down",  # 停炉: from the last feed until it is burnt out
    "stopped",  # 停运: nothing runs, nothing is let out
    "drying",  # 烘炉: heated before waste is fed
    "cool_down",  # 停炉降温: after burn-out
    "breakdown",  # 故障: of the plant or its abatement
    "accident",  # 事故
    "otnoc",  # other than normal operating conditions: what else a text excuses, as want of the usual fuel
)
_CODES = {state: code for code, state in enumerate(STATES)}
OPERATING = _CODES["operating"]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A span [from_ns, to_ns) in one state. [ns since 1970 UTC]"""

    state: str
    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True)
class Spans:
    """Spans that do not overlap, rising; shape (n,) each. code: places in STATES. [ns since 1970 UTC]"""

    from_ns: Int64
    to_ns: Int64
    code: UInt8


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """The state of a plant at every instant: operating until the first change, then as it says.

    start_ns: instants at which another state begins, rising, shape (n,). code: its place in STATES, shape (n,).
    """

    start_ns: Int64
    code: UInt8

    @property
    def present(self) -> frozenset[str]:
        """The states that it is in at some time."""
        return frozenset(STATES[code] for code in {OPERATING, *self.code.tolist()})

    def at(self, time_ns: Int64) -> UInt8:
        """The state of each instant, as its place in STATES; shape as given."""
        known = np.concatenate((np.array([OPERATING], np.uint8), self.code))
        return np.asarray(known[np.searchsorted(self.start_ns, time_ns, "right")])

    def within(self, time_ns: Int64, states: Collection[str]) -> Booleans:
        """Which instants are in one of some states; shape as given."""
        return _chosen(states)[self.at(time_ns)]

    def held(self, windows: Windows, states: Collection[str]) -> Int64:
        """How much of the time that counts of each window was in one of some states, shape (windows,). [ns]"""
        if not len(self.start_ns):
            return windows.length_ns if STATES[OPERATING] in states else np.zeros(len(windows), np.int64)
        inside = np.concatenate(([STATES[OPERATING] in states], _chosen(states)[self.code]))
        passed = np.cumsum(np.where(inside[1:-1], np.diff(self.start_ns), 0))
        # Of each stretch: where it begins, and how much was in these states from the first change up to there.
        begin = np.concatenate((self.start_ns[:1], self.start_ns))
        before = np.concatenate((np.zeros(2, np.int64), passed))

        def upto(time_ns: Int64) -> Int64:
            place = np.searchsorted(self.start_ns, time_ns, "right")
            return np.asarray(before[place] + inside[place] * (time_ns - begin[place]))

        found = np.zeros(len(windows), np.int64)
        np.add.at(found, windows.piece_window, upto(windows.piece_to) - upto(windows.piece_from))
        return found


ALWAYS = Timeline(np.empty(0, np.int64), np.empty(0, np.uint8))


def within(states: Collection[State], from_ns: int, to_ns: int) -> list[State]:
    """What is said of [from_ns, to_ns), and no more than that. [ns since 1970 UTC]"""
    return [
        State(state=s.state, from_ns=max(s.from_ns, from_ns), to_ns=min(s.to_ns, to_ns))
        for s in states
        if s.from_ns < to_ns and s.to_ns > from_ns
    ]


def painted(timeline: Timeline, over: Spans) -> Timeline:
    """A timeline with spans laid over it."""
    if not len(over.from_ns):
        return timeline
    start_ns = np.unique(np.concatenate((timeline.start_ns, over.from_ns, over.to_ns)))
    code = timeline.at(start_ns)
    place = np.searchsorted(over.from_ns, start_ns, "right") - 1
    under = (place >= 0) & (start_ns < over.to_ns[place])
    code[under] = over.code[place[under]]
    return changing(start_ns, code)


def marked(timeline: Timeline, states: Iterable[State]) -> Timeline:
    """A timeline with spans laid over it, one after the other: the later holds. What is empty says nothing."""
    known = [state for state in states if state.from_ns < state.to_ns]
    if not known:
        return timeline
    bounds = np.array([(state.from_ns, state.to_ns) for state in known], np.int64)
    start_ns = np.unique(np.concatenate((timeline.start_ns, bounds.ravel())))
    code = timeline.at(start_ns)
    for state, (first, last) in zip(known, np.searchsorted(start_ns, bounds).tolist(), strict=True):
        code[first:last] = _CODES[state.state]
    return changing(start_ns, code)


def changing(start_ns: Int64, code: UInt8) -> Timeline:
    """The timeline that is in a state from each of some rising instants on, shape (n,) each."""
    changes = np.diff(code, prepend=np.uint8(OPERATING)) != 0
    return Timeline(start_ns[changes], code[changes])


def seconds_by_state(timeline: Timeline, windows: Windows) -> dict[str, Float64]:
    """How long each window was in each state that occurs, shape (windows,) each; {} where all of it was operating. [s]

    >>> day = Windows("1h", *(np.array([n]) for n in (0, 3600 * SECOND_NS) * 2), np.array([0]))
    >>> stopped = marked(ALWAYS, [State(state="stopped", from_ns=0, to_ns=600 * SECOND_NS)])
    >>> {state: column.tolist() for state, column in seconds_by_state(stopped, day).items()}
    {'operating': [3000.0], 'stopped': [600.0]}
    """
    if timeline.present == {STATES[OPERATING]}:
        return {}
    return {state: timeline.held(windows, (state,)) / SECOND_NS for state in STATES if state in timeline.present}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which time of a point counts for some clauses.

    judged: the states that they judge. operating: those that make up the operating time, as their text has it.
    other_max: how much of a short window's operating time may be in a state that is not judged, 0 to 1.
    """

    timeline: Timeline
    judged: frozenset[str]
    operating: frozenset[str]
    other_max: float = 0.0

    def counts(self, time_ns: Int64) -> Booleans:
        """Which instants count, shape as given."""
        return self.timeline.within(time_ns, self.judged & self.operating)

    def masked(self, signals: Mapping[str, Signal]) -> dict[str, Signal]:
        """The signals of a point, the good values of time that does not count with the reason why."""
        found = {}
        for name, signal in signals.items():
            out = usable(signal.value, signal.status) & ~self.counts(signal.time_ns)
            status = np.where(out, OTHER_STATE, signal.status).astype(np.uint8)
            found[name] = replace(signal, status=status) if out.any() else signal
        return found

    def length_ns(self, windows: Windows) -> Int64:
        """How much time of each window counts, shape (windows,). [ns]"""
        return self.timeline.held(windows, self.judged & self.operating)

    def clean(self, windows: Windows) -> Booleans:
        """Which windows are judged: not short ones of which too much was in another state; shape (windows,)."""
        if windows.kind not in FIXED_NS:
            return np.ones(len(windows), np.bool_)
        ran, judged = self.timeline.held(windows, self.operating), self.length_ns(windows)
        return np.asarray(ran - judged <= self.other_max * ran)


def _chosen(states: Collection[str]) -> Booleans:
    """Whether each of STATES is one of some, by its code."""
    return np.array([state in states for state in STATES], np.bool_)
