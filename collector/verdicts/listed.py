"""What went into a window, listed: each value where they are few, else the shorter windows it is made of.

Rules of this file:

- up to VALUES_MAX values are listed one by one, with their status (and their instrument, where several measured);
- more of them are told by the shortest windows of which there are not too many: the minutes of an hour or a day, the
  hours of a month, the days of a year. Each says how many values of each status it holds, so that the sums over
  the list are those of the window;
- what was told by windows alone says so (`left`): how many values, by which windows, and where each of them is.
  Nothing is cut off in silence.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import numpy as np

from collector.verdicts.points import PointRules
from collector.verdicts.records import Average
from collector.verdicts.screening import REASONS, Booleans, Signal, named
from collector.verdicts.tables import Table, Tables
from collector.verdicts.windows import KINDS, Windows
from gateway.measurement import SECOND_NS, Float64, Int64

VALUES_MAX = 120  # two minutes of 1-s values: enough to show a peak with what was around it
ROWS_MAX = 1500  # the minutes of a day of 25 hours; hours of a month and days of a year are fewer
CONDITION_ROWS_MAX = 120  # of each other channel: the minutes of two hours, the hours of five days
RAW_COLUMNS = ("time", "value", "status")
WINDOW_COLUMNS = ("from", "value", "converted", "valid", "statuses")


def listed(
    rules: PointRules,
    average: Average,
    parameter: str,
    *,
    signals: Mapping[str, Signal],
    tables: Tables,
    rows_max: int = ROWS_MAX,
) -> dict[str, Any]:
    """What was measured of a parameter in the window of an average, as evidence has it.

    signals: of the point; a parameter that is derived from others is not among them. rows_max: of windows listed, where
    shorter ones would be more.
    """
    pieces = _pieces(tables, average)
    signal = signals.get(parameter)
    part = None if signal is None else signal.rows(_inside(pieces, signal.time_ns))
    about: dict[str, Any] = {
        "plant": rules.plant, "point": rules.point, "parameter": parameter, "unit": tables.unit(parameter),
        "from": rfc3339(average.from_ns), "to": rfc3339(average.to_ns),
        **({"pieces": [[rfc3339(a), rfc3339(b)] for a, b in pieces]} if len(pieces) > 1 else {}),
    }  # fmt: skip
    if part is not None and len(part) <= VALUES_MAX:
        return {**about, "count": len(part), "interval": "raw", **_values(part)}
    table, rows = _parts(rules, average, parameter, tables, pieces, measured=part is not None, rows_max=rows_max)
    if table is None:
        return {**about, "count": 0, "interval": "", "columns": [], "items": [], "left": None}
    count = int(table.measured[rows].sum()) if part is None else len(part)
    left = left_out(about, count, table.windows.kind) if part is not None else None
    return {
        **about, "count": count, "interval": table.windows.kind, "columns": list(WINDOW_COLUMNS),
        "items": _windows(table, rows), "left": left,
    }  # fmt: skip


def parts(average: Average, table: Table, judged: Float64 | None, tables: Tables) -> dict[str, Any]:
    """The shorter windows that a clause itself speaks of, as those it counts, each with what was held against it.

    table: of the shorter windows. judged: what the clause is about, by window; None = it has no result.
    """
    rows = _rows(table, _pieces(tables, average))
    values = numbers(np.full(int(rows.sum()), np.nan) if judged is None else judged[rows])
    return {
        "interval": table.windows.kind,
        "columns": [*WINDOW_COLUMNS, "judged"],
        "items": [[*row, value] for row, value in zip(_windows(table, rows), values, strict=True)],
    }


def _pieces(tables: Tables, average: Average) -> list[tuple[int, int]]:
    """The spans of a window that count, in order."""
    windows = tables.windows(average.window)
    number = int(np.searchsorted(windows.from_ns, average.from_ns))
    if number == len(windows) or windows.from_ns[number] != average.from_ns:
        return [(average.from_ns, average.to_ns)]
    mine = windows.piece_window == number
    return list(zip(windows.piece_from[mine].tolist(), windows.piece_to[mine].tolist(), strict=True))


def _inside(pieces: list[tuple[int, int]], time_ns: Int64) -> Booleans:
    found = np.zeros(len(time_ns), np.bool_)
    for begin, end in pieces:
        found |= (time_ns >= begin) & (time_ns < end)
    return found


def _values(part: Signal) -> dict[str, Any]:
    """Each value with its status; with its instrument too where there was more than one, and as measured where a
    calibration function made another of it."""
    several = len(np.unique(part.sensor_index)) > 1
    columns: list[list[Any]] = [
        times(part.time_ns), numbers(part.value), [REASONS[code] for code in part.status.tolist()],
    ]  # fmt: skip
    if several:
        columns.append([part.sensors[index] for index in part.sensor_index.tolist()])
    if part.raw is not None:
        columns.append(numbers(part.raw))
    return {
        "columns": [*RAW_COLUMNS, *(["sensor"] if several else []), *(["measured"] if part.raw is not None else [])],
        "items": [list(row) for row in zip(*columns, strict=True)],
        "left": None,
    }


def _parts(
    rules: PointRules,
    average: Average,
    parameter: str,
    tables: Tables,
    pieces: list[tuple[int, int]],
    *,
    measured: bool,
    rows_max: int,
) -> tuple[Table | None, Booleans]:
    """The table to list, and which of its windows: the shortest that are few enough, else the longest that fit."""
    own = tables.table(parameter, average.window)
    best: tuple[Table | None, Booleans] = (own, np.zeros(0, np.bool_) if own is None else _rows(own, pieces))
    there = 0 if own is None else int(own.measured[best[1]].sum())
    known = {*rules.built, *([tables.base(parameter)] if measured else [])}
    for kind in (kind for kind in KINDS[: KINDS.index(average.window)] if kind in known):
        table = tables.table(parameter, kind)
        if table is None:
            continue
        rows = _rows(table, pieces)
        if int(table.measured[rows].sum()) == there:  # else some lie across the window's edges
            best = (table, rows)
            if int(rows.sum()) <= rows_max:
                break
    return best


def _rows(table: Table, pieces: list[tuple[int, int]]) -> Booleans:
    """The windows of a table within some pieces in which anything was measured."""
    return np.asarray(table.measured > 0) & _within(table.windows, pieces)


def _within(windows: Windows, pieces: list[tuple[int, int]]) -> Booleans:
    """Which windows lie in the pieces as a whole; of windows in pieces, those that are the same."""
    if len(windows) != len(windows.piece_from):
        return np.asarray((windows.from_ns == pieces[0][0]) & (windows.to_ns == pieces[-1][1]))
    found = np.zeros(len(windows), np.bool_)
    for begin, end in pieces:
        found |= (windows.from_ns >= begin) & (windows.to_ns <= end)
    return found


def _windows(table: Table, rows: Booleans) -> list[list[Any]]:
    """Start, value, converted (None where there is no conversion), validity and values by status of some windows."""
    converted = table.converted if table.converted is not None else np.full(len(table.windows), np.nan)
    columns: tuple[Iterator[Any] | list[Any], ...] = (
        times(table.windows.from_ns[rows]), numbers(table.value[rows]), numbers(converted[rows]),
        table.valid[rows].tolist(), map(named, table.by_status[rows].tolist()),
    )  # fmt: skip
    return [list(row) for row in zip(*columns, strict=True)]


def left_out(about: Mapping[str, Any], count: int, kind: str) -> dict[str, Any]:
    """What the list leaves to windows, and where each value of it can be had."""
    span = {name: about[name] for name in ("from", "to")}
    place = {name: about[name] for name in ("plant", "point", "parameter")}
    query = urlencode(
        {**place, **span, "interval": "raw"}, safe=":"
    )  # times keep their colons, so that people read them
    return {
        "count": count,
        "by": kind,
        "query": f"/api/v1/measurements?{query}",
        "command": f"emitwatch export SITE --point {about['point']} --from {span['from']} --to {span['to']} --out FILE",
    }


def rfc3339(time_ns: int) -> str:
    """An instant as text, in UTC.

    >>> rfc3339(1_500_000_000)
    '1970-01-01T00:00:01.5Z'
    """
    return times(np.array([time_ns], np.int64))[0]


def times(time_ns: Int64) -> list[str]:
    """Instants as text, in UTC."""
    if (time_ns % SECOND_NS == 0).all():
        return [f"{text}Z" for text in np.datetime_as_string(time_ns.astype("datetime64[ns]"), unit="s")]
    return [f"{text.rstrip('0').rstrip('.')}Z" for text in np.datetime_as_string(time_ns.astype("datetime64[ns]"))]


def numbers(values: Float64) -> list[float | None]:
    """Values as JSON has them: None where there is none, or one that JSON cannot write; its status tells of it."""
    finite = np.isfinite(values).tolist()
    return [value if good else None for value, good in zip(values.tolist(), finite, strict=True)]
