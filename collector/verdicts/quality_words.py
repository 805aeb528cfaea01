"""Tests of measuring systems in words, and control charts to be looked at, as `emitwatch quality` prints them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from collector.verdicts.assessment import Drawn, Outcome
from collector.verdicts.assurance_told import Weeks

COLUMNS = 72  # newest checks of a chart
ROWS = 8
DIGITS = 9
_POINT, _ALARM, _LIMIT, _STEM = "o", "#", "-", "."


def facts(outcome: Outcome) -> Iterator[str]:
    """The results of a test, a line each; what is not known is left out."""
    for name, value in outcome.facts.items():
        if isinstance(value, Mapping):
            yield f"{name}: {', '.join(f'{key} {_shown(part)}' for key, part in value.items())}"
        elif isinstance(value, list):
            yield from (f"{name}: {' '.join(map(str, row))}" for row in value)
        elif value not in (None, ""):
            yield f"{name}: {_shown(value)}"


def _shown(value: Any) -> str:  # noqa: ANN401 - a fact is what a test came to
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{round(value, 9) + 0.0:.6g}" if isinstance(value, float) else str(value)


def chart(drawn: Drawn, columns: int = COLUMNS) -> Iterator[str]:
    r"""A control chart as lines of text: time goes right, one column a check; `#` is in alarm, `-` where alarms begin.

    columns: of the newest checks.
    >>> drawn = Drawn(title="drift", times=("2026-04-01", "2026-04-08"), values=(1.0, 4.0), alarm=3.0, alarms=(1,))
    >>> print("\n".join(chart(drawn)))  # doctest: +NORMALIZE_WHITESPACE
    drift
           4 | #
             | .
           3 |--
             | .
             | .
             | .
             |o.
             |..
           0 |..
               2026-04-01 to 2026-04-08, 2 of 2 checks
    """
    first = max(len(drawn.values) - columns, 0)
    values = [min(value, 1e12) for value in drawn.values[first:]]
    if not any(values):
        yield f"{drawn.title}: 0 at all of {len(drawn.values)} checks"
        return
    top = max([drawn.alarm * 1.25, *values])
    yield drawn.title
    limit = _row(drawn.alarm, top)
    for row in range(ROWS, -1, -1):
        label = {ROWS: f"{top:.3g}", limit: f"{drawn.alarm:.3g}", 0: "0"}.get(row, "")
        cells = [_cell(row, _row(value, top), limit, alarming=value > drawn.alarm) for value in values]
        yield f"{label:>8} |{''.join(cells)}"
    span = f"{drawn.times[first][:10]} to {drawn.times[-1][:10]}"
    yield f"{'':>9} {span}, {len(values)} of {len(drawn.values)} checks"


def _row(value: float, top: float) -> int:
    """The row of a value, from 0 below. What is above the limit by a hair stands in the row of the limit."""
    return round(value / top * ROWS)


def _cell(row: int, at: int, limit: int, *, alarming: bool) -> str:
    if row == at:
        return _ALARM if alarming else _POINT
    if row == limit:
        return _LIMIT
    return _STEM if row < at else " "


def weeks(found: Weeks) -> Iterator[str]:
    """How often a valid calibration range was left, week by week, the newest last."""
    yield f"{found.parameter}: valid up to {found.upto:.6g} {found.unit}"
    for monday, of, above in found.weeks:
        share = above / of * 100.0 if of else 0.0
        yield f"week of {monday}: {above} of {of} above ({share:.1f} %)"
    if found.due is not None:
        yield f"a new QAL2 is due since the week of {found.due}"


def plain(value: Any) -> Any:  # noqa: ANN401 - JSON is of any type
    """A value as JSON can have it: no NaN, and no dust of binary arithmetic."""
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, float):
        return round(value, DIGITS) if abs(value) < float("inf") else None
    return value
