"""Gateways as processes of their own, with the instruments they poll."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from gateway.identity import public_hex
from gateway.spooler import read_batches
from tests.gateway.batches import COLLECTOR_KEY, KEY, PATIENCE_S
from tests.gateway.modbus_server import Instruments

RUN = "import sys; from gateway.__main__ import run; sys.exit(run(sys.argv[1], demo=True))"

SITE = """
[plant]
id = "riverside"
timezone = "UTC"
data_dir = "data"
[broker]
url = "mqtt://127.0.0.1:{broker}"
[[gateway]]
id = "riverside-gw"
[[point]]
id = "fence"
kind = "noise"
[[sensor]]
id = "slm"
point = "fence"
link = "tcp://127.0.0.1:{modbus}?unit=1"
profile = "emitwatch-noise"
interval_s = 0.1
[collector]
public_key = "{collector}"
"""


@contextlib.contextmanager
def instruments() -> Iterator[int]:
    """Sound level meters in a thread of their own; the port they answer on."""
    found, loop, ready = (
        Instruments(registers=lambda unit, address: 554 if address < 2 else 0),
        asyncio.new_event_loop(),
        threading.Event(),
    )

    async def serve() -> None:
        await found.start()
        ready.set()

    thread = threading.Thread(target=lambda: (loop.run_until_complete(serve()), loop.run_forever()))
    thread.start()
    try:
        assert ready.wait(PATIENCE_S)
        yield found.port
    finally:
        asyncio.run_coroutine_threadsafe(found.stop(), loop).result(PATIENCE_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_S)
        loop.close()


def site(folder: Path, *, broker: int = 1, modbus: int = 1, change: Callable[[str], str] = str) -> Path:
    """A site file with one sound level meter, ten values a second, and the gateway's key."""
    file = folder / "site.toml"
    text = SITE.format(broker=broker, modbus=modbus, collector=public_hex(COLLECTOR_KEY))
    file.write_text(change(text))
    key = folder / "data" / "gateways" / "riverside-gw" / "key"
    key.parent.mkdir(parents=True, exist_ok=True)
    if not key.exists():
        key.touch(mode=0o600)
        key.write_text(KEY.private_bytes_raw().hex())
    return file


@contextlib.contextmanager
def gateway(
    file: Path, environment: Mapping[str, str] | None = None, stdin: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    """A gateway in a process of its own, ended at the latest with the block."""
    with subprocess.Popen(
        [sys.executable, "-c", RUN, str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=stdin,
        env={**os.environ, **(environment or {})},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def kept(folder: Path) -> list[tuple[bytes, int, int]]:
    """Epoch, seq and number of measurements of what is in its outbox."""
    try:
        return read_batches(folder / "data" / "gateways" / "riverside-gw")
    except sqlite3.OperationalError:  # the process has not made it yet
        return []
