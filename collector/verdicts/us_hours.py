"""Hours of a monitor in the United States: valid by the quadrants that their measurements lie in, and not by a share.

The rule itself is `quadrants`, its numbers are a rule pack's (`[us.hour]`). Rules of this file:

- a point is a usable value, at its own instant. An hour of many values is told by the first and the last of each
  quadrant: which quadrants have one, and how far apart the outermost are, hangs on no other;
- a unit ran in a quadrant in which it was in operating time for a moment. An hour with values taken in a calibration or
  in maintenance is an hour with a test;
- where a single value stands for longer than a quadrant, it has to fill the hour;
- all usable values go into the hour, each as much as any other (`parts`), and not the means of quadrants;
- a converted value stands where the hour is valid and every quadrant that went in could be converted.

Arrays in, arrays out; NaN = no value. Pure.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from collector.verdicts.quadrants import hour_valid, qa_hour_valid
from collector.verdicts.screening import Booleans, Signal, usable
from collector.verdicts.tables import Table
from collector.verdicts.us_rules import HourRule
from gateway.measurement import Float64, Int64, Status

HOUR = "1h"
_MINUTE_NS = 60e9
_TESTS = (Status.MAINTENANCE, Status.CALIBRATION)


def by_quadrants(hours: Table, quarters: Table | None, signal: Signal, ran: Booleans, rule: HourRule) -> Table:
    """A table of hours, valid as the rule says.

    quarters: of the same parameter and the rule's quadrants, None = its values stand for longer. signal: its values.
    ran: whether the unit ran in each quarter, shape (quarters,).
    Source: 40 CFR 60.13(h)(2).
    """
    if quarters is None:
        return replace(hours, valid=hours.valid & (hours.parts >= 60 // rule.quadrant_minutes))
    inside = hours.windows.whole(quarters.windows)
    rows = inside.rows()
    hour = np.repeat(inside.window, inside.stop - inside.start)
    place = (hour, rows - inside.start[hour])
    shape = (len(hours.windows), 60 // rule.quadrant_minutes)
    minutes, there = np.full((*shape, 2), np.nan), np.zeros(shape, np.bool_)
    minutes[place] = _outermost(quarters, signal, hours.windows.from_ns[hour], rows)
    there[place] = ran[rows]
    points = minutes.reshape(len(minutes), -1)
    tested = hours.by_status[:, _TESTS].any(axis=1)
    valid = np.where(tested, qa_hour_valid(points, rule, ran=there), hour_valid(points, rule, ran=there))
    valid &= hours.valid
    return replace(
        hours, valid=valid, converted=_whole(hours.converted, quarters.converted, hours, quarters, valid),
        standard_dry=_whole(hours.standard_dry, quarters.standard_dry, hours, quarters, valid),
    )  # fmt: skip


def _outermost(quarters: Table, signal: Signal, hour_ns: Int64, rows: Int64) -> Float64:
    """The first and the last usable value of some quarters, as minutes of their hours, shape (rows, 2)."""
    good = usable(signal.value, signal.status)
    counted, time_ns = quarters.windows.instants(signal.time_ns).among(good), signal.time_ns[good]
    found = np.full((len(rows), 2), np.nan)
    start, stop = counted.start[rows], counted.stop[rows]
    some = stop > start
    for column, at in enumerate((start, stop - 1)):
        found[some, column] = (time_ns[at[some]] - hour_ns[some]) / _MINUTE_NS
    return found


def _whole(
    column: Float64 | None, parts: Float64 | None, hours: Table, quarters: Table, valid: Booleans
) -> Float64 | None:
    """A converted column of hours, NaN where the hour is not valid or a valid quarter of it has none."""
    if column is None or parts is None:
        return column
    inside = hours.windows.whole(quarters.windows)
    same = inside.number(quarters.valid & np.isfinite(parts)) == inside.number(quarters.valid)
    return np.where(valid & same, column, np.nan)
