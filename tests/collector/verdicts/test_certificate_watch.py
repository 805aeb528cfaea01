"""A certificate that comes while the collector runs: what it touches is judged anew, and nothing else."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog

from api.cli import main
from collector.verdicts import evaluator as module
from collector.verdicts.book import Book
from collector.verdicts.certificate_watch import CertificateWatch
from collector.verdicts.evaluator import Evaluator, Line, site_rules
from gateway.catalogue import scan_sites
from gateway.measurement import SECOND_NS, Series
from gateway.settings import Site
from tests.collector.verdicts.certified import HEAD, PAIRS, QAL2
from tests.collector.verdicts.lines import HOUR_NS, MINUTE_NS, SITE, MemoryJournal, newest, one
from tests.collector.verdicts.test_evaluator import CONDITIONS, STACK

NOX = Series("mill", "stack", "cems", "NOx", "mg/m3")
MIDNIGHT_NS = 1775001600 * SECOND_NS - 8 * HOUR_NS  # 1 April 2026 in Shanghai
REPORTED = "line = { slope = 2.0, intercept = 1.0 }\nvalid_upto = 90.0\ndeviation = 1.0\npairs_number = 15\n"
NOX_QAL2 = HEAD.replace('"p"', '"mill"').replace('"s"', '"stack"') + QAL2.replace(
    f"pairs = {PAIRS}\n", REPORTED
).replace('"SO2"', '"NOx"')


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    book = Book(str(tmp_path / "verdicts.db"))
    yield book
    book.close()


@pytest.fixture
def plant(tmp_path: Path) -> Site:
    """A mill whose stack has a folder for certificates, with one that does not count yet."""
    (tmp_path / "certificates").mkdir()
    write(tmp_path, NOX_QAL2.replace("2026-04-01", "2029-04-01"))
    file = tmp_path / "site.toml"
    file.write_text(SITE.replace('id = "stack"\n', 'id = "stack"\ncertificates = "certificates"\n'))
    return scan_sites(str(file))[0][0]


def write(folder: Path, text: str) -> None:
    (folder / "certificates" / "nox.toml").write_text(text)


def hours(journal: MemoryJournal, from_ns: int, count: int) -> None:
    """Hours of 10 mg/m3, and the ticks after them."""
    times = np.arange(from_ns, from_ns + count * HOUR_NS, MINUTE_NS)
    journal.batch(from_ns + count * HOUR_NS, one(NOX, times, 10.0))
    journal.ticks(from_ns + count * HOUR_NS, from_ns + count * HOUR_NS + 80 * SECOND_NS)


def follow(line: Line, journal: MemoryJournal) -> None:
    for entry in journal.read(line.position, 100_000):
        line.take(entry)


def told(book: Book) -> list[tuple[float | None, int]]:
    """Value and version of every hour of NOx."""
    found = newest(book).items()
    return [(a.value, a.version) for (_, name, window, _), a in sorted(found) if (name, window) == ("NOx", "1h")]


def until(journal: MemoryJournal, book: Book, wanted: list[tuple[float | None, int]]) -> None:
    """Let time go on until a thread has come to this."""
    deadline = time.monotonic() + 40
    while told(book) != wanted:
        assert time.monotonic() < deadline, f"it says {told(book)}"
        journal.tick(MIDNIGHT_NS + 2 * HOUR_NS + len(journal.entries) * SECOND_NS)
        time.sleep(0.1)


def test_a_certificate_that_comes_later_makes_the_next_version_from_its_day_on(book: Book, plant: Site) -> None:
    journal = MemoryJournal()
    line, watch = Line(journal, book, *site_rules([plant])), CertificateWatch([plant], 0.0)
    hours(journal, MIDNIGHT_NS - 2 * HOUR_NS, 4)
    follow(line, journal)
    assert told(book) == [(10.0, 1)] * 4
    assert watch.changed() == {}
    write(Path(plant.base), NOX_QAL2)
    changed = watch.changed()
    assert ("mill", "stack") in changed
    line.certify(changed)
    journal.ticks(MIDNIGHT_NS + 3 * HOUR_NS, MIDNIGHT_NS + 3 * HOUR_NS + 80 * SECOND_NS)
    follow(line, journal)
    assert told(book) == [(10.0, 1)] * 2 + [(21.0, 2)] * 2
    average = newest(book)["stack", "NOx", "1h", MIDNIGHT_NS]
    assert average.inputs["calibration"]["raw"] == 10.0
    assert watch.changed() == {}, "it is told once"
    line.certify(changed)
    journal.tick(MIDNIGHT_NS + 5 * HOUR_NS)
    follow(line, journal)
    assert told(book) == [(10.0, 1)] * 2 + [(21.0, 2)] * 2, "nothing is new"


def test_a_commit_that_fails_loses_no_change(book: Book, plant: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = MemoryJournal()
    line, watch = Line(journal, book, *site_rules([plant])), CertificateWatch([plant], 0.0)
    hours(journal, MIDNIGHT_NS, 1)
    follow(line, journal)
    write(Path(plant.base), NOX_QAL2)
    line.certify(watch.changed())
    journal.ticks(MIDNIGHT_NS + 3 * HOUR_NS, MIDNIGHT_NS + 3 * HOUR_NS + 80 * SECOND_NS)

    def fail(*args: Any, **kwargs: Any) -> None:
        raise sqlite3.OperationalError("database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(book, "commit", fail)
        with pytest.raises(sqlite3.OperationalError):
            follow(line, journal)
    line.resume()
    follow(line, journal)
    assert told(book) == [(21.0, 2)]


@pytest.mark.parametrize("text", ["plant = ", NOX_QAL2.replace("limit", "limmit")])
def test_a_file_with_a_fault_changes_nothing_and_is_told(plant: Site, text: str) -> None:
    watch = CertificateWatch([plant], 0.0)
    write(Path(plant.base), text)
    with structlog.testing.capture_logs() as logs:
        assert watch.changed() == {}
        assert watch.changed() == {}
    assert [entry["event"] for entry in logs] == ["A certificate file has a fault; what it said before stays."]


def test_a_calibration_that_is_not_used_is_told(plant: Site) -> None:
    watch = CertificateWatch([plant], 0.0)
    write(Path(plant.base), NOX_QAL2.replace("pairs_number = 15", "pairs_number = 5"))
    with structlog.testing.capture_logs() as logs:
        assert not watch.changed()["mill", "stack"]
    assert logs[0]["event"] == "A certificate is not used."


def test_a_pack_that_has_a_fault_keeps_what_was(plant: Site, tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    site = scan_sites(str(tmp_path / "site.toml"))[0][0]
    file = tmp_path / "site.toml"
    file.write_text(file.read_text() + '[folders]\nrules = ["rules"]\n')
    site = scan_sites(str(file))[0][0]
    watch = CertificateWatch([site], 0.0)
    (tmp_path / "rules" / "mine.toml").write_text("id = ")
    write(tmp_path, NOX_QAL2)
    with structlog.testing.capture_logs() as logs:
        assert watch.changed() == {}
    assert "a rule pack has a fault" in logs[0]["event"]


def test_files_that_go_take_their_certificates_along(plant: Site) -> None:
    watch = CertificateWatch([plant], 0.0)
    (Path(plant.base) / "certificates" / "other.toml").symlink_to("nowhere")
    assert watch.changed() == {}, "what cannot be looked at is on its way"


def test_sites_without_certificates_are_not_looked_at(tmp_path: Path, plant: Site) -> None:
    file = tmp_path / "plain.toml"
    file.write_text(SITE)
    watch = CertificateWatch([scan_sites(str(file))[0][0]], 0.0)
    assert watch.changed() == {}
    late = CertificateWatch([plant])
    write(Path(plant.base), NOX_QAL2)
    assert late.changed() == {}, "the files are looked at every ten seconds"


def test_the_thread_takes_a_change_up(book: Book, plant: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_S", 0.05)
    monkeypatch.setattr("collector.verdicts.certificate_watch.LOOK_S", 0.0)
    journal = MemoryJournal()
    hours(journal, MIDNIGHT_NS, 1)
    thread = Evaluator(journal, book, [plant])
    thread._certificates = CertificateWatch([plant], 0.0)
    thread.start()
    try:
        until(journal, book, [(10.0, 1)])
        write(Path(plant.base), NOX_QAL2)
        until(journal, book, [(21.0, 2)])
    finally:
        thread.stop()


def test_quality_counts_the_weeks_of_what_was_judged(
    plant: Site, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Three hours of 30 mg/m3 as measured, over 70 by its function at the conditions of the limit."""
    low = NOX_QAL2.replace("valid_upto = 90.0", "valid_upto = 70.0")
    write(tmp_path, low)
    site = str(tmp_path / "site.toml")
    assert main(["quality", "--site", site, "--on", "2026-05-01"]) == 0, "nothing was judged yet"
    capfd.readouterr()
    journal = MemoryJournal()
    with closing(Book(tmp_path / "data" / "collector" / "verdicts.db")) as book:
        line = Line(journal, book, *site_rules([plant]))
        times = np.arange(MIDNIGHT_NS, MIDNIGHT_NS + 3 * HOUR_NS, 5 * SECOND_NS)
        for series in STACK:
            journal.batch(MIDNIGHT_NS + 3 * HOUR_NS, one(series, times, CONDITIONS[series.parameter]))
        journal.ticks(MIDNIGHT_NS + 24 * HOUR_NS, MIDNIGHT_NS + 24 * HOUR_NS + 120 * SECOND_NS)
        follow(line, journal)
    assert main(["quality", "--site", site, "--on", "2026-05-01", "--json"]) == 1
    tests, watched = json.loads(capfd.readouterr().out)
    assert [test["test"] for test in tests["tests"]] == ["QAL2"]
    (test,) = watched["tests"]
    assert test["test"] == "valid range"
    assert test["facts"]["week"] == [["2026-03-30", "6 of 6 above"]]
    assert "since the week of 2026-03-30" in test["problems"][0]["what"]
    assert main(["quality", "--site", site, "--on", "2026-05-01"]) == 1
    assert "week: 2026-03-30 6 of 6 above" in capfd.readouterr().out


