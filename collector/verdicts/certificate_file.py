"""The certificate file: TOML text in, certificates and faults out. Format: docs/reference/certificate-file.md. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from collector.verdicts import certificates as c
from collector.verdicts.quality import Line
from gateway.document import REQUIRED, Fault, Table, parse_document
from gateway.parameters import Parameters
from gateway.units import UNITS, conversion

SHORT = ("10m", "15m", "30m", "1h")
US_UNITS = ("ppm", "%", "lb/mmBtu", "scf/h", "ug/m3")  # what the numbers of 40 CFR 75 are in
PAIRS_MAX = 1_000
CHECKS_MAX = 100_000  # two a day for more than a hundred years
LARGEST = 1e9
YEAR_MAX = 2200  # times are counted in nanoseconds
INSTANT_HINT = "with its offset and without quotes, as 2026-03-02T06:00:00+08:00"
PAIR_HINT = "[signal, reference], or [signal, reference, factor to the conditions of the limit]"


def parse_certificates(text: str, file: str, parameters: Parameters) -> tuple[c.Certificates | None, list[Fault]]:
    """The certificates in a TOML text, or None and all its faults."""
    document, faults = parse_document(text, file)
    if faults:
        return None, faults
    with Table.root(document, faults) as root:
        found = c.Certificates(
            file=file,
            plant=root.identifier("plant") or "",
            point=root.identifier("point") or "",
            rules=root.texts("rules", hint='packs whose numbers hold, as rules = ["en-14181-2014"]'),
            qal2=tuple(_qal2(table, parameters) for table in root.tables("qal2")),
            ast=tuple(_ast(table, parameters) for table in root.tables("ast")),
            qal3=tuple(_qal3(table, parameters) for table in root.tables("qal3")),
            daily=tuple(_daily(table, parameters) for table in root.tables("daily_calibration")),
            linearity=tuple(_linearity(table, parameters) for table in root.tables("linearity")),
            rata=tuple(_rata(table, parameters) for table in root.tables("rata")),
        )
        if not any((found.qal2, found.ast, found.qal3, found.daily, found.linearity, found.rata)):
            root.fault("", "no certificate in this file", "add [[qal2]], [[ast]], [[qal3]] or another test")
    return (None, faults) if faults else (found, [])


def _qal2(table: Table, parameters: Parameters) -> c.Qal2:
    with table:
        pairs, line = _pairs(table, required="line" not in table), _line(table)
        deviation = table.number("deviation", None, low=0.0, high=LARGEST)
        if deviation is not None and pairs:
            table.fault("deviation", "there are pairs, and it follows from them", "leave it out")
        if line is not None and not pairs:
            for key in ("deviation", "pairs_number", "valid_upto"):
                if key not in table:
                    table.fault(key, "missing", "where there are no pairs, the laboratory's results say it")
        method = table.choice("method", ("A", "B", "C"), "")
        materials = _lists(table, "materials", 2, 2, "[signal, value], of zero and reference materials")
        if method == "C" and not materials and pairs:
            table.fault("materials", "missing", "method C takes zero and reference materials: [[signal, value], ..]")
        return c.Qal2(
            **_kept(table, parameters),
            limit=_positive(table, "limit"),
            uncertainty_percent=_positive(table, "uncertainty_percent", 100.0),
            zero_signal=_number(table, "zero_signal", 0.0), method=method or "", pairs=pairs, line=line,
            materials=tuple((x, y) for x, y in materials),
            valid_upto=table.number("valid_upto", None, low=0.0, high=LARGEST), deviation=deviation,
            number=table.integer("pairs_number", 0, low=0, high=PAIRS_MAX) or 0,
            short=table.choice("short", SHORT, "30m") or "30m",
        )  # fmt: skip


def _line(table: Table) -> Line | None:
    """The laboratory's calibration function; one that falls calibrates nothing."""
    if "line" not in table:
        return None
    with table.table("line") as line:
        slope = line.number("slope", low=c.SLOPE[0], high=c.SLOPE[1], hint="of the reference over the signal")
        return Line(slope or 1.0, _number(line, "intercept"))


def _ast(table: Table, parameters: Parameters) -> c.Ast:
    with table:
        return c.Ast(**_kept(table, parameters), pairs=_pairs(table, required=True))


