"""Judgement: what breaks a clause, what is new about it, and how long it went on."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from collector.verdicts.book import Book
from collector.verdicts.concurrent import validities
from collector.verdicts.judgement import Derived, derive, episodes, settle
from collector.verdicts.pack import ClauseText, ValidityText
from collector.verdicts.points import PointRules
from collector.verdicts.records import Change, Exceedance, Standing
from collector.verdicts.unjudged import unjudged
from tests.collector.verdicts.test_averages import (
    DAY_NS,
    HOUR_NS,
    MIDNIGHT,
    MINUTE_NS,
    NOISE,
    PACKS,
    STACK,
    WATER,
    conditions,
    law,
    series,
)
from tests.effort import examples

NIGHT = MIDNIGHT + 22 * HOUR_NS


def night(level: float, minutes: int = 480) -> Derived:
    """A night of one level."""
    wanted = {kind: NOISE.windows(kind, NIGHT, NIGHT + minutes * MINUTE_NS) for kind in ("1m", "night")}
    return derive(NOISE, {"LAeq": series("LAeq", np.full(minutes, level), start=NIGHT)}, wanted)


@pytest.mark.parametrize(("level", "broken"), [(50.4, False), (50.5, False), (50.51, True), (51.5, True)])
def test_a_night_is_judged_by_its_evaluated_level(level: float, broken: bool) -> None:
    found = night(level).exceedances
    assert [e.clause for e in found] == ["night-level"] * broken
    if broken:
        assert (found[0].value, found[0].limit, found[0].standing) == (round(level), 50.0, Standing.EVIDENCE)
        assert (found[0].from_ns, found[0].to_ns) == (NIGHT, NIGHT + 8 * HOUR_NS)


@effort(max_examples=examples(100))
@given(st.integers(300, 900), st.integers(1, 480))
def test_equal_levels_are_judged_as_themselves(tenths: int, minutes: int) -> None:
    """An energy mean goes through powers and logarithms; what comes back must not tip the rounding."""
    values = night(tenths / 10, minutes).averages
    assert {average.value for average in values} == {tenths / 10}


def test_a_night_with_too_little_of_it_is_not_judged() -> None:
    assert night(70.0, 360).exceedances
    assert not night(70.0, 359).exceedances


@pytest.mark.parametrize(("hour", "judged"), [(21, 0), (22, 60), (5, 60), (6, 0)])
def test_peaks_count_at_night_alone(hour: int, judged: int) -> None:
    start = MIDNIGHT + hour * HOUR_NS
    signals = {"LAFmax": series("LAFmax", np.full(60, 80.0), start=start)}
    found = derive(NOISE, signals, {"1m": NOISE.windows("1m", start, start + HOUR_NS)}, proof=False)
    assert [e.clause for e in found.exceedances] == ["night-peak"] * judged


def test_a_stack_is_judged_converted() -> None:
    signals = {s.parameter: s for s in (series("NOx", np.full(720, 30.0), step_s=5), *conditions(720))}
    wanted = {"1h": STACK.windows("1h", MIDNIGHT, MIDNIGHT + HOUR_NS)}
    (found,) = derive(STACK, signals, wanted).exceedances
    assert (found.clause, found.limit) == ("nox-hour", 50.0)
    assert found.value > 50.0 > found.evidence["average"]["value"]


@pytest.mark.parametrize(("ph", "limit"), [(5.9, 6.0), (6.0, None), (9.0, None), (9.1, 9.0)])
def test_ph_has_two_limits(ph: float, limit: float | None) -> None:
    signals = {"pH": series("pH", np.full(1440, ph))}
    wanted = {"24h": WATER.windows("24h", MIDNIGHT, MIDNIGHT + DAY_NS)}
    found = [e for e in derive(WATER, signals, wanted).exceedances if e.window == "24h"]
    assert [(e.limit, e.low) for e in found] == ([] if limit is None else [(limit, 6.0)])


def limited(text: ClauseText, id: str, high: float, **changes: Any) -> ClauseText:
    """A clause like another one, with a limit of its own."""
    return replace(text, id=id, rows=(replace(text.rows[0], when={}, high=high),), adjustments=(), **changes)


def with_clauses(rules: PointRules, *packs: tuple[ClauseText, ...]) -> PointRules:
    """A point whose packs have these clauses and no others."""
    like = rules.packs[0]
    named = tuple(replace(like, id=f"{like.id}-{number}", clauses=texts) for number, texts in enumerate(packs))
    return replace(rules, packs=named, _clauses={})


@pytest.mark.parametrize("turned", [False, True])
def test_each_clause_is_held_against_the_value_of_its_own_rounding(turned: bool) -> None:
    level = PACKS["gb12348-2008"].clause("night-level")
    whole = limited(level, "whole", 54.0, rounding="half_even", places=0)
    tenth = limited(level, "tenth", 54.3, rounding="half_up", places=1)
    plain = limited(level, "plain", 54.39, rounding="none", places=0)
    rules = with_clauses(NOISE, *((text,) for text in ((tenth, plain, whole) if turned else (whole, tenth, plain))))
    wanted = {"night": rules.windows("night", NIGHT, NIGHT + 8 * HOUR_NS)}
    found = derive(rules, {"LAeq": series("LAeq", np.full(480, 54.4), start=NIGHT)}, wanted)
    assert {e.clause: (e.value, e.evidence["clause"]["compared"]) for e in found.exceedances} == {
        "tenth": (54.4, 54.4),
        "plain": (54.4, 54.4),
    }
    assert [a.evaluated for a in found.averages] == [54.4 if turned else 54.0]  # one of them is shown


def test_one_window_is_judged_as_measured_and_converted() -> None:
    hour = PACKS["ultra-low-2015"].clause("nox-hour")
    converted = limited(hour, "converted", 50.0)
    measured = limited(hour, "measured", 30.04, corrected="as measured", rounding="half_up", places=1)
    signals = {s.parameter: s for s in (series("NOx", np.full(720, 30.05), step_s=5), *conditions(720))}
    rules = with_clauses(STACK, (measured, converted))
    wanted = {"1h": rules.windows("1h", MIDNIGHT, MIDNIGHT + HOUR_NS)}
    derived = derive(rules, signals, wanted)
    found = {e.clause: e.value for e in derived.exceedances}
    assert found["measured"] == 30.1
    assert found["converted"] == pytest.approx(30.05 * 101325 / 100825 * 373 / 273 / 0.9 * 15 / (21 - 8 / 0.9))
    without = {name: signal for name, signal in signals.items() if name != "O2"}
    derived = derive(rules, without, wanted)
    assert [e.clause for e in derived.exceedances] == ["measured"]
    days = derive(rules, without, {kind: rules.windows(kind, MIDNIGHT, MIDNIGHT + HOUR_NS) for kind in ("1h", "24h")})
    told = unjudged(rules, ["NOx"], days.averages)
    assert [line for line in told if "for want of a correction" in line and "O2 (1)" in line]


def test_what_cannot_be_converted_is_not_judged_converted() -> None:
    """A parameter in a unit that no correction is for."""
    text = limited(PACKS["ultra-low-2015"].clause("nox-hour"), "o2", 1.0, parameter="O2", unit="%")
    rules = with_clauses(STACK, (text, replace(text, id="plain", corrected="as measured")))
    wanted = {"1h": rules.windows("1h", MIDNIGHT, MIDNIGHT + HOUR_NS)}
    found = derive(rules, {"O2": series("O2", np.full(720, 8.0), step_s=5)}, wanted).exceedances
    assert [e.clause for e in found] == ["plain"]


def counting(rules: PointRules, *shares: tuple[str, float | Fraction | None]) -> PointRules:
    """A point with a pack for each share of an hour's minutes, None where it does not speak of it; all limits alike."""
    packs = []
    for name, share in shares:
        like = rules.packs[0]
        row = ValidityText(window="1h", part="1m", minimum=None, share=share, setting="", cite=name, verified=False)
        others = tuple(row for row in like.validity if row.window != "1h")
        texts = (limited(like.clause("nox-hour"), "hour", 10.0, corrected="as measured"),)
        packs.append(replace(like, id=name, clauses=texts, validity=(*others, row) if share else others))
    return replace(rules, packs=tuple(packs), validity=validities(packs, rules.settings), _clauses={})


