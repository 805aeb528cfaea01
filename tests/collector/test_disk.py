"""The journal's disk: when to stop, when to go on, when it will be full."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.intake.disk import CLOSE_SHARE, OPEN_SHARE, Gauge, Space, days_left
from collector.intake.journal import Journal
from tests.collector.test_journal import batch
from tests.conftest import server
from tests.effort import examples

DAY_NS = 86_400 * 10**9


@settings(max_examples=examples(200))
@given(st.lists(st.integers(0, 100), max_size=30))
def test_it_stops_below_one_limit_and_goes_on_above_another(shares: list[int]) -> None:
    gauge, closed = Gauge(), False
    for share in shares:
        closed = share < 100 * (OPEN_SHARE if closed else CLOSE_SHARE)
        assert gauge.observe(Space(100, share)) is not closed
        assert bool(gauge.trouble) is closed


def test_the_forecast_goes_by_the_journal_itself() -> None:
    assert days_left(Space(1000, 550), 50, DAY_NS) == 10.0
    assert days_left(Space(1000, 550), 50, DAY_NS // 2) == 5.0
    assert days_left(Space(1000, 10), 50, DAY_NS) == 0.0
    assert days_left(Space(1000, 550), 50, DAY_NS // 100) is None, "too short to tell"
    assert days_left(Space(1000, 550), 0, DAY_NS) is None
    assert Space(0, 0).share == 0


def test_a_journal_tells_its_growth_and_its_disk(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert journal.growth() == (0, 0)
    journal.append([batch(1)])
    journal.append([batch(2, received_ns=batch(2).received_ns + DAY_NS)])
    grown, span_ns = journal.growth()
    assert grown > 4096
    assert span_ns == DAY_NS
    assert 0 < journal.space().free <= journal.space().total
    journal.close()


SCRIPT = """
import sys
from collector.intake.journal import Journal, JournalError
from tests.collector.test_journal import batch
journal = Journal(sys.argv[1])
for seq in range(1, 500):
    try:
        journal.append([batch(seq)])
    except JournalError as error:
        print(f"{seq} full={error.full} {error}")
        break
"""


@pytest.mark.system
@pytest.mark.parametrize(("fault", "full"), [("fdatasync:error=EIO", False), ("pwrite64:error=ENOSPC", True)])
def test_a_write_that_fails_is_told_and_harms_nothing_before_it_what_happened(
    tmp_path: Path, fault: str, full: bool
) -> None:
    strace = server("strace")
    call = fault.split(":", maxsplit=1)[0]
    found = subprocess.run(
        [strace, "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={fault}:when=60+", sys.executable, "-c",
         SCRIPT, str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=30, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    seq, said = found.stdout.split(" ", 1)
    assert f"full={full}" in said, found.stderr
    assert "full: make room" in said if full else "disk I/O error" in said
    journal = Journal(tmp_path)
    held = [entry.seq for entry in journal.read(0, 1000)]
    # What was refused was never acknowledged; after a failed fsync it may be there all the same, and counts once.
    assert held in ([*range(1, int(seq))], [*range(1, int(seq) + 1)])
    assert journal.append([batch(1000)]) == len(held) + 1
    journal.close()
