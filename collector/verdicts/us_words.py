"""The tables under `[us]` of a rule pack in words, as `emitwatch rules show` prints them. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from collector.verdicts.us_rules import (
    Alternative,
    CalibrationRule,
    Cited,
    RataRule,
    RataStep,
    SubstitutionRule,
    Tier,
    UsRules,
)

Rows = list[tuple[str, ...]]


def us_words(rules: UsRules) -> Iterator[tuple[str, tuple[str, ...], Rows]]:
    """Title, headings and rows of each table that is not empty; the last two columns are verified and cite."""
    yield from _filled("hours and tests", ("rule", "says"), _spans(rules))
    rows = [row for rule in rules.substitution for row in _substitution(rule)]
    yield from _filled("substitution of missing hours", ("for", "availability", "gap", "value", "code"), rows)
    codes: Rows = [(row.code, row.title, ", ".join(row.measured), *_cited(row)) for row in rules.modc]
    yield from _filled("method of determination codes", ("code", "means", "quality-assured for"), codes)
    tests: Rows = [*map(_calibration, rules.calibration)]
    tests += [
        (
            "linearity",
            ", ".join(rule.parameters),
            f"{rule.percent:g} % of reference, or {rule.difference:g}",
            *_cited(rule),
        )
        for rule in rules.linearity
    ]
    tests += [("RATA", ", ".join(rule.parameters), _rata(rule), *_cited(rule)) for rule in rules.rata]
    yield from _filled("tests of a monitor", ("test", "for", "at most"), tests)
    fuels: Rows = [(fuel.name, f"Fd {fuel.fd:g}, Fc {fuel.fc:g} scf/mmBtu", *_cited(fuel)) for fuel in rules.fuels]
    fuels += [
        (f"diluent cap, {cap.units}", f"CO2 {cap.co2_percent:g} %, O2 {cap.o2_percent:g} %", *_cited(cap))
        for cap in rules.diluent_caps
    ]
    yield from _filled("fuels", ("fuel", "factors"), fuels)


def _filled(title: str, head: tuple[str, ...], rows: Rows) -> Iterator[tuple[str, tuple[str, ...], Rows]]:
    if rows:
        yield title, (*head, "verified", "cite"), rows


def _cited(row: Cited) -> tuple[str, str]:
    return "yes" if row.verified else "no", row.cite


def _spans(rules: UsRules) -> Rows:
    rows: Rows = []
    if hour := rules.hour:
        says = f"a point in each {hour.quadrant_minutes} min; with a test, two points {hour.apart_minutes} min apart"
        rows.append(("valid hour", says, *_cited(hour)))
    if count := rules.availability:
        says = f"over {count.window_hours} h of operation, at most {count.oldest_hours} h by the clock"
        rows.append(("availability", says, *_cited(count)))
    if life := rules.calibration_life:
        says = f"holds {life.hours} h, after a standstill {life.grace_hours} h of operation more"
        rows.append(("calibration", says, *_cited(life)))
    return rows


def _substitution(rule: SubstitutionRule) -> Rows:
    names, verified = ", ".join(rule.parameters), _cited(rule)
    start = f"until {rule.lookback_hours} h are measured"
    rows: Rows = [(names, start, "any", _method(rule, rule.initial, None), rule.initial_modc, *verified)]
    return rows + [(names, *_tier(rule, tier), *verified) for tier in rule.tiers]


def _tier(rule: SubstitutionRule, tier: Tier) -> tuple[str, ...]:
    gap = "any" if tier.gap_hours is None else f"up to {tier.gap_hours} h"
    return f"from {tier.availability_percent:g} %", gap, _method(rule, tier.method, tier.percentile), tier.modc


def _method(rule: SubstitutionRule, method: str, percentile: int | None) -> str:
    high, over = rule.toward == "high", f"{rule.lookback_hours} h" + (" of the load bin" if rule.by_load else "")
    share = None if percentile is None else percentile if high else 100 - percentile
    return {
        "neighbours": "mean of the hour before and after",
        "mean": f"mean of {over}",
        "percentile": f"percentile {share} of {over}, or the neighbours' mean if {'higher' if high else 'lower'}",
        "extreme": f"{'maximum' if high else 'minimum'} of {over}",
        "potential": f"{'maximum' if high else 'minimum'} potential value",
    }[method]


def _calibration(rule: CalibrationRule) -> tuple[str, ...]:
    limit = f"{rule.difference:g}" if rule.percent is None else f"{rule.percent:g} % of span"
    says = ", or ".join([limit, *map(_alternative, rule.alternatives)])
    return f"{rule.test} calibration", ", ".join(rule.parameters), says, *_cited(rule)


def _alternative(other: Alternative) -> str:
    bounds = (("above", other.span_above), ("up to", other.span_upto), ("below", other.span_below))
    span = " ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)
    return f"{other.difference:g}" + (f" for a span {span}" if span else "")


def _rata(rule: RataRule) -> str:
    factor = "no bias factor"
    if rule.bias:
        factor = "bias factor" if rule.low_factor is None else f"bias factor, {rule.low_factor:g} at most where low"
    return "; ".join([*map(_step, rule.steps), factor])


def _step(step: RataStep) -> str:
    if step.relative_accuracy is not None:
        return f"{step.relative_accuracy:g} % for {step.quarters} quarters"
    small = "" if step.reference_upto is None else f" with a reference up to {step.reference_upto:g}"
    return f"difference {step.difference:g}{small} for {step.quarters} quarters"
