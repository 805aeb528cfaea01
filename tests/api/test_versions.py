"""The history of a verdict tells every version, and why it came is what differs from the one before."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.trail_schemas import Versions
from api.versions import MOST, versions
from collector.verdicts.book import AverageRow, ExceedanceRow
from collector.verdicts.records import Change
from tests.alerts.kit import average, exceedance
from tests.effort import examples

MINUTE = 60 * 10**9


def history(
    averages: list[dict[str, Any]],
    exceedances: list[dict[str, Any]] | None = None,
    revoked: dict[int, int] | None = None,
) -> dict[str, Any]:
    """What is told of versions a minute apart; each is said by its fields."""
    judged = [
        AverageRow(10 + n, n * MINUTE, average(0, version=n + 1, value=one.pop("value", 60.0), inputs=one))
        for n, one in enumerate(averages)
    ]
    found = [
        ExceedanceRow(20 + n, n * MINUTE, exceedance(version=n + 1, **one)) for n, one in enumerate(exceedances or [])
    ]
    told = versions(found, judged, lambda position: (revoked or {}).get(position, 0))
    Versions.model_validate(told, strict=True)
    return told


def because(*averages: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    """Why the last version of an average came."""
    return history(list(averages), **more)["average"][-1]["because"]


OK = {"counts": {"ok": 720}}


def test_the_first_version_needs_no_reason() -> None:
    assert because({**OK}) == []


@pytest.mark.parametrize(
    ("before", "after", "causes"),
    [
        ({"counts": {"ok": 600}}, OK, [{"what": "more_data", "count": 120}]),
        (OK, {"counts": {"ok": 719}}, [{"what": "fewer_data", "count": 1}]),
        (OK, {"counts": {"ok": 700, "fault": 20}}, [{"what": "statuses", "change": {"fault": 20, "ok": -20}}]),
        (OK, {**OK, "value": 61.0}, [{"what": "values"}]),
        ({**OK, "converted": 50.0}, {**OK, "converted": 51.0}, [{"what": "values"}]),
        (OK, OK, [{"what": "rules"}]),
        (OK, {**OK, "marks": [7]}, [{"what": "mark", "mark": 7}]),
        ({**OK, "marks": [7]}, OK, [{"what": "revocation", "mark": 9}]),
        ({**OK, "marks": [8]}, OK, [{"what": "rules"}]),  # nobody took it back: another program laid it
    ],
)
def test_what_differs_is_why(before: dict[str, Any], after: dict[str, Any], causes: list[dict[str, Any]]) -> None:
    assert because({**before}, {**after}, revoked={7: 9}) == causes


def test_an_exceedance_changes_with_its_average() -> None:
    told = history([{"counts": {"ok": 600}}, {**OK}], [{}, {"change": Change.AMENDED, "value": 63.0}])
    assert [one["because"] for one in told["exceedance"]] == [[], [{"what": "more_data", "count": 120}]]
    assert [(one["version"], one["change"], one["value"]) for one in told["exceedance"]] == [
        (1, "opened", 61.7), (2, "amended", 63.0),
    ]  # fmt: skip


def test_an_exceedance_changes_with_its_clause_and_settings() -> None:
    first = {"evidence": {"clause": {"limit": 50.0}, "settings": {"area_class": 2}, "average": {"version": 3}}}
    second = {"evidence": {"clause": {"limit": 45.0}, "settings": {"area_class": 1}}, "change": Change.AMENDED}
    told = history([], [first, second, second])["exceedance"]
    assert [one["because"] for one in told] == [[], [{"what": "law"}, {"what": "settings"}], [{"what": "rules"}]]
    assert [one["average_version"] for one in told] == [3, None, None]


def test_one_that_was_withdrawn_under_marks_names_them() -> None:
    withdrawn = {"evidence": {"withdrawn_under": [7]}, "change": Change.WITHDRAWN}
    assert history([], [{}, withdrawn])["exceedance"][-1]["because"] == [{"what": "mark", "mark": 7}]


@settings(max_examples=examples(30), deadline=None)
@given(st.integers(0, 3 * MOST))
def test_the_newest_are_told_and_the_others_counted(count: int) -> None:
    told = history([{"counts": {"ok": n}} for n in range(count)], [{} for _ in range(count)])
    for kind in ("average", "exceedance"):
        assert [one["version"] for one in told[kind]] == list(range(1, count + 1))[-MOST:]
        assert told["left"][kind] + len(told[kind]) == count
