"""Whose turn it is on one link: a fair queue of the units of a serial bus or of a TCP endpoint.

A job is a sensor's poll at its ticks, or the reading of an input module. Rules:

- a tick is served until its deadline, the next tick; of those who wait the earliest deadline comes first, then who
  was served longest ago. A tick nobody had time for lapses, and the rhythm stays;
- a unit that answered last time is trusted. Another is tried when every trusted one can still be in time after its
  time-out. Where there was no such slack for a while, a unit that failed once at most may be tried all the same for
  TRIAL of the bus's time, and the others for DEAD_CROWDED of it;
- units that failed more than once together take at most DEAD of the time, and from the third time on a unit is only
  tried now and then (`gateway.breaker`);
- where nobody is trusted nobody is in the way: someone is tried every ALONE_NS, and the first answer wakes all;
- a link without connection is tried again after DOWN_NS; it is no fault of the units. A connection that was lost
  while it idled is made again for the same tick;
- where answers do not say what they answer, a unit that owes one is not asked before the link believes it again
  (`gateway.links.doubt`), so that the others need not wait for that;
- jobs come and go (`revise`), and the others do not notice.

Pure: `now_ns` is monotonic, ticks are UTC, `offset_ns` lies between them. [ns]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from gateway.breaker import Budget
from gateway.jobs import Job, Unit
from gateway.links.doubt import WAIT_S, WAIT_TIMEOUTS
from gateway.links.link import BadAnswer, LinkDown, LinkError, NoAnswer, Policy, Refused, Remedy, policy
from gateway.measurement import SECOND_NS
from gateway.patience import Patience, percentile
from gateway.schedule import Schedule, Standing

DEAD, DEAD_CROWDED, TRIAL = 0.1, 0.005, 0.1  # shares of a bus's time
SAVED_NS = 500_000_000  # of such a share, while it is not used
ALONE_NS = 500_000_000
DOWN_NS = 500_000_000
CROWDED_NS = (1_000_000_000, 5_000_000_000)  # without slack, after which a unit is tried all the same: trial, dead
AGAIN_NS = (20_000_000, 50_000_000)  # until it is looked again for who is not ready yet, and for who has to be paid for
_NO_REFUSAL = Policy(Remedy.AWAY)  # of an error that is none: nobody was reached


class Ask(NamedTuple):
    """A turn: read this job now. probe: its unit is only tried. charged: the budgets that pay for it."""

    job: int
    tick_ns: int
    timeout_ns: int
    probe: bool
    charged: tuple[Budget, ...]


class Lapse(NamedTuple):
    """Ticks of a job that get no value, from first to before end. unserved: for want of time."""

    job: int
    first_ns: int
    end_ns: int
    unserved: bool


class Turns:
    """The queue of one link. units: of each job. numbered: whether answers say what they answer.

    Jobs are known by their number: 0, 1, .. at first; those that begin later have numbers that no other had.
    """

    def __init__(
        self, units: Sequence[int], intervals_ns: Sequence[int], now_ns: int, offset_ns: int, *, numbered: bool = True
    ) -> None:
        self._units = {unit: Unit(Patience(), now_ns) for unit in units}
        self.numbered = numbered
        jobs = [Job(self._units[unit], interval) for unit, interval in zip(units, intervals_ns, strict=True)]
        self._jobs, self._given = dict(enumerate(jobs)), len(jobs)
        self._asked, self._asked_ns = -1, 0  # the job whose turn is under way, and its tick
        self._waiting: dict[int, Job] = {}
        self._order: list[int] = []  # of those who wait on trusted units, whose turn comes first
        self._doubtful: list[int] = []  # the others
        self._trusted: set[Unit] = set()
        self._unsorted = False
        self._dead, self._crowded, self._trial = (
            Budget(share, SAVED_NS, now_ns) for share in (DEAD, DEAD_CROWDED, TRIAL)
        )
        self._downs: list[Unit] = []  # without connection since the last answer
        self._down_until_ns = self._tried_ns = 0
        self.reset(now_ns, offset_ns)

    def reset(self, now_ns: int, offset_ns: int) -> None:
        """The wall clock was set: ticks between the old and the new time never were."""
        self._offset_ns = offset_ns
        self._set_ticks(now_ns + offset_ns)
        self._waiting.clear()
        for job in self._jobs.values():
            job.told_ns = job.tick_ns = 0

    def _set_ticks(self, start_ns: int) -> None:
        """The ticks of all jobs from an instant on."""
        self._places = list(self._jobs)
        self._schedule = Schedule([job.interval_ns for job in self._jobs.values()], start_ns)
        self._next_ns = self._schedule.next_ns(start_ns)
        self._unsorted = True

    # --- who comes and goes ----------------------------------------------------------------------------------

    def standing(self, job: int) -> Standing:
        """How far a job has come, after `look`."""
        found = self._jobs[job]
        return Standing(found.interval_ns, found.told_ns, found.tick_ns, max(found.told_ns, found.tick_ns))

    def withdraw(self, job: int) -> list[Lapse]:
        """Nothing will come of a turn of this job that is under way; its tick, where that does not wait any more."""
        under_way, self._asked = self._asked == job, -1 if self._asked == job else self._asked
        if not under_way or self._jobs[job].tick_ns == self._asked_ns:
            return []
        return [Lapse(job, self._asked_ns, self._asked_ns + self._jobs[job].interval_ns, unserved=True)]

    def revise(self, gone: Iterable[int], begun: Sequence[tuple[int, Standing]], now_ns: int) -> list[int]:
        """After `look` at the same instant: other jobs from now on; the numbers of those that begin.

        begun: unit of each, and where it begins. The jobs that stay keep their ticks and all that is known of their
        units. A turn of a job that is gone may still be under way; nothing comes of it (`withdraw` it first).
        """
        for index in gone:
            del self._jobs[index]
            self._waiting.pop(index, None)
        numbers = list(range(self._given, self._given + len(begun)))
        self._given += len(begun)
        for index, (unit, standing) in zip(numbers, begun, strict=True):
            job = Job(self._units.setdefault(unit, Unit(Patience(), now_ns)), standing.interval_ns)
            job.told_ns, job.tick_ns, self._jobs[index] = standing.told_ns, standing.tick_ns, job
            if job.tick_ns:
                job.told_ns, self._waiting[index] = job.tick_ns - job.interval_ns, job
            job.served_ns = now_ns  # behind those who have been there longer, who are no later for it
        left = {job.unit for job in self._jobs.values()}
        self._units = {unit: found for unit, found in self._units.items() if found in left}
        self._trusted &= left
        self._set_ticks(now_ns + self._offset_ns + 1)  # whoever stays has been told of the ticks up to now
        for place, (_, standing) in enumerate(begun, len(self._places) - len(begun)):
            self._schedule.skip(place, standing.after_ns)
        self._next_ns = self._schedule.next_ns(now_ns + self._offset_ns)
        return numbers

    # --- ticks ---------------------------------------------------------------------------------------------

    def look(self, now_ns: int) -> list[Lapse]:
        """Take the ticks that have come; those that nobody is asked for, in the order they are to be told.

        May be called while a turn is under way, whose tick then waits for what comes of it.
        """
        lapsed = []
        if now_ns + self._offset_ns >= self._next_ns:
            for place in self._schedule.due(now_ns + self._offset_ns):
                index, tick_ns = self._places[place], self._schedule.tick_ns(place)
                job = self._jobs[index]
                missed_ns = job.told_ns + job.interval_ns
                if index == self._asked and missed_ns == self._asked_ns:
                    missed_ns += job.interval_ns
                if job.told_ns and missed_ns < tick_ns:
                    lapsed.append(Lapse(index, missed_ns, tick_ns, unserved=True))
                job.told_ns, job.tick_ns = tick_ns - job.interval_ns, tick_ns
                job.after_ns = job.tries = 0
                self._waiting[index] = job
            self._next_ns = self._schedule.next_ns(now_ns + self._offset_ns)
            self._unsorted = True
        if self._unsorted:
            lapsed += self._spare(now_ns)
            self._sort()
        return lapsed

    def _spare(self, now_ns: int) -> list[Lapse]:
        """The ticks of those who are left alone now. Where nobody is in the way, someone is tried although it rests."""
        someone = None
        if not self._trusted and now_ns >= max(self._down_until_ns, self._tried_ns + ALONE_NS):
            someone = min((job.unit for job in self._waiting.values()), key=lambda unit: unit.tried_ns, default=None)
        spared = []
        for index, job in list(self._waiting.items()):
            rest_ns = max(self._down_until_ns, job.unit.breaker.until_ns, job.refused.until_ns)
            if now_ns < rest_ns and job.unit is not someone and index != self._asked:
                spared.append(Lapse(index, job.tick_ns, job.tick_ns + job.interval_ns, unserved=False))
                self._told(index)
        return spared

    def _sort(self) -> None:
        waiting = self._waiting
        self._order = [index for index, job in waiting.items() if job.unit in self._trusted]
        self._order.sort(
            key=lambda index: (waiting[index].tick_ns + waiting[index].interval_ns, waiting[index].served_ns)
        )
        self._doubtful = [index for index, job in waiting.items() if job.unit not in self._trusted]
        self._unsorted = False

    def _told(self, index: int) -> None:
        job = self._waiting.pop(index)
        job.told_ns, job.tick_ns = job.tick_ns, 0

    # --- turns ---------------------------------------------------------------------------------------------

    def next(self, now_ns: int, ready: Callable[[int], bool] = lambda _: True) -> Ask | int:
        """After `look`: who is to be asked now, or when to look again. ready: whether a job may be asked already."""
        wake_ns = self._next_ns - self._offset_ns
        turn: int | None = None
        while self._order and self._order[0] not in self._waiting:
            del self._order[0]
        for index in self._order:
            job = self._waiting.get(index)
            if job is None:
                continue
            if job.due_ns <= now_ns and ready(index):
                turn = index
                break
            wake_ns = min(wake_ns, max(job.due_ns, now_ns + AGAIN_NS[0]))
        for index in self._doubtful:  # who is not ready yet may be so before the next tick takes this one away
            if job := self._waiting.get(index):
                wake_ns = min(wake_ns, max(job.due_ns, now_ns + AGAIN_NS[1]))
        for index in self._candidates(now_ns, ready):
            if ask := self._try(index, now_ns, crowded=turn is not None):
                return ask
        if turn is None:
            return wake_ns
        return self._ask(turn, now_ns, self._jobs[turn].unit.patience.timeout_ns, ())

    def _ask(self, index: int, now_ns: int, timeout_ns: int, charged: tuple[Budget, ...]) -> Ask:
        job = self._jobs[index]
        job.unit.tried_ns = self._tried_ns = now_ns
        self._asked, self._asked_ns = index, job.tick_ns
        return Ask(index, job.tick_ns, timeout_ns, bool(job.unit.breaker.until_ns), charged)

    def _candidates(self, now_ns: int, ready: Callable[[int], bool]) -> Iterator[int]:
        """Who was tried longest ago of those who failed once at most, and of the dead."""
        for dead in (False, True) if self._doubtful else ():
            found = [
                index
                for index in self._doubtful
                if index in self._waiting
                and self._jobs[index].unit.dead is dead
                and self._jobs[index].due_ns <= now_ns
                and ready(index)
            ]
            if found:
                yield min(found, key=lambda index: self._jobs[index].unit.tried_ns)

    def _try(self, index: int, now_ns: int, *, crowded: bool) -> Ask | None:
        """Ask a doubtful unit, if there is time for it. What is not known of it, its neighbours tell."""
        unit = self._jobs[index].unit
        if not self._trusted:
            return self._ask(index, now_ns, unit.patience.timeout_ns, ())
        if not unit.heard:
            unit.patience.first_ns = percentile([other.patience.learned_ns for other in self._trusted], 0.5)
        dead, longest_ns, least_ns = unit.dead, unit.patience.timeout_ns, unit.patience.least_ns
        for timeout_ns in () if crowded else (longest_ns, least_ns):
            if (not dead or self._dead.affords(timeout_ns, now_ns)) and self._slack(now_ns, timeout_ns):
                return self._ask(index, now_ns, timeout_ns, (self._dead,) if dead else ())
        waited = now_ns >= max(unit.tried_ns, unit.breaker.until_ns) + CROWDED_NS[dead]
        budget = self._crowded if dead else self._trial
        if waited and budget.affords(least_ns, now_ns):
            return self._ask(index, now_ns, least_ns, (budget, self._dead) if dead else (budget,))
        return None

    def _slack(self, now_ns: int, pause_ns: int) -> bool:
        """Whether every job of a trusted unit still meets its next deadline after a pause."""
        at_ns = now_ns + pause_ns
        for deadline_ns, job in sorted(self._deadlines(), key=lambda due: due[0]):
            at_ns = max(at_ns, deadline_ns - job.interval_ns) + job.cost_ns
            if at_ns > deadline_ns:
                return False
        return True

    def _deadlines(self) -> Iterator[tuple[int, Job]]:
        """When the next tick of each job of a trusted unit lapses, monotonic; of one that had none yet, its first."""
        for place, index in enumerate(self._places):
            job = self._jobs[index]
            if job.unit in self._trusted:
                tick_ns = job.tick_ns or (job.told_ns or self._schedule.tick_ns(place)) + job.interval_ns
                yield tick_ns + job.interval_ns - self._offset_ns, job

    def answers(self, job: int) -> bool:
        """Whether the job's unit answered when it was last asked."""
        return self._jobs[job].unit in self._trusted

    def spare(self, job: int, now_ns: int, *, pressing: bool) -> int:
        """The time-out with which the job's unit may be asked for something beside its values, while `next` has no ask.

        0 = there is no time: somebody would be late if it took all of that; pressing: if it took twice what a poll
        does.
        """
        unit, cost_ns = self._jobs[job].unit, self._jobs[job].cost_ns
        timeout_ns = unit.patience.timeout_ns
        pause_ns = min(2 * cost_ns, timeout_ns) if pressing else timeout_ns
        return timeout_ns if unit.owes_ns <= now_ns and self._slack(now_ns, pause_ns) else 0

    # --- what came of it --------------------------------------------------------------------------------------

    def heard(self, job: int, took_ns: int) -> None:
        """An answer of the job's unit, one of its blocks or a refusal, came in time."""
        if found := self._jobs.get(job):
            found.unit.patience.heard(took_ns)
        self._downs.clear()

    def answered(self, ask: Ask, now_ns: int, took_ns: int) -> None:
        """The job has its values, and its tick is over."""
        self._asked = -1
        if not (job := self._jobs.get(ask.job)):
            return
        self._works(job.unit)
        job.refused.worked()
        job.cost_ns += (took_ns - job.cost_ns) // 8 if job.cost_ns else took_ns
        self._over(ask, now_ns, took_ns)

    def failed(self, ask: Ask, now_ns: int, took_ns: int, error: LinkError) -> bool:
        """The job got no values; whether its tick is over, else it is asked again for the same."""
        self._asked = -1
        if not (job := self._jobs.get(ask.job)):
            return True
        job.tries += 1
        called_for = policy(error.code) if isinstance(error, Refused) else _NO_REFUSAL
        if called_for.remedy is not Remedy.AWAY:
            self._works(job.unit)
        if isinstance(error, LinkDown):
            self._downs = [*self._downs, job.unit][-3:]
        if job.tick_ns == ask.tick_ns and self._again(job, now_ns, error, called_for):
            self._spend(ask, took_ns)
            return False
        if isinstance(error, LinkDown) and (len(set(self._downs)) > 1 or len(self._units) == 1):
            self._down_until_ns = now_ns + DOWN_NS
        elif called_for.remedy is Remedy.AWAY:
            job.unit.breaker.failed(now_ns)
            self._trusted.discard(job.unit)
        elif called_for.remedy is Remedy.NONE:
            job.refused.failed(now_ns)
        if isinstance(error, NoAnswer):
            job.unit.patience.missed()
        if isinstance(error, NoAnswer | BadAnswer):
            self.owed(ask.job, ask.timeout_ns, now_ns)
        self._unsorted = True
        self._over(ask, now_ns, took_ns)
        return True

    def owed(self, job: int, timeout_ns: int, now_ns: int) -> None:
        """An answer of the job's unit did not come within a time-out, and may still come."""
        if not self.numbered and (found := self._jobs.get(job)):
            shortest_s, longest_s = WAIT_S
            wait_ns = max(int(WAIT_TIMEOUTS * timeout_ns), int(shortest_s * SECOND_NS))
            found.unit.owes_ns = now_ns + min(wait_ns, int(longest_s * SECOND_NS))

    def _again(self, job: Job, now_ns: int, error: LinkError, called_for: Policy) -> bool:
        """Whether the same tick is tried again; a connection may have been lost long ago, while it idled."""
        retries = 1 if isinstance(error, LinkDown) and len(self._downs) == 1 else called_for.retries
        shortest_s, longest_s = called_for.retry_s
        job.after_ns = now_ns + int(min(shortest_s * 2 ** (job.tries - 1), longest_s) * SECOND_NS)
        in_time = job.after_ns < job.tick_ns + job.interval_ns - self._offset_ns
        return in_time and job.tries <= retries

    def _works(self, unit: Unit) -> None:
        """A unit answered; where nobody did before, the others may do so too."""
        if unit in self._trusted:
            return
        if not self._trusted:
            for other in self._units.values():
                other.breaker.wake()
        unit.heard = True
        unit.breaker.worked()
        self._trusted.add(unit)
        self._unsorted = True

    def _over(self, ask: Ask, now_ns: int, took_ns: int) -> None:
        job = self._jobs[ask.job]
        job.served_ns = now_ns
        self._spend(ask, took_ns)
        if job.tick_ns == ask.tick_ns:
            self._told(ask.job)

    def _spend(self, ask: Ask, took_ns: int) -> None:
        for budget in ask.charged:
            budget.spend(took_ns)
