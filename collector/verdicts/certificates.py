"""What a certificate file says of the measuring systems of a point: tests and checks as they were measured.

Data alone: pairs of parallel measurements, answers to gases and reference materials, dates. What they come to is
computed by `assessment` (EN 14181) and `assessment_us` (40 CFR 75), and what follows for the values that are judged by
`assurance`. Read by `certificate_file`; format: docs/reference/certificate-file.md. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from collector.verdicts.quality import Line

SLOPE = (1e-6, 1e6)  # what a calibration function may rise by; others are slips of units


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What every certificate has.

    path: its place in the file, as `qal2[0]`. tested: last day of the test. valid_from: first day on which it counts,
    by the point's local date. valid_to: first day on which the next one is overdue, None = it is not
    said. laboratory, report: "" = not said.
    """

    path: str
    parameter: str
    unit: str
    tested: date
    valid_from: date
    valid_to: date | None
    laboratory: str
    report: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two results of the same half-hour.

    signal: of the system as it is stored, before any calibration. reference: of the reference method, at the
    system's conditions. factor: from there to the conditions of the limit (standard state, dry, reference oxygen).
    """

    signal: float
    reference: float
    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Qal2(Report):
    """A calibration of EN 14181.

    limit: daily mean. [unit] uncertainty_percent: that the law allows of it (95 %). zero_signal: what the system shows
    where there is nothing. method: "A", "B", "C", "" = as the pairs ask for. materials: signal and value of zero and
    reference materials. line, valid_upto: as the laboratory gives them, None = computed. deviation, number: standard
    deviation of the differences and pairs it is of, where the laboratory gives no pairs.
    short: window of the averages whose range is watched.
    """

    limit: float
    uncertainty_percent: float
    zero_signal: float
    method: str
    pairs: tuple[Pair, ...]
    materials: tuple[tuple[float, float], ...]
    line: Line | None
    valid_upto: float | None
    deviation: float | None
    number: int
    short: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ast(Report):
    """An annual surveillance test of EN 14181: pairs against the calibration function in force."""

    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A check of zero and span at an instant [ns since 1970 UTC], as found; NaN = not checked.

    adjusted: the system was adjusted after it, so that a control chart begins anew.
    """

    time_ns: int
    zero: float
    span: float
    adjusted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Qal3:
    """Zero and span checks of EN 14181. zero, span: true values of the reference materials.

    zero_deviation, span_deviation: s_AMS there. [unit] chart: "cusum" or "shewhart". checks: by time.
    """

    path: str
    parameter: str
    unit: str
    zero: float
    span: float
    zero_deviation: float
    span_deviation: float
    chart: str
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyCalibration:
    """Calibrations of 40 CFR 75. span: of the range. zero_gas, span_gas: what the gases hold. [unit]

    test: "daily" or "seven_day". checks: by time. stood: spans in which the unit stood still. [ns since 1970 UTC]
    """

    path: str
    parameter: str
    unit: str
    test: str
    span: float
    zero_gas: float
    span_gas: float
    checks: tuple[Check, ...]
    stood: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One level of a linearity test: what the gas holds, and what the monitor showed at each injection."""

    name: str
    reference: float
    shown: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Linearity(Report):
    """A linearity test of 40 CFR 75."""

    levels: tuple[Level, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rata(Report):
    """A relative accuracy test audit of 40 CFR 75. factor: that the plant applies, None = the one computed."""

    monitor: tuple[float, ...]
    reference: tuple[float, ...]
    factor: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """What one file says of one point. rules: ids of the packs whose numbers hold."""

    file: str
    plant: str
    point: str
    rules: tuple[str, ...]
    qal2: tuple[Qal2, ...] = ()
    ast: tuple[Ast, ...] = ()
    qal3: tuple[Qal3, ...] = ()
    daily: tuple[DailyCalibration, ...] = ()
    linearity: tuple[Linearity, ...] = ()
    rata: tuple[Rata, ...] = ()


def told_time(time_ns: int) -> str:
    """An instant as text, in UTC, to the second.

    >>> told_time(1_500_000_000)
    '1970-01-01T00:00:01Z'
    """
    return f"{np.datetime_as_string(np.datetime64(time_ns, 'ns'), unit='s')}Z"
