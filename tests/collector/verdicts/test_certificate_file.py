from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from collector.verdicts.quality import Line
from gateway.document import Table
from tests.collector.verdicts.certified import (
    AST,
    DAILY,
    HEAD,
    LINEARITY,
    QAL2,
    QAL3,
    RATA,
    certificates,
    checks,
    faults,
)

CHECKS = checks(("2026-04-02T06:00:00+08:00", 0.1, 180.0), ("2026-04-01T06:00:00Z", 0.2, 181.0), adjusted=1)
REPORTED = "line = { slope = 2.0, intercept = 1 }\ndeviation = 3.0\npairs_number = 15\nvalid_upto = 90.0\n"


def without(text: str, key: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith(key)) + "\n"


def test_a_file_is_read_as_it_is_written() -> None:
    found, law = certificates(QAL2, AST, QAL3, CHECKS, DAILY, CHECKS, LINEARITY, RATA)
    assert (found.plant, found.point, law.quality_pack, law.us_pack) == ("p", "s", "en-14181-2014", "40cfr75")
    (qal2,), (ast,), (qal3,), (daily,) = found.qal2, found.ast, found.qal3, found.daily
    assert (qal2.path, qal2.parameter, qal2.method, qal2.short, qal2.report) == ("qal2[0]", "SO2", "A", "30m", "R-17")
    assert (qal2.tested, qal2.valid_from, qal2.valid_to) == (date(2026, 3, 2), date(2026, 4, 1), date(2031, 4, 1))
    assert (qal2.pairs[0].signal, qal2.pairs[0].reference, qal2.pairs[0].factor) == (4.2, 48.0, 1.0)
    assert (ast.valid_from, ast.valid_to, len(ast.pairs)) == (ast.tested, None, 5)
    assert [(check.zero, check.adjusted) for check in qal3.checks] == [(0.2, True), (0.1, False)], "by time"
    assert qal3.checks[1].time_ns == int(datetime(2026, 4, 1, 22, tzinfo=UTC).timestamp()) * 10**9
    assert (qal3.zero_deviation, qal3.span_deviation, qal3.chart) == (1.0, 1.0, "cusum")
    assert (daily.test, daily.zero_gas, daily.span_gas, daily.stood) == ("daily", 0.0, 250.0, ())
    assert [level.shown for level in found.linearity[0].levels] == [(36.0, 36.0, 36.0), (240.0,)]
    assert (found.rata[0].monitor[0], found.rata[0].reference[0], found.rata[0].factor) == (401.0, 410.0, None)


def test_a_laboratory_may_give_results_in_place_of_pairs() -> None:
    (qal2,) = certificates(without(QAL2, "pairs"), REPORTED)[0].qal2
    assert (qal2.line, qal2.deviation, qal2.number, qal2.valid_upto) == (Line(2.0, 1.0), 3.0, 15, 90.0)


def test_a_check_of_zero_alone_says_nothing_of_span() -> None:
    (qal3,) = certificates(QAL3, "checks = [{ time = 2026-04-01T06:00:00Z, zero = 1 }]")[0].qal3
    assert math.isnan(qal3.checks[0].span)


def test_a_parameter_of_the_rules_alone_keeps_its_name() -> None:
    assert certificates(RATA.replace('"SO2"', '"NOx_rate"'))[0].rata[0].parameter == "NOx_rate"


