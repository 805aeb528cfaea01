from __future__ import annotations

from pathlib import Path

import pytest

from collector.catalogue import rule_packs
from collector.verdicts import rules
from collector.verdicts.pack_file import parse_rules
from collector.verdicts.us_rules import UsRules
from gateway.document import Fault

HEAD = """
id = "toy-us"
kind = "stack"
title = "A toy"
source = "made up"

[[in_force]]
from = 2020-01-01
cite = "toy 1"
"""
CITE = 'cite = "toy 2"\nverified = false\n'
SUBSTITUTION = (
    """
[[us.substitution]]
parameters = ["SO2"]
lookback_hours = 720
places = 1
initial = "neighbours"
initial_modc = "07"
empty_modc = "10"
potential_modc = "12"
measured_modc = "01"
tier = [
    { availability_percent = 95, gap_hours = 24, method = "neighbours", modc = "06" },
    { availability_percent = 95, method = "percentile", percentile = 90, modc = "08" },
    { availability_percent = 0, method = "potential", modc = "12" },
]
"""
    + CITE
)
CALIBRATION = """
[[us.calibration]]
test = "daily"
parameters = ["SO2"]
percent = 5.0
target = 2.5
places = 1
alternative = [{ difference = 5, span_upto = 50 }]
""" + CITE  # fmt: skip
RATA = """
[[us.rata]]
parameters = ["SO2"]
runs = 9
places = 1
bias = true
low_factor = 1.111
low_reference = 250
step = [{ quarters = 4, relative_accuracy = 7.5 }, { quarters = 2, difference = 15, reference_upto = 250 }]
""" + CITE  # fmt: skip
HOUR = "[us.hour]\nquadrant_minutes = 15\napart_minutes = 15\n" + CITE
REST = (
    "[us.availability]\nwindow_hours = 8760\noldest_hours = 26280\n" + CITE
    + "[us.calibration_life]\nhours = 26\ngrace_hours = 8\n" + CITE
    + '[[us.modc]]\ncode = "01"\ntitle = "primary"\nmeasured = ["SO2"]\n' + CITE
    + '[[us.linearity]]\nparameters = ["SO2"]\npercent = 5\ndifference = 5\nplaces = 1\n' + CITE
    + '[[us.fuel]]\nname = "peat"\nfd = 9000\nfc = 1900\n' + CITE
    + '[[us.diluent_cap]]\nunits = "boiler"\nco2_percent = 5\no2_percent = 14\n' + CITE
)  # fmt: skip
WHOLE = HEAD + HOUR + REST + SUBSTITUTION + CALIBRATION + RATA


def parse(text: str) -> tuple[UsRules | None, list[Fault]]:
    pack, faults = parse_rules(text, "toy.toml")
    return (pack.us if pack else None), faults


def test_a_whole_one_is_read() -> None:
    us, faults = parse(WHOLE)
    assert faults == []
    assert us is not None
    assert us.hour is not None
    assert us.availability is not None
    assert us.calibration_life is not None
    assert (us.hour.quadrant_minutes, us.hour.apart_minutes) == (15, 15)
    assert (us.availability.window_hours, us.availability.oldest_hours) == (8760, 26280)
    assert (us.calibration_life.hours, us.calibration_life.grace_hours) == (26, 8)
    rule = us.substitution_of("SO2")
    assert (rule.lookback_hours, rule.by_load, rule.toward) == (720, False, "high")
    assert [(t.availability_percent, t.gap_hours, t.method, t.percentile, t.modc) for t in rule.tiers] == [
        (95.0, 24, "neighbours", None, "06"),
        (95.0, None, "percentile", 90, "08"),
        (0.0, None, "potential", None, "12"),
    ]
    assert us.calibration_of("SO2").alternatives[0].span_upto == 50.0
    assert [step.quarters for step in us.rata_of("SO2").steps] == [4, 2]
    assert us.linearity_of("SO2").cite == "toy 2"
    assert us.measured_codes("SO2") == ("01",)
    assert (us.fuels[0].fd, us.diluent_caps[0].o2_percent) == (9000.0, 14.0)


def test_a_pack_without_these_tables_has_none_and_an_empty_one_has_none_in_it() -> None:
    assert parse(HEAD) == (None, [])
    us, faults = parse(HEAD + "[us]\n")
    assert faults == []
    assert us is not None
    assert (us.hour, us.availability, us.calibration_life, us.substitution, us.modc) == (None, None, None, (), ())


