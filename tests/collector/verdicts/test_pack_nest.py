"""The limits of a pack nest as those of a law do."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.verdicts.pack import RulePack
from collector.verdicts.pack_file import parse_rules
from gateway import catalogue
from gateway.document import Fault
from tests.effort import examples

PARAMETERS = catalogue.parameters()
HEAD = """
id = "toy"
kind = "%s"
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

[setting.indoor]
title = "Indoors"
kind = "boolean"
default = false
cite = "toy 2"

[setting.permit]
title = "Permit"
kind = "number"
default = "none"
cite = "toy 2"
"""


def clause(id: str, window: str, limit: str, more: str = "", parameter: str = "SO2", standing: str = "finding") -> str:
    """A clause and an example of it; the limit as rows, or one upper limit."""
    rows = limit if "{" in limit else f"{{ high = {limit} }}"
    unit = PARAMETERS[parameter].unit
    return f"""
[[clause]]
id = "{id}"
cite = "toy 3"
title = "x"
parameter = "{parameter}"
window = "{window}"
unit = "{unit}"
standing = "{standing}"
verified = true
limit = [{rows}]
{more}
[[example]]
clause = "{id}"
value = 1
limit = 1
exceeds = false
source = "toy 3"
"""


def share(id: str, instead: str = "", over: str = "year") -> str:
    return f"""
