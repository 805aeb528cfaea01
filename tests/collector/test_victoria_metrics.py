"""VictoriaMetrics: no store, which it is told; what it keeps of what is written, and what it cannot keep."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from collector.intake.projector import Projector
from collector.store import StoreError
from collector.stores.influxdb import store as store_module
from collector.stores.influxdb.lines import head_of
from collector.stores.influxdb.store import InfluxStore
from collector.stores.influxdb.transport import Server, Transport
from collector.stores.influxdb.writing import write
from collector.stores.memory import MemoryStore
from tests.collector import victoria
from tests.collector.backends import DEDUP
from tests.collector.influx_servers import victoria_at
from tests.collector.test_projector import eventually, filled
from tests.collector.test_store_contract import ACID, LEVEL, A, B, content, rows
from tests.collector.victoria import MS, exported
from tests.conftest import server as program


@pytest.fixture
def url(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    with victoria_at(program("victoria-metrics"), tmp_path / "victoria", *getattr(request, "param", ())) as one:
        yield one


def everything(url: str) -> dict[str, list[tuple[int, float]]]:
    """What is there: metric and unit -> milliseconds and value."""
    found = exported(url, '{__name__!=""}')
    return {one["metric"]["__name__"]: sorted(zip(one["timestamps"], one["values"], strict=True)) for one in found}


def test_it_is_no_store_and_that_is_told(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.intake.projector.RETRY_S", 0.02)
    monkeypatch.setattr(store_module, "BACK_OFF_MAX_S", 0.0)
    journal = filled(tmp_path / "journal", 3)
    with closing(InfluxStore(Server(url=url, database="emitwatch"), tmp_path / "refused.db")) as store:
        projector = Projector(journal, store)
        projector.start()
        eventually(lambda: "has to be that of InfluxDB 1.x or 2.x" in projector.trouble, 20)
        projector.stop()
        assert "VictoriaMetrics" in projector.trouble
        assert store.cursor() == 0
        with pytest.raises(StoreError, match="answers no InfluxQL, so it is no store"):
            store.clear()
    journal.close()
    assert everything(url) == {}, "nothing was written"


@pytest.mark.parametrize(("url", "times"), [((), 2), ((DEDUP,), 1)], indirect=["url"], ids=["plain", "dedup"])
def test_what_is_written_twice_is_there_once_where_it_deduplicates(url: str, times: int) -> None:
    lines = [f"{head_of(ACID)}value={n / 8} {(1 + n) * 1000 * MS}" for n in range(20)]
    with closing(Transport(Server(url=url, database="emitwatch"))) as transport:
        for _ in range(2):
            assert not write(transport, lambda start, end: lines[start:end], len(lines)).bad
    once = [((1 + n) * 1000, n / 8) for n in range(20)]
    assert everything(url) == {"measurement_value": sorted(once * times)}


@pytest.mark.parametrize("url", [(DEDUP,)], indirect=True)
@pytest.mark.parametrize("fails", ["before the state", "its answer is lost"])
def test_what_a_crash_has_left_is_written_over_itself(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    plain, some = MemoryStore(), rows(*((LEVEL, (10 + n % 3) * MS, float(n), A, 1, n) for n in range(9)))
    later = rows((LEVEL, 11 * MS, 20.0, B, 1, 0), (ACID, 11 * MS, None, B, 1, 1))
    whole = store_module.write_whole

    def breaks(transport: Transport, lines: list[str]) -> None:
        if fails == "its answer is lost":
            whole(transport, lines)
        raise StoreError("the process ends here")

    with victoria.stored_in(url) as server:
        for position, one in enumerate((some, later), 1):
            plain.append(one, position)
            first = victoria.opened(server, tmp_path)
            with monkeypatch.context() as crash:
                crash.setattr(store_module, "write_whole", breaks)
                with pytest.raises(StoreError, match="ends here"):
                    first.append(one, position)
            first.close()
            with closing(victoria.opened(server, tmp_path)) as again:
                again.append(one, position)
                assert content(again) == content(plain)
    counts = {name: len(found) for name, found in everything(url).items()}
    assert counts["measurement_status"] <= len(plain.keys()), "and no point besides"


def test_what_it_cannot_keep(url: str) -> None:
    """Texts, truth values, times between milliseconds, 1970's first, newer versions, long numbers; no line is bad."""
    lines = [
        "kept whole=9007199254740993i,long=0.30000000000000004,yes=true 1000000000",
        'text said="stack" 1000000000',
        "fine v=1 2000000100", "fine v=2 2000000200",
        "newer v=1 3000000000", "newer v=2 3000000000",
        "zero v=1 0", "bad v=NaN 4000000000", "no line", "good v=4 4000000000",
    ]  # fmt: skip
    with closing(Transport(Server(url=url, database="emitwatch"))) as transport:
        assert transport.write("\n".join(lines).encode()).status == 204
    found = everything(url)
    assert found["kept_whole"] == [(1000, 2**53)]
    assert found["kept_yes"] == [(1000, 1)]
    assert found["text_said"] == [(1000, 0)]
    assert found["fine_v"] == [(2000, 1), (2000, 2)]
    assert found["newer_v"] == [(3000, 1), (3000, 2)]
    assert math.isclose(found["kept_long"][0][1], 0.3, rel_tol=1e-12)
    assert found["kept_long"][0][1] != 0.30000000000000004
    assert found["zero_v"][0][0] > 10**12, "it takes 0 for now"
    assert found["good_v"] == [(4000, 4)]
    assert "bad_v" not in found
