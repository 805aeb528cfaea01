"""What European texts allow beside a limit: read, refused, and followed from measurements to verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from collector.catalogue import rule_packs
from collector.verdicts.averages import averages
from collector.verdicts.concurrent import mixed, site_faults
from collector.verdicts.evidence import clause_evidence
from collector.verdicts.judgement import derive
from collector.verdicts.limits import read_settings, resolve
from collector.verdicts.pack import RulePack
from collector.verdicts.pack_file import parse_rules
from collector.verdicts.points import PointRules, point_rules
from collector.verdicts.records import Average, Standing
from collector.verdicts.screening import Signal, signal
from collector.verdicts.tables import Tables
from collector.verdicts.unjudged import unjudged
from gateway import catalogue
from gateway.measurement import SECOND_NS, Status
from gateway.settings import parse_site
from tests.collector.verdicts.lines import MILL

PACKS = rule_packs()
PARAMETERS = catalogue.parameters()
DAY = date(2026, 7, 1)
ZONE = "Europe/Berlin"
MIDNIGHT = int(datetime(2026, 7, 1, tzinfo=ZoneInfo(ZONE)).timestamp()) * SECOND_NS
MINUTE_NS = 60 * SECOND_NS

GOOD = """
id = "toy-2020"
kind = "stack"
title = { en = "A toy", zh = "玩具" }
source = "made up"
[[in_force]]
from = 2020-01-01
cite = "toy 1"
[setting.elv]
title = "Limit"
kind = "number"
default = "none"
cite = "toy 2"
[setting.found]
title = "Uncertainty"
kind = "number"
default = "none"
cite = "toy 2"
[validation]
window = "30m"
invalid_max = 5
days_max = 10
cite = "toy 3"
verified = true
[[validation.interval]]
parameter = "SO2"
percent = 20
of = "day"
below = 10.0
instead = "half"
measured = "found"
cite = "toy 4"
verified = true
[[share]]
clause = "half"
least = 0.97
over = "year"
standing = "evidence"
cite = "toy 5"
verified = true
[[clause]]
id = "day"
cite = "toy 6"
title = "day"
parameter = "SO2"
window = "24h"
unit = "mg/m3"
standing = "evidence"
verified = true
corrected = "validated"
limit = [{ of = "elv" }]
[[clause]]
id = "half"
cite = "toy 7"
title = "half"
parameter = "SO2"
window = "30m"
unit = "mg/m3"
standing = "early warning"
verified = true
corrected = "validated"
limit = [{ of = "elv", times = 2.0 }]
[[example]]
clause = "day"
settings = { elv = 50 }
value = 50.1
limit = 50
exceeds = true
source = "toy"
[[example]]
clause = "half"
settings = { elv = 50 }
value = 100.0
limit = 100
exceeds = false
source = "toy"
"""


def toy(text: str = GOOD) -> RulePack:
    pack, faults = parse_rules(text, "toy.toml", PARAMETERS)
    assert not faults, faults
    assert pack is not None
    return pack


def test_validation_and_shares_are_read_whole() -> None:
    pack = toy()
    assert pack.validation is not None
    assert (pack.validation.window, pack.validation.invalid_max, pack.validation.days_max) == ("30m", 5, 10)
    row = pack.validation.interval("SO2", {})
    assert row is not None
    assert (row.percent, row.of, row.below, row.instead, row.measured) == (20.0, "day", 10.0, "half", "found")
    assert pack.validation.interval("NOx", {}) is None
    (share,) = pack.shares
    assert (share.clause, share.least, share.over, share.standing) == ("half", 0.97, "year", Standing.EVIDENCE)


@pytest.mark.parametrize(
    ("old", "new", "path", "message"),
    [
        ('of = "day"', 'of = "dya"', "validation.interval[0].of", "not known"),
        ('instead = "half"', 'instead = "hlaf"', "validation.interval[0].instead", "not known"),
        ('instead = "half"\n', "", "validation.interval[0].instead", "missing"),
        ('measured = "found"', 'measured = "lost"', "validation.interval[0].measured", "not known"),
        ('parameter = "SO2"\npercent', 'parameter = "NOx"\npercent', "clause[0].corrected", "nothing says how SO2"),
        ("percent = 20", "percent = 120", "validation.interval[0].percent", "outside"),
        ("invalid_max = 5", "invalid_max = -1", "validation.invalid_max", "outside"),
        ('window = "30m"\ninv', 'window = "31m"\ninv', "validation.window", "not known"),
        ('clause = "half"\nleast', 'clause = "year"\nleast', "share[0].clause", "not known"),
        ('clause = "half"\nleast', 'clause = "day"\nleast', "share[0].clause", "no breach yet"),
        ("least = 0.97", 'least = 0.97\ninstead = "day"', "share[0].instead", "no breach yet"),
        ("least = 0.97", "least = 97", "share[0].least", "outside"),
        ('over = "year"', 'over = "month"', "share[0].over", "not known"),
        ('standing = "evidence"\ncite = "toy 5"', 'cite = "toy 5"', "share[0].standing", "missing"),
        ('limit = [{ of = "elv" }]', 'limit = [{ of = "vle" }]', "clause[0].limit[0].of", "not known"),
        ('limit = [{ of = "elv" }]', 'limit = [{ of = "elv", high = 5 }]', "clause[0].limit[0].of", "two upper limits"),
        ('kind = "number"\ndefault = "none"', 'kind = "boolean"\ndefault = "none"', "setting.elv.default", "neither"),
    ],
)
def test_a_fault_names_its_place(old: str, new: str, path: str, message: str) -> None:
    assert old in GOOD
    pack, faults = parse_rules(GOOD.replace(old, new, 1), "toy.toml", PARAMETERS)
    assert pack is None
    assert any(fault.path == path and message in fault.message for fault in faults), faults


def interval(pack: RulePack, id: str, settings: Mapping[str, Any]) -> float | None:
    clauses, faults = resolve(pack, settings, DAY)
    assert not faults, faults
    (found,) = [clause.interval for clause in clauses if clause.id == id]
    return found


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"elv": 50.0}, 10.0),
        ({"elv": 50.0, "found": 4.0}, 4.0),
        ({"elv": 50.0, "found": 12.0}, 10.0),  # capped by the share
        ({"elv": 10.0}, 2.0),
        ({"elv": 8.0}, 3.2),  # a share of the half-hour's 16
    ],
)
def test_what_is_subtracted_hangs_on_the_limit_of_the_point(settings: dict[str, float], found: float) -> None:
    assert interval(toy(), "half", settings) == pytest.approx(found)


def test_a_limit_of_the_permit_is_none_where_the_point_has_none() -> None:
    assert resolve(toy(), {}, DAY) == ((), [])
    (day, half), faults = resolve(toy(), {"elv": 0.1}, DAY)
    assert (faults, day.limit(), half.limit(), half.short) == ([], 0.1, 0.2, "30m")
    settings, faults = read_settings("stack", [toy()], {"elv": "12.5"})
    assert (faults, settings["elv"], settings["found"]) == ([], 12.5, None)


def test_nothing_is_validated_where_the_interval_is_not_known() -> None:
    pack = toy(GOOD.replace('limit = [{ of = "elv" }]', 'limit = [{ high = "none" }]').replace(
        "value = 50.1\nlimit = 50\nexceeds = true", 'value = 50.1\nlimit = "none"\nexceeds = false'))  # fmt: skip
    assert interval(pack, "half", {"elv": 50.0}) is None
    kinds = '[setting.kind]\ntitle = "k"\nchoices = ["a", "b"]\ndefault = "a"\ncite = "toy"\n[setting.found]'
    text = GOOD.replace("[setting.found]", kinds)
    pack = toy(text.replace("percent = 20", 'percent = 20\nwhen = { kind = "a" }'))
    assert interval(pack, "half", {"elv": 50.0}) == 10.0
    assert interval(pack, "half", {"elv": 50.0, "kind": "b"}) is None
    negative = toy(GOOD.replace("[setting.found]", "[setting.found]\nlow = -9.0"))
    assert interval(negative, "half", {"elv": 50.0, "found": -1.0}) is None


@pytest.mark.parametrize(
    ("id", "clause", "settings", "found"),
    [
        ("bimschv-17-2013", "dust-day", {"capacity": "from 50 MW"}, 6.0),  # 30 % of the half-hour's 20
        ("bimschv-17-2013", "dust-day", {"capacity": "below 50 MW"}, 3.0),
        ("bimschv-17-2013", "nox-half-hour", {"capacity": "from 50 MW"}, 30.0),
        ("bimschv-17-2013", "nox-half-hour", {"capacity": "from 50 MW", "ci_base": "year"}, 20.0),
        ("bimschv-17-2013", "nox-half-hour", {"capacity": "below 50 MW", "ci_base": "year"}, 40.0),
        ("bimschv-17-2013", "so2-day", {"capacity": "from 50 MW", "uncertainty_so2": 7.5}, 7.5),
        ("bimschv-13-2021", "dust-half-hour", {"elv_dust": 5.0, "reference_oxygen": 6.0}, 3.0),
        ("bimschv-13-2021", "dust-half-hour", {"elv_dust": 10.0, "reference_oxygen": 6.0}, 3.0),
        ("bimschv-44-2019", "nh3-day", {"elv_nh3": 30.0, "reference_oxygen": 3.0}, 12.0),
        ("ied-2010-75-annex-vi", "hcl-half-hour-a", {}, 4.0),
        ("ied-2010-75-annex-v", "so2-day", {"elv_so2": 200.0, "reference_oxygen": 6.0}, 40.0),
    ],
)
def test_what_the_packs_subtract(id: str, clause: str, settings: dict[str, Any], found: float) -> None:
    assert interval(PACKS[id], clause, settings) == pytest.approx(found)


# --- from measurements to verdicts ----------------------------------------------------------------------


def series(parameter: str, values: Any) -> Signal:
    value = np.asarray(values, np.float64)
    codes = np.where(np.isnan(value), Status.NO_COMM, 0).astype(np.uint8)
    times = MIDNIGHT + np.arange(len(value), dtype=np.int64) * MINUTE_NS
    unit = PARAMETERS[parameter].unit
    return signal(parameter, unit, time_ns=times, value=value, status=codes, interval_ns=MINUTE_NS)


def law(pack: RulePack, settings: Mapping[str, Any]) -> PointRules:
    rules, faults = point_rules(
        "p", "x", "stack", timezone=ZONE, packs=[pack], settings=settings, parameters=PARAMETERS
    )
    assert not faults, faults
    return rules


def made(rules: PointRules, *signals: Signal) -> dict[tuple[str, int], Average]:
    """Averages of SO2 by window and minute of the day."""
    known = {s.parameter: s for s in signals}
    wanted = {kind: rules.windows(kind, MIDNIGHT, MIDNIGHT + 1440 * MINUTE_NS) for kind in ("30m", "1h", "24h", "1m")}
    tables = Tables(rules, known, MIDNIGHT, MIDNIGHT + 1440 * MINUTE_NS)
    found = averages(rules, tables, wanted)
    return {(a.window, (a.from_ns - MIDNIGHT) // MINUTE_NS): a for a in found if a.parameter == "SO2"}


WASTE = PACKS["ied-2010-75-annex-vi"]


def test_a_day_is_judged_by_the_mean_of_validated_half_hours() -> None:
    rules = law(WASTE, {})
    values = np.repeat([5.0, 110.0], 720)  # SO2 at 11 % O2: 10 is subtracted, and what is below stays at zero
    found = made(rules, series("SO2", values), series("O2", np.full(1440, 11.0)))
    assert (found["30m", 0].value, found["30m", 0].evaluated) == (5.0, 0.0)
    assert found["30m", 720].evaluated == 100.0
    day = found["24h", 0]
    assert (day.value, day.evaluated, day.valid) == (57.5, 50.0, True)  # 47.5 if taken from the mean
    assert found["1h", 0].evaluated == 5.0  # judged by no clause: converted only
    signals = {"SO2": series("SO2", values), "O2": series("O2", np.full(1440, 11.0))}
    wanted = {kind: rules.windows(kind, MIDNIGHT, MIDNIGHT + 1440 * MINUTE_NS) for kind in ("30m", "24h")}
    derived = derive(rules, signals, wanted)
    assert {e.clause for e in derived.exceedances} == {"so2-half-hour-b"}
    assert {(e.standing, e.value, e.limit) for e in derived.exceedances} == {(Standing.EARLY_WARNING, 100.0, 50.0)}
    told = derived.exceedances[0].evidence["clause"]
    assert (told["corrected"], told["interval"], told["interval_of"]) == ("validated", 10.0, "30m")


def test_each_clause_is_held_against_validated_values_of_its_own_window() -> None:
    rules = law(WASTE, {})
    signals = {"SO2": series("SO2", np.full(1440, 110.0)), "O2": series("O2", np.full(1440, 11.0))}
    wanted = {kind: rules.windows(kind, MIDNIGHT, MIDNIGHT + 1440 * MINUTE_NS) for kind in ("30m", "24h")}
    found = derive(rules, signals, wanted).exceedances
    assert {(e.clause, e.value, e.limit) for e in found} >= {("so2-day", 100.0, 50.0), ("so2-half-hour-b", 100.0, 50.0)}
    assert len([e for e in found if e.clause == "so2-half-hour-b"]) == 48


def test_evidence_of_other_clauses_has_no_interval() -> None:
    pack = PACKS["ultra-low-2015"]
    rules = law(pack, {"reference_oxygen": 6.0})
    told = clause_evidence(rules, rules.clauses(DAY)[0], compared=40.0, limit=35.0, conditions={})
    assert "interval" not in told


def test_six_invalid_half_hours_and_the_day_is_not_judged() -> None:
    rules, oxygen = law(WASTE, {}), series("O2", np.full(1440, 11.0))
    for lost, valid in ((5, True), (6, False)):
        values = np.full(1440, 100.0)
        values[: lost * 30] = np.nan
        day = made(rules, series("SO2", values), oxygen)["24h", 0]
        assert (day.valid, day.evaluated) == (valid, 90.0)


def test_what_meets_its_limit_is_not_broken_by_binary_dust() -> None:
    assert 10.3 - 0.2 > 10.1
    rules = law(toy(), {"elv": 10.1, "found": 0.2, "reference_oxygen": 11.0})
    found = made(rules, series("SO2", np.full(1440, 10.3)), series("O2", np.full(1440, 11.0)))
    assert {found["24h", 0].evaluated, found["30m", 0].evaluated} == {10.1}


def test_ten_minutes_are_validated_as_they_are() -> None:
    rules = law(WASTE, {})
    signals = {"CO": series("CO", np.full(1440, 156.0)), "O2": series("O2", np.full(1440, 11.0))}
    wanted = {"10m": rules.windows("10m", MIDNIGHT, MIDNIGHT + 60 * MINUTE_NS)}
    found = [a for a in averages(rules, Tables(rules, signals, MIDNIGHT, MIDNIGHT + 1440 * MINUTE_NS), wanted)
             if a.parameter == "CO"]  # fmt: skip
    assert {a.evaluated for a in found} == {151.0}


def test_without_oxygen_nothing_is_validated_and_that_is_told() -> None:
    rules = law(WASTE, {})
    found = made(rules, series("SO2", np.full(1440, 900.0)))
    assert {a.evaluated for a in found.values()} == {None}
    assert any("so2-day" in text and "O2" in text for text in unjudged(rules, ["SO2"], list(found.values())))


def test_an_unknown_interval_is_no_verdict() -> None:
    pack = toy(GOOD.replace("[setting.found]", "[setting.found]\nlow = -9.0"))
    rules = law(pack, {"elv": 50.0, "found": -1.0, "reference_oxygen": 11.0})
    found = made(rules, series("SO2", np.full(1440, 900.0)), series("O2", np.full(1440, 11.0)))
    assert {a.evaluated for (window, _), a in found.items() if window in ("30m", "24h")} == {None}
    told = unjudged(rules, ["SO2"], list(found.values()))  # though all of it was converted
    assert any("for want of a correction" in text and "windows: 48" in text for text in told)


def test_hourly_values_have_no_half_hours() -> None:
    rules = law(toy(), {"elv": 50.0, "reference_oxygen": 11.0})
    hours = np.arange(24, dtype=np.int64) * 60 * MINUTE_NS + MIDNIGHT
    columns = {
        name: signal(name, PARAMETERS[name].unit, time_ns=hours, value=np.full(24, value),
                     status=np.zeros(24, np.uint8), interval_ns=60 * MINUTE_NS)
        for name, value in (("SO2", 70.0), ("O2", 11.0))
    }  # fmt: skip
    wanted = {"24h": rules.windows("24h", MIDNIGHT, MIDNIGHT + 1)}
    tables = Tables(rules, columns, MIDNIGHT, MIDNIGHT + 1440 * MINUTE_NS)
    (day,) = [a for a in averages(rules, tables, wanted) if a.parameter == "SO2"]
    assert day.evaluated is None


# --- packs that do not go together ----------------------------------------------------------------------

SITE = (
    MILL.replace("Asia/Shanghai", "Europe/Berlin")
    + """
