"""The history of a verdict: every version of an exceedance and of its average, and why each came.

Nothing in the book of verdicts is ever changed, so its rows are the history. Why a version came is not written
down with it but shows in what differs from the one before:

- `mark`, `revocation`: it was derived under other marks than before (who, when and the reason stand in these);
- `more_data`, `fewer_data`: more values of the window than before (late or back-filled ones), or fewer, since the
  times of some were corrected;
- `statuses`: as many values, with other statuses; `values`: what was measured of it, or of a channel that a
  correction takes, came to another number;
- `law`, `settings`: another limit or clause, other settings of the point;
- `rules`: none of these; the way from the values to the verdict is another one, as after an update.

Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from api.times import format_time
from api.views import Item, number
from collector.verdicts.book import AverageRow, ExceedanceRow
from collector.verdicts.records import Change

MOST = 200  # versions that are told, the newest; `left` says how many older ones there are

_LAW = (
    "limit",
    "low",
    "high",
    "cite",
    "rounding",
    "places",
    "corrected",
    "statistic",
    "standing",
    "verified",
    "interval",
)


def versions(
    exceedances: Sequence[ExceedanceRow], averages: Sequence[AverageRow], revoked_by: Callable[[int], int]
) -> Item:
    """The history of one exceedance and of its average, oldest first.

    exceedances, averages: all versions, by id. revoked_by: position of what took a mark back, 0 = it stands.
    """
    causes = [_average_causes(old, new, revoked_by) for old, new in _pairs(averages)]
    by_time = {row.derived_ns: why for row, why in zip(averages, causes, strict=True)}
    told = [
        _exceedance_item(new, _exceedance_causes(old, new, by_time.get(new.derived_ns, []), revoked_by))
        for old, new in _pairs(exceedances)
    ]
    return {
        "exceedance": told[-MOST:],
        "average": [_average_item(row, why) for row, why in zip(averages, causes, strict=True)][-MOST:],
        "left": {"exceedance": max(0, len(exceedances) - MOST), "average": max(0, len(averages) - MOST)},
    }


def _pairs(rows: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Each row with the one before it, None before the first."""
    return list(zip([None, *rows], rows, strict=False))


def _exceedance_item(row: ExceedanceRow, because: list[Item]) -> Item:
    found = row.exceedance
    return {
        "id": row.id, "version": found.version, "change": found.change.value, "derived": format_time(row.derived_ns),
        "value": found.value, "limit": found.limit, "low": found.low, "unit": found.unit, "late": found.late,
        "average_version": found.evidence.get("average", {}).get("version"), "because": because,
    }  # fmt: skip


def _average_item(row: AverageRow, because: list[Item]) -> Item:
    found = row.average
    return {
        "id": row.id, "version": found.version, "derived": format_time(row.derived_ns), "value": number(found.value),
        "evaluated": number(found.evaluated), "unit": found.unit, "coverage": found.coverage, "valid": found.valid,
        "count": found.count, "statuses": dict(found.inputs.get("counts", {})),
        "marks": list(found.inputs.get("marks", ())), "because": because,
    }  # fmt: skip


def _average_causes(old: AverageRow | None, new: AverageRow, revoked_by: Callable[[int], int]) -> list[Item]:
    if old is None:
        return []
    before, after = old.average, new.average
    found = _marks(before.inputs.get("marks", ()), after.inputs.get("marks", ()), revoked_by)
    found += _counts(before.inputs.get("counts", {}), after.inputs.get("counts", {}))
    if not found and (before.value, before.inputs.get("converted")) != (after.value, after.inputs.get("converted")):
        found.append({"what": "values"})
    return found or [{"what": "rules"}]


def _exceedance_causes(
    old: ExceedanceRow | None, new: ExceedanceRow, derived_with: list[Item], revoked_by: Callable[[int], int]
) -> list[Item]:
    """derived_with: why the average changed at the same time."""
    if old is None:
        return []
    before, after = old.exceedance.evidence, new.exceedance.evidence
    found = [cause for cause in derived_with if cause["what"] != "rules"]
    if new.exceedance.change is Change.WITHDRAWN and not found:
        found += _marks((), after.get("withdrawn_under", ()), revoked_by)
    if any(before.get("clause", {}).get(name) != after.get("clause", {}).get(name) for name in _LAW):
        found.append({"what": "law"})
    if before.get("settings", {}) != after.get("settings", {}):
        found.append({"what": "settings"})
    return found or [{"what": "rules"}]


def _marks(before: Sequence[int], after: Sequence[int], revoked_by: Callable[[int], int]) -> list[Item]:
    """The marks that came, and the revocations by which others went."""
    came = [{"what": "mark", "mark": position} for position in after if position not in before]
    gone = [revoked_by(position) for position in before if position not in after]
    return [*came, *({"what": "revocation", "mark": position} for position in gone if position)]


def _counts(before: Mapping[str, int], after: Mapping[str, int]) -> list[Item]:
    """How the numbers of values by status differ."""
    more = sum(after.values()) - sum(before.values())
    if more:
        return [{"what": "more_data" if more > 0 else "fewer_data", "count": abs(more)}]
    if before != after:
        names = sorted(name for name in {*before, *after} if before.get(name, 0) != after.get(name, 0))
        return [{"what": "statuses", "change": {name: after.get(name, 0) - before.get(name, 0) for name in names}}]
    return []