def _qal3(table: Table, parameters: Parameters) -> c.Qal3:
    with table:
        deviation = _positive(table, "deviation")
        return c.Qal3(
            path=table.path, parameter=_parameter(table, parameters), unit=table.choice("unit", UNITS) or "",
            zero=_number(table, "zero", 0.0), span=_number(table, "span"), zero_deviation=deviation,
            span_deviation=_positive(table, "span_deviation", default=deviation),
            chart=table.choice("chart", ("cusum", "shewhart"), "cusum") or "cusum", checks=_checks(table),
        )  # fmt: skip


def _daily(table: Table, parameters: Parameters) -> c.DailyCalibration:
    with table:
        return c.DailyCalibration(
            path=table.path, parameter=_parameter(table, parameters), unit=table.choice("unit", US_UNITS) or "",
            test=table.choice("test", ("daily", "seven_day"), "daily") or "daily", span=_positive(table, "span"),
            zero_gas=_number(table, "zero_gas", 0.0), span_gas=_number(table, "span_gas"), checks=_checks(table),
            stood=tuple(_stood(table)),
        )  # fmt: skip


def _checks(table: Table) -> tuple[c.Check, ...]:
    """Checks by time; of two at one instant both stay, in the order of the file."""
    found = []
    for row in table.tables("checks"):
        with row:
            zero, span = (row.number(key, math.nan, low=-LARGEST, high=LARGEST) for key in ("zero", "span"))
            if "zero" not in row and "span" not in row:
                row.fault("", "neither zero nor span was checked", "zero = ..., span = ..., as the system showed them")
            time_ns = _instant(row, "time", row.raw("time", hint=INSTANT_HINT))
            found.append(
                c.Check(
                    time_ns=time_ns, zero=math.nan if zero is None else zero, span=math.nan if span is None else span,
                    adjusted=bool(row.boolean("adjusted", False)),
                )
            )  # fmt: skip
    if not found and "checks" not in table:
        table.fault("checks", "missing", "checks = [{ time = .., zero = .., span = .. }, ..]")
    if len(found) > CHECKS_MAX:
        table.fault("checks", f"more than {CHECKS_MAX} checks", "give each year a file of its own")
    return tuple(sorted(found, key=lambda check: check.time_ns))


def _stood(table: Table) -> Iterator[tuple[int, int]]:
    hint = "stood = [[from, to], ..], each " + INSTANT_HINT
    for number, row in enumerate(_list(table, "stood", hint)):
        if not isinstance(row, list) or len(row) != 2:
            table.fault(f"stood[{number}]", f"{row!r} is no span", hint)
            continue
        begin, end = (_instant(table, f"stood[{number}]", value) for value in row)
        if begin >= end > 0:
            table.fault(f"stood[{number}]", "ends before it begins", hint)
        yield begin, end


def _linearity(table: Table, parameters: Parameters) -> c.Linearity:
    with table:
        levels = [_level(row) for row in table.tables("levels")]
        if not levels:
            table.fault("levels", "missing", "levels = [{ level = .., reference = .., shown = [..] }, ..]")
        return c.Linearity(**_report(table, parameters, US_UNITS), levels=tuple(levels))


def _level(row: Table) -> c.Level:
    with row:
        shown = [
            float(value)
            for number, value in enumerate(_list(row, "shown", "what the monitor showed"))
            if _is_number(row, f"shown[{number}]", value)
        ]
        if not shown:
            row.fault("shown", "missing", "shown = [..], what the monitor showed at each injection")
        name = row.text("level", hint="low, mid or high") or ""
        return c.Level(name=name, reference=_positive(row, "reference"), shown=tuple(shown))


def _rata(table: Table, parameters: Parameters) -> c.Rata:
    with table:
        runs = _lists(table, "runs", 2, 2, "[monitor, reference]")
        if not runs:
            table.fault("runs", "missing", "runs = [[monitor, reference], ..]")
        return c.Rata(
            **_report(table, parameters, US_UNITS), monitor=tuple(run[0] for run in runs),
            reference=tuple(run[1] for run in runs), factor=table.number("factor", None, low=1.0, high=100.0),
        )  # fmt: skip


# --- what they have in common ----------------------------------------------------------------------


