"""What European texts allow beside a limit, as data of a rule pack.

- `[validation]`: which short-term averages are validated, how many of a day may be invalid, and how many days of
  a year may be lost; `[[validation.interval]]`: what is subtracted, as a share of some clause's limit;
- `[[share]]`: a clause that holds for a share of its windows only. One window above its limit is no breach, so
  the clause by itself is an early warning; whether the share is met, `shares` says.

The calculations are in `validated`. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from collector.verdicts import windows
from collector.verdicts.quality_rules import cited
from collector.verdicts.records import Standing
from gateway.document import REQUIRED, Table

OVER = ("24h", "year")


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalText:
    """What is subtracted from the short-term averages of a parameter. Of several rows the first that agrees has it.

    percent: of the upper limit of the clause `of`, or of the clause `instead` where that of `of` is less than
    `below` (None = always `of`). [%] measured: the number setting that holds the uncertainty found
    by calibration, subtracted in its place where it is smaller; "" = always the share. when: settings that must agree.
    """

    parameter: str
    percent: float
    of: str
    below: float | None
    instead: str
    measured: str
    when: Mapping[str, Any]
    cite: str
    verified: bool

    def agrees(self, settings: Mapping[str, Any]) -> bool:
        """Whether the row is for a point with these settings."""
        return all(settings.get(name) == value for name, value in self.when.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """window: kind of the short-term averages. invalid_max: of a day, before it is lost; days_max: lost, of a year.

    days_max None: the text has no such number.
    """

    window: str
    invalid_max: int
    days_max: int | None
    intervals: tuple[IntervalText, ...]
    cite: str
    verified: bool

    def interval(self, parameter: str, settings: Mapping[str, Any]) -> IntervalText | None:
        """The row for a parameter at a point with these settings, None where there is none."""
        return next((row for row in self.intervals if row.parameter == parameter and row.agrees(settings)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A clause that has to be met by a share of its windows.

    least: 0 to 1, of the windows with a value. over: span that is counted, "24h" or "year".
    instead: a clause that, met by every window of the span, makes up for it; "" = none.
    standing: what it is worth when the share is not met.
    """

    clause: str
    least: float
    over: str
    instead: str
    standing: Standing
    cite: str
    verified: bool


When = Callable[[Table], dict[str, Any]]


def parse_validation(root: Table, numbers: Collection[str], when: When) -> Validation | None:
    """`[validation]` of a rule pack, None where it has none. numbers: its number settings. when: reads `when`."""
    if "validation" not in root:
        return None
    with root.table("validation") as table:
        cite, verified = cited(table)
        return Validation(
            window=table.choice("window", windows.FIXED_NS) or "",
            invalid_max=table.integer("invalid_max", low=0) or 0,
            days_max=table.integer("days_max", None, low=0),
            intervals=tuple(_interval(row, numbers, when) for row in table.tables("interval")),
            cite=cite,
            verified=verified,
        )


def _interval(row: Table, numbers: Collection[str], when: When) -> IntervalText:
    with row:
        cite, verified = cited(row)
        return IntervalText(
            parameter=row.text("parameter", hint="that of a clause with corrected = \"validated\"") or "",
            percent=row.number("percent", low=0.0, high=100.0) or 0.0,
            of=row.text("of", hint="the id of the clause whose limit it is a share of") or "",
            below=row.number("below", None),
            instead=row.text("instead", "" if "below" not in row else REQUIRED) or "",
            measured=row.choice("measured", numbers, ""),
            when=when(row),
            cite=cite,
            verified=verified,
        )  # fmt: skip


def parse_shares(root: Table) -> tuple[Share, ...]:
    """`[[share]]` of a rule pack."""
    found = []
    for table in root.tables("share"):
        with table:
            cite, verified = cited(table)
            found.append(
                Share(
                    clause=table.text("clause", hint="the id of a clause of this pack") or "",
                    least=table.number("least", low=0.0, high=1.0, hint="least = 0.97") or 0.0,
                    over=table.choice("over", OVER) or "",
                    instead=table.text("instead", ""),
                    standing=Standing(table.choice("standing", list(Standing)) or Standing.EARLY_WARNING),
                    cite=cite,
                    verified=verified,
                )
            )
    return tuple(found)


def check_validation_rules(
    root: Table,
    clauses: Mapping[str, tuple[str, str, Standing]],
    validation: Validation | None,
    shares: tuple[Share, ...],
) -> None:
    """Note what does not fit together.

    clauses: parameter, corrected and standing of every clause, by id.
    """
    intervals = validation.intervals if validation else ()
    known = f"clauses: {', '.join(clauses)}"
    for number, row in enumerate(intervals):
        for key, id in (("of", row.of), ("instead", row.instead or row.of)):
            if id not in clauses:
                root.fault(f"validation.interval[{number}].{key}", f"{id!r} is not known", known)
    for number, (parameter, corrected, _) in enumerate(clauses.values()):
        if corrected == "validated" and parameter not in {row.parameter for row in intervals}:
            hint = "add [validation] with [[validation.interval]] for its parameter"
            root.fault(f"clause[{number}].corrected", f"nothing says how {parameter} is validated", hint)
    for number, share in enumerate(shares):
        for key, id in (("clause", share.clause), ("instead", share.instead or share.clause)):
            place = f"share[{number}].{key}"
            if id not in clauses:
                root.fault(place, f"{id!r} is not known", known)
            elif clauses[id][2] is not Standing.EARLY_WARNING:
                hint = 'standing = "early warning" there; what the share is worth, standing here says'
                root.fault(place, f"one window above the limit of {id!r} is no breach yet", hint)
