"""A pack that contradicts itself is refused, with the place and what to do; all that ship are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.catalogue import check_pack, rule_packs
from collector.verdicts.pack import RulePack
from collector.verdicts.pack_check import CASES_MAX
from collector.verdicts.pack_file import parse_rules
from gateway import catalogue
from gateway.document import Fault

PARAMETERS = catalogue.parameters()
STACK = """
id = "toy"
kind = "stack"
title = "A toy"
source = "made up"

[[in_force]]
from = 2020-01-01
cite = "toy 1"

[setting.size]
title = "Size"
choices = ["small", "large"]
default = "small"
cite = "toy 2"

[setting.part]
title = "Share"
kind = "number"
low = 0.0
high = 1.0
default = 0.75
cite = "toy 2"

[[validity]]
window = "1h"
part = "1m"
minimum = 45
cite = "toy 3"
verified = true

[[validity]]
window = "24h"
part = "1h"
setting = "part"
cite = "toy 3"
verified = true

[[clause]]
id = "nh3-hour"
cite = "toy 4"
title = "NH3"
parameter = "NH3"
window = "1h"
unit = "mg/m3"
standing = "finding"
verified = true
corrected = "converted"
limit = [
    { when = { size = "small" }, low = 1, high = 50, given = { O2 = { above = 8 } } },
    { when = { size = "small" }, high = 40, given = { O2 = { upto = 8 } } },
    { when = { size = "large" }, high = 40, from = 2020-01-01, to = 2030-01-01 },
    { when = { size = "large" }, high = 20, from = 2030-01-01 },
]

[[clause]]
id = "furnace"
cite = "toy 5"
title = "Furnace"
parameter = "furnace_temperature"
window = "24h"
unit = ""
standing = "finding"
verified = true
statistic = "count"
count = { window = "5m", below = 850 }
limit = [{ high = 5 }]

[[example]]
clause = "nh3-hour"
given = { O2 = 9 }
value = 51
limit = 50
exceeds = true
source = "toy 4"

[[example]]
clause = "furnace"
value = 6
limit = 5
exceeds = true
source = "toy 5"
"""
NOISE = """
id = "toy"
kind = "noise"
title = "A toy"
source = "made up"

[[in_force]]
from = 2020-01-01
cite = "toy 1"

[setting.hours]
title = "Night"
kind = "hours"
default = ["22:00", "06:00"]
cite = "toy 2"

[setting.round]
title = "Round"
kind = "boolean"
default = true
cite = "toy 2"

[night]
hours = ["22:00", "06:00"]
setting = "hours"
cite = "toy 2"

[background]
least = 3
most = 10
step = [{ upto = 10, correction = -1 }]
round_setting = "round"
cite = "toy 3"

[[clause]]
id = "peak"
cite = "toy 4"
title = "Peak"
parameter = "LAFmax"
window = "1m"
period = "night"
statistic = "maximum"
unit = "dB(A)"
standing = "finding"
verified = true
limit = [{ high = 65 }]

