"""Cleaner-production grades: scores, nesting, indicators that do not apply."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.catalogue import grade_rules
from collector.verdicts.audit import Grade, Group, cleaner_production_grade, parse_grades
from collector.verdicts.conformance import Case, calculations, run
from tests.effort import examples

RULES = grade_rules()
LEVELS = st.sampled_from([0, 1, 2, 3, 4])
WEIGHTS = st.floats(0.01, 1.0)
GROUPS = st.lists(st.tuples(WEIGHTS, st.lists(st.tuples(WEIGHTS, LEVELS), max_size=5)), max_size=4)


def graded(groups: Sequence[Group], limiting: float | None = None) -> Grade:
    return cleaner_production_grade(RULES, groups, limiting)


@pytest.mark.parametrize(
    ("levels", "limiting", "grade"),
    [
        ((1, 1, 1), 1, 1),
        ((1, 1, 1), None, 1),
        ((1, 1, 1), 0, 1),  # the limiting ones do not apply
        ((1, 1, 1), 2, 2),
        ((1, 1, 2), 1, 1),
        ((1, 1, 3), 1, 2),  # enough points for I, but one at III
        ((1, 1, 3), 3, 3),
        ((3, 3, 3), 3, 3),
        ((1, 1, 4), 1, 2),  # II asks nothing of the others
        ((1, 3, 4), 1, None),
        ((1, 1, 1), 4, None),
        ((1, 1, 1), math.nan, None),
        ((math.nan, 1, 1), 1, None),
        ((0, 0, 0), None, None),
    ],
)
def test_a_level_asks_for_points_and_for_single_indicators(
    levels: tuple[float, ...], limiting: float | None, grade: int | None
) -> None:
    weights = (0.5, 0.37, 0.13)
    assert graded([(1.0, list(zip(weights, levels, strict=True)))], limiting).grade == grade


def test_equal_points_are_enough() -> None:
    groups: Sequence[Group] = [(1.0, [(0.85, 1), (0.15, 2)])]
    assert graded(groups, 1) == Grade(y1=85.0, y2=100.0, y3=100.0, grade=1)
    assert graded([(1.0, [(0.849, 1), (0.151, 2)])], 1).grade == 2


def test_what_does_not_apply_leaves_its_weight_to_the_others() -> None:
    found = graded([(0.5, [(0.6, 1), (0.4, 0)]), (0.25, [(1.0, 2)]), (0.25, [(1.0, 0)])])
    assert found.y1 == pytest.approx(200 / 3)
    assert found.y2 == 100.0


@pytest.mark.parametrize("groups", [[], [(1.0, [])], [(0.0, [(1.0, 1)])], [(1.0, [(math.nan, 1)])]])
def test_where_nothing_applies_there_is_no_grade(groups: Sequence[Group]) -> None:
    found = graded(groups, 1)
    assert math.isnan(found.y1)
    assert math.isnan(found.y3)
    assert found.grade is None


@settings(max_examples=examples(200))
@given(GROUPS, LEVELS)
def test_levels_nest_and_points_stay_between_none_and_all(groups: Sequence[Group], limiting: float) -> None:
    found = graded(groups, limiting)
    if not math.isnan(found.y1):
        assert 0.0 <= found.y1 <= found.y2 <= found.y3 <= 100.0


@settings(max_examples=examples(200))
@given(GROUPS, LEVELS, st.data())
def test_a_better_indicator_never_makes_a_worse_grade(
    groups: Sequence[Group], limiting: float, data: st.DataObject
) -> None:
    better = [
        (weight, [(share, data.draw(st.integers(1, int(level))) if level else 0) for share, level in indicators])
        for weight, indicators in groups
    ]
    before, after = graded(groups, limiting), graded(better, limiting)
    assert (after.grade or 4) <= (before.grade or 4)


@settings(max_examples=examples(100))
@given(GROUPS, st.floats(1e-6, 1e6))
def test_weights_count_by_their_proportion(groups: Sequence[Group], factor: float) -> None:
    scaled = [(weight * factor, [(share * 3.0, level) for share, level in inside]) for weight, inside in groups]
    before, after = graded(groups), graded(scaled)
    assert [after.y1, after.y2, after.y3] == pytest.approx([before.y1, before.y2, before.y3], nan_ok=True)


@settings(max_examples=examples(200))
@given(
    st.lists(st.tuples(st.floats(), st.lists(st.tuples(st.floats(), st.floats()), max_size=3)), max_size=3),
    st.floats() | st.none(),
)
def test_no_number_is_refused(groups: Sequence[Group], limiting: float | None) -> None:
    assert graded(groups, limiting).grade in (1, 2, 3, None)


def test_the_rules_of_the_product_are_cited_and_say_that_nobody_read_them() -> None:
    assert [rule.level for rule in RULES] == [1, 2, 3]
    assert all(rule.cite and not rule.verified for rule in RULES)


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("[[level]]\nlevel = 1\nscore = 85\nverified = true", "level[0].cite", "missing"),
        ('[[level]]\nlevel = 4\nscore = 85\ncite = "x"\nverified = true', "level[0].level", "outside 1 to 3"),
        ('[[level]]\nlevel = 1\nscore = 850\ncite = "x"\nverified = true', "level[0].score", "outside 0 to 100"),
        ('[[level]]\nlevel = 2\nscore = 85\ncite = "x"\nverified = true\n' * 2, "level[1].level", "do not rise"),
        ("[[level", "", "not readable"),
    ],
)
def test_a_faulty_file_says_where(text: str, path: str, message: str) -> None:
    _, faults = parse_grades(text, "grades.toml")
    assert [(path, True)] == [(fault.path, message in fault.message) for fault in faults]


def test_cases_are_graded_by_the_rules_given() -> None:
    case = Case(
        id="x", calculation="cleaner_production_grade", given={"groups": [[1.0, [[1.0, 2]]]], "limiting_level": 2},
        expect={"grade": 2, "y1": 0.0}, within=0.0, source="",
    )  # fmt: skip
    assert [outcome.passed for outcome in run([case], calculations({}, RULES))] == [True]
    assert [outcome.passed for outcome in run([case], calculations({}))] == [False]
