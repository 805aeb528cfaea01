"""The noise packs besides GB 12348: what they set for whom, and what they leave unset."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from api.cli import main
from collector.catalogue import rule_packs
from collector.verdicts.concurrent import night_hours
from collector.verdicts.limits import Clause, breaking, read_settings, resolve
from collector.verdicts.records import Standing

PACKS = rule_packs()
TODAY = date(2026, 11, 22)
AREAS = {
    "GI": (70, 70),
    "GE": (65, 50),
    "MU": (63, 45),
    "MI": (60, 45),
    "WA": (55, 40),
    "WR": (50, 35),
    "spa": (45, 35),
}
CLASSES = {"0": (50, 40), "1": (55, 45), "2": (60, 50), "3": (65, 55), "4a": (70, 55), "4b": (70, 60)}


def clauses(id: str, settings: dict[str, object], on: date = TODAY) -> dict[str, Clause]:
    found, faults = resolve(PACKS[id], settings, on)
    assert faults == []
    return {clause.id: clause for clause in found}


@pytest.mark.parametrize("ambient", CLASSES)
def test_the_limits_of_every_ambient_class(ambient: str) -> None:
    day, night = CLASSES[ambient]
    found = clauses("gb3096-2008", {"ambient_class": ambient})
    limits = {id: clause.limit() for id, clause in found.items()}
    assert limits == {"day-level": day, "night-level": night, "night-peak": night + 15}
    assert {(clause.standing, clause.verified) for clause in found.values()} == {(Standing.EARLY_WARNING, False)}


@pytest.mark.parametrize("area", AREAS)
def test_the_limits_of_every_area(area: str) -> None:
    day, night = AREAS[area]
    found = clauses("ta-laerm-1998", {"area": area, "surveillance": False})
    assert {id: clause.limit() for id, clause in found.items()} == {
        "day-level": day, "night-hour": night, "day-peak": day + 30, "night-peak": night + 20,
    }  # fmt: skip
    assert (found["night-hour"].window, found["night-hour"].period) == ("1h", "night")
    indoors = clauses("ta-laerm-1998", {"area": area, "place": "indoors", "surveillance": False})
    assert [clause.limit() for clause in indoors.values()] == [35, 25, 45, 35]


@pytest.mark.parametrize(("tone", "watched", "add"), [(0, True, 3), (3, False, 0), (6, True, 3)])
def test_the_deduction_changes_levels_but_not_peaks(tone: int, watched: bool, add: int) -> None:
    found = clauses("ta-laerm-1998", {"area": "WA", "tone": tone, "surveillance": watched})
    assert [clause.limit() for clause in found.values()] == [55 + add, 40 + add, 85, 60]


@pytest.mark.parametrize(("level", "exceeds"), [(43.0, False), (43.49, False), (43.5, True), (44.0, True)])
def test_whoever_watches_deducts_3_db_unless_told_otherwise(level: float, exceeds: bool) -> None:
    assert bool(breaking(clauses("ta-laerm-1998", {"area": "WA"})["night-hour"], level)) is exceeds


def test_urban_areas_have_limits_since_9_june_2017() -> None:
    assert clauses("ta-laerm-1998", {"area": "MU"}, date(2017, 6, 8)) == {}
    assert len(clauses("ta-laerm-1998", {"area": "MU"}, date(2017, 6, 9))) == 4


@pytest.mark.parametrize("id", ["bs4142-2014", "2002-49-ec", "iso1996-2-2017"])
def test_what_sets_no_limits_judges_nothing(id: str) -> None:
    assert clauses(id, {}) == {}
    assert PACKS[id].rating is not None


def test_nights_are_those_of_the_standard() -> None:
    expected = {
        "ta-laerm-1998": ("22:00", "06:00"),
        "bs4142-2014": ("23:00", "07:00"),
        "2002-49-ec": ("22:00", "06:00"),
    }
    for id, hours in expected.items():
        settings, _ = read_settings("noise", [PACKS[id]], {"area": "WA"} if id == "ta-laerm-1998" else {})
        assert night_hours([PACKS[id]], settings) == hours


def test_what_is_unverified_says_so() -> None:
    def open_rows(id: str) -> set[str]:
        text = PACKS[id].rating
        assert text is not None
        rows = [*text.periods, *text.supplements, *text.indications, *filter(None, [text.deduction, text.residual])]
        return {getattr(row, "name", type(row).__name__) for row in rows if not row.verified}

    assert open_rows("ta-laerm-1998") == {"Deduction"}
    assert open_rows("iso1996-2-2017") == {"Residual"}
    assert open_rows("2002-49-ec") == set()
    assert {"tonal", "impulsive", "other"} <= open_rows("bs4142-2014")


def test_one_loud_hour_is_a_loud_night(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "night.csv"
    levels = [40.0, 40.0, 40.0, 44.6, 40.0, 40.0, 40.0, 40.0]  # 41.3 over the night
    hours = [(22 + number) % 24 for number in range(8)]
    days = [1 if hour >= 22 else 2 for hour in hours]
    rows = [f"2026-07-0{day}T{hour:02d}:00:00,{level}" for day, hour, level in zip(days, hours, levels, strict=True)]
    file.write_text("time,value\n" + "\n".join(rows) + "\n")
    options = ["--rules", "ta-laerm-1998", "--point", "noise", "--set", "area=WA", "--timezone", "Europe/Berlin"]
    assert main(["judge", *options, "--csv", str(file), "--json"]) == 0
    (exceedance,) = json.loads(capfd.readouterr().out)["exceedances"]
    assert (exceedance["clause"], exceedance["value"], exceedance["limit"]) == ("night-hour", 45.0, 43.0)
    assert exceedance["from"] == "2026-07-01T23:00:00Z"