def _report(table: Table, parameters: Parameters, units: tuple[str, ...]) -> dict[str, Any]:
    made = _date(table, "date", None)
    begins = _date(table, "valid_from", made)
    ends = _date(table, "valid_to", date.max)
    if begins < made:
        table.fault("valid_from", f"is before the test of {made}", "a result counts from the test on, at the earliest")
    if ends <= begins:
        table.fault("valid_to", "is not after valid_from", "the first day on which the next one is overdue")
    return {
        "path": table.path, "parameter": _parameter(table, parameters), "unit": table.choice("unit", units) or "",
        "tested": made, "valid_from": begins, "valid_to": None if ends == date.max else ends,
        "laboratory": table.text("laboratory", "") or "", "report": table.text("report", "") or "",
    }  # fmt: skip


def _kept(table: Table, parameters: Parameters) -> dict[str, Any]:
    """A report about values as they are kept, so in a unit that these can be put into and taken back from."""
    report = _report(table, parameters, UNITS)
    known = parameters.get(report["parameter"])
    if known is None:
        table.fault("parameter", f"{report['parameter']!r} is not known", "its code: docs/reference/parameters.md")
    elif report["unit"] and conversion(known.unit, report["unit"]) is None:
        hint = f"{known.code} is kept in {known.unit}; give signal and reference in a unit of that kind"
        table.fault("unit", f"{report['unit']!r} cannot be compared with what is kept", hint)
    return report


def _parameter(table: Table, parameters: Parameters) -> str:
    """The code of a parameter; rules may have names of their own (NOx_rate), which are taken as they are."""
    text = table.text("parameter", hint="its code: docs/reference/parameters.md") or ""
    known = parameters.find(text)
    return known.code if known else str(text)


def _date(table: Table, key: str, default: date | None) -> date:
    value = table.raw(key, default or REQUIRED, hint=f"{key} = 2026-03-02, without quotes")
    if type(value) is date and (value == default or 1970 < value.year <= YEAR_MAX):
        return value
    if value is not None:
        table.fault(key, f"{value!r} is not a date of such a test", f"{key} = 2026-03-02, without quotes")
    return default or date(1971, 1, 1)


def _instant(table: Table, key: str, value: object) -> int:
    """Nanoseconds since 1970 UTC; 0 where it is none."""
    if isinstance(value, datetime) and value.tzinfo is not None and 1970 < value.year <= YEAR_MAX:
        return round(value.timestamp() * 1000.0) * 1_000_000
    if value is not None:
        table.fault(key, f"{value!r} is not an instant", INSTANT_HINT)
    return 0


def _pairs(table: Table, *, required: bool) -> tuple[c.Pair, ...]:
    rows = _lists(table, "pairs", 2, 3, PAIR_HINT)
    if required and not rows:
        table.fault("pairs", "missing", f"pairs = [..], each {PAIR_HINT}")
    found = []
    for number, row in enumerate(rows):
        factor = row[2] if len(row) == 3 else 1.0
        if factor <= 0.0:
            table.fault(f"pairs[{number}]", f"a factor of {factor:g}", "above 0; 1 where the conditions are the same")
        found.append(c.Pair(signal=row[0], reference=row[1], factor=factor))
    return tuple(found)


def _lists(table: Table, key: str, least: int, most: int, hint: str) -> list[list[float]]:
    """Rows of numbers, each of a length between two."""
    found = []
    for number, row in enumerate(_list(table, key, hint)):
        place = f"{key}[{number}]"
        if not isinstance(row, list) or not least <= len(row) <= most:
            table.fault(place, f"{row!r} has not the form that is needed", hint)
            continue
        numbers = [float(value) for value in row if _is_number(table, place, value)]
        if len(numbers) == len(row):
            found.append(numbers)
    return found


def _list(table: Table, key: str, hint: str) -> list[Any]:
    value = table.raw(key, [])
    if not isinstance(value, list):
        table.fault(key, f"{value!r} is not a list", hint)
        return []
    if len(value) > PAIRS_MAX:
        table.fault(key, f"more than {PAIRS_MAX} rows", hint)
    return value[:PAIRS_MAX]


def _is_number(table: Table, place: str, value: object) -> bool:
    good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST
    if not good:
        table.fault(place, f"{value!r} is not a number that was measured", "a finite number")
    return good


def _positive(table: Table, key: str, high: float = LARGEST, default: float | None = None) -> float:
    value = table.number(key, REQUIRED if default is None else default, high=high)
    if value is not None and value <= 0.0 and key in table:
        table.fault(key, f"{value:g} is not above 0", "")
    return value or 1.0


def _number(table: Table, key: str, default: float | None = None) -> float:
    value = table.number(key, REQUIRED if default is None else default, low=-LARGEST, high=LARGEST)
    return value or 0.0
