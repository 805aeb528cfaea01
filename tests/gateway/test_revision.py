"""Other sensors while a gateway runs: who stays notices nothing, and no instant is told twice or forgotten."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import catalogue
from gateway.harvest import Reading, readings
from gateway.known import nothing_yet, outlook
from gateway.links.link import LinkDown, LinkError, NoAnswer, Refused
from gateway.measurement import SECOND_NS, Status
from gateway.profiles import Checks
from gateway.revision import revise
from gateway.schedule import Standing, onward
from gateway.sensors import Sensor, resolve
from gateway.settings import parse_site
from gateway.turns import Ask, Lapse
from tests.effort import examples
from tests.gateway.bus import EPOCH_NS, MS, Bus, Manner, answers

SITE = """
[plant]
id = "p"
timezone = "UTC"
[broker]
url = "mqtt://127.0.0.1"
[[gateway]]
id = "gw"
"""

# id, unit, interval [s], parameters: what of a sensor a site file may change here.
Line = tuple[str, int, float, str]
LINES = st.lists(
    st.tuples(
        st.sampled_from("abcdef"),
        st.integers(1, 2),
        st.sampled_from([0.5, 1.0, 2.0, 3.0]),
        st.sampled_from(['"LAeq"', '"LAFmax"', '"LAeq", "LAFmax"']),
    ),
    max_size=6,
    unique_by=lambda line: line[0],
)


def sensors(lines: list[Line]) -> tuple[Sensor, ...]:
    text = SITE
    for id, unit, interval_s, parameters in lines:
        at = "abcdef".index(id)
        text += f'[[point]]\nid = "point-{id}"\nkind = "noise"\n[[sensor]]\nid = "{id}"\npoint = "point-{id}"\n'
        text += f'link = "tcp://127.0.0.1:{5000 + at}?unit={unit}"\nprofile = "emitwatch-noise"\n'
        text += f"interval_s = {interval_s}\nparameters = [{parameters}]\n"
    site, faults = parse_site(text, "site.toml")
    assert site, faults
    found, faults = resolve(site, catalogue.profiles(), catalogue.parameters())
    assert not faults
    return found


def asked(lines: list[Line]) -> list[Reading]:
    return [reading for sensor in sensors(lines) for reading in readings(sensor)]


@settings(max_examples=examples(25))
@given(LINES, LINES)
def test_what_is_the_same_stays_and_all_else_ends_or_begins(old: list[Line], new: list[Line]) -> None:
    before, after = asked(old), asked(new)
    found = revise(before, after)
    assert {after[n].sensor.settings for n in found.kept} == {
        sensor.settings for sensor in sensors(new) if sensor in sensors(old)
    }, "whoever is in both files is kept, wherever it stands in them"
    assert all(before[was] == after[n] for n, was in found.kept.items())
    assert sorted([*found.kept.values(), *found.ended]) == list(range(len(before)))
    assert sorted([*found.kept, *found.begun]) == list(range(len(after)))
    for number, heir in found.begun.items():
        given = {(s.sensor, s.parameter) for s in after[number].series}
        assert set(heir) == {n for n in found.ended if given & {(s.sensor, s.parameter) for s in before[n].series}}, (
            "who goes on with a series is its heir"
        )
    ids = {line[0] for line in old}, {line[0] for line in new}
    assert set(found.removed) == ids[0] - ids[1]
    assert set(found.added) == ids[1] - ids[0]
    assert set(found.changed) == {line[0] for line in new if line[0] in ids[0] and line not in old}
    assert revise(after, after).ended == ()
    assert str(revise(after, after)) == "no sensor changes"


def test_what_changes_is_said_in_a_sentence() -> None:
    slow, fast = ("a", 1, 2.0, '"LAeq"'), ("a", 1, 0.5, '"LAeq"')
    found = revise(asked([slow, ("b", 1, 1.0, '"LAeq"')]), asked([fast, ("c", 1, 1.0, '"LAeq"')]))
    assert str(found) == "begins: c; changed: a; ends: b"


INTERVALS = st.sampled_from([100, 200, 250, 1000])


@settings(max_examples=examples(200))
@given(st.lists(st.tuples(INTERVALS, st.integers(1, 50), st.booleans()), max_size=3), INTERVALS)
def test_no_instant_comes_twice_and_what_waits_is_served(those: list[tuple[int, int, bool]], interval_ns: int) -> None:
    before = [
        Standing(every, every * (n - waits), every * n if waits else 0, every * n) for every, n, waits in those
    ]  # fmt: skip
    found = onward(before, interval_ns)
    told_ns = max((one.told_ns for one in before), default=0)
    assert found.interval_ns == interval_ns
    assert found.after_ns >= told_ns
    assert found.tick_ns == 0 or (found.tick_ns > told_ns and found.tick_ns % interval_ns == 0)
    assert found.tick_ns in {0, *(one.tick_ns for one in before)}
    if len(before) == 1 and before[0].interval_ns == interval_ns:
        assert found == before[0], "a rhythm that stays goes on as it is"


@dataclass
class Changing(Bus):
    """A bus whose jobs come and go, also while one is asked. meanwhile: called in the midst of each turn."""

    meanwhile: Callable[[], None] = lambda: None
    gone: set[int] = field(default_factory=set)

    def look(self) -> None:
        self._tell(self.turns.look(self.now_ns))

    def withdraw(self, jobs: Iterable[int]) -> None:
        self._tell([lapse for job in jobs for lapse in self.turns.withdraw(job)])

    def _tell(self, lapses: Iterable[Lapse]) -> None:
        for lapse in lapses:
            step = self.intervals_ns[lapse.job]
            self.told[lapse.job] += [(tick, "lapsed") for tick in range(lapse.first_ns, lapse.end_ns, step)]

    def change(self, gone: list[int], begun: list[tuple[int, Manner, Standing]]) -> list[int]:
        numbers = self.turns.revise(gone, [(unit, standing) for unit, _, standing in begun], self.now_ns)
        self.manners = [*self.manners, *(manner for _, manner, _ in begun)]
        self.intervals_ns = [*self.intervals_ns, *(standing.interval_ns for _, _, standing in begun)]
        self.told += [[] for _ in begun]
        self.gone |= set(gone)
        return numbers

    def _turn(self, ask: Ask) -> None:
        began_ns = self.now_ns
        took_ns, error = self.manners[ask.job](began_ns)
        if took_ns > ask.timeout_ns:
            took_ns, error = ask.timeout_ns, NoAnswer("late")
        for _ in range(3):
            self.now_ns += took_ns // 4
            self.meanwhile()
        self.now_ns = began_ns + max(took_ns, 1)
        if error is None:
            self.turns.heard(ask.job, took_ns)
            self.turns.answered(ask, self.now_ns, took_ns)
        over = error is None or self.turns.failed(ask, self.now_ns, took_ns, error)
        if over and ask.job not in self.gone:
            self.told[ask.job].append((ask.tick_ns, "failed" if error else "answered"))
        self.asked.append((began_ns, took_ns, ask, error))


def whim(chance: random.Random) -> Manner:
    took_ns, likely = chance.randrange(1, 60) * MS, chance.choice([0.0, 0.0, 0.3, 1.0])
    errors: list[LinkError] = [NoAnswer("x"), LinkDown("x"), Refused(2), Refused(6), Refused(11)]
    return lambda now_ns: (took_ns, chance.choice(errors) if chance.random() < likely else None)


class Random:
    """Changes a bus at random. lines: by its latest job, all the jobs that a series has had. stays: are left alone."""

    def __init__(self, seed: int) -> None:
        self.chance = chance = random.Random(seed)
        intervals = [chance.choice([100, 250, 1000]) * MS for _ in range(6)]
        units = [chance.randrange(1, 4) for _ in intervals]
        self.bus = Changing([whim(chance) for _ in intervals], intervals, units=units, meanwhile=self.meanwhile)
        self.lines, self.stays, self.changes = {job: [job] for job in range(6)}, {0, 1}, True

    def meanwhile(self) -> None:
        if self.changes and self.chance.random() < 0.05:
            self.change()
        elif self.chance.random() < 0.1:
            self.bus.look()

    def change(self) -> None:
        bus, chance = self.bus, self.chance
        leaving = [job for job in self.lines if job not in self.stays and chance.random() < 0.3]
        bus.withdraw(leaving)
        bus.look()
        begun: list[tuple[int, Manner, Standing]] = []
        heirs: list[list[int]] = []
        for job in leaving:
            before, line = bus.turns.standing(job), self.lines.pop(job)
            every_ns = before.interval_ns if chance.random() < 0.5 else chance.choice([100, 300, 500]) * MS
            changed, after = chance.random() < 0.6, onward([before], every_ns)
            if before.tick_ns and not (changed and after.tick_ns):
                bus.told[job].append((before.tick_ns, "missed"))
            if changed:
                begun.append((chance.randrange(1, 4), whim(chance), after))
                heirs.append(line)
        if chance.random() < 0.3 and len(self.lines) < 12:
            begun.append((chance.randrange(1, 9), whim(chance), onward([], 100 * MS)))
            heirs.append([])
        for number, line in zip(bus.change(leaving, begun), heirs, strict=True):
            self.lines[number] = [*line, number]


@settings(max_examples=examples(25))
@given(st.integers(0, 2**32))
def test_jobs_that_stay_are_told_every_tick_once_while_others_come_and_go(seed: int) -> None:
    """Whatever the units do, and also while one of them is asked."""
    found = Random(seed)
    bus = found.bus
    for _ in range(15):
        bus.run(found.chance.random() * 2)
        found.change()
    found.changes = False
    bus.run(12)  # longer than two turns can take
    for line in found.lines.values():
        told = sorted((tick, bus.intervals_ns[job], n) for n, job in enumerate(line) for tick, _ in bus.told[job])
        for (tick, every_ns, n), (later, next_ns, then) in pairwise(told):
            assert tick % every_ns == 0
            assert later > tick, "none twice"
            assert later - tick == every_ns or next_ns != every_ns or then > n + 1, "none is missing"
            assert later - tick <= every_ns + next_ns or then > n + 1, "a new rhythm begins with its next tick"
        assert told[-1][0] >= EPOCH_NS + bus.now_ns - 7 * SECOND_NS
    assert found.lines[0] == [0]
    assert found.lines[1] == [1]


def looked_at(manners: list[Manner], interval_ns: int, seconds: float) -> Changing:
    """A bus that is looked at, and changed in nothing, in the midst of each turn."""
    bus = Changing(manners, [interval_ns] * len(manners))

    def twice() -> None:
        for _ in range(2):
            bus.look()
            bus.change([], [])

    bus.meanwhile = twice
    bus.run(seconds)
    return bus


@pytest.mark.parametrize("error", [NoAnswer("x"), LinkDown("x"), Refused(6), Refused(8), Refused(11), None])
def test_a_tick_whose_turn_is_under_way_is_told_once_by_what_comes_of_it(error: LinkError | None) -> None:
    """Also where the turn takes longer than the interval, is tried again, or its unit rests."""
    for took_ms, living in ((30, 0), (130, 0), (480, 0), (30, 1), (130, 1)):
        manner: Manner = lambda now_ns, took_ms=took_ms: (took_ms * MS, error)  # type: ignore[misc]  # noqa: E731
        bus = looked_at([manner] * 2 + [answers(5 * MS)] * living, 100 * MS, 30)
        for told in bus.told:
            ticks = sorted(tick for tick, _ in told)
            assert (np.diff(ticks) == 100 * MS).all(), (took_ms, living)


@settings(max_examples=examples(15))
@given(st.integers(0, 2**32))
def test_where_there_is_time_for_all_nobody_loses_a_value_by_changes(seed: int) -> None:
    """Not those who stay, and not those who go on otherwise."""
    chance = random.Random(seed)
    bus = Changing([answers(5 * MS)] * 6, [100 * MS] * 6)
    lines = {job: [job] for job in range(6)}

    def change() -> None:
        leaving = [job for job in lines if job >= 3 and chance.random() < 0.5]
        bus.withdraw(leaving)
        bus.look()
        begun = [(job, lines.pop(job)) for job in leaving]
        unit_of = {job: line[0] for job, line in begun}
        after = [(unit_of[job], answers(5 * MS), onward([bus.turns.standing(job)], 100 * MS)) for job, _ in begun]
        for number, (_, line) in zip(bus.change(leaving, after), begun, strict=True):
            lines[number] = [*line, number]

    bus.meanwhile = lambda: change() if chance.random() < 0.1 else None
    for _ in range(40):
        bus.run(chance.random() / 2)
        change()
    bus.run(1)
    for line in lines.values():
        told = sorted(told for job in line for told in bus.told[job])
        assert (np.diff([tick for tick, _ in told]) == 100 * MS).all()
        assert {what for tick, what in told if tick > EPOCH_NS + 6 * SECOND_NS} == {"answered"}


def test_the_others_keep_their_polls_when_a_job_of_a_dead_unit_is_changed_again_and_again() -> None:
    bus = Changing([answers(5 * MS)] * 5, [100 * MS] * 5)
    bus.run(30)
    bus.look()
    dead: Manner = lambda now_ns: (1 << 62, NoAnswer("silent"))  # noqa: E731
    (job,) = bus.change([], [(77, dead, Standing(100 * MS))])
    for _ in range(60):
        bus.run(0.5)
        bus.look()
        (job,) = bus.change([job], [(77, dead, onward([bus.turns.standing(job)], 100 * MS))])
    assert min(bus.share(job, 45 * SECOND_NS) for job in range(5)) >= 0.99, "what is known of the unit stays known"


def test_what_was_known_of_a_series_stays_known() -> None:
    old = asked([("a", 1, 1.0, '"LAeq", "LAFmax"'), ("b", 1, 1.0, '"LAeq"'), ("c", 1, 1.0, '"LAeq"')])
    new = asked([("c", 1, 1.0, '"LAeq"'), ("b", 2, 1.0, '"LAeq"'), ("d", 1, 1.0, '"LAeq"'), ("a", 1, 1.0, '"LAFmax"')])
    start_ns, then_ns, later_ns = SECOND_NS, 5 * SECOND_NS, 90 * SECOND_NS
    before = nothing_yet([r.sensor for r in old], start_ns)
    before.watchdog.see(np.array([1, 2, 3]), np.full(3, Status.OK, np.uint8), then_ns)
    assert before.watchdog.look(then_ns + 10 * SECOND_NS + 1) == ([0, 1, 2], [])
    after = outlook(before, [r.sensor for r in new], later_ns).come_true(before)
    assert (after.watchdog.ages_ns(later_ns) // SECOND_NS).tolist() == [85, 85, 0, 85]
    assert after.watchdog.look(later_ns) == ([], []), "told already"
    after.watchdog.see(np.array([0]), np.zeros(1, np.uint8), later_ns)
    assert after.watchdog.look(later_ns) == ([], [0])


def doubted(reading: Reading, checks: Checks) -> Reading:
    profile = reading.sensor.profile
    registers = tuple(replace(register, checks=checks) for register in profile.registers)
    profile = replace(profile, registers=registers)
    plan = replace(reading.plan, profile=profile)
    return replace(reading, plan=plan, sensor=replace(reading.sensor, profile=profile, plan=plan))


def test_a_value_that_is_stuck_stays_so_and_one_read_otherwise_begins_anew() -> None:
    checks = Checks(stuck_after=4, resolution=0.1)
    kind = '"LAeq", "LAFmax"'
    old = [doubted(reading, checks) for reading in asked([("a", 1, 1.0, kind), ("b", 1, 1.0, kind)])]
    new = [doubted(reading, checks) for reading in asked([("b", 2, 1.0, kind), ("a", 1, 1.0, kind)])]
    before = nothing_yet([reading.sensor for reading in old], 0)
    rows, ok = np.arange(4), np.zeros(4, np.uint8)
    for second in range(1, 4):  # LAeq of both stands still, LAFmax of both moves
        value = np.array([50.0, 60.0 + second, 50.0, 60.0 + second])
        assert not before.doubts.judge(rows, np.full(4, second * SECOND_NS), value, ok)[0].any()
    after = outlook(before, [reading.sensor for reading in new], 0).come_true(before)
    value = np.array([50.0, 70.0, 50.0, 70.0])
    status, findings = after.doubts.judge(rows, np.full(4, 4 * SECOND_NS), value, ok)
    assert status.tolist() == [0, 0, Status.FAULT, 0]
    assert [found.row for found in findings] == [2]
