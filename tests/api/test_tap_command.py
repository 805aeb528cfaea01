"""`emitwatch tap` at a real broker."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt import publish

from api.tap_command import describe
from collector.intake.gate import Trusted
from gateway.identity import public_hex
from gateway.measurement import Columns, Series
from gateway.spooler import Spooler
from tests.api.line import ROOT, small_site
from tests.collector.brokers import mosquitto_at
from tests.gateway.ports import free_port

KEY = Ed25519PrivateKey.generate()
TOPIC = "em/v1/riverside-gw/up"


def payloads(folder: Path) -> list[bytes]:
    """A hello and a batch of two measurements, one of them missing."""
    series = (Series("riverside", "fence-north", "slm-north", "LAeq", "dB(A)"),)
    spooler = Spooler(folder, "riverside", "riverside-gw", KEY)
    spooler.put(Columns(
        series, np.zeros(2, np.uint16), np.array([10**18, 10**18 + 10**9]), np.array([51.5, np.nan]),
        np.array([0, 7], np.uint8),
    ))  # fmt: skip
    spooler.flush()
    found = [row.payload for row in spooler.pending(10)]
    spooler.close()
    return found


def test_a_batch_is_told_in_full(tmp_path: Path) -> None:
    hello, data = payloads(tmp_path)
    trusted = {"riverside-gw": Trusted("riverside", KEY.public_key())}
    assert describe(hello, TOPIC, trusted)["kind"] == "hello"
    line = describe(data, TOPIC, trusted)
    assert (line["signed"], line["seq"], line["n"], line["plant"]) == (True, 2, 2, "riverside")
    assert [(item["value"], item["status"]) for item in line["measurements"]] == [(51.5, "ok"), (None, "no_comm")]
    assert "measurements" not in describe(data, TOPIC, trusted, summary=True)


def test_who_signed_it_is_told(tmp_path: Path) -> None:
    _, data = payloads(tmp_path)
    other = {"riverside-gw": Trusted("riverside", Ed25519PrivateKey.generate().public_key())}
    assert describe(data, TOPIC, other)["signed"] is False
    assert describe(data, TOPIC, {"riverside-gw": Trusted("riverside", None)})["signed"] is None
    assert describe(data, TOPIC, {})["signed"] is None


@pytest.mark.parametrize("payload", [b"", b"\x01", b"nonsense" * 50])
def test_what_cannot_be_decoded_is_a_line_too(payload: bytes) -> None:
    assert describe(payload, TOPIC, {})["fault"]


def test_the_command_prints_lines_until_it_has_enough(tmp_path: Path, mosquitto: str) -> None:
    import tomllib

    path, port = small_site(tmp_path), free_port()
    tree = tomllib.loads(path.read_text("utf-8"))
    tree["broker"] = {"url": f"mqtt://127.0.0.1:{port}"}
    tree["gateway"][0]["public_key"] = public_hex(KEY)
    path.write_text(tomli_w.dumps(tree), "utf-8")
    messages = [(TOPIC, payload, 1, True) for payload in payloads(tmp_path / "outbox")][1:]
    with mosquitto_at(mosquitto, tmp_path, port):
        publish.multiple(messages, hostname="127.0.0.1", port=port)
        command = [sys.executable, "-m", "api.cli", "tap", str(path), "--count", "1"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["signed"] is True


def test_a_broker_that_is_not_there_is_told(tmp_path: Path) -> None:
    import tomllib

    path, port = small_site(tmp_path), free_port()
    tree = tomllib.loads(path.read_text("utf-8"))
    tree["broker"] = {"url": f"mqtt://127.0.0.1:{port}"}
    path.write_text(tomli_w.dumps(tree), "utf-8")
    start = time.monotonic()
    command = [sys.executable, "-m", "api.cli", "tap", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=40, check=False)
    assert done.returncode == 2
    assert f"mqtt://127.0.0.1:{port}" in done.stderr
    assert "hint" in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - start < 30