def test_quality_of_a_site_names_its_faults(plant: Site, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    site = str(tmp_path / "site.toml")
    write(tmp_path, NOX_QAL2.replace("limit", "limmit"))
    assert main(["quality", "--site", site]) == 1
    write(tmp_path, NOX_QAL2)
    (tmp_path / "data" / "collector").mkdir(parents=True)
    (tmp_path / "data" / "collector" / "verdicts.db").write_text("no book")
    assert main(["quality", "--site", site]) == 2
    file = tmp_path / "site.toml"
    file.write_text(file.read_text() + '[store]\nkind = "influxdb"\n')
    assert main(["quality", "--site", site]) == 1
    assert main(["quality"]) == 2
    assert "name certificate files" in capfd.readouterr().err


def test_a_month_of_the_line_tells_its_functions(plant: Site, book: Book) -> None:
    write(Path(plant.base), NOX_QAL2)
    journal = MemoryJournal()
    line = Line(journal, book, *site_rules([plant]))
    times = np.arange(MIDNIGHT_NS, MIDNIGHT_NS + HOUR_NS, 5 * SECOND_NS)
    journal.batch(MIDNIGHT_NS + HOUR_NS, one(NOX, times, 10.0))
    for days in (1, 30, 31):
        journal.ticks(MIDNIGHT_NS + days * 24 * HOUR_NS, MIDNIGHT_NS + days * 24 * HOUR_NS + 120 * SECOND_NS)
    follow(line, journal)
    (month,) = [a for (_, name, window, _), a in newest(book).items() if (name, window) == ("NOx", "month")]
    assert [one["report"] for one in month.inputs["calibration"]["functions"]] == ["R-17"]
    assert month.value == 21.0
