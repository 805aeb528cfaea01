"""gateway -> proxy -> mosquitto -> collector: everything arrives once, through every fault of the network."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.intake import subscriber
from gateway import connection
from tests.collector.brokers import mosquitto_at
from tests.effort import PROXY_ROUNDS, PROXY_SIDES
from tests.gateway.batches import broker, wait_until
from tests.gateway.ports import free_port
from tests.system.proxy import Fault, proxy
from tests.system.short_line import line

KEEPALIVE_S = 1  # in these tests: a dead connection shows after twice this


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead connection is noticed within seconds instead of a minute."""
    monkeypatch.setattr(connection, "KEEPALIVE_S", KEEPALIVE_S)
    monkeypatch.setattr(subscriber, "KEEPALIVE_S", KEEPALIVE_S)


@pytest.mark.system
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("side", ["gateway", "collector"][:PROXY_SIDES])
def test_everything_arrives_once_through_every_fault(mosquitto: str, tmp_path: Path, side: str) -> None:
    faults = [fault for fault in Fault if fault is not Fault.PASS]
    port = free_port()
    with mosquitto_at(mosquitto, tmp_path, port), proxy(port) as between:
        ways = (between.port, port) if side == "gateway" else (port, between.port)
        with line(tmp_path, broker(ways[0]), ways[1]) as found:
            found.collect()
            found.measure(20)
            found.all_arrived_once(20)
            for fault in faults * PROXY_ROUNDS:
                before = between.connections
                between.fault = fault
                found.measure(30)
                _let_it_work(fault, lambda before=before: between.connections > before)  # type: ignore[misc]
                between.fault = Fault.PASS
                found.measure(10)
                found.all_arrived_once(30)
            assert found.spooler.unacked() == 0
            assert len(found.stored()) == found.measured


def _let_it_work(fault: Fault, reconnected: Callable[[], bool]) -> None:
    """As long as the fault needs to be one: a slow way only has to be slow, a dead one has to be noticed."""
    if fault in (Fault.DELAY, Fault.DRIBBLE):
        time.sleep(0.5)
    else:
        wait_until(reconnected)


def test_the_proxy_does_what_it_says() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door, proxy(door.getsockname()[1], cut_after=3) as between:
        for fault, expected in (
            (Fault.PASS, b"0123456789"),
            (Fault.DELAY, b"0123456789"),
            (Fault.DRIBBLE, b"0123456789"),
            (Fault.CUT, b"012"),
            (Fault.BLACK_HOLE, b""),
            (Fault.HALF_CLOSE, b""),
        ):
            between.fault = fault
            with socket.create_connection(("127.0.0.1", between.port)) as client:
                server, _ = door.accept()
                with server:
                    server.settimeout(20 if expected else 1)
                    client.sendall(b"0123456789")
                    assert _received(server, len(expected)) == expected, fault
        between.fault = Fault.DROP
        with socket.create_connection(("127.0.0.1", between.port)) as client:
            assert _received(client, 10) == b""


def _received(end: socket.socket, expected: int) -> bytes:
    got = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        while len(got) < max(expected, 1) and (piece := end.recv(10)):
            got += piece
    return got
