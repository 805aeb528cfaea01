"""Averages and exceedances as points, and what goes with an average: how its instrument answered, and the limits then.

    average,parameter=SO2,plant=riverside,point=stack-1,unit=mg/m3,window=1h value=31.2,evaluated=31,valid=1,... <from>
    exceedance,clause=so2-hour,pack=gb13223-2011,plant=riverside,...,standing=finding value=212,limit=200,... <from>
    link,gateway=gw-1,parameter=SO2,plant=riverside,point=stack-1,sensor=cems-1 share=0.99,answers=3564,faults=36 <from>

A point has the time at which its window begins, and a new version overwrites the old one; where it has no value for a
field that the old one has, the old point goes first, since what is written leaves other fields as they were.
"""

from __future__ import annotations

from collector.charts.feed import AVERAGE, BEGIN, EXCEEDANCE, LINK, Mark, Point, Row
from collector.charts.limits import Rules, limit_points
from collector.verdicts.book import AverageRow, Book, ExceedanceRow
from collector.verdicts.points import PointRules
from collector.verdicts.records import Average, Change
from gateway.measurement import Status

SILENT = Status.NO_COMM.name.lower()
CONVERTED = ("standard_dry", "converted")


def average_point(one: Average, before: Average | None = None) -> Point:
    """An average as a point. before: the version that this one follows, None = it is the first."""
    fields = _fields(one)
    tags = {"plant": one.plant, "point": one.point, "parameter": one.parameter, "window": one.window, "unit": one.unit}
    anew = before is not None and not _fields(before).keys() <= fields.keys()
    return Point(AVERAGE, tags, fields, one.from_ns, anew)


def _fields(one: Average) -> dict[str, float]:
    given = {
        "value": one.value, "evaluated": one.evaluated, "maximum": one.maximum, **one.percentiles,
        **{name: one.inputs.get(name) for name in CONVERTED},
        **{f"n_{status}": count for status, count in one.inputs.get("counts", {}).items()},
        "coverage": one.coverage, "valid": one.valid, "count": one.count, "version": one.version,
        "minutes": (one.to_ns - one.from_ns) / 60e9,
    }  # fmt: skip
    return {name: float(value) for name, value in given.items() if value is not None}


def link_points(one: Average, rules: PointRules) -> tuple[Point, ...]:
    """How the instrument of an hourly average answered; nothing where several measure the parameter, or none."""
    if one.window != "1h":
        return ()
    sensors = [
        (id, str(told.get("gateway", ""))) for id, told in rules.sources.items()
        if any(register["parameter"] == one.parameter for register in told.get("registers", ()))
    ]  # fmt: skip
    if len(sensors) != 1:
        return ()
    ((sensor, gateway),) = sensors
    tags = {"plant": one.plant, "point": one.point, "gateway": gateway, "sensor": sensor, "parameter": one.parameter}
    counts = one.inputs.get("counts", {})
    total, faults = sum(counts.values()), counts.get(SILENT, 0)
    share = {"share": 1.0 - faults / total} if total else {}
    fields = {"answers": float(total - faults), "faults": float(faults), **share}
    return (Point(LINK, tags, fields, one.from_ns, anew=not total),)


def exceedance_point(row: ExceedanceRow) -> Point:
    """An exceedance as a point."""
    one = row.exceedance
    tags = {
        "plant": one.plant, "point": one.point, "parameter": one.parameter, "window": one.window, "unit": one.unit,
        "pack": one.pack, "clause": one.clause, "standing": one.standing.value,
    }  # fmt: skip
    fields = {
        "value": one.value, "limit": one.limit, "withdrawn": float(one.change is Change.WITHDRAWN),
        "verified": float(one.verified), "late": float(one.late), "version": float(one.version), "id": float(row.id),
        "minutes": (one.to_ns - one.from_ns) / 60e9, **({} if one.low is None else {"low": one.low}),
    }  # fmt: skip
    return Point(EXCEEDANCE, tags, fields, one.from_ns)


class Averages:
    """The averages of a book, version by version. A feed."""

    name = "average"

    def __init__(self, book: Book, rules: Rules) -> None:
        self._book, self._rules = book, rules

    def read(self, after: Mark, limit: int) -> list[Row]:
        """The averages that follow a mark."""
        if after != BEGIN:
            last = self._book.averages(after_id=after[0] - 1, limit=1, newest=False)
            after = after if [(row.id, row.derived_ns) for row in last] == [after] else BEGIN
        found = self._book.averages(after_id=after[0], limit=limit, newest=False)
        return [Row(row.id, row.derived_ns, self._points(row)) for row in found]

    def _points(self, row: AverageRow) -> tuple[Point, ...]:
        one = row.average
        points = (average_point(one, self._before(one) if one.version > 1 else None),)
        rules = self._rules.get((one.plant, one.point))
        if rules is None:
            return points
        # Each point has an average of each of its days, whatever is judged there.
        limits = limit_points(rules, one.from_ns) if (one.window, one.version) == ("24h", 1) else ()
        return (*points, *link_points(one, rules), *limits)

    def _before(self, one: Average) -> Average | None:
        versions = self._book.averages(
            plant=one.plant, point=one.point, parameter=one.parameter, window=one.window, from_ns=one.from_ns,
            to_ns=one.from_ns + 1, newest=False,
        )  # fmt: skip
        return next((row.average for row in versions if row.average.version == one.version - 1), None)


class Exceedances:
    """The exceedances of a book, version by version. A feed."""

    name = "exceedance"

    def __init__(self, book: Book) -> None:
        self._book = book

    def read(self, after: Mark, limit: int) -> list[Row]:
        """The exceedances that follow a mark."""
        if after != BEGIN:
            last = self._book.exceedance(after[0])
            after = after if last and (last.id, last.derived_ns) == after else BEGIN
        found = self._book.exceedances(after_id=after[0], limit=limit)
        return [Row(row.id, row.derived_ns, (exceedance_point(row),)) for row in found]
