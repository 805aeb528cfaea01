"""A gateway as a process: real instruments, real broker, signals, crashes, and everything a site file can get wrong."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from api.cli import main
from gateway import __main__ as gateway_main
from gateway import seal, wire
from gateway.identity import load_or_create_key, public_hex
from gateway.measurement import Status, concatenate
from gateway.spooler import Spooler
from gateway.status import Latest
from tests.gateway.batches import KEY, PATIENCE_S, Collector, columns, running, wait_until
from tests.gateway.files import newest
from tests.gateway.ports import free_port
from tests.gateway.processes import gateway, instruments, kept, site


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_gateway_measures_publishes_and_ends_with_nothing_left(mosquitto, tmp_path, number):
    with running(mosquitto, tmp_path) as broker, instruments() as modbus:
        collector = Collector(broker.port)
        with contextlib.closing(collector), gateway(site(tmp_path, broker=broker.port, modbus=modbus)) as process:
            wait_until(lambda: len(collector.batches) >= 3)
            process.send_signal(number)
            said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said.decode()
    assert {(ep, seq, batch.header.n) for (ep, seq), batch in collector.batches.items()} == set(kept(tmp_path))
    table = concatenate([batch.columns for batch in collector.batches.values()])
    assert set(table.value[table.status != Status.NO_COMM].tolist()) == {55.4}, "a busy machine may miss a tick"
    assert {s.parameter for s in table.series} == {"LAeq", "LAFmax"}
    assert b"The gateway has ended" in said
    assert b"unacked_batches=0" in said


def test_a_killed_gateway_loses_nothing_it_had_committed(mosquitto, tmp_path):
    with running(mosquitto, tmp_path) as broker, instruments() as modbus:
        file = site(tmp_path, broker=broker.port, modbus=modbus)
        with gateway(file) as process:
            wait_until(lambda: len(kept(tmp_path)) >= 3)
            os.kill(process.pid, signal.SIGKILL)
        before = set(kept(tmp_path))
        collector = Collector(broker.port)
        with contextlib.closing(collector), gateway(file) as process:
            wait_until(
                lambda: len({ep for ep, _ in collector.batches}) == 2 and len(collector.batches) > len(before) + 1
            )
            process.terminate()
            process.communicate(timeout=PATIENCE_S)
    arrived = {(ep, seq, batch.header.n) for (ep, seq), batch in collector.batches.items()}
    assert before <= arrived
    assert arrived == set(kept(tmp_path))
    hellos = [b.fields["reason"] for (_, seq), b in sorted(collector.batches.items()) if seq == 1]
    assert hellos == ["start", "crash"]


def test_it_runs_without_broker_and_instruments_and_keeps_what_is_missing(tmp_path):
    stop, codes = threading.Event(), []
    file = str(site(tmp_path, broker=free_port(), modbus=free_port()))
    with capture_logs() as logs:
        thread = threading.Thread(
            target=lambda: codes.append(gateway_main.run(file, demo=True, stop=stop, drain_s=0.1))
        )
        thread.start()
        wait_until(lambda: sum(line["log_level"] == "warning" for line in logs) == 3)
        stop.set()
        thread.join(PATIENCE_S)
    assert codes == [0]
    assert sum(n for _, _, n in kept(tmp_path)) > 0
    assert {line["event"].split(";")[0] for line in logs if line["log_level"] == "warning"} == {
        "The broker cannot be reached",
        "An instrument gives no values",
        "The configuration is not the collector's",
    }


def test_a_new_key_is_told_to_who_starts_the_gateway(tmp_path, capsys):
    stop = threading.Event()
    stop.set()
    file = site(tmp_path)
    (tmp_path / "data/gateways/riverside-gw/key").unlink()
    assert gateway_main.run(str(file), demo=True, stop=stop, drain_s=0) == 0
    public = public_hex(load_or_create_key(tmp_path / "data/gateways/riverside-gw/key")[0])
    said = capsys.readouterr().out
    assert "made a new key" in said
    assert f'public_key = "{public}"' in said
    file.write_text(file.read_text().replace('id = "riverside-gw"', f'id = "riverside-gw"\npublic_key = "{public}"'))
    assert gateway_main.run(str(file), demo=True, stop=stop, drain_s=0) == 0
    assert "public_key" not in capsys.readouterr().out
    file.write_text(file.read_text().replace(public, "ab" * 32))
    assert gateway_main.run(str(file), demo=True, stop=stop, drain_s=0) == 0
    assert "another public key" in capsys.readouterr().out


def two_gateways(text: str) -> str:
    both = '[[gateway]]\nid = "other-gw"\n[[gateway]]\nid = "riverside-gw"'
    return text.replace('[[gateway]]\nid = "riverside-gw"', both).replace(
        'id = "slm"', 'id = "slm"\ngateway = "other-gw"'
    )


def opened_by(*lines: str) -> str:
    """Further lines of [broker]."""
    return "\n".join((*lines, "[[gateway]]"))


WRONG: dict[str, tuple[Callable[[str], str], str]] = {
    "not TOML": (lambda t: t + "[", "not readable as TOML"),
    "an unknown profile": (lambda t: t.replace("emitwatch-noise", "emitwatch-noice"), "sensor[0].profile"),
    "two faults at once": (lambda t: t.replace("timezone", "timezome"), "unknown key"),
    "an odd link": (lambda t: t.replace("tcp://127.0.0.1:1?", "rtu:///dev/ttyS0?speed=1&"), "no option of rtu://"),
    "several gateways": (two_gateways, "--id: other-gw, riverside-gw"),
    "no broker user": (str, "[broker] user: missing"),
    "no password file": (
        lambda t: t.replace("[[gateway]]", opened_by('user = "gw"', 'password_file = "nowhere"')),
        "password_file",
    ),
    "a bad certificate": (
        lambda t: t.replace("mqtt:", "mqtts:").replace("[[gateway]]", opened_by('user = "gw"', 'ca = "nowhere.pem"')),
        "nowhere.pem",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_and_nothing_starts(tmp_path, capsys, change, message):
    assert gateway_main.run(str(site(tmp_path, change=change))) == 1
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_a_gateway_that_does_not_exist_or_has_no_sensor(tmp_path, capsys):
    file = str(site(tmp_path, change=two_gateways))
    assert gateway_main.run(file, "third-gw") == 1
    assert "there is: other-gw, riverside-gw" in capsys.readouterr().err
    assert gateway_main.run(file, "riverside-gw") == 1
    assert "no sensor belongs to gateway" in capsys.readouterr().err


def test_a_second_gateway_on_the_same_outbox_and_a_bad_key_are_refused(tmp_path, capsys):
    file = str(site(tmp_path))
    folder = tmp_path / "data" / "gateways" / "riverside-gw"
    with contextlib.closing(Spooler(folder, "riverside", "riverside-gw", KEY)):
        assert gateway_main.run(file, demo=True) == 1
    assert "another process" in capsys.readouterr().err
    (folder / "key").chmod(0o644)
    assert gateway_main.run(file, demo=True) == 1
    assert "chmod 600" in capsys.readouterr().err


@contextlib.contextmanager
def idle(folder: Path) -> Iterator[tuple[gateway_main._Gateway, threading.Event, list[int]]]:
    """A gateway without instruments, run in a thread, whose outbox the test can spoil."""
    plan = gateway_main.read_assignment(str(site(folder, broker=free_port())), None, demo=True)
    spooler = Spooler(folder / "data" / "gateways" / "riverside-gw", "riverside", "riverside-gw", KEY)
    publisher = gateway_main.Publisher(plan.broker, None, plan.gateway, spooler, None)
    found = gateway_main._Gateway(plan, spooler, publisher, gateway_main.Poller((), spooler.put), Latest())
    stop, codes = threading.Event(), []
    thread = threading.Thread(target=lambda: codes.append(found.run(stop, 0.0)))
    thread.start()
    try:
        yield found, stop, codes
    finally:
        stop.set()
        thread.join(PATIENCE_S)


def test_a_full_disk_is_said_once_and_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(gateway_main, "RETRY_S", 0.05)
    with capture_logs() as logs, idle(tmp_path) as (found, stop, codes):
        database = newest(found.spooler)
        pages = database.execute("PRAGMA page_count").fetchone()[0]
        database.execute(f"PRAGMA max_page_count = {pages + 1}")
        found.spooler.put(columns(5000))
        wait_until(lambda: any("disk is full" in line["event"] for line in logs))
        threading.Event().wait(0.2)
        database.execute("PRAGMA max_page_count = 100000")
        wait_until(lambda: any("takes measurements again" in line["event"] for line in logs))
        stop.set()
    assert codes == [0]
    assert sum("disk is full" in line["event"] for line in logs) == 1
    assert sum(n for _, _, n in kept(tmp_path)) == 5000


def events(spooler: Spooler) -> list[dict[str, Any]]:
    """Those that are sealed."""
    batches = [wire.decode(seal.verify(row.payload, KEY.public_key())) for row in spooler.pending(100)]
    return [batch.fields["event"] for batch in batches if batch.header.kind == "event"]


def test_an_outbox_that_fills_up_is_logged_and_sealed_once(tmp_path, monkeypatch):
    with capture_logs() as logs, idle(tmp_path) as (found, _, _):
        monkeypatch.setattr(
            found.spooler, "storage", lambda: {"alarm": 80, "share": 0.8, "hours_left": 7.5, "reserve": ""}
        )
        for _ in range(2):
            found.spooler.put(columns(5))
            wait_until(lambda: found.spooler.kept(found.spooler.counts()["put"]))
        wait_until(lambda: events(found.spooler))
        seen = events(found.spooler)
    assert [line["hours_left"] for line in logs if "80 % full" in line["event"]] == [7.5]
    (told,) = seen
    assert (told["what"], told["detail"]["share"]) == ("storage", 0.8)


def test_a_broken_outbox_ends_the_gateway(tmp_path):
    with capture_logs() as logs, idle(tmp_path) as (found, _, codes):
        newest(found.spooler).execute("DROP TABLE batch")
        found.spooler.put(columns(5))
        wait_until(lambda: codes)
    assert codes == [1]
    assert any(line["log_level"] == "error" and "outbox" in line["event"] for line in logs)


def test_the_gateway_stays_small():
    """It must not load what only servers need."""
    heavy = "{'typer', 'fastapi', 'pydantic', 'duckdb', 'httpx', 'uvicorn', 'asyncio.test_utils', 'jinja2', 'amqtt'}"
    code = f"import sys, gateway.__main__; print({heavy} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "set()\n"


def test_the_kernel_says_what_the_clock_is_worth():
    found = gateway_main.kernel_discipline()
    assert found.err_ms >= 0


def test_a_running_gateway_says_how_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with instruments() as modbus:
        path = site(tmp_path, modbus=modbus)
        assert main(["status", str(path)]) == 2
        assert "it does not run here: emitwatch run gateway" in capsys.readouterr().err
        with gateway(path):

            def told() -> dict[str, Any]:
                code = main(["status", str(path), "riverside-gw", "--json"])
                said = capsys.readouterr().out
                found: dict[str, Any] = json.loads(said)["gateways"].get("riverside-gw", {})
                return found if code == 1 else {}  # 1: there is no broker

            def well() -> bool:
                state = told()
                measured = {(one["series"]["parameter"], one["value"]) for one in state.get("measured", ())}
                return ("LAeq", 55.4) in measured and bool(state["connection"]["problem"])

            wait_until(well)
            assert main(["status", str(path)]) == 1
            assert "slm LAeq" in capsys.readouterr().out