@pytest.mark.parametrize(
    ("old", "new", "path", "message"),
    [
        ("quadrant_minutes = 15", "quadrant_minutes = 7", "us.hour.quadrant_minutes", "does not divide an hour"),
        ("apart_minutes = 15", "", "us.hour.apart_minutes", "missing"),
        ("window_hours = 8760", "window_hours = 0", "us.availability.window_hours", "outside"),
        ("grace_hours = 8", "grace_hours = -1", "us.calibration_life.grace_hours", "outside"),
        ('modc = "06"', "modc = 6", "us.substitution[0].tier[0].modc", "not a text"),
        ('modc = "06"', 'modc = "6"', "us.substitution[0].tier[0].modc", "'6' is not a MODC code"),
        ('modc = "06"', 'modc = "MP"', "us.substitution[0].tier[0].modc", "not a MODC code"),
        ('method = "neighbours", modc', 'method = "guess", modc', "us.substitution[0].tier[0].method", "not known"),
        (", percentile = 90", "", "us.substitution[0].tier[1].percentile", "belongs to method percentile"),
        (
            '"neighbours", modc',
            '"neighbours", percentile = 90, modc',
            "us.substitution[0].tier[0].percentile",
            "belongs",
        ),
        ("percentile = 90", "percentile = 10", "us.substitution[0].tier[1].percentile", "outside"),
        ("gap_hours = 24, ", "", "us.substitution[0].tier", "do not nest"),
        ("{ availability_percent = 0,", "{ availability_percent = 1,", "us.substitution[0].tier", "do not nest"),
        ("{ availability_percent = 0,", "{ availability_percent = 96,", "us.substitution[0].tier", "do not nest"),
        ("95, method", "94, method", "us.substitution[0].tier", "do not nest"),
        (
            'places = 1\ninitial = "neighbours"',
            'places = 1\ninitial = "extreme"',
            "us.substitution[0].initial",
            "known",
        ),
        ("percent = 5.0\n", "", "us.calibration[0]", "one of percent and difference is needed"),
        ("percent = 5.0\n", "percent = 5.0\ndifference = 1\n", "us.calibration[0]", "one of percent and difference"),
        ('test = "daily"', 'test = "weekly"', "us.calibration[0].test", "not known"),
        ("span_upto = 50", "span_up = 50", "us.calibration[0].alternative[0].span_up", "unknown key"),
        ("low_factor = 1.111\n", "", "us.rata[0].low_factor", "belong together"),
        (", relative_accuracy = 7.5", "", "us.rata[0].step[0]", "one of relative_accuracy and difference"),
        ("runs = 9", "runs = 1", "us.rata[0].runs", "outside"),
        ("fd = 9000", "fd = 0", "us.fuel[0].fd", "outside"),
        ("o2_percent = 14", "", "us.diluent_cap[0].o2_percent", "missing"),
        ("percent = 5\n", "", "us.linearity[0].percent", "missing"),
        ("[us.hour]", "[us.hours]", "us.hours", "unknown key"),
    ],
)
def test_faults_are_told_with_their_place(old: str, new: str, path: str, message: str) -> None:
    assert old in WHOLE
    us, faults = parse(WHOLE.replace(old, new, 1))
    assert us is None
    assert [fault for fault in faults if fault.path == path and message in fault.message], faults


def test_every_row_cites() -> None:
    bare = WHOLE.replace('cite = "toy 2"\n', "").replace("verified = false\n", "")
    _, faults = parse(bare)
    missing = {fault.path for fault in faults}
    for table in (
        "us.hour", "us.availability", "us.calibration_life", "us.modc[0]", "us.linearity[0]", "us.fuel[0]",
        "us.diluent_cap[0]", "us.substitution[0]", "us.calibration[0]", "us.rata[0]",
    ):  # fmt: skip
        assert {f"{table}.cite", f"{table}.verified"} <= missing


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        (SUBSTITUTION, "us.substitution", "two rows are for SO2"),
        (CALIBRATION, "us.calibration", "two rows are for daily of SO2"),
        (RATA, "us.rata", "two rows are for SO2"),
    ],
)
def test_two_rows_for_one_parameter_contradict_each_other(text: str, path: str, message: str) -> None:
    _, faults = parse(WHOLE + text)
    assert [(fault.path, fault.message) for fault in faults] == [(path, message)]


def test_the_packs_of_the_product_hold_what_they_say() -> None:
    packs = rule_packs()
    part60, part75 = packs["40cfr60"].us, packs["40cfr75"].us
    assert part60 is not None
    assert part75 is not None
    assert part60.hour is not None
    assert part60.hour.verified
    assert part75.substitution_of("SO2").verified
    assert not part75.substitution_of("NOx").verified  # 75.33(c) was not read
    codes = {row.code for row in part75.modc}
    used = {tier.modc for rule in part75.substitution for tier in rule.tiers}
    used |= {c for r in part75.substitution for c in (r.initial_modc, r.empty_modc, r.potential_modc, r.measured_modc)}
    assert used <= codes
    assert not used & set(part75.measured_codes("SO2")) - {"01"}  # what stands in is not quality-assured
    assert (Path(rules.__file__).parent / "40cfr75.toml").exists()
