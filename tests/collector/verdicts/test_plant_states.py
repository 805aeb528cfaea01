"""Plant states in verdicts: what is judged of an hour, a day and a half-hour in which the plant did not just run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from collector.catalogue import rule_packs
from collector.marks import Kind, Mark, Named, Old, sign
from collector.store import Entry, EntryKind
from collector.verdicts.book import Book
from collector.verdicts.evaluator import Line, site_rules
from collector.verdicts.judgement import Derived, derive
from collector.verdicts.pack_file import parse_rules
from collector.verdicts.points import PointRules, point_rules
from collector.verdicts.records import Average, Change
from collector.verdicts.screening import Signal, signal
from collector.verdicts.states import STATES, State
from collector.verdicts.windows import windows
from gateway import catalogue
from gateway.measurement import SECOND_NS, Series
from tests.collector.verdicts.lines import HOUR_NS, MILL, MINUTE_NS, MemoryJournal, one, site
from tests.collector.verdicts.test_pack_file import GOOD
from tests.effort import examples

PARAMETERS = catalogue.parameters()
DAY_NS = 24 * HOUR_NS
START_NS = 1_793_500_000 * SECOND_NS // DAY_NS * DAY_NS - 8 * HOUR_NS  # midnight in Shanghai


def law(*packs: str, **more: Any) -> PointRules:
    known = rule_packs()
    found, faults = point_rules(
        "mill", "stack", "stack", timezone="Asia/Shanghai", packs=[known[id] for id in packs], settings=more,
        parameters=PARAMETERS,
    )  # fmt: skip
    assert faults == []
    return found


def toy(text: str, **more: Any) -> PointRules:
    pack, faults = parse_rules(text, "toy.toml", PARAMETERS)
    assert pack is not None, faults
    found, wrong = point_rules(
        "mill", "stack", "stack", timezone="Asia/Shanghai", packs=[pack], settings={"size": "small", **more},
        parameters=PARAMETERS,
    )  # fmt: skip
    assert wrong == []
    return found


def minutes(parameter: str, values: Any, unit: str = "mg/m3") -> Signal:
    value = np.asarray(values, np.float64)
    return signal(
        parameter, unit, time_ns=START_NS + MINUTE_NS * np.arange(len(value), dtype=np.int64), value=value,
        status=np.zeros(len(value), np.uint8), interval_ns=MINUTE_NS,
    )  # fmt: skip


def said(state: str, from_h: float, to_h: float) -> State:
    return State(state=state, from_ns=START_NS + round(from_h * HOUR_NS), to_ns=START_NS + round(to_h * HOUR_NS))


def derived(rules: PointRules, *signals: Signal, states: tuple[State, ...] = (), hours: float | None = None) -> Derived:
    span = START_NS, START_NS + round((hours or len(signals[0]) / 60) * HOUR_NS)
    wanted = {kind: windows(kind, "Asia/Shanghai", *span) for kind in rules.built}
    return derive(rules, {s.parameter: s for s in signals}, wanted, said=states)


def found(result: Derived, parameter: str, window: str) -> list[Average]:
    return [a for a in result.averages if (a.parameter, a.window) == (parameter, window)]


def broken(result: Derived) -> list[tuple[str, float]]:
    return [(e.clause, (e.from_ns - START_NS) / HOUR_NS) for e in result.exceedances]


# --- what is judged ---------------------------------------------------------------------------------

FURNACE = "gb18485-2014"


def furnace(levels: list[float], minutes_each: int = 60) -> tuple[Signal, Signal]:
    """Dust of a furnace, so much in each stretch, at 11 % oxygen, to which it is converted."""
    values = np.repeat(levels, minutes_each)
    return minutes("dust", values), minutes("O2", np.full(len(values), 11.0), "%")


def test_an_exceedance_in_start_up_is_not_judged() -> None:
    signals = furnace([50, 50, 10])
    assert broken(derived(law(FURNACE), *signals)) == [("dust-hour", 0), ("dust-hour", 1)]
    result = derived(law(FURNACE), *signals, states=(said("start_up", 0.9, 1.5),))
    assert broken(result) == [], "any part of an hour in another state, and it is not judged"
    hours = found(result, "dust", "1h")
    assert [a.valid for a in hours] == [True] * 3
    assert [a.inputs.get("states") for a in hours] == [
        {"operating": 3240.0, "start_up": 360.0}, {"operating": 1800.0, "start_up": 1800.0}, None,
    ]  # fmt: skip
    some = derived(law(FURNACE, other_states_max=0.1), *signals, states=(said("start_up", 0.9, 1.5),))
    assert broken(some) == [("dust-hour", 0)]


def test_a_clause_may_judge_whatever_the_state() -> None:
    signals = furnace([200, 10])
    result = derived(law(FURNACE), *signals, states=(said("breakdown", 0, 1),))
    assert broken(result) == [("dust-hour-upset", 0)]
    told = result.exceedances[0].evidence["average"]
    assert told["states"] == {"breakdown": 3600.0}
    assert told["valid"] is True


def test_a_day_is_made_of_the_hours_that_it_judges() -> None:
    levels = [200.0] * 2 + [19.0] * 22
    signals = furnace(levels)
    assert ("dust-day", 0) in broken(derived(law(FURNACE), *signals))
    rest = derived(law(FURNACE), *signals, states=(said("start_up", 0, 2),))
    assert broken(rest) == [("dust-hour-upset", 0), ("dust-hour-upset", 1)]
    assert found(rest, "dust", "24h")[0].value == pytest.approx(np.mean(levels)), "what is shown is what was measured"
    hot = furnace([10.0] * 2 + [21.0] * 22)
    judged = derived(law(FURNACE), *hot, states=(said("start_up", 0, 2),)).exceedances
    assert [(e.clause, e.value) for e in judged] == [("dust-day", 21.0)], "two hours do not excuse a day"
    counts = judged[0].evidence["average"]
    assert counts["counts"] == {"ok": 22 * 60, "other_state": 120}
    assert counts["states"] == {"operating": 22 * 3600.0, "start_up": 2 * 3600.0}
    short = derived(law(FURNACE), *hot, states=(said("start_up", 0, 5),))
    assert broken(short) == [], "nineteen hours are no day"


def test_cold_minutes_of_a_furnace_that_stands_are_not_counted() -> None:
    cold = minutes("furnace_temperature", [900.0] * 60 + [300.0] * 60, "degC")
    rules = law(FURNACE)
    assert broken(derived(rules, cold)) == [("furnace-temperature", 0)]
    for state in ("stopped", "shut_down", "cool_down"):
        assert broken(derived(rules, cold, states=(said(state, 1, 2),))) == []
    five = derived(rules, cold, states=(said("stopped", 1.5, 2),))
    assert [e.value for e in five.exceedances] == [6.0]


def test_a_channel_and_a_threshold_tell_the_state_too() -> None:
    signals = furnace([50, 50, 50])
    codes = minutes("plant_state", np.repeat([1.0, 2.0, 2.0], 60), "")
    coded = law(FURNACE, state_codes={"1": "stopped", "2": "operating"})
    assert broken(derived(coded, *signals, codes)) == [("dust-hour", 1), ("dust-hour", 2)]
    marked = derived(coded, *signals, codes, states=(said("operating", 0, 1), said("stopped", 2, 3)))
    assert broken(marked) == [("dust-hour", 0), ("dust-hour", 1)], "a mark speaks over the channel"
    capped = law(FURNACE, state_codes={"1": "start_up", "2": "operating"})
    assert len(broken(derived(capped, *signals, codes))) == 3, "what an allowance limits, somebody has to mark"
    flow = minutes("flow", np.repeat([0.0, 9000.0, 9000.0], 60), "m3/h")
    assert broken(derived(law(FURNACE, operating_where="flow > 500"), *signals, flow)) == [
        ("dust-hour", 1), ("dust-hour", 2),
    ]  # fmt: skip


# --- what must be there -----------------------------------------------------------------------------

STATED = """
[states]
operating = ["operating", "start_up"]
judged = ["operating"]
cite = "toy 9"
verified = false

