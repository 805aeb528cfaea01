"""Derived series and excluded weather in the running line, and offline from a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from api.cli import main
from collector.marks import Kind
from collector.verdicts.book import Book
from collector.verdicts.evaluator import Line
from gateway.measurement import SECOND_NS, Columns, Series, concatenate
from tests.collector.verdicts.lines import HOUR_NS, MINUTE_NS, MemoryJournal, fence, newest, one
from tests.collector.verdicts.test_marks import RULES, START_NS, marked, say

GAS = {"velocity": ("m/s", 12.0), "temperature": ("degC", 100.0), "pressure": ("kPa", -0.5), "moisture": ("%", 10.0)}
TIMES = START_NS + np.arange(0, HOUR_NS, 5 * SECOND_NS)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    opened = Book(tmp_path / "verdicts.db")
    yield opened
    opened.close()


def stack(*, velocity: float = 12.0) -> Columns:
    """An hour of the stack of the mill: 9.6 m2, wet, as it is."""
    gas = {**GAS, "velocity": ("m/s", velocity)}
    parts = [one(Series("mill", "stack", "gas", name, unit), TIMES, value) for name, (unit, value) in gas.items()]
    return concatenate([one(Series("mill", "stack", "cems", "NOx", "mg/m3"), TIMES, 30.0), *parts])


def follow(journal: MemoryJournal, book: Book) -> Line:
    line = Line(journal, book, *RULES)
    for entry in journal.read(line.position, 10**6):
        line.take(entry)
    return line


def test_mass_stands_in_the_book_and_follows_what_it_is_made_of(book: Book) -> None:
    journal = MemoryJournal()
    now_ns = START_NS + HOUR_NS
    journal.batch(now_ns, stack())
    journal.tick(now_ns + MINUTE_NS)
    follow(journal, book)
    known = newest(book)
    hour = known["stack", "NOx_mass_flow", "1h", START_NS]
    assert hour.value == pytest.approx(30.0 * 12.0 * 9.6 * 3600 * 1e-6)  # wet value, wet flow: the same mass
    assert (hour.unit, hour.valid, hour.version) == ("kg/h", True, 1)
    assert known["stack", "NOx", "1h", START_NS].evaluated is None  # without O2, which mass does not need
    mark = say(journal, now_ns + MINUTE_NS, marked(START_NS, now_ns, Kind.INVALID, point="stack", parameter="velocity"))
    journal.tick(now_ns + 2 * MINUTE_NS)
    follow(journal, book)
    again = newest(book)["stack", "NOx_mass_flow", "1h", START_NS]
    assert (again.value, again.valid, again.version) == (None, False, 2)
    assert again.inputs["derived"]["lacking"] == {"velocity": 1}
    assert again.inputs["marks"] == [mark]


def test_minutes_of_wind_are_left_out_when_it_is_known_that_it_blew(book: Book) -> None:
    journal = MemoryJournal()
    now_ns = START_NS + HOUR_NS
    journal.batch(now_ns, fence(TIMES[::2], np.where(np.arange(360) < 60, 80.0, 55.0)))
    journal.tick(now_ns + MINUTE_NS)
    follow(journal, book)
    assert newest(book)["fence", "LAeq", "1h", START_NS].value == pytest.approx(72.3, abs=0.1)
    wind = one(Series("mill", "fence", "met", "wind_speed", "m/s"), START_NS + np.arange(60) * MINUTE_NS,
               np.where(np.arange(60) < 10, 6.0, 2.0))  # fmt: skip
    journal.batch(now_ns + 2 * MINUTE_NS, wind)
    journal.tick(now_ns + 4 * MINUTE_NS)
    follow(journal, book)
    hour = newest(book)["fence", "LAeq", "1h", START_NS]
    assert (hour.value, hour.valid, hour.version) == (pytest.approx(55.0), True, 2)
    assert hour.inputs["counts"] == {"ok": 300, "wind": 60}
    assert hour.coverage == pytest.approx(50 / 60)
    assert hour.inputs["weather"]["wind_from_m_s"] == 5.0
    minute = newest(book)["fence", "LAeq", "1m", START_NS]
    assert (minute.value, minute.valid, minute.version) == (None, False, 2)


def test_a_file_is_judged_with_what_is_derived_of_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "stack.csv"
    header = "time,SO2,O2,velocity,temperature,pressure,moisture\n"
    lines = [f"2026-07-01T{hour:02d}:00:00Z,30,8,12,110,-0.5,8\n" for hour in range(24)]
    file.write_text(header + "".join(lines), "utf-8")
    arguments = ["judge", "--rules", "ultra-low-2015", "--point", "stack", "--csv", str(file), "--set", "area_m2=10",
                 "--set", "barometric_pa=100800", "--set", "reference_oxygen=6", "--json"]  # fmt: skip
    assert main(arguments) == 0
    out = capfd.readouterr()
    found = {(a["parameter"], a["window"], a["from"]): a for a in json.loads(out.out)["averages"]}
    day = found["SO2_mass", "24h", "2026-07-01T00:00:00Z"]
    assert (day["unit"], day["valid"]) == ("kg", True)
    assert day["value"] == pytest.approx(24 * 8.4128, abs=1e-3)
    assert "velocity" not in out.err
