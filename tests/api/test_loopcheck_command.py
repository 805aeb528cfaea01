"""`emitwatch loopcheck` at a whole line of real processes: instrument, gateway, broker, collector."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from api.cli import main
from api.loopcheck import Missing, Seen, Where, parse_record
from api.loopcheck_stages import Way, follow
from gateway import catalogue
from gateway.identity import load_or_create_key, public_hex
from gateway.measurement import Columns, Status
from gateway.sensors import resolve
from gateway.status import Latest
from gateway.status_server import served
from tests.api.line import ROOT, wait_until
from tests.gateway.batches import running
from tests.gateway.modbus_server import Instruments
from tests.gateway.ports import free_port

SITE = """
[plant]
id = "riverside"
timezone = "UTC"
data_dir = "data"
[broker]
url = "mqtt://127.0.0.1:{broker}"
user = "riverside"
password_file = "password"
[api]
port = {api}
[collector]
public_key = "{collector}"
[[gateway]]
id = "riverside-gw"
public_key = "{gateway}"
status_port = {status}
[[point]]
id = "fence"
kind = "noise"
[[sensor]]
id = "slm"
point = "fence"
link = "tcp://127.0.0.1:{modbus}?unit=1"
profile = "emitwatch-noise"
interval_s = 0.5
"""


class Bench:
    """An instrument whose value can be set, in a thread of its own. level: in 0.1 dB(A)."""

    def __init__(self) -> None:
        self.level = 554
        self._instruments = Instruments(registers=lambda unit, address: self.level if address < 2 else 0)
        self._loop, ready = asyncio.new_event_loop(), threading.Event()

        async def serve() -> None:
            await self._instruments.start()
            ready.set()

        self._thread = threading.Thread(
            target=lambda: (self._loop.run_until_complete(serve()), self._loop.run_forever())
        )
        self._thread.start()
        assert ready.wait(10)
        self.port = self._instruments.port

    def close(self) -> None:
        """End it."""
        asyncio.run_coroutine_threadsafe(self._instruments.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


def site_file(folder: Path, **ports: int) -> Path:
    keys = {
        name: public_hex(load_or_create_key(folder / "data" / place / "key")[0])
        for name, place in (("gateway", "gateways/riverside-gw"), ("collector", "collector"))
    }
    (folder / "password").write_text("secret")
    file = folder / "site.toml"
    file.write_text(SITE.format(**{"broker": 1, "modbus": 1, "status": 0, "api": 1, **ports}, **keys))
    return file


@contextlib.contextmanager
def part(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "api.cli", "run", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT) as process:
        try:
            yield process
        finally:
            process.kill()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1).status_code > 0
    except httpx.TransportError:
        return False


@pytest.mark.system
@pytest.mark.timeout(180)  # two processes to start, and a machine may be busy
def test_a_value_is_followed_from_the_instrument_to_the_page(
    mosquitto: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = {"status": free_port(), "api": free_port()}
    with running(mosquitto, tmp_path) as broker, contextlib.closing(Bench()) as bench:
        site = str(site_file(tmp_path, broker=broker.port, modbus=bench.port, **ports))
        check, out = ["loopcheck", site, "slm", "LAeq"], tmp_path / "loop.json"
        with part("all", site), part("gateway", site) as gateway:
            for port in ports.values():
                wait_until(lambda port=port: answers(f"http://127.0.0.1:{port}/"), 40, "does not answer")

            code = main([*check, "55.4", "--out", str(out), "--by", "wu.ming", "--wait", "30", "--json"])
            said = printed(capsys)
            assert code == 0, said
            assert said == json.loads(out.read_text())
            record, faults = parse_record(out.read_text(), "loop.json")
            assert record, faults
            ((_, *later),) = [one.stages for one in record.injections]
            assert [stage.value for stage in later] == [55.4, 55.4]
            assert len({stage.time for stage in record.injections[0].stages}) == 1, "one measurement, at every stage"
            assert (record.by, record.unit, record.passed) == ("wu.ming", "dB(A)", True)

            def steady() -> str:
                bench.level = 600
                return "\n"

            monkeypatch.setattr(sys, "stdin", stdin := io.StringIO())
            monkeypatch.setattr(stdin, "readline", steady)
            points = tmp_path / "points"
            points.write_text("60 # the first\n\n55.4\n")
            assert main([*check, "--points", str(points), "--wait", "30", "--tolerance", "1%"]) == 1
            told = capsys.readouterr()
            assert "1/2: inject 60 dB(A) at slm" in told.err
            assert "it departs at: register" in told.out
            assert "+4.6" in told.out
            assert "1 of 2 values fail" in told.out

            (wrong := tmp_path / "token").write_text("another")
            assert main([*check, "60", "--token-file", str(wrong), "--wait", "5"]) == 1
            assert "it cannot be asked at: stored" in (refused := capsys.readouterr().out)
            assert "hint: it asks for its token; --token-file" in refused

            gateway.terminate()
            gateway.wait(20)
            assert main([*check, "60", "--wait", "1", "--json"]) == 1
            ((read, *later),) = [one["stages"] for one in printed(capsys)["injections"]]
            assert (read["verdict"], [stage["verdict"] for stage in later]) == ("agrees", ["late", "late"])
            assert "no gateway answers here" in read["source"]


def way_to(folder: Path, port: int) -> Way:
    """The sound level meter of the site, whose gateway keeps its socket in a folder."""
    site = catalogue.load_sites(str(site_file(folder)))[0]
    (sensor,) = resolve(site, catalogue.profiles(), catalogue.parameters())[0]
    return Way(sensor=sensor, parameter="LAeq", unit="dB(A)", folder=folder, port=port, url="http://x", token="")


@pytest.mark.parametrize(
    ("levels", "value", "said", "by_page"),
    [
        ([55.4], 55.4, "ok", False),
        ([None, None, 55.4], 55.4, "ok", True),
        ([None] * 9, None, "no_comm", False),
        ([], None, "", True),
    ],
)
def test_a_tick_that_was_missed_is_no_value(
    levels: list[float | None], value: float | None, said: str, by_page: bool, tmp_path: Path
) -> None:
    way, latest = way_to(tmp_path, free_port() if by_page else 0), Latest()

    def measure(level: float | None, time_ns: int) -> None:
        status = np.array([Status.OK if level is not None else Status.NO_COMM], np.uint8)
        number = np.array([np.nan if level is None else level])
        latest.put(Columns(way.sensor.series[:1], np.zeros(1, np.uint16), np.array([time_ns]), number, status))

    async def scene() -> Seen | Missing:
        state = {"gateway": "riverside-gw"}
        measure(94.0, time.time_ns())
        async with served(tmp_path, way.port, lambda: state, latest):
            following = asyncio.create_task(follow(way, [Where.REGISTER], 1.0 if not levels else 10.0, lambda *_: None))
            await asyncio.sleep(0.05)
            for level in levels:
                await asyncio.sleep(0.3)
                measure(level, time.time_ns())
            return (await following)[1][Where.REGISTER]

    seen = asyncio.run(scene())
    if levels:
        assert isinstance(seen, Seen)
        assert (seen.value, seen.status) == (value, said)
    else:
        assert seen == Missing("gateway riverside-gw")


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The record; a collector in the same process may have told a notice before it."""
    out = capsys.readouterr().out
    found: dict[str, Any] = json.loads(out[out.index("{\n") :])
    return found