[[example]]
clause = "peak"
value = 66
limit = 65
exceeds = true
source = "toy 4"
"""
WATER = STACK.replace('kind = "stack"', 'kind = "water"')


def parse(text: str) -> tuple[RulePack | None, list[Fault]]:
    return parse_rules(text, "toy.toml", PARAMETERS)


@pytest.mark.parametrize("text", [STACK, NOISE])
def test_what_does_not_contradict_itself_is_taken(text: str) -> None:
    pack, faults = parse(text)
    assert (faults, pack is not None) == ([], True)


def test_every_pack_of_the_product_is_taken() -> None:
    assert len(rule_packs()) >= 21


REFUSED = [
    # one row
    ("low = 1, high = 50", "low = 60, high = 50", "clause[0].limit[0].low", "low = 60 is above high = 50"),
    ("O2 = { above = 8 }", "O2 = { above = 8, upto = 8 }", "clause[0].limit[0].given.O2", "not below upto = 8"),
    ("O2 = { above = 8 }", "O3 = { above = 8 }", "clause[0].limit[0].given.O3", "'O3' is not known"),
    (", to = 2030-01-01", ", to = 2019-01-01", "clause[0].limit[2].to", "not after from = 2020-01-01"),
    ("limit = [{ high = 5 }]", "limit = [{ high = 300 }]", "clause[1].limit[0].high", "no more than 300 to count"),
    # rows that hold at once, or leave a hole
    ("{ above = 8 }", "{ above = 7 }", "clause[0].limit", "two rows hold at once for size = small, O2 up to 8"),
    ("{ above = 8 }", "{ above = 9 }", "clause[0].limit", "no row for size = small, O2 up to 9"),
    (', given = { O2 = { upto = 8 } }', "", "clause[0].limit", "two rows hold at once for size = small, O2 above 8"),
    (", to = 2030-01-01", ", to = 2031-01-01", "clause[0].limit", "two rows hold at once for size = large"),
    ("O2 = { upto = 8 }", "CO = { upto = 8 }", "clause[0].limit", "two rows hold at once"),
    # spans and settings
    ("from = 2020-01-01\ncite", "from = 2020-01-01\nto = 2019-06-01\ncite", "in_force[0].to", "not after from"),
    ("from = 2020-01-01\ncite", "from = 2020-01-01\nto = 2020-01-01\ncite", "in_force[0].to", "not after from"),
    ("[setting.size]", '[[in_force]]\nfrom = 2024-01-01\ncite = "x"\n[setting.size]', "in_force[1].from", "overlaps"),
    ('choices = ["small", "large"]', 'choices = ["small", "large", "small"]', "setting.size.choices", "named twice"),
    ("low = 0.0\nhigh = 1.0\ndefault = 0.75\n", "low = 1.0\nhigh = 0.0\n", "setting.part.low", "is above high = 0"),
    ('kind = "number"\nlow', 'kind = "choice"\nlow', "setting.part.choices", "missing"),
    # validity
    ('part = "1m"', 'part = "24h"', "validity[0].part", "a 1h is not made of 24h"),
    ('part = "1m"', 'part = "1h"', "validity[0].part", "a 1h is not made of 1h"),
    ('window = "1h"\npart = "1m"', 'window = "15m"\npart = "10m"', "validity[0].part", "a 15m is not made of 10m"),
    ('window = "24h"\npart = "1h"', 'window = "month"\npart = "night"', "validity[1].part", "not made of night"),
    ("minimum = 45", "minimum = 61", "validity[0].minimum", "at most 60 of 1m"),
    ("minimum = 45", "missing = 60", "validity[0].missing", "a 1h has 60 of 1m"),
    ("minimum = 45", 'minimum = 45\nof = "operating"', "validity[0].of", "no [states] in this pack"),
    ("minimum = 45", "share = 1.5", "validity[0].share", "outside 0 to 1"),
    ("high = 1.0\ndefault", "high = 2.0\ndefault", "validity[1].setting", "other than a share"),
    ("low = 0.0\n", "", "validity[1].setting", "other than a share"),
    ('setting = "part"', 'setting = "size"', "validity[1].setting", "other than a share"),
    # what a clause is about
    ('corrected = "converted"', 'corrected = "converted"\nstatistic = "maximum"', "clause[0].corrected", "maximum is"),
    ('statistic = "count"', 'statistic = "count"\ncorrected = "validated"', "clause[1].corrected", "a count is made"),
    ('unit = ""', 'unit = "degC"', "clause[1].unit", "not the unit of a count"),
    ('unit = ""', 'unit = ""\ncorrected = "converted"', "clause[1].corrected", "degC is no concentration"),
    ('window = "1h"\nunit', 'window = "night"\nunit', "clause[0].window", "no night at a stack"),
    ('window = "1h"\nunit', 'window = "1h"\nperiod = "day"\nunit', "clause[0].period", "no day at a stack"),
    # texts that say nothing
    ('cite = "toy 4"', 'cite = " "', "clause[0].cite", "says nothing"),
    ('source = "toy 5"', 'source = ""', "example[1].source", "says nothing"),
    ('source = "made up"', 'source = ""', "source", "says nothing"),
    ('unit = "mg/m3"\n', "", "clause[0].unit", "missing"),
    # examples
    ("given = { O2 = 9 }", "given = { CO = 9 }", "example[0].given.CO", "no condition of 'nh3-hour'"),
    ("value = 6\n", 'value = 6\nsettings = { sise = "small" }\n', "example[1].settings.sise", "no setting"),
    ('clause = "furnace"', 'clause = "oven"', "example[1].clause", "not known"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "path", "message"), REFUSED)
def test_a_contradiction_is_refused_where_it_stands(old: str, new: str, path: str, message: str) -> None:
    assert old in STACK
    refused(STACK.replace(old, new, 1), path, message)


def refused(text: str, path: str, message: str) -> None:
    pack, faults = parse(text)
    assert pack is None
    told = [fault for fault in faults if fault.path == path and message in fault.message]
    assert told, [str(fault) for fault in faults]
    assert told[0].line is not None or "." not in path
    assert told[0].hint
    assert told[0].file == "toy.toml"


@pytest.mark.parametrize(
    ("old", "new", "path", "message"),
    [
        ('period = "night"', "", "", ""),
        ('window = "1m"', 'window = "1h"', "", ""),
        ('window = "1m"', 'window = "night"', "", ""),
        ('window = "1m"', 'window = "24h"', "clause[0].period", "a 24h does not lie within a night"),
        ('window = "1m"', 'window = "day"', "clause[0].period", "a day does not lie within a night"),
        ('statistic = "maximum"', 'corrected = "converted"', "clause[0].corrected", "nothing is converted at a noise"),
        ('statistic = "maximum"', 'corrected = "background"', "", ""),
        ('hours = ["22:00", "06:00"]', 'hours = ["22:00", "22:00"]', "night.hours", "a whole day"),
        ('hours = ["22:00", "06:00"]', 'hours = ["23:00", "07:00"]', "night.hours", "another night: 22:00 to 06:00"),
        ('setting = "hours"', 'setting = "round"', "night.setting", "of kind boolean, not hours"),
        ('setting = "hours"\n', "", "", ""),
        ('default = ["22:00", "06:00"]\n', "", "", ""),
        ('round_setting = "round"', 'round_setting = "hours"', "background.round_setting", "not boolean"),
        ("least = 3", "least = 11", "background.least", "above most = 10"),
    ],
)
def test_nights_and_backgrounds_can_be(old: str, new: str, path: str, message: str) -> None:
    assert old in NOISE
    text = NOISE.replace(old, new, 1)
    if path:
        refused(text, path, message)
    elif "default" in old:  # the example has to say what has no default
        assert parse(text)[0] is not None
    else:
        assert parse(text)[1] == []


def test_spans_of_force_may_follow_each_other() -> None:
    spans = "".join(
        f'[[in_force]]\nfrom = {day}\ncite = "x"\n'
        for day in ("2015-01-01\nto = 2018-01-01", "2012-01-01\nto = 2013-01-01")
    )
    text = STACK.replace(", from = 2020-01-01, to = 2030", ", to = 2030").replace(
        "[setting.size]", spans + "[setting.size]"
    )
    assert parse(text)[1] == []


def test_there_is_no_conversion_at_a_water_point() -> None:
    refused(WATER, "clause[0].corrected", "nothing is converted at a water point")


def test_without_parameters_units_stand_for_themselves() -> None:
    assert parse_rules(STACK, "toy.toml")[1] == []
    _, faults = parse_rules(STACK.replace('unit = "mg/m3"', 'unit = "degC"'), "toy.toml")
    assert [fault.path for fault in faults] == ["clause[0].corrected"]


def test_rows_of_too_many_cases_are_refused_at_once() -> None:
    names = [f"s{number}" for number in range(18)]
    asked = "".join(f'[setting.{n}]\ntitle = "x"\nkind = "boolean"\ndefault = false\ncite = "x"\n' for n in names)
    when = ", ".join(f"{name} = true" for name in names)
    text = STACK.replace("[[validity]]", f"{asked}\n[[validity]]", 1).replace(
        'size = "large" }, high = 20', f"{when} }}, high = 20"
    )
    refused(text, "clause[0].limit", f"more than {CASES_MAX} cases")


def test_of_many_contradictions_some_are_told() -> None:
    text = STACK.replace('"large"]', '"large", ' + ", ".join(f'"s{n}"' for n in range(50)) + "]")
    _, faults = parse(text)
    assert len(faults) == 10


def test_an_example_that_the_pack_contradicts_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "toy.toml"
    path.write_text(STACK.replace("value = 51", "value = 49"))
    pack, faults = check_pack(str(path))
    assert pack is None
    (fault,) = faults
    assert (fault.path, fault.file) == ("example[0]", str(path))
    assert path.read_text().splitlines()[(fault.line or 0) - 1] == "[[example]]"
    path.write_text(STACK)
    assert check_pack(str(path))[1] == []


def test_a_background_is_taken_out_by_a_table_of_the_pack() -> None:
    text = NOISE.replace('statistic = "maximum"', 'corrected = "background"')
    table = text[text.index("[background]") : text.index("[[clause]]")]
    refused(text.replace(table, ""), "clause[0].corrected", "the pack has no [background]")


@pytest.mark.parametrize(
    ("window", "part", "us", "good"),
    [("1h", "15m", 15, True), ("1h", "30m", 15, False), ("30m", "15m", 15, False), ("1h", "15m", None, False)],
)
def test_quadrants_are_those_of_an_hour(window: str, part: str, us: int | None, good: bool) -> None:
    row = f'[[validity]]\nwindow = "{window}"\npart = "{part}"\nquadrants = true\ncite = "toy 3"\nverified = true\n'
    rule = f'[us.hour]\nquadrant_minutes = {us}\napart_minutes = 15\ncite = "toy 9"\nverified = true\n' if us else ""
    begin, end = STACK.index("[[validity]]"), STACK.index("[[validity]]", STACK.index("[[validity]]") + 1)
    pack, faults = parse_rules(STACK[:begin] + row + STACK[end:] + rule, "toy.toml", PARAMETERS)
    assert (pack is not None) is good
    assert [fault.path for fault in faults] == ([] if good else ["validity[0].quadrants"])
