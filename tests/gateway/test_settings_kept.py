"""A setting that is changed while no gateway runs is found by the next one: processes, a broker and an instrument."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import Any

import pytest

import gateway.profiles
from tests.gateway.batches import PATIENCE_S, Collector, running, wait_until
from tests.gateway.modbus_server import Instruments, serving
from tests.gateway.test_gateway_main import gateway as gateway_process
from tests.gateway.test_gateway_main import site

SPAN = """
[[setting]]
name = "unit_number"
fc = 3
address = 100
type = "uint16"
manual = "page 9"
"""


def events(collector: Collector) -> list[dict[str, Any]]:
    batches = [batch for _, batch in sorted(collector.batches.items())]
    return [batch.fields["event"] for batch in batches if batch.header.kind == "event"]


@pytest.mark.system
def test_a_unit_number_that_is_changed_while_no_gateway_runs_is_found(mosquitto: str, tmp_path: Path) -> None:
    held = {0: 554, 1: 554, 100: 3}
    profile = (Path(gateway.profiles.__file__).parent / "profiles" / "emitwatch-noise.toml").read_text("utf-8")
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "meter.toml").write_text(profile.replace("emitwatch-noise", "meter") + SPAN)

    def change(text: str) -> str:
        return text.replace('"emitwatch-noise"', '"meter"') + '[folders]\nprofiles = ["profiles"]\n'

    def scene(port: int) -> None:
        with running(mosquitto, tmp_path) as broker, contextlib.closing(Collector(broker.port)) as collector:
            file = site(tmp_path, broker=broker.port, modbus=port, change=change)
            for wanted in ("settings", "setting_changed"):
                with gateway_process(file) as process:
                    wait_until(lambda wanted=wanted: wanted in [event["what"] for event in events(collector)])
                    wait_until((tmp_path / "data" / "gateways" / "riverside-gw" / "settings").exists)
                    process.send_signal(signal.SIGTERM)
                    process.communicate(timeout=PATIENCE_S)
                held[100] = 4
            told = events(collector)
        assert [event["what"] for event in told] == ["settings", "setting_changed"]
        assert told[0]["detail"] == {"unit_number": 3.0, "sensor": "slm", "profile": "meter"}
        assert told[1]["text"] == "unit_number of slm was 3 and is 4 (register 3:100)"

    async def whole() -> None:
        async with serving(Instruments(registers=lambda unit, address: held.get(address, 0))) as meters:
            await asyncio.to_thread(scene, meters.port)

    asyncio.run(whole())
