from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from collector.catalogue import rule_packs
from collector.verdicts.concurrent import site_faults
from gateway.settings import Site, parse_site

PACKS = rule_packs()
TODAY = date(2026, 11, 21)
SITE = """
[plant]
id = "p"
timezone = "UTC"
[broker]
url = "mqtt://127.0.0.1"
[[gateway]]
id = "g"

[[point]]
id = "fence"
kind = "noise"
rules = ["gb12348-2008"]
settings = { area_class = 2 }
"""


def site(text: str) -> Site:
    found, faults = parse_site(text, "site.toml")
    assert found is not None, faults
    return found


def test_a_good_site_has_no_faults() -> None:
    assert site_faults(site(SITE), PACKS, TODAY) == []


@pytest.mark.parametrize(
    ("old", "new", "path", "message"),
    [
        ('"gb12348-2008"', '"gb12348"', "point[0].rules", "no rule pack 'gb12348'"),
        ('"gb12348-2008"', '"gb18918-2002"', "point[0].rules", "is for water, not noise"),
        ("area_class = 2", "area_class = 9", "point[0].settings.area_class", "none of 0, 1, 2, 3, 4"),
        ("area_class = 2", "", "point[0].settings.area_class", "missing"),
        ("area_class = 2", "area_class = 2, area = 3", "point[0].settings.area", "unknown key"),
        ("area_class = 2", 'area_class = "2"', "point[0].settings.area_class", "'2' is a text, not a value"),
    ],
)
def test_points_and_packs_that_do_not_fit_are_faults(old: str, new: str, path: str, message: str) -> None:
    faults = site_faults(site(SITE.replace(old, new)), PACKS, TODAY)
    assert [fault.path for fault in faults] == [path]
    assert message in faults[0].message
    assert faults[0].file == "site.toml"
    assert faults[0].line is not None
    assert faults[0].hint


def test_a_pack_that_is_not_in_force_is_a_fault() -> None:
    faults = site_faults(site(SITE), PACKS, date(2008, 9, 30))
    assert "not in force" in faults[0].message


def test_what_the_reader_has_told_already_is_not_told_again() -> None:
    found, faults = parse_site(SITE.replace('["gb12348-2008"]', '["gb12348-2008", 7]'), "site.toml")
    assert found is None
    assert [fault.path for fault in faults] == ["point[0].rules[1]"]
    good = site(SITE)
    unread = replace(good, points=(replace(good.points[0], rules=("", "gb12348-2008")),))
    assert site_faults(unread, PACKS, TODAY) == []


def test_packs_whose_nights_differ_are_a_fault_of_the_site() -> None:
    own = PACKS["gb12348-2008"]
    assert own.night is not None
    late = replace(own, id="late", night=replace(own.night, begin="23:00", end="07:00"))
    text = SITE.replace('["gb12348-2008"]', '["gb12348-2008", "late"]')
    (fault,) = site_faults(site(text), {**PACKS, "late": late}, TODAY)
    assert (fault.path, "the night of gb12348-2008" in fault.message) == ("point[0].rules", True)
    said = text.replace("area_class = 2", 'area_class = 2, night = ["21:00", "05:00"]')
    assert site_faults(site(said), {**PACKS, "late": late}, TODAY) == []
