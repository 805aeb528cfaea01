"""What a text counts over a year or a day: shares of windows that meet a limit, and days that are lost.

- 97 % of half-hours, 95 % of hours (`[[share]]`): each day's sums say how many windows have a value and how many are
  above the limit in force that day. A year that runs breaks its share once nothing that may still come can mend it:
  every window that is left counts as met. A year that has ended is judged by what it has.
- Where a clause may make up for it (`instead`: no half-hour above another limit), both have to be broken.
- Ten days (`validation.days_max`): a day is lost when more short-term averages are missing than its text allows. Which
  of them are missing because the plant stood, marks alone can say, and a day without any measurement is not counted: so
  this is an early warning. The remedy is the authority's, who may ask for a better measuring system.

These exceedances have clauses of their own, `<clause>-share` and `<parameter>-days-lost`. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from collector.verdicts.day_sums import DAY
from collector.verdicts.listed import rfc3339
from collector.verdicts.long import days_evidence
from collector.verdicts.pack import RulePack
from collector.verdicts.points import PointRules
from collector.verdicts.records import Average, Exceedance, Standing
from collector.verdicts.tables import DIGITS
from collector.verdicts.validation_rules import Share

SHARE, LOST = "-share", "-days-lost"


def counts_years(rules: PointRules) -> bool:
    """Whether a pack of the point counts anything over a year."""
    shares = any(share.over == "year" for pack in rules.packs for share in pack.shares)
    return shares or any(pack.validation and pack.validation.days_max is not None for pack in rules.packs)


def is_count(clause: str) -> bool:
    """Whether the clause of an exceedance is one of those that this file makes."""
    return clause.endswith((SHARE, LOST))


def of_days(rules: PointRules, days: Sequence[Average]) -> list[Exceedance]:
    """The shares of single days that are not met. days: averages of whole days, with their sums."""
    return [
        _broken(rules, pack, share, [day], to_ns=day.to_ns, value=_percent(told["above"], told["counted"]))
        for pack in rules.packs
        for share in pack.shares
        if share.over == DAY
        for day in days
        if day.window == DAY and day.parameter == pack.clause(share.clause).parameter
        and (told := day.sums.get("shares", {}).get(f"{pack.id}/{share.clause}")) and told["broken"]
    ]  # fmt: skip


def of_year(rules: PointRules, days: Sequence[Average], from_ns: int, to_ns: int, *, ended: bool) -> list[Exceedance]:
    """What is broken of the counts of one year [from_ns, to_ns), all of version 1.

    days: averages of whole days of the year, newest versions, with their sums. ended: whether the year is over;
    else what is told is certain, and lasts to the end of the last day.
    """
    own = sorted((day for day in days if from_ns <= day.from_ns < to_ns), key=lambda day: (day.parameter, day.from_ns))
    by_parameter: dict[str, list[Average]] = {}
    for day in own:
        by_parameter.setdefault(day.parameter, []).append(day)
    found: list[Exceedance] = []
    for pack in rules.packs:
        for share in (share for share in pack.shares if share.over == "year"):
            days = by_parameter.get(pack.clause(share.clause).parameter, [])
            found += _share(rules, pack, share, days, to_ns, ended=ended)
        for its in by_parameter.values():
            found += _lost(rules, pack, its, from_ns, to_ns, ended=ended)
    return found


def _share(
    rules: PointRules, pack: RulePack, share: Share, days: Sequence[Average], to_ns: int, *, ended: bool
) -> Iterator[Exceedance]:
    key = f"{pack.id}/{share.clause}"
    told = [day.sums["shares"][key] for day in days if key in day.sums.get("shares", {})]
    counted, above = sum(one["counted"] for one in told), sum(one["above"] for one in told)
    if not counted:
        return
    upto = days[-1].to_ns
    left = 0 if ended else len(rules.windows(pack.clause(share.clause).window, upto, to_ns)) if upto < to_ns else 0
    least = Fraction(share.least).limit_denominator(1_000_000)
    allowed = (counted + left) * (least.denominator - least.numerator) // least.denominator
    instead = [one["instead"] for one in told if one["instead"] is not None]
    saved = sum(number for number, _ in instead) > 0 and sum(beyond for _, beyond in instead) == 0
    if above > allowed and not saved:
        value = _percent(above, counted + left)
        yield _broken(rules, pack, share, days, to_ns=to_ns if ended else upto, value=value, left=left)


def _broken(
    rules: PointRules, pack: RulePack, share: Share, days: Sequence[Average], *, to_ns: int, value: float, left: int = 0
) -> Exceedance:
    """A share that is not met by some days. value: windows above the limit, of all. [%] left: windows still to come."""
    key = f"{pack.id}/{share.clause}"
    clause = pack.clause(share.clause)
    rows = [(day, day.sums["shares"][key]) for day in days if key in day.sums.get("shares", {})]
    counts = [
        [rfc3339(day.from_ns), one["counted"], one["above"], one["limit"], *(one["instead"] or (None, None))]
        for day, one in rows
        if one["above"]
    ]
    span = "day" if share.over == DAY else share.over
    first = days[0]
    from_ns = first.from_ns if share.over == DAY else rules.windows("year", first.from_ns, first.from_ns + 1).from_ns[0]
    return _exceedance(
        rules, pack, days, clause=f"{share.clause}{SHARE}", title=f"{clause.title.en}: share of the {span}",
        cite=share.cite, window=share.over, span=(int(from_ns), to_ns), value=value,
        limit=round(float(100 * (1 - Fraction(share.least).limit_denominator(1_000_000))), DIGITS), unit="%",
        standing=share.standing, verified=share.verified and clause.verified, corrected=clause.corrected,
        told={
            "of": clause.window, "counted": sum(one["counted"] for _, one in rows), "left": left,
            "above": sum(one["above"] for _, one in rows), "instead": share.instead,
            "days": {"columns": [*_COLUMNS, "instead_counted", "instead_above"], "items": counts},
        },
    )  # fmt: skip


_COLUMNS = ("from", "counted", "above", "limit")


def _lost(
    rules: PointRules, pack: RulePack, days: Sequence[Average], from_ns: int, to_ns: int, *, ended: bool
) -> Iterator[Exceedance]:
    text = pack.validation
    lost = [day for day in days if day.sums.get("lost", {}).get(pack.id, {}).get("lost")]
    if text is None or text.days_max is None or len(lost) <= text.days_max:
        return
    parameter = days[0].parameter
    counts = [[rfc3339(d.from_ns), d.sums["lost"][pack.id]["missing"], d.sums["lost"][pack.id]["of"]] for d in lost]
    yield _exceedance(
        rules, pack, days, clause=f"{parameter.lower()}{LOST}", title=f"{parameter}: days of the year that are lost",
        cite=text.cite, window="year", span=(from_ns, to_ns if ended else days[-1].to_ns), value=float(len(lost)),
        limit=float(text.days_max), unit="d", standing=Standing.EARLY_WARNING, verified=text.verified,
        corrected="validated",
        told={
            "of": text.window, "missing_max": text.invalid_max,
            "days": {"columns": ["from", "missing", "of"], "items": counts},
        },
    )  # fmt: skip


def _exceedance(
    rules: PointRules, pack: RulePack, days: Sequence[Average], *, clause: str, title: str, cite: str, window: str,
    span: tuple[int, int], value: float, limit: float, unit: str, standing: Standing, verified: bool,
    corrected: str, told: Mapping[str, Any],
) -> Exceedance:  # fmt: skip
    law = {
        "pack": pack.id, "clause": clause, "cite": cite, "source": pack.source, "title": {"en": title, "zh": title},
        "standing": standing.value, "verified": verified, "parameter": days[0].parameter, "window": window,
        "period": "", "statistic": "count", "corrected": corrected, "rounding": "none", "places": 0,
        "compared": value, "limit": limit, "low": None, "high": limit, "unit": unit, "conditions": {},
    }  # fmt: skip
    return Exceedance(
        plant=rules.plant, point=rules.point, parameter=days[0].parameter, pack=pack.id, clause=clause, cite=cite,
        title=title, window=window, from_ns=span[0], to_ns=span[1], value=value, limit=limit, unit=unit,
        standing=standing, verified=verified,
        evidence={"clause": law, "counted": told, **days_evidence(rules, days)},
    )  # fmt: skip


def _percent(part: int, whole: int) -> float:
    return round(100.0 * part / whole, DIGITS) if whole else 0.0
