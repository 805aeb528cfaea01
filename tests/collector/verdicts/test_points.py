"""What is made of a point's measurements, by the packs in force on the date."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdicts.judgement import derive
from collector.verdicts.pack import RulePack
from collector.verdicts.points import PointRules, point_rules
from collector.verdicts.screening import signal
from collector.verdicts.windows import HOUR_NS, MINUTE_NS, Windows, windows
from gateway import catalogue
from gateway.measurement import SECOND_NS
from tests.collector.verdicts.test_limits import EARLY, LATE, STACK, YEAR, night_pack
from tests.collector.verdicts.test_pack_file import GOOD, parse
from tests.effort import examples

ZONE = "Asia/Shanghai"
DAY_NS = 24 * HOUR_NS
OLD, NEW = night_pack("old", date(2008, 1, 1), YEAR, EARLY), night_pack("new", YEAR, None, LATE)


def at(*wall: int) -> int:
    return int(datetime(*wall, tzinfo=ZoneInfo(ZONE)).timestamp()) * SECOND_NS  # type: ignore[arg-type,misc]


def point(*packs: RulePack, kind: str = "noise", **given: object) -> PointRules:
    given = {"area_class": 2} | given if kind == "noise" else given
    rules, faults = point_rules(
        "p", "x", kind, timezone=ZONE, packs=packs, settings=given, parameters=catalogue.parameters()
    )
    assert faults == []
    return rules


def spans(found: Windows) -> list[tuple[int, int]]:
    return list(zip(found.from_ns.tolist(), found.to_ns.tolist(), strict=True))


def test_a_night_that_starts_in_2027_is_not_used_in_2026() -> None:
    rules = point(OLD, NEW)
    found = rules.windows("night", at(2026, 12, 30, 12), at(2027, 1, 2, 12))
    assert spans(found) == [
        (at(2026, 12, 30, 22), at(2026, 12, 31, 6)),
        (at(2026, 12, 31, 22), at(2027, 1, 1, 6)),  # by the date it starts on
        (at(2027, 1, 1, 23), at(2027, 1, 2, 7)),
    ]
    days = rules.windows("day", at(2026, 12, 31, 12), at(2027, 1, 1, 12))
    assert spans(days) == [(at(2026, 12, 31, 6), at(2026, 12, 31, 22)), (at(2027, 1, 1, 7), at(2027, 1, 1, 23))]
    own = rules.windows("calendar_night", at(2026, 12, 31), at(2027, 1, 2))
    assert (own.length_ns // HOUR_NS).tolist() == [8, 8]
    pieces = list(zip(own.piece_from.tolist(), own.piece_to.tolist(), own.piece_window.tolist(), strict=True))
    assert pieces[-2:] == [(at(2027, 1, 1), at(2027, 1, 1, 7), 1), (at(2027, 1, 1, 23), at(2027, 1, 2), 1)]


@settings(max_examples=examples(30), deadline=None)
@given(
    st.integers(0, 20 * 24), st.integers(1, 10 * 24), st.sampled_from(["day", "night", "calendar_night", "24h", "1h"])
)
def test_windows_over_a_change_are_those_of_each_side(begin: int, hours: int, kind: str) -> None:
    rules = point(OLD, NEW)
    from_ns = at(2026, 12, 22) + begin * HOUR_NS
    to_ns = from_ns + hours * HOUR_NS
    found = rules.windows(kind, from_ns, to_ns)
    sides = [
        span
        for night, before in ((EARLY, True), (LATE, False))
        for span in spans(windows(kind, ZONE, from_ns, to_ns, night))
        if (span[0] < at(2027, 1, 1)) == before
    ]
    assert spans(found) == sides
    assert (np.diff(found.from_ns) > 0).all()
    assert all(a < to_ns and b > from_ns for a, b in sides)


def test_one_night_is_one_night_and_a_stack_has_none() -> None:
    assert point(OLD).nights == ((date.min, EARLY),)
    assert point(OLD, night=["21:00", "05:00"]).nights == ((date.min, ("21:00", "05:00")),)
    stack = point(STACK, kind="stack", reference_oxygen=6.0)
    assert stack.nights == ()
    assert spans(stack.windows("day", at(2026, 7, 1), at(2026, 7, 2))) == [(at(2026, 7, 1), at(2026, 7, 2))]


@pytest.mark.parametrize(("day", "exceeds"), [((2026, 12, 31), True), ((2027, 1, 1), False)])
def test_a_peak_between_the_nights_is_judged_by_the_law_of_its_date(day: tuple[int, int, int], exceeds: bool) -> None:
    rules = point(OLD, NEW)
    start = at(*day, 22, 30)
    peak = signal("LAFmax", "dB(A)", time_ns=np.array([start]), value=np.array([99.0]), status=np.zeros(1, np.uint8),
                  interval_ns=MINUTE_NS)  # fmt: skip
    found = derive(rules, {"LAFmax": peak}, {"1m": rules.windows("1m", start, start + MINUTE_NS)})
    assert [(e.pack, e.clause) for e in found.exceedances] == ([("old", "night-peak")] if exceeds else [])


def test_packs_whose_nights_differ_are_a_fault() -> None:
    other = night_pack("other", date(2008, 1, 1), None, LATE)
    _, faults = point_rules(
        "p", "x", "noise", timezone=ZONE, packs=[OLD, other], settings={"area_class": 2},
        parameters=catalogue.parameters(),
    )  # fmt: skip
    assert [fault.path for fault in faults] == ["rules"]
    assert "two points" in faults[0].hint


def test_a_pack_has_no_say_where_it_is_never_in_force_with_the_other() -> None:
    def pack(id: str, span: str, minimum: str) -> RulePack:
        text = GOOD.replace('id = "toy-2020"', f'id = "{id}"').replace("from = 2020-01-01\n", span, 1)
        found, faults = parse(
            text.replace("minimum = 45", minimum).replace("value = 41.0", "value = 41.0\non = 2025-01-01")
        )
        assert found is not None, faults
        return found

    old = pack("old", "from = 2020-01-01\nto = 2026-01-01\n", "minimum = 10")
    new = pack("new", "from = 2026-01-01\n", "minimum = 45")
    silent = pack("silent", "from = 2026-01-01\n", "minimum = 45")
    text = {row.window: row for row in silent.validity}
    assert list(text) == ["1h"]
    rules = point(replace(silent, validity=()), old, new, kind="stack", size="small")
    (_, ids), *others = rules.by_validity()
    assert ids == ("silent", "new")
    assert [ids for _, ids in others] == [("old",)]
    rules = point(old, replace(silent, validity=()), new, kind="stack", size="small")
    assert [ids for _, ids in rules.by_validity()] == [("old",), ("silent", "new")]
