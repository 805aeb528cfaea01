"""Measurements in a CSV file, as other people's programs write it.

Rules of this file:

- columns are found by header, compared without surrounding blanks: `time`, `value`, and optionally
  `parameter` and `status`; a `Layout` names others, or one column a parameter (a wide file). Where `time`
  (or `Time`) holds the time of day alone, a column `date` (or `Date`) holds its day;
- the separator is comma, semicolon or tab, whichever makes the wanted headers appear; with the latter
  two a comma in a number is a decimal comma. Lines before the header line are passed over;
- an empty cell is a value that is not there, and counts as such; a cell that is neither a number nor
  empty is a fault, because nobody can know what it meant. `35.4 dB` is a number where the parameter's own unit
  is written behind it; another unit is a fault;
- times are read as `csv_times` says, in the order of time (a file that begins with its end from there). Dates
  like 3-4-2026 need a row that proves which number is the day, or a Layout that says it;
- `time` is where the value's interval starts; a Layout may say that it is its middle or its end.

What a reader might miss and nobody forbids (two values of one instant, times that the clock leaps over,
columns that are not read) is noted. Pure: text in, signals, faults and notes out.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from collector.verdicts.csv_times import Clock, dated, falls, interval_ns, orders
from collector.verdicts.screening import Signal, disputed, signal, status_named
from gateway.document import Fault
from gateway.measurement import SECOND_NS, Int64, Status

OWN = ("time", "value", "parameter", "status", "date")
_TIMES = ("time", "date")  # found however they are capitalised
STAMPS = ("start", "middle", "end")
NOTHING = {"", "na", "n/a", "nan", "null", "none", "-", "--", "---"}
HEADER_WITHIN = 50  # lines in which the header line is looked for
FAULTS_MAX = 20  # told of a file; one wrong column is wrong in every row
_SIGNS = str.maketrans({"²": "2", "³": "3", "µ": "u", "μ": "u", "°": "deg", "℃": "degC"})
_PAIR = re.compile(r",(?=[^,=]+=)")
_WITH_UNIT = re.compile(r"([-+]?[\d.,]+(?:[eE][-+]?\d+)?)\s*([^\d\s.,+-].*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a file is to be read.

    columns: own name or parameter -> header. timezone: of naive times. stamp: start, middle or end.
    dates: dmy or mdy, of dates that end with their year; "" = the file must prove it.
    start_ns: of the first row where there is no time column, None = there is one.
    interval_ns: what a value stands for, None = the usual distance between two. [ns]
    parameter: that `value` is where no column says so, "" = it has to.
    named: text -> code of the parameter. unit: code -> its unit. known: whether a header is a parameter by itself.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    timezone: str = "UTC"
    stamp: str = "start"
    dates: str = ""
    start_ns: int | None = None
    interval_ns: int | None = None
    parameter: str = ""
    named: Callable[[str], str] = str
    unit: Callable[[str], str] = lambda _: ""
    known: Callable[[str], bool] = lambda _: False


def parse_columns(texts: Sequence[str]) -> dict[str, str]:
    """Name -> header of texts like `time=datetime,value=LEQ dB -A`; ValueError where one is none of that form.

    >>> parse_columns(["time=datetime,value=LEQ dB, A"])
    {'time': 'datetime', 'value': 'LEQ dB, A'}
    """
    columns = {}
    for pair in (pair for text in texts for pair in _PAIR.split(text)):
        name, equals, header = pair.partition("=")
        if not equals or not name.strip() or not header.strip():
            raise ValueError(f"{pair!r} is not of the form NAME=HEADER")
        columns[name.strip()] = header.strip()
    return columns


def read_csv(text: str, file: str, layout: Layout) -> tuple[list[Signal], list[Fault], list[str]]:
    """The signals in a CSV text, one a parameter, what is wrong with it, and what was passed over in it."""
    reader = _Reader(file, layout)
    try:
        found = reader.signals(text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))
    except csv.Error as error:
        reader.fault(None, "", f"not readable as CSV: {error}", "is it a table, with one row a line?")
        found = []
    return ([] if reader.faults else found), reader.faults, reader.notes


@dataclass(slots=True)
class _Places:
    """Where things stand in a row, by number of the cell; None: there is no such column.

    wide: values are told by parameter, else under the one name `value`. date: of a day apart from its time.
    """

    wide: bool
    time: int | None
    date: int | None
    values: dict[str, int]
    parameter: int | None
    status: int | None


class _Reader:
    """One file on its way in; faults and notes gather here."""

    def __init__(self, file: str, layout: Layout) -> None:
        self._file, self._layout = file, layout
        self.faults: list[Fault] = []
        self.notes: list[str] = []

    def fault(self, line: int | None, path: str, message: str, hint: str = "") -> None:
        """Note what is wrong; the first FAULTS_MAX are told."""
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(Fault(self._file, path, line, message, hint))

    def signals(self, text: str) -> list[Signal]:
        """The signals of the text, in the order their parameters come up in."""
        separator, head, headers = self._header(text)
        places = self._places(headers)
        if places is None:
            return []
        rows = list(csv.reader(io.StringIO(text), delimiter=separator))
        lines = [(n, row) for n, row in enumerate(rows[head + 1 :], head + 2) if any(cell.strip() for cell in row)]
        if not lines:
            self.fault(None, "", "no rows of measurements", "the line after the headers is the first row")
            return []
        columns = self._columns(lines, places, decimal_comma=separator != ",")
        times = self._times(lines, places)
        if self.faults:
            return []
        return [self._signal(parameter, *column, times) for parameter, column in columns.items()]

    def _header(self, text: str) -> tuple[str, int, list[str]]:
        """Separator, number of the header line, headers: where most of the wanted ones appear."""
        wanted = set(self._layout.columns.values())
        best: tuple[int, int, str, int, list[str]] = (-1, 0, ",", 0, [])
        some = "\n".join(text.splitlines()[:HEADER_WITHIN])
        for separator in ",;\t":
            for number, row in enumerate(csv.reader(io.StringIO(some), delimiter=separator)):
                headers = [cell.strip() for cell in row]
                own = sum(self._is_own(cell) for cell in headers) if not wanted else 0
                score = (len(wanted & set(headers)) + own, len(headers) if number == 0 else 0)
                if score > best[:2]:
                    best = (*score, separator, number, headers)
        return best[2], best[3], best[4]

    def _is_own(self, header: str) -> bool:
        return header in OWN or header.casefold() in _TIMES or self._layout.known(header)

    def _named(self, headers: list[str]) -> dict[str, str]:
        """Own names and parameters, each with its header: those said, and own names that are headers themselves."""
        named = dict(self._layout.columns)
        for name in OWN:
            alike = [header for header in headers if header == name] or [
                header for header in headers if name in _TIMES and header.casefold() == name
            ]
            if name not in named and alike:
                named[name] = alike[0]
        return named

    def _places(self, headers: list[str]) -> _Places | None:
        layout = self._layout
        named = self._named(headers)
        parameters = {name: header for name, header in named.items() if name not in OWN}
        if not parameters and "value" not in named:
            parameters = {header: header for header in headers if layout.known(header)}
            unread = [header for header in headers if header and header not in {*parameters, *named.values()}]
            if parameters and unread:
                self.notes.append(f"not read, since no parameter of this kind of point is called so: {_listed(unread)}")
        if layout.start_ns is not None:
            named.pop("time", None)
            named.pop("date", None)
        elif "time" not in named:
            self._missing("time", headers, "or say when the first row starts: --start T --interval S")
        values = {"value": named["value"]} if "value" in named else {}
        if not parameters and not values:
            self._missing("value", headers, "or one column a parameter: --columns LAeq=HEADER")
        if values and not parameters and "parameter" not in named and not layout.parameter:
            self.fault(None, "", "no column says which parameter the values are of", "--columns PARAMETER=HEADER")
        wanted = {**named, **parameters}
        for name, header in wanted.items():
            if header not in headers:
                self.fault(1, name, f"no column {header!r}", f"the columns are: {_listed(headers)}")
        if self.faults:
            return None
        chosen = parameters or values
        return _Places(
            wide=bool(parameters),
            time=headers.index(named["time"]) if "time" in named else None,
            date=headers.index(named["date"]) if "date" in named else None,
            values={name: headers.index(header) for name, header in chosen.items()},
            parameter=headers.index(named["parameter"]) if "parameter" in named and not parameters else None,
            status=headers.index(named["status"]) if "status" in named else None,
        )

    def _missing(self, name: str, headers: list[str], other: str) -> None:
        hint = f"the columns are: {_listed(headers)}; say which: --columns {name}=HEADER, {other}"
        self.fault(1, name, f"no column {name!r}", hint)

    def _columns(
        self, lines: list[tuple[int, list[str]]], places: _Places, *, decimal_comma: bool
    ) -> dict[str, tuple[list[int], list[float], list[int]]]:
        """Row numbers, values and statuses of each parameter."""
        columns: dict[str, tuple[list[int], list[float], list[int]]] = {}
        for row, (line, cells) in enumerate(lines):
            said = self._status(line, _cell(cells, places.status))
            for name, place in places.values.items():
                said_by = name if places.wide else _cell(cells, places.parameter).strip()
                parameter = self._layout.named(said_by) if said_by else self._layout.parameter
                if not parameter:
                    self.fault(line, "parameter", "empty", "every row says which parameter its value is of")
                unit = self._layout.unit(parameter)
                value = self._number(line, name, _cell(cells, place), decimal_comma=decimal_comma, unit=unit)
                rows, values, statuses = columns.setdefault(parameter, ([], [], []))
                rows.append(row)
                values.append(value)
                statuses.append(Status.NO_COMM if value != value and said == Status.OK else said)
        return columns

    def _number(self, line: int, name: str, cell: str, *, decimal_comma: bool, unit: str) -> float:
        text = cell.strip()
        if text.casefold() in NOTHING:
            return float("nan")
        behind = _WITH_UNIT.fullmatch(text)
        if behind and _same_unit(behind[2], unit):
            text = behind[1]
        try:
            # Infinity is taken too: judging flags what cannot be, and the rest of the file is as good as ever.
            return float(text.replace(",", ".") if decimal_comma else text)
        except ValueError:
            taken = f"; a unit behind a number can be {unit} only" if behind else ""
            hint = f"leave the cell empty where there is no value{taken}"
            self.fault(line, name, f"{cell!r} is not a number", hint)
            return float("nan")

    def _status(self, line: int, cell: str) -> int:
        if not cell.strip():
            return Status.OK
        status = status_named(cell)
        if status is None:
            names = ", ".join(s.name.lower() for s in Status)
            self.fault(line, "status", f"{cell!r} is not a status", f"one of: {names}; or an HJ 212 flag")
        return Status.OK if status is None else status

    def _times(self, lines: list[tuple[int, list[str]]], places: _Places) -> Int64 | None:
        """The instant of each row, None where there is no time column. [ns since 1970 UTC]"""
        if places.time is None:
            return None
        texts = self._time_texts(lines, places)
        order = self._order([line for line, _ in lines], texts)
        clock = Clock(self._layout.timezone, order)
        times = np.empty(len(lines), np.int64)
        rows = list(enumerate(texts))
        if falls(texts[0], texts[-1], order):
            rows.reverse()  # newest first; the clock is read in the order of time
        for row, text in rows:
            try:
                times[row] = clock.instant(text)
            except ValueError:
                self.fault(lines[row][0], "time", f"{text!r} is not a time", self._time_hint(text))
                times[row] = 0
        if clock.leapt:
            self.notes.append(
                f"local times that {self._layout.timezone} leaps over: {clock.leapt}, the first {clock.leapt_first!r}; "
                "read as if the clock had not been put forward. Is --timezone right?"
            )
        return times

    def _time_texts(self, lines: list[tuple[int, list[str]]], places: _Places) -> list[str]:
        """The time of each row as it is written, its day before it where that stands in a column of its own."""
        texts = [_cell(cells, places.time) for _, cells in lines]
        apart = "date" in self._layout.columns or not dated(next((text for text in texts if text.strip()), ""))
        if places.date is None or not apart:
            return texts
        return [f"{_cell(cells, places.date).strip()} {text}" for (_, cells), text in zip(lines, texts, strict=True)]

    def _order(self, numbers: list[int], texts: list[str]) -> str:
        """The order of day and month in dates that end with their year; a fault where nobody says it."""
        if self._layout.dates:
            return self._layout.dates
        possible = orders(texts)
        if len(possible) > 1:
            message = f"{texts[0]!r}: which number is the day, which the month? No row of the file tells"
            self.fault(numbers[0], "time", message, "say it: --dates dmy or --dates mdy")
        if not possible:
            message = "dates of both orders, day before month and month before day"
            self.fault(None, "time", message, "or a number above 12 is a mistake; say the order: --dates dmy or mdy")
        return possible[0] if possible else "dmy"

    def _time_hint(self, text: str) -> str:
        if not dated(text):
            return "only a time of day; say where its date stands: --columns date=HEADER"
        order = f"; day and month in the order of --dates {self._layout.dates}" if self._layout.dates else ""
        return f"as 2026-11-21T08:00:00Z or 2026-11-21 16:00:00{order}"

    def _signal(
        self, parameter: str, rows: list[int], values: list[float], statuses: list[int], times: Int64 | None
    ) -> Signal:
        layout = self._layout
        if times is None:
            assert layout.start_ns is not None, "a file has times, or a start"
            interval = layout.interval_ns or 60 * SECOND_NS
            # The n-th value of a parameter, whatever stands between in a long file.
            time_ns = layout.start_ns + np.arange(len(rows), dtype=np.int64) * interval
        else:
            time_ns = times[rows]
            interval = layout.interval_ns or interval_ns(np.unique(time_ns))
        time_ns = time_ns - {"start": 0, "middle": interval // 2, "end": interval}[layout.stamp]
        value, status = np.array(values, np.float64), np.array(statuses, np.uint8)
        if twice := disputed(time_ns, value, status):
            self.notes.append(f"{parameter}: instants with more than one value: {twice}; the last one counts")
        return signal(
            parameter, layout.unit(parameter), time_ns=time_ns, value=value, status=status, interval_ns=interval
        )


def _cell(cells: list[str], place: int | None) -> str:
    return cells[place] if place is not None and place < len(cells) else ""


def _same_unit(written: str, unit: str) -> bool:
    """Whether a unit is meant, however it is written; levels are often given in plain dB.

    >>> _same_unit("dB", "dB(A)"), _same_unit("mg/m³", "mg/m3"), _same_unit("ug/m3", "mg/m3")
    (True, True, False)
    """
    mine, other = (re.sub(r"[\s()]", "", text.translate(_SIGNS)).casefold() for text in (unit, written))
    return bool(mine) and (mine == other or (mine.startswith("db") and other == "db"))


def _listed(headers: list[str]) -> str:
    return ", ".join(repr(header) for header in headers[:30]) or "none"
