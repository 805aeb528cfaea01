"""Substituted mass: what stands in a month's or a year's total for the hours that no valid value is known of.

Rules of this file:

- it is a series of its own (`SO2_mass_substituted`) that holds the substitutes alone; `SO2_mass` stays what was
  measured, and the total of the two is told beside it. Nothing is judged by either that a clause does not name;
- how gaps are filled is a rule pack's (`[substitution]`), that of the first pack of the point that has one;
- a gap is a run of hours, between the first and the last hour with measurements, without a valid mass. Hours in which
  all values say that the plant stood still are none, and are not looked back on. Hours without any measurement count as
  run: who delivers nothing has no zero;
- captured share is that of the quarter, of its hours that are there; look-backs reach as far as the measurements do.

So it wants all of them at once, as a file that is judged offline has them; the running line has only totals of
what was measured. Pure. NaN = no value.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from collector.verdicts.loads import snapped
from collector.verdicts.origin import Origin
from collector.verdicts.pack import RulePack
from collector.verdicts.screening import Booleans
from collector.verdicts.substitution import Filled, Substitution, capture_percent_by, fill
from collector.verdicts.tables import Table
from collector.verdicts.windows import Windows, local_date
from gateway.measurement import Float64, Status

KINDS = ("month", "year")


def substituted_table(
    pack: RulePack, of: str, like: Table, hours: Table, concentration: Table, timezone: str, months: Windows
) -> Table:
    """The substitutes in the totals of a mass.

    pack: with a substitution. of: the mass. like, hours: its table of the windows and of their hours.
    concentration: of the same hours. months: over all of them.
    """
    rule = pack.substitution
    assert rule is not None, "the pack says how gaps are filled"
    mass = hours.value
    between, running = _between(hours.measured > 0), ~_stopped(concentration)
    capture = captured(mass, between & running, timezone, hours.windows, months)
    filled = _filled(rule, mass, between, running, capture)
    inside = like.windows.whole(hours.windows)
    number = inside.number(filled.substituted)
    added = inside.total(np.where(filled.substituted, filled.value, 0.0))
    left = inside.number(between & running & np.isnan(filled.value)).astype(np.float64)
    tiers = {
        f"hours_by_{window}": inside.number(filled.window_hours == window).astype(np.float64)
        for window in sorted({int(window) for window in filled.window_hours} - {0})
    }
    total = np.where(np.isnan(like.value), 0.0, like.value) + added
    return replace(
        like, method="substitution", value=snapped(added), valid=left == 0, parts=number.astype(np.float64),
        coverage=np.divide(number, inside.count(), out=np.zeros(len(number)), where=inside.count() > 0),
        origin=Origin(
            how="mass_substituted", of=(of,), cite=rule.cite, verified=rule.verified, fixed={"pack": pack.id},
            taken={"measured_kg": like.value, "total_kg": snapped(total), **tiers}, lacking={"substitutes": left},
        ),
    )  # fmt: skip


def captured(mass: Float64, ran: Booleans, timezone: str, hours: Windows, months: Windows) -> Float64:
    """Share of the hours of its quarter that have a valid value, for each hour, shape (n,). [%]

    mass: NaN = not valid. ran: hours that ought to have one. months: over all hours. Source: `capture_percent_by`.
    """
    dates = [local_date(timezone, int(from_ns)) for from_ns in months.from_ns]
    quarter = np.array([4 * day.year + (day.month - 1) // 3 for day in dates], np.int64)
    number = np.unique(quarter, return_inverse=True)[1]
    place = number[months.place(hours.from_ns)] if len(number) else np.zeros(0, np.int64)
    return capture_percent_by(mass, ran, place, len(number))[place]


def _filled(rule: Substitution, mass: Float64, between: Booleans, running: Booleans, capture: Float64) -> Filled:
    """The hours between the first and the last one filled; the others stay without a value."""
    found = fill(rule, mass, capture, running=running & between)
    return replace(found, value=np.where(between, found.value, np.nan))


def _between(measured: Booleans) -> Booleans:
    """Which hours lie between the first and the last measured one, these included."""
    return np.asarray(np.logical_or.accumulate(measured) & np.logical_or.accumulate(measured[::-1])[::-1])


def _stopped(table: Table) -> Booleans:
    """In which hours all values say that the plant stood still."""
    return np.asarray((table.measured > 0) & (table.by_status[:, Status.STOPPED] == table.measured))