[[validity]]"""
PARTS = GOOD.replace("[[validity]]", STATED, 1).replace("minimum = 45", 'share = "2/3"\nof = "operating"')


def test_an_hour_that_ran_for_half_is_valid_by_two_thirds_of_its_operating_time() -> None:
    values = [np.nan] * 10 + [50.0] * 20 + [3.0] * 30
    whole = found(derived(toy(PARTS), minutes("SO2", values)), "SO2", "1h")[0]
    assert whole.valid, "fifty of sixty"
    assert whole.value == pytest.approx(np.nanmean(values))
    halved = derived(toy(PARTS), minutes("SO2", values), states=(said("stopped", 0.5, 1),))
    hour = found(halved, "SO2", "1h")[0]
    assert (hour.valid, hour.value) == (True, 50.0), "twenty of thirty; what stood is not averaged"
    assert hour.inputs["parts"] == {
        "of": "1m", "minimum": None, "share": pytest.approx(2 / 3), "cite": "toy 3", "verified": True, "valid": 20.0,
        "operating": True,
    }  # fmt: skip
    assert hour.inputs["counts"] == {"ok": 20, "no_comm": 10, "other_state": 30}
    assert hour.inputs["states"] == {"operating": 1800.0, "stopped": 1800.0}
    assert [(e.clause, e.value) for e in halved.exceedances] == [("so2-hour", 50.0)]
    less = [np.nan] * 11 + [50.0] * 19 + [3.0] * 30
    assert not found(derived(toy(PARTS), minutes("SO2", less), states=(said("stopped", 0.5, 1),)), "SO2", "1h")[0].valid
    nothing = derived(toy(PARTS), minutes("SO2", values), states=(said("stopped", 0, 1),))
    assert not any(a.valid for a in nothing.averages)
    assert nothing.exceedances == []


def test_start_up_is_operating_time_that_is_not_judged() -> None:
    hour = derived(toy(PARTS), minutes("SO2", [50.0] * 60), states=(said("start_up", 0, 0.5),))
    assert found(hour, "SO2", "1h")[0].valid
    assert hour.exceedances == []


def test_a_day_of_partial_operation_may_lose_three_hours() -> None:
    """2010/75/EU Annex V Part 3 point 10: invalid hours are counted among those in which the plant ran."""
    plant = law("ied-2010-75-annex-v", reference_oxygen=6.0, elv_so2=100.0)
    levels = np.full(24 * 60, 200.0)
    oxygen = minutes("O2", np.full(24 * 60, 6.0), "%")
    rest = (said("stopped", 12, 24),)
    for missing, judged in ((0, True), (3, True), (4, False)):
        values = levels.copy()
        values[: missing * 60] = np.nan
        result = derived(plant, minutes("SO2", values), oxygen, states=rest)
        assert found(result, "SO2", "24h")[0].valid is judged
        assert (("so2-day", 0) in broken(result)) is judged
        if missing:
            assert not found(derived(plant, minutes("SO2", values[: 12 * 60]), oxygen, hours=24), "SO2", "24h")[0].valid


SAID = st.builds(said, st.sampled_from(STATES), st.sampled_from([0, 0.25, 1, 2.5]), st.sampled_from([0.5, 2, 3]))


def test_beyond_the_hours_of_an_allowance_start_up_is_judged() -> None:
    signals = furnace([50, 50])
    spent = said("breakdown", -59, 0)
    assert broken(derived(law(FURNACE), *signals, states=(spent, said("start_up", 0, 2)))) == [("dust-hour", 1)]
    assert broken(derived(law(FURNACE), *signals, states=(said("start_up", 0, 2),))) == []


@given(st.lists(SAID, max_size=4))
@settings(max_examples=examples(20), deadline=None)
def test_what_is_said_excuses_and_never_accuses(states: list[State]) -> None:
    """Under a pack that wants so many parts, whatever the states, an hour breaks only what it broke without them."""
    signals = furnace([50, 10, 200])
    plain = set(broken(derived(law(FURNACE), *signals)))
    assert set(broken(derived(law(FURNACE), *signals, states=tuple(states)))) <= plain


# --- the line that runs -------------------------------------------------------------------------------

KEY = Ed25519PrivateKey.from_private_bytes(b"a" * 32)
SITE = (
    MILL
    + """
