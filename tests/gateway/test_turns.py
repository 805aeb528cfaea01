"""The fair queue of one link on virtual time: dead, slow, busy and lying units, and what the others keep."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.links.link import BadAnswer, LinkDown, LinkError, NoAnswer, Refused
from gateway.measurement import SECOND_NS
from gateway.schedule import Standing
from gateway.turns import Ask
from tests.effort import examples
from tests.gateway.bus import EPOCH_NS, MS, Bus, Manner, answers, between, dead

LATER_NS = 25 * SECOND_NS  # from which on everything is known of everybody


def refuses(code: int) -> Manner:
    return lambda now_ns: (2 * MS, Refused(code))


def mixed(bus_of: int, dead_of: int, took_ms: int, interval_ms: int, seconds: float = 90) -> tuple[Bus, list[int]]:
    """A bus with dead units spread over it, and which ones live."""
    silent = {number * bus_of // dead_of for number in range(dead_of)}
    living = [job for job in range(bus_of) if job not in silent]
    manners = [dead if job in silent else answers(took_ms * MS) for job in range(bus_of)]
    return Bus(manners, [interval_ms * MS] * bus_of).run(seconds), living


def served(bus: Bus, job: int, since_ns: int = 0) -> list[int]:
    return [ask.tick_ns for began, _, ask, error in bus.asked if ask.job == job and began >= since_ns and not error]


# took, interval: from a bus that is idle most of the time to one that is full
@pytest.mark.parametrize(
    ("took_ms", "interval_ms"), [(2, 1000), (8, 1000), (13, 1000), (2, 200), (50, 5000), (700, 60000)]
)
def test_thirty_dead_of_a_hundred_cost_the_others_less_than_one_poll_in_a_hundred(took_ms, interval_ms):
    seconds = 60 * interval_ms / 1000 + 60
    bus, living = mixed(100, 30, took_ms, interval_ms, seconds)
    settled_ns = bus.now_ns - 40 * interval_ms * MS
    assert np.mean([bus.share(job, settled_ns) for job in living]) >= 0.99
    gone = [job for job in range(100) if job not in living]
    assert bus.spent_ns(gone, settled_ns) <= 0.1 * (bus.now_ns - settled_ns) + 5 * SECOND_NS, "a tenth, and one try"
    assert all(any(ask.job == job for _, _, ask, _ in bus.asked) for job in gone), "nobody is given up"


def test_units_that_die_cost_the_others_their_first_timeout_and_no_more():
    gone, died_ns = range(0, 100, 4), 60 * SECOND_NS
    manners = [
        between(dead, died_ns, 1 << 62, answers(5 * MS)) if job in gone else answers(5 * MS) for job in range(100)
    ]
    bus = Bus(manners, [SECOND_NS] * 100).run(400)
    living = [job for job in range(100) if job not in gone]
    lost = [1 - bus.share(job, died_ns - 5 * SECOND_NS) for job in living]
    assert max(lost) * 345 <= 25 * 0.1 * 2 + 2, "ticks"
    assert min(bus.share(job, died_ns + 10 * SECOND_NS) for job in living) >= 0.99


def test_where_there_is_time_for_all_everybody_gets_every_tick():
    bus = Bus([answers(9 * MS)] * 100, [SECOND_NS] * 100).run(60)
    assert all(bus.share(job, LATER_NS) == 1 for job in range(100))
    assert all(took == 9 * MS for _, took, _, _ in bus.asked)


@settings(max_examples=examples(15))
@given(
    st.lists(st.tuples(st.integers(1, 80), st.sampled_from([100, 250, 1000, 3000])), min_size=1, max_size=25),
    st.integers(0, 2**32),
)
def test_ticks_are_told_once_each_in_order_without_a_gap(units, seed):
    """Whatever the units do."""
    chance = random.Random(seed)
    errors = [NoAnswer("x"), BadAnswer("x"), LinkDown("x"), *map(Refused, (1, 2, 4, 5, 6, 8, 10, 11, 77))]

    def whim(took_ms: int) -> Manner:
        likely = chance.random()

        def manner(now_ns: int) -> tuple[int, LinkError | None]:
            return took_ms * MS, (chance.choice(errors) if chance.random() < likely else None)

        return manner

    bus = Bus([whim(took_ms) for took_ms, _ in units], [interval * MS for _, interval in units]).run(15)
    for (_, interval_ms), told in zip(units, bus.told, strict=True):
        ticks = [tick for tick, _ in told]
        assert (np.diff(ticks) == interval_ms * MS).all()
        assert all(tick % (interval_ms * MS) == 0 for tick in ticks)
        assert ticks[-1] >= EPOCH_NS + bus.now_ns - 4 * interval_ms * MS - 6 * SECOND_NS


@settings(max_examples=examples(10))
@given(st.lists(st.tuples(st.integers(5, 60), st.sampled_from([200, 500, 1000, 2000])), min_size=8, max_size=20))
def test_a_bus_that_is_asked_too_much_of_is_shared_fairly(units):
    bus = Bus([answers(took_ms * MS) for took_ms, _ in units], [interval * MS for _, interval in units]).run(60)
    assert min(bus.share(job, LATER_NS) for job in range(len(units))) > 0, "nobody starves"
    alike = Bus([answers(took_ms * MS) for took_ms, _ in units], [100 * MS] * len(units)).run(60)
    counts = [len(served(alike, job, LATER_NS)) for job in range(len(units))]
    assert max(counts) - min(counts) <= max(2, 0.05 * max(counts)), "equals get the same"


def test_a_dead_unit_is_left_alone_for_longer_each_time_and_is_found_when_it_returns():
    back_ns = 105 * SECOND_NS
    bus = Bus([answers(5 * MS), between(dead, 0, back_ns, answers(5 * MS))], [SECOND_NS] * 2).run(150)
    tries = [began for began, _, ask, _ in bus.asked if ask.job == 1 and began < back_ns]
    pauses = np.diff(tries) / SECOND_NS
    assert all(pause >= wait for pause, wait in zip(pauses[2:], (1, 2, 4, 8, 16), strict=False))
    assert len(tries) >= 7
    assert bus.share(1, back_ns + 32 * SECOND_NS) == 1
    assert [
        ask.probe for _, _, ask, _ in bus.asked if ask.job == 1 and ask.tick_ns > EPOCH_NS + back_ns + 40 * SECOND_NS
    ][:1] == [False]
    assert bus.share(0, LATER_NS) == 1


def test_when_all_were_dead_the_first_answer_wakes_the_others():
    """A serial line that was unplugged at the far end of a converter."""
    back_ns = 123 * SECOND_NS + SECOND_NS // 3
    bus = Bus([between(dead, 40 * SECOND_NS, back_ns, answers(5 * MS))] * 40, [SECOND_NS] * 40).run(160)
    first = {job: min(tick for tick in served(bus, job, back_ns)) for job in range(40)}
    assert max(first.values()) <= EPOCH_NS + back_ns + 7 * SECOND_NS, "one time-out at most, and a poll each"
    assert min(first.values()) <= EPOCH_NS + back_ns + 6 * SECOND_NS


def test_a_link_that_was_gone_is_used_again_within_a_poll_and_a_second():
    gone: Manner = lambda now_ns: (1 * MS, LinkDown("gone"))  # noqa: E731
    for started in range(20):
        back_ns = 60 * SECOND_NS + started * 97 * MS
        bus = Bus([between(gone, 30 * SECOND_NS, back_ns, answers(5 * MS))] * 10, [SECOND_NS] * 10).run(65)
        good = [began for began, _, _, error in bus.asked if began >= back_ns and error is None]
        assert good[0] <= back_ns + 2 * SECOND_NS
        assert {bus.share(job, back_ns + 2 * SECOND_NS) for job in range(10)} == {1}
        tried = [began for began, _, _, _ in bus.asked if 40 * SECOND_NS <= began < 50 * SECOND_NS]
        assert len(tried) <= 20, "a link that is down is not hammered"


def test_a_connection_that_was_lost_while_it_idled_costs_no_value():
    lost = [True]

    def manner(now_ns: int) -> tuple[int, LinkError | None]:
        lost[0] = not lost[0]
        return 2 * MS, None if lost[0] else LinkDown("closed while it idled")

    bus = Bus([manner], [10 * SECOND_NS]).run(100)
    assert bus.share(0) == 1


def test_a_unit_that_closes_the_connection_whenever_it_is_asked_hurts_no_other():
    slams: Manner = lambda now_ns: (1 * MS, LinkDown("slammed"))  # noqa: E731
    bus = Bus([answers(5 * MS), slams, answers(5 * MS)], [SECOND_NS] * 3).run(120)
    assert min(bus.share(job, LATER_NS) for job in (0, 2)) >= 0.99
    assert bus.share(1) == 0


@pytest.mark.parametrize("code", [5, 6])
def test_a_busy_unit_is_asked_again_within_the_tick_after_a_while(code):
    calls = [0]

    def manner(now_ns: int) -> tuple[int, LinkError | None]:
        calls[0] += 1
        return 2 * MS, None if calls[0] % 3 == 0 else Refused(code)

    bus = Bus([manner, answers(5 * MS)], [SECOND_NS] * 2).run(30)
    assert bus.share(0) == bus.share(1) == 1
    began = [began for began, _, ask, _ in bus.asked if ask.job == 0]
    waits = [(after - before) / SECOND_NS for before, after in pairwise(began)]
    assert all(0.1 <= wait <= 0.51 for wait in waits[0::3] + waits[1::3])


def test_the_other_exceptions_are_treated_as_the_protocol_says():
    codes = {0: 8, 1: 2, 2: 4, 3: 11}
    bus = Bus([*(refuses(codes[job]) for job in codes), answers(5 * MS)], [SECOND_NS] * 5).run(60)
    asked = Counter(ask.job for _, _, ask, _ in bus.asked)
    ticks = len(bus.told[4])
    assert asked[0] in (2 * ticks, 2 * ticks - 1), "8: once again"
    assert asked[1] < 12, "2: a wrong request is not repeated, only tried now and then"
    assert asked[2] in (ticks, ticks - 1), "4: its fault is a status, at every tick"
    assert asked[3] < 12, "11: the unit is away"
    assert bus.share(4) == 1


def test_a_wrong_request_rests_alone_not_its_unit():
    bus = Bus([refuses(2), answers(5 * MS)], [SECOND_NS] * 2, units=[1, 1]).run(60)
    assert bus.share(1) == 1


def test_who_is_not_ready_waits_and_keeps_nobody_waiting():
    free = [False]
    bus = Bus([answers(5 * MS)] * 2, [SECOND_NS] * 2, kept=lambda job: job == 1 or free[0]).run(10)
    assert not served(bus, 0)
    assert bus.share(1) == 1
    free[0] = True
    bus.run(10)
    assert bus.share(0, 16 * SECOND_NS) == 1
    assert {what for _, what in bus.told[0]} == {"answered", "unserved"}


def test_when_the_wall_clock_is_set_ticks_begin_anew():
    bus = Bus([answers(5 * MS)] * 2, [SECOND_NS] * 2).run(5)
    bus.turns.reset(bus.now_ns, EPOCH_NS + 3600 * SECOND_NS)
    bus.run(5)
    for told in bus.told:
        steps = np.diff([tick for tick, _ in told])
        assert sorted(set(steps.tolist())) in ([SECOND_NS, 3600 * SECOND_NS], [SECOND_NS, 3601 * SECOND_NS])
        assert {what for _, what in told} == {"answered"}


def test_a_unit_that_owes_an_answer_is_not_asked_before_it_would_be_believed():
    """Else the whole bus would have to wait for it; where answers have numbers nobody waits."""
    for numbered, least_s in ((True, 0), (False, 0.25)):
        bus = Bus([answers(5 * MS), dead], [100 * MS] * 2, numbered=numbered).run(30)
        tried = [began for began, _, ask, _ in bus.asked if ask.job == 1]
        assert min(after - before for before, after in pairwise(tried)) >= least_s * SECOND_NS
        assert bus.share(0, LATER_NS) >= 0.99


def test_a_probe_says_so():
    bus = Bus([answers(5 * MS), dead], [SECOND_NS] * 2).run(60)
    probes = [ask.probe for _, _, ask, _ in bus.asked if ask.job == 1]
    assert probes[:3] == [False] * 3
    assert all(probes[3:])
    assert isinstance(bus.asked[0][2], Ask)


@settings(max_examples=examples(15))
@given(st.lists(st.tuples(st.integers(1, 60), st.sampled_from([100, 500, 1000, 3000])), min_size=1, max_size=10))
def test_what_is_asked_aside_costs_nobody_a_tick_even_if_it_is_never_answered(units):
    manners, intervals = [answers(took_ms * MS) for took_ms, _ in units], [interval * MS for _, interval in units]

    def unanswered(bus: Bus) -> int:
        for job in range(len(units)):
            if bus.turns.answers(job) and (took_ns := bus.turns.spare(job, bus.now_ns, pressing=False)):
                bus.turns.owed(job, took_ns, bus.now_ns + took_ns)
                return took_ns
        return 0

    plain = Bus(manners, intervals).run(40)
    busy = Bus(manners, intervals, aside=unanswered).run(40)
    if all(plain.share(job, LATER_NS) == 1 for job in range(len(units))):  # where there is not too much to do anyway
        assert [busy.share(job, LATER_NS) for job in range(len(units))] == [1] * len(units)


def test_aside_nothing_is_asked_of_a_dead_unit_nor_where_somebody_would_be_late():
    bus = Bus([answers(60 * MS), dead], [100 * MS, SECOND_NS]).run(20)
    assert [bus.turns.answers(job) for job in (0, 1)] == [True, False]
    full = Bus([answers(45 * MS), answers(45 * MS)], [100 * MS] * 2).run(20)
    assert full.turns.spare(0, full.now_ns, pressing=False) == 0
    idle = Bus([answers(5 * MS)], [SECOND_NS]).run(20)
    assert idle.turns.spare(0, idle.now_ns, pressing=False) == idle.turns.spare(0, idle.now_ns, pressing=True) > 0


def test_who_had_no_tick_yet_takes_no_time_from_anybody():
    """At the start, beside a unit that is read every hour, and after the wall clock was set, and a job that begins."""
    hour_ns = 3600 * SECOND_NS
    bus = Bus([answers(5 * MS), answers(5 * MS), dead], [SECOND_NS, hour_ns, SECOND_NS], units=[1, 1, 2]).run(20)
    assert [bus.turns.spare(0, bus.now_ns, pressing=pressing) > 0 for pressing in (True, False)] == [True, True]
    longest = max(ask.timeout_ns for began, _, ask, _ in bus.asked if ask.job == 2 and began >= 10 * SECOND_NS)
    assert longest > bus.turns.spare(0, bus.now_ns, pressing=False), "a dead unit is given its time"
    bus.turns.reset(bus.now_ns, EPOCH_NS + 2 * SECOND_NS)
    bus.run(2)
    assert bus.turns.spare(0, bus.now_ns, pressing=False) > 0
    bus.turns.look(bus.now_ns)
    bus.turns.revise([], [(1, Standing(hour_ns))], bus.now_ns)
    assert bus.turns.spare(0, bus.now_ns, pressing=False) > 0
    bus.turns.revise([], [(1, Standing(20 * MS))], bus.now_ns)
    assert bus.turns.spare(0, bus.now_ns, pressing=False) == 0, "its first tick counts like any other"
    assert bus.share(0) == 1


def test_a_busy_link_finds_the_time_that_an_answer_usually_takes_when_it_presses():
    """Ten units every 100 ms, each of 5 ms: a time-out is longer than all that is left, two answers are not."""
    bus = Bus([answers(5 * MS)] * 10, [100 * MS] * 10).run(20)
    found = {True: 0, False: 0}
    for _ in range(400):
        bus.run(0.005)
        for pressing in found:
            found[pressing] += bool(bus.turns.spare(0, bus.now_ns, pressing=pressing))
    assert found[True] > 0
    assert found[True] >= found[False]


@pytest.mark.parametrize("beside", [0, 1])
@pytest.mark.parametrize("interval_ms", [1000, 2000, 5000])
@pytest.mark.parametrize("commit_ms", [50, 300, 650, 900])
def test_a_unit_whose_last_outcome_is_not_on_the_disk_yet_is_asked_once_it_is(beside, interval_ms, commit_ms):
    """It is told to be silent at its tick, which has to be committed before it is asked again: not at the next tick."""
    silent = between(dead, 10 * SECOND_NS, 30 * SECOND_NS, answers(5 * MS))
    bus = Bus([silent, *[answers(5 * MS)] * beside], [interval_ms * MS] * (1 + beside), commit_ns=commit_ms * MS)
    bus.run(60)
    # Beside others a unit that was dead rests between its probes.
    assert bus.share(0, 30 * SECOND_NS + 2 * interval_ms * MS) >= (0.8 if beside else 0.9)
    assert [bus.share(job) for job in range(1, 1 + beside)] == [1.0] * beside
