"""InfluxQL as panels and alerts ask it: the subset that InfluxDB 1.x, 2.x and 3.x share.

Measurements, tags and fields are those that the InfluxDB store writes (docs/how-to/influxdb.md). Levels are averaged by
energy wherever a query averages: a mean of decibels is no level.
"""

from __future__ import annotations

from dataclasses import dataclass

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery

SOURCE = "${source}"  # the variable of every dashboard that says where the data are
HERE = '"plant" =~ /^${plant:regex}$/ AND "point" =~ /^${point:regex}$/'
AT_PLANT = '"plant" =~ /^${plant:regex}$/'


@dataclass
class Query(Dataquery):
    """A query as Grafana's InfluxDB data source reads it."""

    text: str
    alias: str = ""
    table: bool = False
    ref: str = "A"

    def to_json(self) -> dict[str, object]:
        """The query within a panel's targets."""
        return {
            "alias": self.alias, "datasource": {"type": "influxdb", "uid": SOURCE}, "query": self.text,
            "rawQuery": True, "refId": self.ref, "resultFormat": "table" if self.table else "time_series",
        }  # fmt: skip


@dataclass
class Region(Dataquery):
    """A span of each day, local clock, as annotations of Grafana's own data source take it."""

    begin: str
    end: str

    def to_json(self) -> dict[str, object]:
        """The target of an annotation."""
        region = {"mode": None, "from": self.begin, "to": self.end, "timezone": "browser"}
        return {"queryType": "timeRegions", "refId": "Anno", "timeRegion": region}


class Asked(Builder[Dataquery]):
    """A finished query where the builders of the SDK want one that builds."""

    def __init__(self, query: Dataquery) -> None:
        self._query = query

    def build(self) -> Dataquery:
        """The query."""
        return self._query


def where(*conditions: str, span: str = "$timeFilter") -> str:
    """A WHERE clause over the time that is shown."""
    return " AND ".join(("WHERE " + span, *conditions))


def energy(measurement: str, *conditions: str, by: str) -> str:
    """The level of the time between two points of the screen, of the levels in it."""
    inner = f'SELECT pow(10, "value" / 10) AS "p" FROM "{measurement}" {where(*conditions)} GROUP BY {by}'
    grouped = f"GROUP BY time($__interval), {by} fill(null)"
    return f'SELECT 10 * log10(mean("p")) AS "value" FROM ({inner}) {where()} {grouped}'


def mean(measurement: str, *conditions: str, by: str) -> str:
    """The mean of the time between two points of the screen; of what is no level."""
    grouped = f"GROUP BY time($__interval), {by} fill(null)"
    return f'SELECT mean("value") AS "value" FROM "{measurement}" {where(*conditions)} {grouped}'


def each(measurement: str, field: str, *conditions: str, by: str) -> str:
    """Averages one by one: whatever is made of them would be another one. Evaluated ones where they are valid."""
    valid = ['"valid" = 1'] if field == "evaluated" else []
    return f'SELECT "{field}" FROM "{measurement}" {where(*conditions, *valid)} GROUP BY {by}'


def limits(*conditions: str, field: str = "value") -> str:
    """The limits in force, as the collector has them from its rules. field: "daily" for one a window."""
    of = where(*conditions, "\"statistic\" != 'count'")  # a count is not of the parameter's unit
    return f'SELECT "{field}" AS "value" FROM "limit" {of} GROUP BY "clause", "bound", "point"'


def tag_values(measurement: str, key: str, *conditions: str) -> str:
    """The values of a tag, for a variable."""
    chosen = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f'SHOW TAG VALUES FROM "{measurement}" WITH KEY = "{key}"{chosen}'