[[point]]
id = "stack"
kind = "stack"
rules = ["ied-2010-75-annex-v", "ultra-low-2015"]
settings = { reference_oxygen = 6.0, elv_so2 = 200.0 }
"""
)


def test_validated_values_are_not_judged_by_another_pack() -> None:
    coal = PACKS["ultra-low-2015"]
    large = PACKS["ied-2010-75-annex-v"]
    assert "CO 1h" not in mixed([large, coal], {})
    assert mixed([large, coal], {}) == (
        "ied-2010-75-annex-v judges NOx 1h by validated values, ultra-low-2015 judges it too"
    )
    assert mixed([coal, WASTE, PACKS["en-14181-2014"]], {}) == ""
    assert mixed([WASTE, PACKS["bimschv-17-2013"]], {}) != ""
    _, faults = point_rules(
        "p", "x", "stack", timezone=ZONE, packs=[large, coal], settings={"reference_oxygen": 6.0}, parameters=PARAMETERS
    )
    assert [fault.path for fault in faults] == ["rules"]
    site, problems = parse_site(SITE, "site.toml")
    assert site is not None, problems
    faults = site_faults(site, PACKS, DAY)
    assert [fault.path for fault in faults] == ["point[0].rules"]
    assert site_faults(replace(site, points=()), PACKS, DAY) == []