@pytest.mark.parametrize("turned", [False, True])
def test_each_pack_counts_by_itself_what_is_there(turned: bool) -> None:
    shares = [("strict", 0.75), ("loose", Fraction(2, 3)), ("silent", None), ("as-strict", 0.75)]
    rules = counting(STACK, *(shares[::-1] if turned else shares))
    wanted = {kind: rules.windows(kind, MIDNIGHT, MIDNIGHT + HOUR_NS) for kind in ("1m", "1h")}

    def broken(minutes: int) -> Derived:
        return derive(rules, {"NOx": series("NOx", np.full(minutes, 20.0))}, wanted)

    assert {e.pack for e in broken(39).exceedances} == set()
    assert {e.pack for e in broken(45).exceedances} == {"strict", "loose", "silent", "as-strict"}
    (found,) = broken(42).exceedances
    assert found.pack == "loose"
    assert [a.valid for a in broken(42).averages if a.window == "1h"] == [False]  # as the first pack says
    told = settle(broken(42), {}, {}, now_ns=MIDNIGHT).exceedances[0].evidence["average"]
    assert (told["valid"], told["parts"]["cite"], told["parts"]["valid"], told["version"]) == (True, "loose", 42, 1)


def test_packs_that_count_alike_are_counted_once() -> None:
    views = counting(STACK, ("a", 0.75), ("b", Fraction(3, 4)), ("c", 0.5)).by_validity()
    assert [ids for _, ids in views] == [("a", "b"), ("c",)]
    rules = law("noise", {})
    assert rules.by_validity() == []


