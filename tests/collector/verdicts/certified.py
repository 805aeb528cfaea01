"""Certificate files for the tests, in pieces."""

from __future__ import annotations

from datetime import date

from collector.catalogue import rule_packs
from collector.quality_command import assessed
from collector.verdicts.assessment import Outcome
from collector.verdicts.assurance import Assurance, Law, assurance, law
from collector.verdicts.certificate_file import parse_certificates
from collector.verdicts.certificates import Certificates
from gateway.catalogue import parameters
from gateway.document import Fault

HEAD = """
plant = "p"
point = "s"
rules = ["en-14181-2014", "40cfr75"]
"""
REPORT = """
parameter = "SO2"
date = 2026-03-02
"""
# tests/conformance/stack.toml, stack-20: method A gives 23 x - 48.8; the system reads tenths of what it should.
SIGNAL = [4.2, 4.4, 4.5, 4.3, 4.6] * 3
REFERENCE = [48.0, 52.0, 55.0, 50.0, 57.0] * 3
PAIRS = [[x, y] for x, y in zip(SIGNAL, REFERENCE, strict=True)]
QAL2 = f"""
[[qal2]]{REPORT}
valid_from = 2026-04-01
valid_to = 2031-04-01
report = "R-17"
unit = "mg/m3"
limit = 200.0
uncertainty_percent = 20.0
method = "A"
pairs = {PAIRS}
"""
AST = f"""
[[ast]]
parameter = "SO2"
date = 2026-10-02
unit = "mg/m3"
pairs = {[[x, y + 1.0] for x, y in PAIRS[:5]]}
"""
QAL3 = """
[[qal3]]
parameter = "SO2"
unit = "mg/m3"
deviation = 1.0
span = 180.0
"""
DAILY = """
[[daily_calibration]]
parameter = "SO2"
unit = "ppm"
span = 500
span_gas = 250
"""
LINEARITY = f"""
[[linearity]]{REPORT}
unit = "ppm"
levels = [
  {{ level = "low", reference = 40, shown = [36, 36, 36] }},
  {{ level = "mid", reference = 250, shown = [240] }},
]
"""
# tests/conformance/us.toml, us-17: a factor of 1.024.
MONITOR = [401.0, 398.0, 410.0, 405.0, 399.0, 402.0, 407.0, 400.0, 396.0]
TRUE = [410.0, 409.0, 418.0, 416.0, 405.0, 414.0, 417.0, 409.0, 408.0]
RATA = f"""
[[rata]]{REPORT}
valid_from = 2026-03-03
unit = "ppm"
runs = {[[m, t] for m, t in zip(MONITOR, TRUE, strict=True)]}
"""
TODAY = date(2026, 11, 22)


def checks(*rows: tuple[str, float, float], adjusted: int = -1) -> str:
    """Checks of zero and span; adjusted: the number of the one after which the system was."""
    told = [
        f"{{ time = {time}, zero = {zero}, span = {span}{', adjusted = true' if number == adjusted else ''} }}"
        for number, (time, zero, span) in enumerate(rows)
    ]
    return f"checks = [{', '.join(told)}]\n"


def faults(*parts: str, head: str = HEAD) -> list[Fault]:
    """What is wrong with a file, its rules included."""
    found, wrong = parse_certificates("".join([head, *parts]), "c.toml", parameters())
    return wrong if found is None else law(found, rule_packs())[1]


def certificates(*parts: str) -> tuple[Certificates, Law]:
    """A file without a fault, and its rules."""
    found, wrong = parse_certificates("".join([HEAD, *parts]), "c.toml", parameters())
    assert found is not None, wrong
    rules, wrong = law(found, rule_packs())
    assert not wrong
    return found, rules


def outcomes(*parts: str, on: date = TODAY) -> list[Outcome]:
    """What its tests come to."""
    return assessed(*certificates(*parts), on)


def point(*parts: str, timezone: str = "UTC") -> Assurance:
    """What it comes to at a point."""
    return assurance([certificates(*parts)], timezone)[0]
