"""The tables under `[us]` of a rule pack: TOML in, rules and every fault of them out.

Beside wrong values, two contradictions are faults: tiers that do not nest (availability falls, gaps
grow, and the last tier holds for everything), and a parameter that two rows of a kind are for. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypedDict

from collector.verdicts import us_rules as u
from gateway.document import Table

_YEAR_H = 8_784
_MOST_H = 20 * _YEAR_H


class _Cite(TypedDict):
    cite: str
    verified: bool


def parse_us(root: Table) -> u.UsRules | None:
    """The tables under `us` of a pack, None where there are none; faults are noted in the document."""
    if "us" not in root:
        return None
    with root.table("us") as us:
        rules = u.UsRules(
            hour=_hour(us),
            availability=_availability(us),
            substitution=tuple(_substitution(row) for row in us.tables("substitution")),
            modc=tuple(_modc(row) for row in us.tables("modc")),
            calibration=tuple(_calibration(row) for row in us.tables("calibration")),
            calibration_life=_life(us),
            linearity=tuple(_linearity(row) for row in us.tables("linearity")),
            rata=tuple(_rata(row) for row in us.tables("rata")),
            fuels=tuple(_fuel(row) for row in us.tables("fuel")),
            diluent_caps=tuple(_cap(row) for row in us.tables("diluent_cap")),
        )
        _once(us, "substitution", [name for rule in rules.substitution for name in rule.parameters])
        _once(us, "calibration", [f"{rule.test} of {name}" for rule in rules.calibration for name in rule.parameters])
        _once(us, "linearity", [name for rule in rules.linearity for name in rule.parameters])
        _once(us, "rata", [name for rule in rules.rata for name in rule.parameters])
        _once(us, "modc", [row.code for row in rules.modc])
        _once(us, "fuel", [row.name for row in rules.fuels])
        return rules


def _cite(table: Table) -> _Cite:
    return {"cite": table.text("cite", hint=u.CITE_HINT) or "", "verified": bool(table.boolean("verified"))}


def _once(table: Table, key: str, names: Sequence[str]) -> None:
    for name in sorted({name for name in names if names.count(name) > 1}):
        table.fault(key, f"two rows are for {name}", "one row for each")


def _hours(table: Table, key: str) -> int:
    return table.integer(key, low=1, high=_MOST_H) or 1


def _hour(us: Table) -> u.HourRule | None:
    if "hour" not in us:
        return None
    with us.table("hour") as table:
        quadrant = table.integer("quadrant_minutes", low=1, high=60) or 15
        if 60 % quadrant:
            table.fault("quadrant_minutes", f"{quadrant} does not divide an hour", "15, for four quadrants")
        return u.HourRule(
            quadrant_minutes=quadrant, apart_minutes=table.integer("apart_minutes", low=0, high=59) or 0, **_cite(table)
        )


def _availability(us: Table) -> u.AvailabilityRule | None:
    if "availability" not in us:
        return None
    with us.table("availability") as table:
        return u.AvailabilityRule(
            window_hours=_hours(table, "window_hours"), oldest_hours=_hours(table, "oldest_hours"), **_cite(table)
        )


def _life(us: Table) -> u.CalibrationLife | None:
    if "calibration_life" not in us:
        return None
    with us.table("calibration_life") as table:
        grace = table.integer("grace_hours", low=0, high=_YEAR_H) or 0
        return u.CalibrationLife(hours=_hours(table, "hours"), grace_hours=grace, **_cite(table))


def _substitution(table: Table) -> u.SubstitutionRule:
    with table:
        rule = u.SubstitutionRule(
            parameters=table.texts("parameters"),
            lookback_hours=_hours(table, "lookback_hours"),
            by_load=bool(table.boolean("by_load", False)),
            toward=table.choice("toward", ("high", "low"), "high"),
            places=table.integer("places", low=-15, high=15) or 0,
            initial=table.choice("initial", ("neighbours", "mean")) or "neighbours",
            initial_modc=_code(table, "initial_modc"),
            empty_modc=_code(table, "empty_modc"),
            potential_modc=_code(table, "potential_modc"),
            measured_modc=_code(table, "measured_modc"),
            tiers=tuple(_tier(row) for row in table.tables("tier")),
            **_cite(table),
        )
        if not _nested(rule.tiers):
            hint = "availability falls from row to row, gaps grow while it stays, the last row is availability 0"
            table.fault("tier", "the tiers do not nest", hint)
        return rule


def _code(table: Table, key: str) -> str:
    code: str = table.text(key, hint="two digits, as text") or ""
    if len(code) != 2 or not code.isdigit():
        table.fault(key, f"{code!r} is not a MODC code", f'{key} = "08", two digits as text')
    return code


def _tier(table: Table) -> u.Tier:
    with table:
        method = table.choice("method", u.METHODS) or "potential"
        percentile = table.integer("percentile", None, low=50, high=100)
        if (method == "percentile") != (percentile is not None):
            table.fault("percentile", "belongs to method percentile, and to no other", "percentile = 90")
        return u.Tier(
            availability_percent=table.number("availability_percent", low=0.0, high=100.0) or 0.0,
            gap_hours=table.integer("gap_hours", None, low=1, high=_MOST_H),
            method=method,
            percentile=percentile,
            modc=_code(table, "modc"),
        )


def _nested(tiers: Sequence[u.Tier]) -> bool:
    """Whether for every availability and length of gap there is a first tier, and none is in vain."""
    order = [(-tier.availability_percent, tier.gap_hours or float("inf")) for tier in tiers]
    if not order or order != sorted(set(order)) or order[-1][0] != 0.0:
        return False
    return all(gap == float("inf") for gap in dict(order).values())  # the last gap of each availability


def _modc(table: Table) -> u.Modc:
    with table:
        return u.Modc(
            code=_code(table, "code"), title=table.text("title") or "", measured=table.texts("measured", ()),
            **_cite(table),
        )  # fmt: skip


def _calibration(table: Table) -> u.CalibrationRule:
    with table:
        _one_of(table, "percent", "difference")
        return u.CalibrationRule(
            test=table.choice("test", u.CALIBRATIONS) or "daily",
            parameters=table.texts("parameters"),
            percent=table.number("percent", None, low=0.0, high=100.0),
            difference=table.number("difference", None, low=0.0),
            target=table.number("target", low=0.0) or 0.0,
            places=table.integer("places", low=0, high=15) or 0,
            alternatives=tuple(_alternatives(table)),
            **_cite(table),
        )


def _one_of(table: Table, *keys: str) -> None:
    if sum(key in table for key in keys) != 1:
        table.fault("", f"one of {' and '.join(keys)} is needed", f"{keys[0]} = 5.0")


def _alternatives(table: Table) -> Iterable[u.Alternative]:
    for row in table.tables("alternative"):
        with row:
            yield u.Alternative(
                difference=row.number("difference", low=0.0) or 0.0,
                span_above=row.number("span_above", None, low=0.0),
                span_upto=row.number("span_upto", None, low=0.0),
                span_below=row.number("span_below", None, low=0.0),
            )


def _linearity(table: Table) -> u.LinearityRule:
    with table:
        return u.LinearityRule(
            parameters=table.texts("parameters"),
            percent=table.number("percent", low=0.0, high=100.0) or 0.0,
            difference=table.number("difference", low=0.0) or 0.0,
            places=table.integer("places", low=0, high=15) or 0,
            **_cite(table),
        )


def _rata(table: Table) -> u.RataRule:
    with table:
        if ("low_factor" in table) != ("low_reference" in table):
            table.fault("low_factor", "low_factor and low_reference belong together", "name both or none")
        return u.RataRule(
            parameters=table.texts("parameters"),
            runs=table.integer("runs", low=2, high=1000) or 2,
            places=table.integer("places", low=0, high=15) or 0,
            bias=bool(table.boolean("bias")),
            low_factor=table.number("low_factor", None, low=1.0),
            low_reference=table.number("low_reference", None, low=0.0),
            steps=tuple(_step(row) for row in table.tables("step")),
            **_cite(table),
        )


def _step(table: Table) -> u.RataStep:
    with table:
        _one_of(table, "relative_accuracy", "difference")
        return u.RataStep(
            quarters=table.integer("quarters", low=1, high=8) or 1,
            relative_accuracy=table.number("relative_accuracy", None, low=0.0, high=100.0),
            difference=table.number("difference", None, low=0.0),
            reference_upto=table.number("reference_upto", None, low=0.0),
        )


def _fuel(table: Table) -> u.Fuel:
    with table:
        name, fd, fc = table.text("name") or "", table.number("fd", low=1.0), table.number("fc", low=1.0)
        return u.Fuel(name=name, fd=fd or 1.0, fc=fc or 1.0, **_cite(table))


def _cap(table: Table) -> u.DiluentCap:
    with table:
        co2, o2 = (table.number(key, low=0.0, high=100.0) or 0.0 for key in ("co2_percent", "o2_percent"))
        return u.DiluentCap(units=table.text("units") or "", co2_percent=co2, o2_percent=o2, **_cite(table))