def test_standstill_is_read_as_spans() -> None:
    stood = "stood = [[2026-04-01T06:00:00Z, 2026-04-01T09:00:00Z]]\n"
    ((begin, end),) = certificates(DAILY, CHECKS, stood)[0].daily[0].stood
    assert end - begin == 3 * 3600 * 10**9


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        (("x = [",), ""),
        (("",), ""),
        ((QAL2, "colour = 1\n"), "qal2[0].colour"),
        ((without(QAL2, "date"),), "qal2[0].date"),
        ((QAL2.replace("2026-03-02", '"2026-03-02"'),), "qal2[0].date"),
        ((QAL2.replace("2026-03-02", "0001-01-01"),), "qal2[0].date"),
        ((QAL2.replace("2026-04-01", "2026-01-01"),), "qal2[0].valid_from"),
        ((QAL2.replace("2031-04-01", "2026-04-01"),), "qal2[0].valid_to"),
        ((QAL2.replace("2031-04-01", "9999-04-01"),), "qal2[0].valid_to"),
        ((QAL2.replace('"mg/m3"', '"ppm"'),), "qal2[0].unit"),
        ((QAL2.replace('"mg/m3"', '"furlong"'),), "qal2[0].unit"),
        ((QAL2.replace('"SO2"', '"smell"'),), "qal2[0].parameter"),
        ((without(QAL2, "pairs"),), "qal2[0].pairs"),
        ((without(QAL2, "pairs"), "pairs = [[1.0]]"), "qal2[0].pairs[0]"),
        ((without(QAL2, "pairs"), 'pairs = [[1.0, "2"]]'), "qal2[0].pairs[0]"),
        ((without(QAL2, "pairs"), "pairs = [[1.0, nan]]"), "qal2[0].pairs[0]"),
        ((without(QAL2, "pairs"), "pairs = [[1.0, 2.0, 0.0]]"), "qal2[0].pairs[0]"),
        ((without(QAL2, "pairs"), "pairs = 3"), "qal2[0].pairs"),
        ((without(QAL2, "pairs"), f"pairs = {[[1.0, 2.0]] * 1001}"), "qal2[0].pairs"),
        ((without(QAL2, "pairs"), without(REPORTED, "deviation")), "qal2[0].deviation"),
        ((without(QAL2, "pairs"), REPORTED.replace("2.0", "-2.0")), "qal2[0].line.slope"),
        ((QAL2, "deviation = 3.0"), "qal2[0].deviation"),
        ((QAL2.replace('"A"', '"C"'),), "qal2[0].materials"),
        ((QAL2.replace("limit = 200.0", "limit = 0.0"),), "qal2[0].limit"),
        ((QAL2, 'short = "24h"'), "qal2[0].short"),
        ((without(AST, "pairs"),), "ast[0].pairs"),
        ((QAL3,), "qal3[0].checks"),
        ((QAL3, "checks = [{ time = 2026-04-01T06:00:00, zero = 1 }]"), "qal3[0].checks[0].time"),
        ((QAL3, 'checks = [{ time = "06:00", zero = 1 }]'), "qal3[0].checks[0].time"),
        ((QAL3, "checks = [{ zero = 1 }]"), "qal3[0].checks[0].time"),
        ((QAL3, "checks = [{ time = 2026-04-01T06:00:00Z }]"), "qal3[0].checks[0]"),
        ((QAL3, "checks = [{ time = 2026-04-01T06:00:00Z, zero = nan }]"), "qal3[0].checks[0].zero"),
        ((DAILY, CHECKS, "stood = [3]"), "daily_calibration[0].stood[0]"),
        ((DAILY, CHECKS, "stood = [[2026-04-02T00:00:00Z, 2026-04-01T00:00:00Z]]"), "daily_calibration[0].stood[0]"),
        ((DAILY.replace('"ppm"', '"mg/m3"'), CHECKS), "daily_calibration[0].unit"),
        ((LINEARITY.partition("levels")[0],), "linearity[0].levels"),
        ((LINEARITY.replace("[240]", "[]"),), "linearity[0].levels[1].shown"),
        ((without(RATA, "runs"),), "rata[0].runs"),
        ((RATA.replace('"SO2"', '"HCl"'),), "rata[0].parameter"),
    ],
)
def test_a_fault_names_its_place(parts: tuple[str, ...], path: str) -> None:
    found = faults(*parts)
    assert path in [fault.path for fault in found], found


def test_too_many_checks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.verdicts.certificate_file.CHECKS_MAX", 1)
    assert [fault.path for fault in faults(QAL3, CHECKS)] == ["qal3[0].checks"]


@pytest.mark.parametrize(
    ("rules", "parts", "said"),
    [
        ('["nonsense"]', (QAL2,), "no rule pack"),
        ('["40cfr75"]', (QAL2,), "needs a pack with [quality]"),
        ('["en-14181-2014"]', (RATA,), "needs a pack with [us]"),
        ('["40cfr60"]', (RATA,), "needs a pack with [us]"),
    ],
)
def test_rules_that_a_test_needs_are_named(rules: str, parts: tuple[str, ...], said: str) -> None:
    head = HEAD.replace('["en-14181-2014", "40cfr75"]', rules)
    (fault,) = faults(*parts, head=head)
    assert said in fault.message
    assert fault.path == "rules"


REFERENCE = (Path(__file__).parents[3] / "docs" / "reference" / "certificate-file.md").read_text()


def test_the_example_of_the_reference_is_a_certificate_file() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", REFERENCE, re.DOTALL)
    assert faults(text, head="") == []


def test_every_key_is_in_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[str] = set()
    leave = Table.__exit__

    def note(self: Table, *about: Any) -> None:
        asked.update(self.asked)
        leave(self, *about)

    monkeypatch.setattr(Table, "__exit__", note)
    certificates(without(QAL2, "pairs"), REPORTED, AST, QAL3, CHECKS, DAILY, CHECKS, LINEARITY, RATA)
    assert len(asked) > 35
    told = [key for key in asked if any(text in REFERENCE for text in (f"`{key}`", f"{key} =", f"[[{key}]]"))]
    assert set(told) == asked
