"""A bus on virtual time: units that answer after a while, or fail in their own way, asked by `Turns`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.links.link import LinkError, NoAnswer
from gateway.measurement import SECOND_NS
from gateway.turns import Ask, Turns

MS = SECOND_NS // 1000
EPOCH_NS = 1_700_000_000 * SECOND_NS

# What a unit does when it is asked at a time: how long it takes, and with what it fails. [ns]
Manner = Callable[[int], tuple[int, LinkError | None]]


def answers(took_ns: int) -> Manner:
    return lambda now_ns: (took_ns, None)


def dead(now_ns: int) -> tuple[int, LinkError | None]:
    return 1 << 62, NoAnswer("silent")


def between(manner: Manner, from_ns: int, to_ns: int, otherwise: Manner) -> Manner:
    """Another manner for a while."""
    return lambda now_ns: manner(now_ns) if from_ns <= now_ns < to_ns else otherwise(now_ns)


@dataclass
class Bus:
    """One link and its units. asked: (when, how long, what for, what with), of each turn. told: of each job, its ticks.

    manners: of each job's unit. kept: whether a job may be asked. aside: what else the link is used for while nobody
    is to be asked, as the time it takes; 0 = nothing. commit_ns: after a job's tick was told, until it may be asked
    again. [ns]
    """

    manners: Sequence[Manner]
    intervals_ns: Sequence[int]
    units: Sequence[int] = ()
    kept: Callable[[int], bool] = lambda job: True
    numbered: bool = True
    aside: Callable[[Bus], int] = lambda bus: 0
    commit_ns: int = 0
    now_ns: int = 5 * SECOND_NS
    asked: list[tuple[int, int, Ask, LinkError | None]] = field(default_factory=list)
    told: list[list[tuple[int, str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.units = self.units or range(len(self.manners))
        self.turns = Turns(self.units, self.intervals_ns, self.now_ns, EPOCH_NS, numbered=self.numbered)
        self.told = [[] for _ in self.manners]
        self._told_ns: dict[int, int] = {}

    def run(self, seconds: float) -> Bus:
        """Poll for some virtual time."""
        end_ns = self.now_ns + int(seconds * SECOND_NS)
        while self.now_ns < end_ns:
            for lapse in self.turns.look(self.now_ns):
                step = self.intervals_ns[lapse.job]
                why = "unserved" if lapse.unserved else "spared"
                self.told[lapse.job] += [(tick, why) for tick in range(lapse.first_ns, lapse.end_ns, step)]
                self._told_ns[lapse.job] = self.now_ns
            ask = self.turns.next(self.now_ns, self._ready)
            if isinstance(ask, Ask):
                self._turn(ask)
            elif took_ns := self.aside(self):
                self.now_ns += took_ns
            else:
                assert ask > self.now_ns, "it would be asked for ever"
                self.now_ns = min(ask, end_ns)
        return self

    def _ready(self, job: int) -> bool:
        return self.kept(job) and self.now_ns >= self._told_ns.get(job, 0) + self.commit_ns

    def _turn(self, ask: Ask) -> None:
        began_ns = self.now_ns
        took_ns, error = self.manners[ask.job](began_ns)
        if took_ns > ask.timeout_ns:
            took_ns, error = ask.timeout_ns, NoAnswer("late")
        self.now_ns += max(took_ns, 1)
        if error is None:
            self.turns.heard(ask.job, took_ns)
            self.turns.answered(ask, self.now_ns, took_ns)
            self.told[ask.job].append((ask.tick_ns, "answered"))
        elif self.turns.failed(ask, self.now_ns, took_ns, error):
            self.told[ask.job].append((ask.tick_ns, "failed"))
        self._told_ns[ask.job] = self.now_ns
        self.asked.append((began_ns, took_ns, ask, error))

    def share(self, job: int, since_ns: int = 0) -> float:
        """How much of its ticks a job got values for."""
        told = [what for tick, what in self.told[job] if tick >= EPOCH_NS + since_ns]
        return told.count("answered") / len(told)

    def spent_ns(self, jobs: Sequence[int], since_ns: int = 0) -> int:
        """The time that some jobs took."""
        return sum(took for began, took, ask, _ in self.asked if ask.job in jobs and began >= since_ns)
