"""What all tests share: the servers they start, and where the shared cases are.

A missing server skips its tests loudly, and fails them where CI=true. Tests on files beside the
repository (`$EMITWATCH_SHARED`, default `../shared`) are deselected with one line where these are absent.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import hypothesis
import pytest

from gateway import reserve
from tests.collector.influx_servers import Influxd, influxd_at
from tests.effort import FULL, SEEDS
from tests.meanwhile import Meanwhile

ROOT = Path(__file__).parent.parent
SHARED = Path(os.environ.get("EMITWATCH_SHARED", ROOT.parent / "shared"))


# How long an example takes depends on what else the machine does; how fast things are, `benchmarks/` measures.
hypothesis.settings.register_profile("emitwatch", deadline=None)
hypothesis.settings.load_profile("emitwatch")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "shared: reads the cases beside the repository ($EMITWATCH_SHARED)")
    config.addinivalue_line("markers", "meanwhile: waits for what runs beside all other tests, so comes last")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("meanwhile") is not None)
    if FULL:  # ten times the examples take ten times as long
        for item in items:
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(10 * float(config.getini("timeout"))))
    if SHARED.is_dir():
        return
    needing = [item for item in items if item.get_closest_marker("shared")]
    if needing:
        print(f"deselected {len(needing)} tests: no shared cases in {SHARED} (set EMITWATCH_SHARED)")
        config.hook.pytest_deselected(items=needing)
        items[:] = [item for item in items if item not in needing]


@pytest.fixture(scope="session", autouse=True)
def seeds(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Meanwhile | None]:
    """The world's seeds; None where no test wants them."""
    if not any(item.get_closest_marker("meanwhile") for item in request.session.items):
        yield None
        return
    command = [sys.executable, "-m", "api.cli", "world", "--seed", "0", "--seeds", str(SEEDS), "--json"]
    running = Meanwhile(command, tmp_path_factory.mktemp("world") / "report.json")
    yield running
    running.end()


@pytest.fixture
def quiet(seeds: Meanwhile | None) -> Iterator[None]:
    """The world's seeds stand still, for a test that holds a time against a limit."""
    with seeds.paused() if seeds else nullcontext():
        yield


@pytest.fixture(autouse=True)
def _small_reserves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of outboxes need not take 16 MiB each."""
    monkeypatch.setattr(reserve, "SIZE", 1 << 16)


def server(name: str, *places: str) -> str:
    """Where a server's program is; the test is skipped (CI: fails) where it is missing."""
    found = shutil.which(name) or next((place for place in places if Path(place).exists()), None)
    if found is None:
        missing(f"{name} is not installed (apt-get install {name})")
    assert found is not None
    return found


def missing(message: str) -> None:
    """Skip the test, and fail it in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def mosquitto() -> str:
    """The broker's program."""
    return server("mosquitto", "/usr/sbin/mosquitto")


@pytest.fixture(scope="session")
def influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxd]:
    """A running InfluxDB 1.6.7; each store gets a database of its own."""
    with influxd_at(server("influxd"), tmp_path_factory.mktemp("influxd")) as running:
        yield running


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's program."""
    return server("chromium", "/usr/bin/chromium")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared cases."""
    return SHARED


@pytest.fixture(scope="session")
def mbpoll() -> str:
    """A Modbus client, which belongs to nobody here."""
    return server("mbpoll")


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """Where Modbus servers of npm's are; `node` is there too."""
    server("node")
    folder = ROOT / ".venv" / "npm" / "node_modules"
    if not (folder / "modbus-serial").is_dir():
        missing("modbus-serial is not installed (make servers)")
    return folder
