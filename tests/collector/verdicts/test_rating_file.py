from __future__ import annotations

import pytest

from collector.verdicts.examples import example_faults
from tests.collector.verdicts.test_pack_file import GOOD, parse

RATING = """
[rating.deduction]
subtract = 3
cite = "toy 6"
verified = false

[rating.residual]
least = 3
cite = "toy 7"
verified = false

[[rating.period]]
name = "day"
hours = ["06:00", "22:00"]
cite = "toy 8"
verified = true

[[rating.period]]
name = "night"
hours = ["22:00", "06:00"]
add = 10
reference = "1h"
cite = "toy 8"
verified = true

[[rating.supplement]]
name = "tonal"
steps = [0, 3, 6]
cite = "toy 9"
verified = true

[[rating.supplement]]
name = "impulsive"
cite = "toy 10"
verified = true

[[rating.sensitive]]
rest_day = true
hours = [["06:00", "09:00"], ["13:00", "15:00"]]
add = 6
setting = "size"
choices = ["small"]
cite = "toy 11"
verified = true

[[rating.indication]]
least = 5
name = "some"
cite = "toy 12"
verified = false

[[rating.indication]]
least = 10
name = "much"
cite = "toy 12"
verified = false

[[rating.example]]
calculation = "loudest_hour"
given = { hourly_db = [40.0, 41.0] }
expect = { rating_db = 41.0 }
source = "toy 8"
"""


def test_a_rating_is_read_whole() -> None:
    pack, faults = parse(GOOD + RATING)
    assert faults == []
    assert pack is not None
    assert pack.rating is not None
    assert example_faults(pack) == []
    assert pack.rating.deduction is not None
    assert pack.rating.residual is not None
    assert (pack.rating.deduction.subtract, pack.rating.residual.least) == (3.0, 3.0)
    night = pack.rating.period("night")
    assert (night.begin, night.end, night.add, night.reference, night.cite) == ("22:00", "06:00", 10.0, "1h", "toy 8")
    assert pack.rating.supplement("tonal").steps == (0.0, 3.0, 6.0)
    assert pack.rating.supplement("impulsive").steps == ()
    (sensitive,) = pack.rating.sensitive
    assert (sensitive.rest_day, sensitive.choices, len(sensitive.spans), sensitive.add) == (True, ("small",), 2, 6.0)
    assert [row.name for row in pack.rating.indications] == ["much", "some"]


def test_a_pack_without_a_rating_has_none() -> None:
    pack, faults = parse(GOOD)
    assert faults == []
    assert pack is not None
    assert pack.rating is None


@pytest.mark.parametrize(
    ("old", "new", "path", "message"),
    [
        ('cite = "toy 6"\n', "", "rating.deduction.cite", "missing"),
        ('cite = "toy 7"\nverified = false\n', 'cite = "toy 7"\n', "rating.residual.verified", "missing"),
        ("subtract = 3", "subtract = -3", "rating.deduction.subtract", "outside"),
        ('hours = ["06:00", "22:00"]', 'hours = ["06:00"]', "rating.period[0].hours", "not a pair"),
        ('name = "night"', 'name = "day"', "rating.period", "used twice"),
        ('name = "impulsive"', 'name = "tonal"', "rating.supplement", "used twice"),
        ('reference = "1h"', 'reference = "2h"', "rating.period[1].reference", "not known"),
        ("steps = [0, 3, 6]", "steps = [0, 6, 3]", "rating.supplement[0].steps", "no rising numbers"),
        ("steps = [0, 3, 6]", "steps = 6", "rating.supplement[0].steps", "no rising numbers"),
        ("steps = [0, 3, 6]", 'steps = [0, "3"]', "rating.supplement[0].steps", "no rising numbers"),
        ("steps = [0, 3, 6]", "steps = [true]", "rating.supplement[0].steps", "no rising numbers"),
        ("steps = [0, 3, 6]", "steps = [-3, 3]", "rating.supplement[0].steps", "takes nothing off"),
        ('hours = [["06:00", "09:00"]', 'hours = [["06:00", "29:00"]', "rating.sensitive[0].hours[0]", "clock time"),
        ('hours = [["06:00", "09:00"], ["13:00", "15:00"]]', "hours = 6", "rating.sensitive[0].hours", "no pairs"),
        ('setting = "size"', 'setting = "area"', "rating.sensitive[0].setting", "not known"),
        ('choices = ["small"]', 'choices = ["huge"]', "rating.sensitive[0].choices", "none of small, large"),
        ('choices = ["small"]', 'choices = "small"', "rating.sensitive[0].choices", "no list of choices"),
        ('choices = ["small"]', "choices = []", "rating.sensitive[0].choices", "no list of choices"),
        ('name = "much"', 'nmae = "much"', "rating.indication[1].nmae", "unknown key"),
        ('source = "toy 8"', "", "rating.example[0].source", "missing"),
        (RATING[RATING.index("[[rating.example]]") :], "", "rating.example", "missing"),
        ("[rating.deduction]", "[rating]\ncolour = 1\n[rating.deduction]", "rating.colour", "unknown key"),
    ],
)
def test_a_fault_of_a_rating_is_found_where_it_is(old: str, new: str, path: str, message: str) -> None:
    assert old in RATING
    pack, faults = parse(GOOD + RATING.replace(old, new, 1))
    assert pack is None
    assert any(fault.path == path and message in fault.message for fault in faults), [str(fault) for fault in faults]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rating_db = 41.0", "rating_db = 40.0", "rating_db is 41.0, expected 40.0"),
        ('"loudest_hour"', '"loudest_night"', "loudest_night: not implemented"),
        ("hourly_db = [40.0, 41.0]", "hourly = [40.0]", "TypeError"),
    ],
)
def test_an_example_that_the_rating_contradicts_is_a_fault(old: str, new: str, message: str) -> None:
    pack, faults = parse(GOOD + RATING.replace(old, new, 1))
    assert faults == []
    assert pack is not None
    (fault,) = example_faults(pack)
    assert fault.path == "rating.example[0]"
    assert message in fault.message


def test_what_the_point_says_of_a_rating_is_read() -> None:
    rated = RATING.replace(
        "[rating.deduction]", '[rating]\nspecific = "Ls"\nrated = "Lr"\nrest_days = "free"\n\n[rating.deduction]', 1
    )
    rated = rated.replace('name = "impulsive"\n', 'name = "impulsive"\nsetting = "size"\nmeasured = "LAFTeq"\n')
    free = '[setting.free]\ntitle = "Free"\nkind = "dates"\ndefault = [2026-12-25]\ncite = "toy 13"\n\n'
    text = GOOD.replace("[[validity]]", free + "[[validity]]", 1) + rated
    pack, faults = parse(text)
    assert faults == []
    assert pack is not None
    assert pack.rating is not None
    assert (pack.rating.rated, pack.rating.rest_days) == ("Lr", "free")
    supplement = pack.rating.supplement("impulsive")
    assert (supplement.setting, supplement.measured) == ("size", "LAFTeq")
    _, faults = parse(text.replace('[rating.residual]\nleast = 3\ncite = "toy 7"\nverified = false\n', ""))
    assert [fault.path for fault in faults] == ["rating.specific"]
    _, faults = parse(text.replace('rest_days = "free"', 'rest_days = "size"').replace("2026-12-25", '"Christmas"'))
    assert {fault.path for fault in faults} == {"setting.free.default", "rating.rest_days"}