[[share]]
clause = "{id}"
least = 0.97
over = "{over}"
instead = "{instead}"
standing = "finding"
cite = "toy 4"
verified = true
"""


def parse(*parts: str, kind: str = "stack") -> tuple[RulePack | None, list[Fault]]:
    return parse_rules(HEAD % kind + "".join(parts), "toy.toml", PARAMETERS)


def refused(*parts: str, kind: str = "stack") -> str:
    pack, faults = parse(*parts, kind=kind)
    assert pack is None
    assert all(fault.line and fault.hint for fault in faults)
    return "; ".join(f"{fault.path}: {fault.message}" for fault in faults)


def taken(*parts: str, kind: str = "stack") -> None:
    pack, faults = parse(*parts, kind=kind)
    assert pack is not None, [str(fault) for fault in faults]


WARNING = "early warning"


@settings(max_examples=examples(40), deadline=None)
@given(
    st.integers(0, 500),
    st.integers(0, 500),
    st.sampled_from(["5m", "30m", "1h"]),
    st.sampled_from(["24h", "month", "year"]),
)
def test_over_a_longer_time_no_more_is_allowed(short: int, long: int, window: str, longer: str) -> None:
    parts = clause("short", window, str(short)), clause("long", longer, str(long))
    if long > short:
        told = refused(*parts)
        assert "clause[0].limit" in told
        assert f"{long} is above {short}" in told
        assert "'long' within 'short'" in told
    else:
        taken(*parts)


def test_what_is_told_of_a_pair_is_told_once() -> None:
    rows = '{ when = { size = "small" }, high = %d }, { when = { size = "large" }, high = %d }'
    pack, faults = parse(clause("short", "1h", rows % (40, 30)), clause("long", "24h", rows % (50, 50)))
    assert pack is None
    (fault,) = faults
    assert "for size = small" in fault.message


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ('{ when = { size = "small" }, high = 40 }, { when = { size = "large" }, high = "none" }',
         '{ when = { size = "small" }, high = 30 }, { when = { size = "large" }, high = 90 }'),
        ("{ high = 40, to = 2024-01-01 }, { high = 20, from = 2024-01-01 }",
         "{ high = 30, to = 2024-01-01 }, { high = 10, from = 2024-01-01 }"),
        ("{ high = 8, given = { O2 = { upto = 12 } } }, { high = 5, given = { O2 = { above = 12 } } }",
         "{ high = 8, given = { O2 = { upto = 12 } } }, { high = 5, given = { O2 = { above = 12 } } }"),
        ('{ of = "permit", times = 2.0 }', '{ of = "permit", times = 1.1 }'),
        ('{ of = "permit" }', "50"),
        ("{ low = 5, high = 50 }", "{ low = 6, high = 40 }"),
        ("{ high = 50 }", "{ low = 6, high = 40 }"),
    ],
)  # fmt: skip
def test_rows_are_compared_where_they_hold_together(short: str, long: str) -> None:
    taken(clause("short", "1h", short), clause("long", "24h", long))


@pytest.mark.parametrize(
    ("short", "long", "message"),
    [
        ('{ of = "permit", times = 1.0 }', '{ of = "permit", times = 1.1 }', "1.1 times permit is above 1 times"),
        ("{ low = 6, high = 50 }", "{ low = 5, high = 40 }", "5 is below 6"),
        ("{ high = 8, given = { O2 = { upto = 12 } } }, { high = 5, given = { O2 = { above = 12 } } }", "8",
         "8 is above 5"),
        ("{ high = 40, to = 2024-01-01 }, { high = 20, from = 2024-01-01 }", "30", "30 is above 20"),
    ],
)  # fmt: skip
def test_rows_that_do_not_nest_are_refused(short: str, long: str, message: str) -> None:
    assert message in refused(clause("short", "1h", short), clause("long", "24h", long))


def test_what_is_not_the_same_is_not_compared() -> None:
    day = clause("day", "24h", "50")
    taken(day, clause("hour", "1h", "40", 'corrected = "converted"'))
    taken(day, clause("hour", "1h", "40", parameter="NOx"))
    taken(day, clause("peak", "1h", "40", 'statistic = "maximum"'))
    taken(clause("a", "24h", "50"), clause("b", "24h", "50"), clause("c", "month", "30"), clause("d", "30d", "35"))
    assert PARAMETERS["total_volume"].average == "maximum"  # of a longer time it is larger
    volumes = [
        clause(window, window, str(limit), parameter="total_volume") for window, limit in (("1h", 5), ("24h", 9))
    ]
    taken(*volumes, kind="water")


def test_an_early_warning_of_a_longer_limit_may_lie_below_it() -> None:
    taken(clause("day", "24h", "50"), clause("hour", "1h", "40", standing=WARNING))
    assert "50 is above 40" in refused(clause("day", "24h", "50", standing=WARNING), clause("hour", "1h", "40"))
    both = clause("day", "24h", "50", standing=WARNING), clause("hour", "1h", "40", standing=WARNING)
    assert "50 is above 40" in refused(*both)


def test_a_warning_comes_before_its_limit() -> None:
    law = clause("law", "1h", "50")
    taken(law, clause("warning", "1h", "50", standing=WARNING))
    told = refused(law, clause("warning", "1h", "51", standing=WARNING))
    assert "clause[1].limit: 51 is above 50" in told


def noise(id: str, window: str, limit: str, more: str = "") -> str:
    return clause(id, window, limit, more, parameter="LAeq")


def test_the_night_is_not_louder_than_the_day() -> None:
    taken(noise("day", "day", "60"), noise("night", "night", "60"), kind="noise")
    told = refused(noise("day", "day", "60"), noise("night", "night", "61"), kind="noise")
    assert "clause[1].limit: 61 is above 60" in told
    told = refused(noise("day", "1h", "60", 'period = "day"'), noise("night", "calendar_night", "61"), kind="noise")
    assert "'night' within 'day'" in told


def test_the_hours_of_a_night_are_about_its_mean() -> None:
    taken(noise("hour", "1h", "70", 'period = "day"'), noise("night", "night", "60"), kind="noise")
    taken(noise("day-hour", "1h", "60", 'period = "day"'), noise("all", "24h", "65"), kind="noise")
    assert "60 is above 50" in refused(noise("hour", "1h", "50"), noise("night", "night", "60"), kind="noise")
    night_hour = noise("hour", "1h", "50", 'period = "night"')
    assert "60 is above 50" in refused(night_hour, noise("night", "night", "60"), kind="noise")


def test_what_is_added_counts() -> None:
    indoors = 'adjust = [{ when = { indoor = true }, add = -10, cite = "toy 5" }]'
    taken(noise("day", "day", "60", indoors), noise("night", "night", "50", indoors), kind="noise")
    told = refused(noise("day", "day", "60", indoors), noise("night", "night", "55"), kind="noise")
    assert "55 is above 50 for indoor = True" in told
    by_size = 'adjust = [{ when = { size = "large" }, add = 6, cite = "toy 5" }]'
    told = refused(noise("day", "day", "60"), noise("night", "night", "55", by_size), kind="noise")
    assert "61 is above 60 for size = large" in told
    of = clause("hour", "1h", '{ of = "permit" }', by_size) + clause(
        "day", "24h", '{ of = "permit", times = 2.0 }', by_size
    )
    assert "2 times permit is above 1 times permit for size = small" in refused(of)


def test_a_share_lies_within_what_makes_up_for_it() -> None:
    def pack(a: int, b: int, window: str = "30m") -> tuple[str, ...]:
        return (clause("a", "30m", str(a), standing=WARNING), clause("b", window, str(b), standing=WARNING),
                clause("day", "24h", "10"), share("b", "a"))  # fmt: skip

    taken(*pack(30, 8))
    taken(*pack(30, 31, "10m"))
    assert "31 is above 30" in refused(*pack(30, 31))
    taken(clause("b", "30m", "8", standing=WARNING), clause("day", "24h", "10", standing=WARNING), share("b"))
    told = refused(clause("b", "24h", "8", standing=WARNING), share("b", over="24h"))
    assert "share[0].over: a 24h has no share of the windows of 'b'" in told
    assert "not known" in refused(clause("b", "30m", "8", standing=WARNING), share("b", "nothing"))


SIZES = '{ when = { size = "small" }, high = %s }, { when = { size = "large" }, high = %s }'


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ("30", "50", "the upper limit is 30 and 50"),
        ("{ low = 6, high = 9 }", "{ low = 5, high = 9 }", "the lower limit is 6 and 5"),
        (SIZES % (30, 40), SIZES % (30, 50), "the upper limit is 40 and 50 for size = large"),
        ("30", SIZES % (30, 50), "the upper limit is 30 and 50 for size = large"),
        ('{ of = "permit", times = 2.0 }', '{ of = "permit", times = 1.1 }', "2 times permit and 1.1 times permit"),
        ("{ high = 40, to = 2024-01-01 }, { high = 20, from = 2024-01-01 }",
         "{ high = 40, to = 2025-01-01 }, { high = 20, from = 2025-01-01 }", "the upper limit is 20 and 40"),
        ("{ high = 8, given = { O2 = { upto = 12 } } }, { high = 5, given = { O2 = { above = 12 } } }", "8",
         "the upper limit is 5 and 8"),
    ],
)  # fmt: skip
def test_two_clauses_that_judge_the_same_do_not_set_two_limits(one: str, other: str, told: str) -> None:
    said = refused(clause("a", "1h", one), clause("b", "1h", other))
    assert said.startswith("clause[1].limit: 'a' and 'b' judge the same and contradict each other: ")
    assert told in said


@pytest.mark.parametrize(
    ("one", "other", "more"),
    [
        ("30", "30", ""),
        (SIZES % (30, '"none"'), SIZES % ('"none"', 50), ""),
        ('{ of = "permit" }', "50", ""),
        ("{ low = 6 }", "{ high = 9 }", ""),
        ("30", "50", 'states = ["any"]'),
        ("30", "50", 'corrected = "converted"'),
        ("30", "50", 'statistic = "maximum"'),
        ("{ high = 40, to = 2024-01-01 }, { high = 20, from = 2024-01-01 }",
         "{ high = 40, to = 2024-01-01 }, { high = 20, from = 2024-01-01 }", ""),
    ],
)  # fmt: skip
def test_clauses_that_something_tells_apart_may_differ(one: str, other: str, more: str) -> None:
    states = """
