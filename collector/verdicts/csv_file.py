"""Measurements in a CSV file, as other people's programs write it.

Rules of this file:

- columns are found by header, compared without surrounding blanks: `time`, `value`, and optionally
  `parameter` and `status`; a `Layout` names others, or one column a parameter (a wide file);
- the separator is comma, semicolon or tab, whichever makes the wanted headers appear; with the latter
  two a comma in a number is a decimal comma. Lines before the header line are passed over;
- an empty cell is a value that is not there, and counts as such; a cell that is neither a number nor
  empty is a fault, because nobody can know what it meant;
- a naive time is local. In the hour that comes twice, the first row is taken for the first of the two,
  and when the clock goes back from one row to the next, for the second (a file that begins with its end
  is read from there). A local time that the clock leaps over is read by the clock of before the leap;
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
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from collector.verdicts.screening import Signal, disputed, signal, spacing_ns, status_named
from gateway.document import Fault
from gateway.measurement import SECOND_NS, Int64, Status

OWN = ("time", "value", "parameter", "status")
STAMPS = ("start", "middle", "end")
NOTHING = {"", "na", "n/a", "nan", "null", "none", "-", "--", "---"}
HEADER_WITHIN = 50  # lines in which the header line is looked for
FAULTS_MAX = 20  # told of a file; one wrong column is wrong in every row
_FARTHEST_NS = 2**62  # from 1970, some 146 years: twice that is all that 64 bits hold
_PAIR = re.compile(r",(?=[^,=]+=)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a file is to be read.

    columns: own name or parameter -> header. timezone: of naive times. stamp: start, middle or end.
    start_ns: of the first row where there is no time column, None = there is one.
    interval_ns: what a value stands for, None = the usual distance between two. [ns]
    parameter: that `value` is where no column says so, "" = it has to.
    named: text -> code of the parameter. unit: code -> its unit. known: whether a header is a parameter by itself.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    timezone: str = "UTC"
    stamp: str = "start"
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

    wide: values are told by parameter, else under the one name `value`.
    """

    wide: bool
    time: int | None
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
        wanted = set(self._layout.columns.values()) or set(OWN)
        best: tuple[int, int, str, int, list[str]] = (-1, 0, ",", 0, [])
        some = "\n".join(text.splitlines()[:HEADER_WITHIN])
        for separator in ",;\t":
            for number, row in enumerate(csv.reader(io.StringIO(some), delimiter=separator)):
                headers = [cell.strip() for cell in row]
                score = (len(wanted & set(headers)), len(headers) if number == 0 else 0)
                if score > best[:2]:
                    best = (*score, separator, number, headers)
        return best[2], best[3], best[4]

    def _places(self, headers: list[str]) -> _Places | None:
        layout = self._layout
        named = dict(layout.columns)
        for name in OWN:
            if name not in named and name in headers:
                named[name] = name
        parameters = {name: header for name, header in named.items() if name not in OWN}
        if not parameters and "value" not in named:
            parameters = {header: header for header in headers if layout.known(header)}
            unread = [header for header in headers if header and header not in {*parameters, *named.values()}]
            if parameters and unread:
                self.notes.append(f"not read, since no parameter of this kind of point is called so: {_listed(unread)}")
        if layout.start_ns is not None:
            named.pop("time", None)
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
                value = self._number(line, name, _cell(cells, place), decimal_comma=decimal_comma)
                said_by = name if places.wide else _cell(cells, places.parameter).strip()
                parameter = self._layout.named(said_by) if said_by else self._layout.parameter
                if not parameter:
                    self.fault(line, "parameter", "empty", "every row says which parameter its value is of")
                rows, values, statuses = columns.setdefault(parameter, ([], [], []))
                rows.append(row)
                values.append(value)
                statuses.append(Status.NO_COMM if value != value and said == Status.OK else said)
        return columns

    def _number(self, line: int, name: str, cell: str, *, decimal_comma: bool) -> float:
        text = cell.strip()
        if text.casefold() in NOTHING:
            return float("nan")
        try:
            # Infinity is taken too: judging flags what cannot be, and the rest of the file is as good as ever.
            return float(text.replace(",", ".") if decimal_comma else text)
        except ValueError:
            self.fault(line, name, f"{cell!r} is not a number", "leave the cell empty where there is no value")
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
        clock = _Clock(self._layout.timezone)
        times = np.empty(len(lines), np.int64)
        rows = list(enumerate(lines))
        if _falls(*(_cell(lines[place][1], places.time) for place in (0, -1))):
            rows.reverse()  # newest first; the clock is read in the order of time
        for row, (line, cells) in rows:
            text = _cell(cells, places.time)
            try:
                times[row] = clock.instant(text)
            except ValueError:
                self.fault(line, "time", f"{text!r} is not a time", "as 2026-11-21T08:00:00Z or 2026-11-21 16:00:00")
                times[row] = 0
        if clock.leapt:
            self.notes.append(
                f"local times that {self._layout.timezone} leaps over: {clock.leapt}, the first {clock.leapt_first!r}; "
                "read as if the clock had not been put forward. Is --timezone right?"
            )
        return times

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
            interval = layout.interval_ns or spacing_ns(np.unique(time_ns))
        time_ns = time_ns - {"start": 0, "middle": interval // 2, "end": interval}[layout.stamp]
        value, status = np.array(values, np.float64), np.array(statuses, np.uint8)
        if twice := disputed(time_ns, value, status):
            self.notes.append(f"{parameter}: instants with more than one value: {twice}; the last one counts")
        return signal(
            parameter, layout.unit(parameter), time_ns=time_ns, value=value, status=status, interval_ns=interval
        )


class _Clock:
    """Reads times of one file in their order.

    leapt: local times read that the clock of the zone leaps over, leapt_first: the first of them, as written.
    """

    def __init__(self, timezone: str) -> None:
        self._zone = ZoneInfo(timezone)
        self._last: datetime | None = None
        self._fold = 0
        self.leapt = 0
        self.leapt_first = ""

    def instant(self, text: str) -> int:
        """The instant of a time; ValueError where it is none. [ns since 1970 UTC]"""
        found = datetime.fromisoformat(_plain(text))
        if found.tzinfo is None:
            # Only the hour that comes twice tells its two readings apart; the step back tells which it is.
            if self._last is not None and found < self._last and self._last - found <= timedelta(hours=2):
                self._fold = 1
            elif self._last is not None and found - self._last > timedelta(hours=3):
                self._fold = 0
            self._last = found
            found = found.replace(tzinfo=self._zone, fold=self._fold)
            if self._leaps(found):
                self.leapt += 1
                self.leapt_first = self.leapt_first or text
        whole = found.replace(microsecond=0)
        time_ns = round(whole.timestamp()) * SECOND_NS + found.microsecond * 1000
        if abs(time_ns) > _FARTHEST_NS:
            raise ValueError(f"{text!r} is beyond what can be counted")
        return time_ns

    def _leaps(self, local: datetime) -> bool:
        """Whether the clock is put forward over a local time: only there it runs ahead by its later reading."""
        before, after = (self._zone.utcoffset(local.replace(fold=fold)) for fold in (0, 1))
        return before is not None and after is not None and before < after


def instant(text: str, timezone: str) -> int:
    """The instant of an RFC 3339 or naive local time; ValueError where it is none. [ns since 1970 UTC]"""
    return _Clock(timezone).instant(text)


def _falls(first: str, last: str) -> bool:
    """Whether a file whose first and last time are these begins with its end; not where they cannot be compared."""
    try:
        return datetime.fromisoformat(_plain(first)) > datetime.fromisoformat(_plain(last))
    except (ValueError, TypeError):
        return False


_SLASHED = re.compile(r"(\d{4})[/.](\d{1,2})[/.](\d{1,2})(?:[ T]+(\d{1,2}:\d{2}.*))?")


def _plain(text: str) -> str:
    """A time as ISO 8601 has it: `2026/3/1 8:00` is `2026-03-01T08:00`; t and z are T and Z (RFC 3339 5.6)."""
    text = text.strip().upper()
    if found := _SLASHED.fullmatch(text):
        year, month, day, clock = found.groups()
        text = f"{year}-{int(month):02}-{int(day):02}" + (
            f"T{clock.rjust(len(clock) + (clock[1] == ':'), '0')}" if clock else ""
        )
    return text


def _cell(cells: list[str], place: int | None) -> str:
    return cells[place] if place is not None and place < len(cells) else ""


def _listed(headers: list[str]) -> str:
    return ", ".join(repr(header) for header in headers[:30]) or "none"
