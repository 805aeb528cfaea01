"""A running gateway takes another site file over: between two values, as a whole or not at all, and says which."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from subprocess import Popen
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from api.cli import main
from gateway import papers, seal, wire
from gateway.__main__ import _Gateway
from gateway.assignment import needing_restart
from gateway.assignment_files import read_assignment
from gateway.configuration import canonical, hash_of
from gateway.measurement import SECOND_NS, Status, concatenate
from gateway.poller import Poller
from gateway.publisher import Publisher
from gateway.reload import Reloader
from gateway.shelves import SpoolFull
from gateway.spooler import Spooler
from gateway.status import Latest
from gateway.status_server import ask
from tests.effort import examples
from tests.gateway.batches import KEY, PATIENCE_S, Collector, columns, running, wait_until
from tests.gateway.files import newest
from tests.gateway.processes import gateway, instruments, kept, site

ROOT = Path(__file__).parent.parent.parent
TICK_NS = SECOND_NS // 10
SECOND = """
[[point]]
id = "yard"
kind = "noise"
[[sensor]]
id = "slm-2"
point = "yard"
link = "tcp://127.0.0.1:{modbus}?unit=2"
profile = "own-noise"
interval_s = {interval_s}
"""
# What the file says of the second instrument, in turn: interval [s], what is added to its level [dB]; None: nothing.
TURNS = (None, (0.1, 0), (0.1, 1), (0.2, 1), None, (0.1, 3))


def outbox(folder: Path) -> Path:
    return folder / "data" / "gateways" / "riverside-gw"


def written(folder: Path, modbus: int, turn: tuple[float, int] | None, broker: int = 1) -> Path:
    """A site file with one instrument that is always the same, and a second one."""
    interval_s, added = turn or (1.0, 0)
    text = (ROOT / "gateway" / "profiles" / "emitwatch-noise.toml").read_text("utf-8")
    text = text.replace('"emitwatch-noise"', '"own-noise"').replace("scale = 0.1", f"scale = 0.1\noffset = {added}")
    for shown in (46.5, 52.4, 94.0):
        text = text.replace(f"= {shown}", f"= {shown + added}")
    (folder / "profiles").mkdir(exist_ok=True)
    (folder / "profiles" / "own-noise.toml").write_text(text)
    more = SECOND.format(modbus=modbus, interval_s=interval_s) if turn else ""
    more += '[folders]\nprofiles = ["profiles"]\n'
    return site(folder, broker=broker, modbus=modbus, change=lambda text: text + more)


def reload(process: Popen[bytes], folder: Path) -> dict[str, Any]:
    """Say so, and wait; what became of it."""
    before = ask(outbox(folder)).get("reloads", 0)
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: ask(outbox(folder)).get("reloads", 0) > before)
    found: dict[str, Any] = ask(outbox(folder))
    return found


def up(folder: Path) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return bool(ask(outbox(folder)).get("measured"))
    return False


def sealed(folder: Path) -> list[wire.Batch]:
    """All that an outbox holds, in order; the gateway has ended."""
    with contextlib.closing(Spooler(outbox(folder), "riverside", "riverside-gw", KEY)) as spooler:
        rows = spooler.pending(1 << 20)
    return [wire.decode(seal.verify(row.payload, KEY.public_key())) for row in rows]


def judge(batches: Sequence[wire.Batch]) -> int:
    """Whether every value is sealed under the configuration it was measured by; how many config records there are."""
    measured_by, added, records, told = b"", 0, 0, {wire.NO_HASH}
    for batch in batches:
        if batch.header.kind == "hello":
            measured_by = batch.header.cfg
        if batch.header.kind == "config":
            record = batch.fields["config"]
            assert record["hash"] == batch.header.cfg == hash_of(record["text"])
            assert record["before"] in told, "one that was told, if not the last where a kill came between"
            measured_by = record["hash"]
            told.add(measured_by)
            offsets = [
                json.loads(line.split(" ", 1)[1])["offset"]
                for line in record["text"].splitlines()
                if line.startswith("profile/own-noise/register/000")
            ]
            added, records = (offsets or [0])[0], records + 1
        assert batch.header.cfg == measured_by, "a record comes before what is measured by it"
        for index, value, status in zip(
            batch.columns.series_index, batch.columns.value, batch.columns.status, strict=True
        ):
            if status == Status.OK:
                own = batch.columns.series[index].sensor == "slm-2"
                assert value == pytest.approx(55.4 + (added if own else 0)), "by the profile of its time"
    return records


def ticks(batches: Sequence[wire.Batch], sensor: str) -> tuple[np.ndarray, np.ndarray]:
    """Instants and statuses of one sensor."""
    table = concatenate([batch.columns for batch in batches])
    mine = np.array([s.sensor == sensor and s.parameter == "LAeq" for s in table.series], np.bool_)
    rows = table.take(mine[table.series_index])
    return rows.time_ns, rows.status


@pytest.mark.system
def test_a_new_file_is_taken_over_between_two_values(mosquitto: str, tmp_path: Path) -> None:
    with running(mosquitto, tmp_path) as broker, instruments() as modbus:
        collector = Collector(broker.port)
        with contextlib.closing(collector), gateway(written(tmp_path, modbus, None, broker.port)) as process:
            wait_until(lambda: up(tmp_path))
            for turn in TURNS[1:]:
                written(tmp_path, modbus, turn, broker.port)
                state = reload(process, tmp_path)
                assert state["reload"]["result"] == "applied", state["reload"]
                assert state["configuration"]["recorded"]
                assert ("slm-2" in state["links"]) is (turn is not None)
                assert {one["series"]["sensor"] for one in state["measured"]} >= {"slm"}
                time.sleep(0.5)
            assert reload(process, tmp_path)["reload"]["result"] == "unchanged"
            process.terminate()
            said, _ = process.communicate()
        arrived = [batch for _, batch in sorted(collector.batches.items())]
    assert process.returncode == 0, said.decode()
    assert judge(arrived) == len(TURNS), "one for each change, and one at the start"
    assert (outbox(tmp_path) / papers.TEXT).read_text() == arrived_text(arrived)
    time_ns, status = ticks(arrived, "slm")
    assert (np.diff(time_ns) == TICK_NS).all(), "who stays keeps every tick"
    assert (status == Status.OK).mean() > 0.5, "a busy machine may miss a tick"
    time_ns, _ = ticks(arrived, "slm-2")
    assert (np.diff(time_ns) > 0).all(), "no instant twice"
    told = [batch.fields["event"] for batch in arrived if batch.header.kind == "event"]
    assert [event["detail"]["result"] for event in told if event["what"] == "reload"] == ["applied"] * (len(TURNS) - 1)
    assert len({batch.header.ep for batch in arrived}) == 1


def arrived_text(batches: Sequence[wire.Batch]) -> str:
    found: str = [batch.fields["config"]["text"] for batch in batches if batch.header.kind == "config"][-1]
    return found


@pytest.mark.system
def test_a_file_with_a_fault_changes_nothing_and_everybody_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, instruments() as modbus:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        file = written(tmp_path, modbus, (0.1, 1))
        good = file.read_text()
        with gateway(file, {"NOTIFY_SOCKET": manager.getsockname()}) as process:
            assert manager.recv(4096) == b"READY=1\nSTATUS=riverside-gw polls 2 sensors"
            wait_until(lambda: up(tmp_path))
            before = ask(outbox(tmp_path))["configuration"]
            for wrong, named in (
                (good.replace("own-noise", "own-noize"), "sensor[1].profile"),
                (good + "[", "not readable as TOML"),
                (good.replace("interval_s = 0.1", "interval_s = 0.3").replace("[broker]", "[broker]\nuser = 'gw'"),
                 "needs a restart"),
            ):  # fmt: skip
                file.write_text(wrong)
                state = reload(process, tmp_path)
                assert state["reload"]["result"] == "refused"
                assert named in state["reload"]["text"]
                assert ("systemctl restart" in state["reload"]["hint"]) is ("restart" in named)
                assert state["configuration"] == before, "the intervals stay, too"
                assert manager.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
                assert manager.recv(4096) == b"READY=1\nSTATUS=riverside-gw polls 2 sensors"
                if "profile" in named or "restart" in named:
                    assert main(["status", str(file)]) == 1, "it can be asked while the file is faulty"
                    assert "not taken over" in capsys.readouterr().out
            file.write_text(good)
            assert reload(process, tmp_path)["reload"]["result"] == "unchanged"
            main(["status", str(file), "riverside-gw"])
            assert "no sensor changes" in capsys.readouterr().out
            process.terminate()
            said, _ = process.communicate()
    assert b"path=sensor[1].profile" in said
    batches = sealed(tmp_path)
    assert [batch.header.kind for batch in batches if batch.header.kind != "data"][:2] == ["hello", "config"]
    assert judge(batches) == 1, "no record of what changed nothing"
    told = [batch.fields["event"] for batch in batches if batch.header.kind == "event"]
    assert [event["detail"]["result"] for event in told] == ["refused"] * 3
    assert (np.diff(ticks(batches, "slm")[0]) == TICK_NS).all()


@pytest.mark.system
@pytest.mark.parametrize("seed", range(examples(1, 20)))
def test_kill_9_during_a_reload_is_as_harmless_as_at_any_other_time(tmp_path: Path, seed: int) -> None:
    chance, number = random.Random(seed), 0
    with instruments() as modbus:
        for _ in range(2):
            with gateway(written(tmp_path, modbus, TURNS[number % len(TURNS)])) as process:
                wait_until(lambda: up(tmp_path))
                for _ in range(chance.randrange(1, 4)):
                    number += 1
                    written(tmp_path, modbus, TURNS[number % len(TURNS)])
                    process.send_signal(signal.SIGHUP)
                    time.sleep(chance.uniform(0.0, 0.3))
                process.send_signal(signal.SIGKILL)
                process.communicate()
    before = kept(tmp_path)
    batches = sealed(tmp_path)
    assert {(b.header.ep, b.header.seq, b.header.n) for b in batches} >= set(before)
    judge(batches)
    for sensor in ("slm", "slm-2"):
        assert (np.diff(ticks(batches, sensor)[0]) > 0).all(), "no instant twice"


def test_a_change_on_a_full_disk_is_applied_at_once_and_recorded_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.reload.RECORD_S", 0.1)
    file = written(tmp_path, 1, None)
    first = read_assignment(str(file), None, demo=True)
    text = canonical(first.site, first.gateway, first.sensors)
    configuration = papers.load_configuration(outbox(tmp_path), first.gateway, text, None)
    with contextlib.closing(
        Spooler(outbox(tmp_path), "riverside", "riverside-gw", KEY, configuration=configuration)
    ) as spooler:
        poller = Poller(first.sensors, spooler.put)
        reloader = Reloader(
            lambda: read_assignment(str(file), None, demo=True), first, configuration,
            poller=poller, spooler=spooler, latest=Latest(),
        )  # fmt: skip
        pages = newest(spooler).execute("PRAGMA page_count").fetchone()[0]
        newest(spooler).execute(f"PRAGMA max_page_count = {pages}")
        missing = columns(5000)
        spooler.put(structs.replace(missing, status=np.full(5000, Status.NO_COMM, np.uint8)))
        written(tmp_path, 1, (0.1, 1))
        asyncio.run(reloader.reload())
        state = reloader.state()
        assert (state["reload"]["result"], state["configuration"]["recorded"]) == ("applied", False)
        assert set(poller.state()["links"]) == {"slm", "slm-2"}
        with pytest.raises(SpoolFull):
            spooler.flush()
        newest(spooler).execute("PRAGMA max_page_count = 100000")
        assert not (outbox(tmp_path) / papers.TEXT).exists()
        spooler.flush()
        assert reloader.state()["configuration"]["recorded"]
        assert reloader.keep()
        assert hash_of((outbox(tmp_path) / papers.TEXT).read_text()).hex() == state["configuration"]["hash"]
    assert judge(sealed(tmp_path)) == 2


def test_what_was_recorded_late_is_noted_by_the_running_gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.reload.RECORD_S", 0.1)
    monkeypatch.setattr("gateway.__main__.RETRY_S", 0.0)
    file = written(tmp_path, 1, None)
    first = read_assignment(str(file), None, demo=True)
    configuration = papers.load_configuration(
        outbox(tmp_path), first.gateway, canonical(first.site, first.gateway, first.sensors), None
    )
    spooler = Spooler(outbox(tmp_path), "riverside", "riverside-gw", KEY, configuration=configuration)
    poller = Poller(first.sensors, spooler.put)
    publisher = Publisher(first.broker, None, first.gateway, spooler, None)
    reloader = Reloader(
        lambda: read_assignment(str(file), None, demo=True), first, configuration,
        poller=poller, spooler=spooler, latest=Latest(),
    )  # fmt: skip
    runs = _Gateway(first, spooler, publisher, poller, Latest(), reloader)
    stop, noted = threading.Event(), outbox(tmp_path) / papers.TEXT
    pages = newest(spooler).execute("PRAGMA page_count").fetchone()[0]
    newest(spooler).execute(f"PRAGMA max_page_count = {pages}")
    missing = columns(5000)
    spooler.put(structs.replace(missing, status=np.full(5000, Status.NO_COMM, np.uint8)))
    written(tmp_path, 1, (0.1, 1))
    asyncio.run(reloader.reload())
    thread = threading.Thread(target=runs.run, args=(stop, 0.0))
    thread.start()
    try:
        assert not reloader.state()["configuration"]["recorded"]
        assert not noted.exists()
        newest(spooler).execute("PRAGMA max_page_count = 100000")
        wait_until(noted.exists)
    finally:
        stop.set()
        thread.join(PATIENCE_S)
    assert hash_of(noted.read_text()) == reloader.configuration.hash


@pytest.mark.system
def test_a_terminal_that_closes_ends_a_gateway_and_one_that_is_there_has_it_read_the_file(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        ours, its = (stack.enter_context(os.fdopen(end, "rb", 0)) for end in os.openpty())
        modbus = stack.enter_context(instruments())
        process = stack.enter_context(gateway(written(tmp_path, modbus, None), stdin=its.fileno()))
        its.close()
        wait_until(lambda: up(tmp_path))
        assert reload(process, tmp_path)["reload"]["result"] == "unchanged"
        ours.close()
        process.send_signal(signal.SIGHUP)
        said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert b"The gateway has ended" in said


def test_what_needs_a_restart_is_named(tmp_path: Path) -> None:
    file = site(tmp_path)
    before = read_assignment(str(file), None, demo=True)
    changes: dict[str, Callable[[str], str]] = {
        "plant.id": lambda text: text.replace('id = "riverside"', 'id = "other"'),
        "plant.data_dir": lambda text: text.replace('"data"', '"data2"'),
        "broker.url": lambda text: text.replace('127.0.0.1:1"', '127.0.0.1:2"'),
        "broker.alternates": lambda text: text.replace("[broker]", '[broker]\nalternates = ["mqtt://127.0.0.1:3"]'),
        "outbox.max_mb": lambda text: text + "[outbox]\nmax_mb = 100\n",
        "outbox.days": lambda text: text + "[outbox]\ndays = 3\n",
        "collector.public_key": lambda text: text.replace("[collector]\npublic_key", "[collector]\n# "),
        "gateway[0].status_port": lambda text: text.replace('"riverside-gw"', '"riverside-gw"\nstatus_port = 9000'),
    }
    good = file.read_text()
    for path, change in changes.items():
        assert change(good) != good
        file.write_text(change(good))
        after = read_assignment(str(file), None, demo=True)
        assert [fault.path for fault in needing_restart(before, after)] == [path]
    file.write_text(good.replace("interval_s = 0.1", "interval_s = 7").replace("UTC", "Asia/Shanghai"))
    assert needing_restart(before, read_assignment(str(file), None, demo=True)) == []
    (fault,) = needing_restart(before, replace(before, password="secret"))
    assert fault.path == "broker.password_file"
    assert "secret" not in str(fault)
