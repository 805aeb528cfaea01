"""From an instrument that goes to the collector's /metrics: real processes, a real broker, real HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.collector.brokers import mosquitto_at
from tests.gateway.ports import free_port

ROOT = Path(__file__).parents[2]
SITE = """
[plant]
id = "riverside"
timezone = "UTC"
[broker]
url = "mqtt://127.0.0.1:{broker}"
user = "gateway"
password_file = "password"
[api]
port = {api}
[[gateway]]
id = "riverside-gw"
[[point]]
id = "stack-1"
kind = "stack"
[[point]]
id = "fence"
kind = "noise"
[[sensor]]
id = "cems-1"
point = "stack-1"
link = "tcp://127.0.0.1:{port}?unit=1"
profile = "emitwatch-stack-gas"
interval_s = 0.5
[[sensor.input]]
link = "tcp://127.0.0.1:{port}?unit=7"
fc = 2
address = 3
status = "maintenance"
[[sensor]]
id = "slm"
point = "fence"
link = "tcp://127.0.0.1:{dead}?unit=1"
profile = "emitwatch-noise"
interval_s = 1
"""


@contextmanager
def process(*words: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "api.cli", *words],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as found:
        try:
            yield found
        finally:
            found.terminate()
            found.wait(20)


def until(condition: Callable[[], Any], what: str, within_s: float = 30.0) -> Any:
    end = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.2)
    return found


def status(site: Path) -> dict[str, Any]:
    words = [sys.executable, "-m", "api.cli", "status", str(site), "--json"]
    told = json.loads(subprocess.run(words, cwd=ROOT, capture_output=True, text=True).stdout)
    found: dict[str, Any] = told["gateways"].get("riverside-gw", {})
    return found


def answer(url: str, headers: Sequence[tuple[str, str]]) -> httpx.Response | None:
    try:
        return httpx.get(url, timeout=5, headers=headers)
    except httpx.TransportError:
        return None


@pytest.mark.system
def test_how_old_the_last_good_values_are_is_at_the_collectors_metrics(mosquitto: str, tmp_path: Path) -> None:
    broker, api, port, dead = (free_port() for _ in range(4))
    site, simulated = tmp_path / "site.toml", tmp_path / "simulated.toml"
    text = SITE.format(broker=broker, api=api, port=port, dead=dead)
    site.write_text(text)
    simulated.write_text(text.split('[[sensor]]\nid = "slm"')[0])
    (tmp_path / "password").write_text("secret")
    with process("simulate", str(simulated), "--fault", "cems-1:key"), process("run", "gateway", str(site)):

        def measured() -> bool:
            return any(one["status"] == "maintenance" for one in status(site).get("measured", ()))

        until(measured, "the key at the simulated module is not laid over the values")
        with mosquitto_at(mosquitto, tmp_path, broker), process("run", "all", str(site)):
            token = tmp_path / "data" / "collector" / "api.token"
            until(token.exists, "the collector does not start")
            bearer = [("Authorization", f"Bearer {token.read_text().strip()}")]
            url = f"http://127.0.0.1:{api}"

            def state() -> dict[str, Any] | None:
                found = answer(f"{url}/api/v1/health", bearer)
                told: dict[str, Any] = found.json()["gateways"]["riverside-gw"]["state"] if found else {}
                return told if told.get("online") and told["sensors"]["answering"] == 1 else None

            told = until(state, "the state does not come", 60)
            assert told["sensors"]["all"] == 2
            assert set(told["good_s"]) == {"cems-1", "slm"}
            found = answer(f"{url}/metrics", bearer)
            assert found
            lines = found.text.splitlines()
    about = 'emitwatch_gateway_sensor_good_s{gateway="riverside-gw",sensor="slm"} '
    (age,) = [float(line.removeprefix(about)) for line in lines if line.startswith(about)]
    assert age > 1
    assert 'emitwatch_gateway_state_sensors_answering{gateway="riverside-gw"} 1.0' in lines
    assert 'emitwatch_gateway_state_online{gateway="riverside-gw"} 1.0' in lines
    assert any(line.startswith('emitwatch_gateway_state_storage_share{gateway="riverside-gw"}') for line in lines)
