"""Incidents for charts: every version in its order, two of one clause apart, a ledger from before as well."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from alerts.charts import Incidents
from alerts.ledger import Ledger
from collector.charts.feed import BEGIN
from collector.verdicts.records import Change
from gateway.measurement import SECOND_NS
from tests.alerts.kit import HOUR, T0, exceedance
from tests.alerts.test_ledger import feed


def test_every_version_is_told_and_lies_over_the_one_before(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path)) as ledger:
        feed(ledger, (1, exceedance(0)))
        feed(ledger, (2, exceedance(1, value=80.0)))
        ledger.acknowledge(1, "wang", "seen", 9)
        feed(ledger)
        incidents = Incidents(ledger)
        rows = incidents.read(BEGIN, 10)
        points = [point for row in rows for point in row.points]
        assert len({(str(point.tags), point.time_ns) for point in points}) == 1
        assert points[0].time_ns == T0 // SECOND_NS * SECOND_NS + 1
        assert [point.fields["version"] for point in points] == [1.0, 2.0, 3.0]
        assert [point.fields["count"] for point in points] == [1.0, 2.0, 2.0]
        last = points[-1].fields
        assert (last["open"], last["acknowledged"], last["value"], last["state"]) == (1.0, 1.0, 80.0, "acknowledged")
        assert incidents.read((rows[0].id, rows[0].check), 10) == rows[1:]
        assert incidents.read((rows[0].id, 77), 10) == rows, "the mark is of another ledger"
        assert incidents.read((rows[-1].id, rows[-1].check), 10) == []


def test_two_of_one_clause_and_hour_have_places_of_their_own(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path)) as ledger:
        feed(ledger, (1, exceedance(0)))
        feed(ledger, (2, exceedance(0, version=2, change=Change.WITHDRAWN)))
        feed(ledger, (3, exceedance(0, version=3)))
        points = [row.points[0] for row in Incidents(ledger).read(BEGIN, 10)]
    assert {point.fields["id"] for point in points} == {1.0, 2.0}
    assert len({point.time_ns for point in points}) == 2
    assert [point.fields["open"] for point in points if point.fields["id"] == 1.0][-1] == 0.0
    assert HOUR > SECOND_NS


def test_a_ledger_made_before_there_were_charts_tells_all_of_its_incidents(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path)) as ledger:
        feed(ledger, (1, exceedance(0)), (2, exceedance(50)))
        expected = [row.points for row in Incidents(ledger).read(BEGIN, 10)]
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        connection.executescript("DROP TRIGGER incident_change; DROP TABLE change;")
    for _ in range(2):
        with closing(Ledger(tmp_path)) as ledger:
            assert [row.points for row in Incidents(ledger).read(BEGIN, 10)] == expected