def test_where_nothing_answers_this_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nobody = str(site_file(tmp_path, modbus=free_port(), api=free_port(), status=free_port()))
    assert main(["loopcheck", nobody, "slm", "LAeq", "94", "--wait", "5", "--json"]) == 1
    (one,) = printed(capsys)["injections"]
    assert [stage["verdict"] for stage in one["stages"]] == ["unreached"] * 3
    assert [stage["stage"] for stage in one["stages"]] == list(Where)
    assert "cannot connect" in one["stages"][0]["hint"]


def test_another_program_at_the_collector_s_address_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'event: measurements\ndata: {"items": [7]}\n\n' if "live" in self.path else b"<html>")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Other)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    site = str(site_file(tmp_path, modbus=free_port(), api=server.server_port, status=server.server_port))
    assert main(["loopcheck", site, "slm", "LAeq", "94", "--wait", "0.5", "--json"]) == 1
    server.shutdown()
    server.server_close()
    thread.join()
    (one,) = printed(capsys)["injections"]
    assert ["another program answers there" in stage["hint"] for stage in one["stages"]] == [False, True, True]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("slm-2", "LAeq", "94"), "there is no sensor 'slm-2'; sensors: slm"),
        (("slm", "NOx", "94"), "slm does not measure 'NOx'; it measures: LAeq, LAFmax"),
        (("slm", "LAeq", "loud"), "'loud' is no number"),
        (("slm", "LAeq", "94", "--unit", "mg/m3"), "does not become 'dB(A)'"),
        (("slm", "LAeq", "94", "--tolerance", "-1"), "less than nothing"),
        (("slm", "LAeq", "94", "--token-file", "no.token"), "no.token: No such file"),
        (("slm", "LAeq", "94", "--plant", "hillside"), "there is no sensor"),
        (("slm", "LAeq", "94", "--url", "http://[::1"), "--url 'http://[::1'"),
        (("slm", "LAeq"), "give 1 to 100 values"),
        (("slm", "LAeq", "--points", "no.file"), "no.file: No such file"),
        (("slm", "LAeq", "20%", "94", "--until", "register"), "nobody presses Enter"),
    ],
)
def test_mistakes_are_explained(
    arguments: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert main(["loopcheck", str(site_file(tmp_path)), *arguments]) == 2
    assert said in capsys.readouterr().err
