from __future__ import annotations

import pytest

from collector.catalogue import rule_packs
from collector.verdicts.pack_file import parse_rules
from collector.verdicts.quality_rules import Cusum

CITED = 'cite = "toy"\nverified = true\n'
GOOD = f"""
id = "toy-2020"
kind = "stack"
title = {{ en = "A toy", zh = "玩具" }}
source = "made up"
[[in_force]]
from = 2020-01-01
cite = "toy 1"
[quality.calibration]
pairs_min = 15
lowest_percent = 15
coverage = 1.96
{CITED}
[quality.range]
margin_percent = 10
week_percent = 5
weeks_max = 5
once_percent = 40
{CITED}
[quality.surveillance]
pairs_min = 5
factor = 1.5
confidence = 0.95
{CITED}
[quality.cusum]
drift_alarm = 2.85
drift_allowance = 0.501
precision_alarm = 6.9
precision_allowance = 1.85
{CITED}
[quality.shewhart]
multiple = 3
{CITED}
"""


def test_quality_is_read_whole() -> None:
    pack, faults = parse_rules(GOOD, "toy.toml")
    assert faults == []
    assert pack is not None
    assert pack.quality is not None
    assert pack.quality.cusum == Cusum(
        drift_alarm=2.85,
        drift_allowance=0.501,
        precision_alarm=6.9,
        precision_allowance=1.85,
        cite="toy",
        verified=True,
    )
    assert (pack.quality.margin_percent, pack.quality.watch.weeks_max) == (10.0, 5)
    assert (pack.quality.calibration.pairs_min, pack.quality.surveillance.factor) == (15, 1.5)
    assert pack.quality.shewhart.multiple == 3.0


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("multiple = 3", "multiple = -3", "quality.shewhart.multiple"),
        ("multiple = 3\n", "", "quality.shewhart.multiple"),
        ("pairs_min = 15", "pairs_min = 1", "quality.calibration.pairs_min"),
        ("confidence = 0.95", "confidence = 95", "quality.surveillance.confidence"),
        ("weeks_max = 5", "weeks = 5", "quality.range.weeks"),
        ("drift_alarm = 2.85", 'drift_alarm = "2.85"', "quality.cusum.drift_alarm"),
        ("[quality.cusum]", "[quality.sums]", "quality.cusum"),
        (CITED, "verified = true\n", "quality.calibration.cite"),
    ],
)
def test_a_fault_of_quality_names_its_place(old: str, new: str, path: str) -> None:
    pack, faults = parse_rules(GOOD.replace(old, new, 1), "toy.toml")
    assert pack is None
    assert path in {fault.path for fault in faults}


def test_a_pack_of_limits_has_no_quality() -> None:
    assert [id for id, pack in rule_packs().items() if pack.quality] == ["en-14181-2014"]