[[point]]
id = "stack"
kind = "stack"
rules = ["gb18485-2014"]
settings = { state_codes = { 1 = "stopped", 2 = "operating" } }
[[sensor]]
id = "cems"
point = "stack"
link = "tcp://127.0.0.1:5022?unit=1"
profile = "sick-mcs100ft"
interval_s = 60
parameters = ["CO", "O2"]
"""
)
RULES = site_rules([site(SITE)])


def mark(kind: Kind, from_h: float, to_h: float, **more: Any) -> Mark:
    fields = {
        "plant": "mill", "point": "stack", "from_ns": START_NS + round(from_h * HOUR_NS),
        "to_ns": START_NS + round(to_h * HOUR_NS), "kind": kind, "reason": "lit", "author": "li.na", "role": "plant",
        "made_ns": 1, "old": Old(1, 0, "00" * 32),
    }  # fmt: skip
    return Mark(**{**fields, **more})


def say(journal: MemoryJournal, now_ns: int, said: Mark) -> int:
    position = len(journal.entries) + 1
    journal.add(Entry(position, now_ns, EntryKind.MARK, payload=sign(said, KEY)))
    return position


def fed(hours: int, coded: list[int] | None = None) -> MemoryJournal:
    """Too much carbon monoxide, a value a minute for some hours, and ticks behind them."""
    journal = MemoryJournal()
    for hour in range(hours):
        times = START_NS + hour * HOUR_NS + np.arange(0, HOUR_NS, MINUTE_NS)
        now_ns = START_NS + (hour + 1) * HOUR_NS
        journal.batch(now_ns, one(Series("mill", "stack", "cems", "CO", "mg/m3"), times, 150.0))
        journal.batch(now_ns, one(Series("mill", "stack", "cems", "O2", "%"), times, 11.0))
        if coded:
            journal.batch(now_ns, one(Series("mill", "stack", "plc", "plant_state", ""), times, float(coded[hour])))
        journal.tick(now_ns + 20 * SECOND_NS)
    return journal


def follow(journal: MemoryJournal, book: Book) -> None:
    line = Line(journal, book, *RULES)
    for entry in journal.read(line.position, 10**6):
        line.take(entry)


def history(book: Book) -> list[tuple[float, int, Change, Any]]:
    rows = (row.exceedance for row in book.exceedances(newest=False))
    return [((e.from_ns - START_NS) / HOUR_NS, e.version, e.change, e.evidence.get("withdrawn_under")) for e in rows]


def test_a_late_mark_withdraws_what_it_excuses_and_nothing_else(tmp_path: Path) -> None:
    journal = fed(3)
    now_ns = START_NS + 3 * HOUR_NS + MINUTE_NS
    first = say(journal, now_ns, mark(Kind.START_UP, 0.5, 1))
    journal.tick(now_ns + SECOND_NS)
    back = mark(Kind.REVOCATION, 0.5, 1, revokes=Named(first, "00" * 32))
    say(journal, now_ns + 2 * SECOND_NS, back)
    journal.tick(now_ns + 5 * SECOND_NS)
    book = Book(tmp_path / "verdicts.db")
    follow(journal, book)
    assert sorted(history(book), key=lambda row: row[:2]) == [
        (0, 1, Change.OPENED, None), (0, 2, Change.WITHDRAWN, [first]), (0, 3, Change.OPENED, None),
        (1, 1, Change.OPENED, None), (2, 1, Change.OPENED, None),
    ]  # fmt: skip
    hours = [
        row.average for row in book.averages(newest=False, parameter="CO", window="1h", from_ns=START_NS,
                                             to_ns=START_NS + 1)
    ]  # fmt: skip
    assert [(a.version, a.value, a.inputs.get("states"), a.inputs.get("marks")) for a in hours] == [
        (1, 150.0, None, None), (2, 150.0, {"operating": 1800.0, "start_up": 1800.0}, [first]), (3, 150.0, None, None),
    ]  # fmt: skip
    later = book.averages(newest=False, parameter="CO", window="1h", from_ns=START_NS + HOUR_NS)
    assert [row.average.version for row in later] == [1, 1]
    book.close()


def test_a_channel_tells_the_running_line(tmp_path: Path) -> None:
    book = Book(tmp_path / "verdicts.db")
    follow(fed(3, [1, 2, 1]), book)
    assert [(hour, change) for hour, _, change, _ in history(book)] == [(1.0, Change.OPENED)]
    book.close()


def test_hours_that_a_late_mark_spends_are_missing_elsewhere(tmp_path: Path) -> None:
    """Sixty hours a year excuse: an hour marked as breakdown is judged again when a start-up before it is marked."""
    journal = MemoryJournal()
    for day in range(3):  # 58 hours of a breakdown before anything is measured, in marks of a day
        say(journal, START_NS - HOUR_NS, mark(Kind.BREAKDOWN, -59 + 24 * day, min(-59 + 24 * (day + 1), -1)))
    fed_in = fed(3)
    journal.entries += [replace(e, position=e.position + 3) for e in fed_in.entries]
    now_ns = START_NS + 3 * HOUR_NS + MINUTE_NS
    say(journal, now_ns, mark(Kind.BREAKDOWN, 1, 3))
    journal.tick(now_ns + SECOND_NS)
    early = say(journal, now_ns + 2 * SECOND_NS, mark(Kind.START_UP, 0, 1))
    journal.tick(now_ns + 7 * SECOND_NS)
    book = Book(tmp_path / "verdicts.db")
    follow(journal, book)
    assert sorted((hour, version, change) for hour, version, change, _ in history(book)) == [
        (0, 1, Change.OPENED), (0, 2, Change.WITHDRAWN), (1, 1, Change.OPENED), (1, 2, Change.WITHDRAWN),
        (2, 1, Change.OPENED), (2, 2, Change.WITHDRAWN), (2, 3, Change.OPENED),
    ]  # fmt: skip
    assert early
    book.close()