[states]
operating = ["operating", "start_up"]
judged = ["operating"]
cite = "toy 6"
verified = true
"""
    taken(states, clause("a", "1h", one), clause("b", "1h", other, more))


def test_the_day_and_the_night_and_the_standing_tell_clauses_apart() -> None:
    day, night = noise("d", "1h", "60", 'period = "day"'), noise("n", "1h", "50", 'period = "night"')
    taken(day, night, kind="noise")
    taken(clause("law", "1h", "50"), clause("warning", "1h", "40", standing=WARNING))
    taken(*(clause(f"step-{step}", "1h", str(step), standing=WARNING) for step in (30, 40, 50)))


def test_what_a_share_of_the_windows_has_to_meet_may_differ() -> None:
    taken(clause("a", "1h", "50", standing=WARNING), clause("b", "1h", "40", standing=WARNING), share("b", "a"))
    assert "is 50 and 40" in refused(clause("a", "1h", "50"), clause("b", "1h", "40"), clause("c", "24h", "30"))


def test_counts_of_the_same_are_held_against_one_limit() -> None:
    count = 'statistic = "count"\ncount = { window = "1h", above = %d }'

    def hours(id: str, limit: int, above: int) -> str:
        return clause(id, "24h", str(limit), count % above).replace('unit = "mg/m3"', 'unit = ""')

    taken(hours("a", 3, 10), hours("b", 5, 20))
    assert "is 3 and 5" in refused(hours("a", 3, 10), hours("b", 5, 10))