def test_nothing_wanted_is_nothing_derived() -> None:
    assert derive(NOISE, {}, {}) == Derived([], [])
    assert derive(NOISE, {}, {"1m": NOISE.windows("1m", NIGHT, NIGHT + MINUTE_NS)}) == Derived([], [])


def known(book: Book) -> tuple[dict, dict]:
    averages = {(r.average.parameter, r.average.window, r.average.from_ns): r.average for r in book.averages()}
    found = [row.exceedance for row in book.exceedances(newest=True)]
    return averages, {(e.pack, e.clause, e.from_ns): e for e in found}


def test_what_the_book_knows_already_is_not_new(tmp_path: Path) -> None:
    """Through the file and back: also records with corrections, conditions and registers compare as equal."""
    book = Book(tmp_path / "v.db")
    signals = {s.parameter: s for s in (series("NOx", np.full(720, 30.1), step_s=5), *conditions(720))}
    wanted = {kind: STACK.windows(kind, MIDNIGHT, MIDNIGHT + HOUR_NS) for kind in ("1m", "1h")}
    gas = derive(STACK, signals, wanted)
    for derived in (night(55.3), gas):
        new = settle(derived, {}, {}, now_ns=NIGHT + DAY_NS)
        assert new.averages == derived.averages
        assert new.exceedances
        book.commit(new.averages, new.exceedances, derived_ns=1, state=b"", position=1)
    everything = Derived(night(55.3).averages + gas.averages, night(55.3).exceedances + gas.exceedances)
    assert settle(everything, *known(book), now_ns=NIGHT + 2 * DAY_NS) == Derived([], [])
    book.close()


def test_changes_of_an_exceedance_are_versions(tmp_path: Path) -> None:
    book, steps = Book(tmp_path / "v.db"), [55.0, 55.2, 40.0, 40.0, 56.0]
    changes = []
    for level in steps:
        new = settle(night(level), *known(book), now_ns=NIGHT + DAY_NS)
        book.commit(new.averages, new.exceedances, derived_ns=1, state=b"", position=1)
        changes += [(e.change, e.version, e.evidence["average"]["version"], e.late) for e in new.exceedances]
    assert changes == [
        (Change.OPENED, 1, 1, True),
        (Change.AMENDED, 2, 2, True),
        (Change.WITHDRAWN, 3, 2, True),
        (Change.OPENED, 4, 4, True),
    ]
    book.close()


@pytest.mark.parametrize(("after_s", "late"), [(60, False), (3600, False), (3601, True)])
def test_late_is_more_than_an_hour_after_the_window(after_s: int, late: bool) -> None:
    now = NIGHT + 8 * HOUR_NS + after_s * 1_000_000_000
    (found,) = settle(night(60.0), {}, {}, now_ns=now).exceedances
    assert found.late == late


@effort(max_examples=examples(100))
@given(st.sets(st.integers(0, 60), min_size=1))
def test_episodes_are_runs_of_consecutive_nights(nights: set[int]) -> None:
    found = [broken(number) for number in sorted(nights)]
    runs = episodes(NOISE, found)
    assert sum(run.windows for run in runs) == len(nights)
    covered = {
        number for run in runs for number in range((run.from_ns - NIGHT) // DAY_NS, (run.to_ns - NIGHT) // DAY_NS + 1)
    }
    assert covered == nights
    assert all(after.from_ns - before.to_ns > DAY_NS for before, after in pairwise(runs))


def broken(number: int) -> Exceedance:
    start = NIGHT + number * DAY_NS
    return Exceedance(
        plant="p", point="x", parameter="LAeq", pack="gb12348-2008", clause="night-level", cite="", title="",
        window="night", from_ns=start, to_ns=start + 8 * HOUR_NS, value=60.0, limit=50.0, unit="dB(A)",
        standing=Standing.EVIDENCE, verified=True,
    )  # fmt: skip


def test_episodes_of_two_clauses_are_apart() -> None:
    other = replace(broken(1), clause="night-other")
    assert [(e.clause, e.windows) for e in episodes(NOISE, [broken(0), other, broken(1)])] == [
        ("night-level", 2),
        ("night-other", 1),
    ]
    assert episodes(NOISE, []) == []
