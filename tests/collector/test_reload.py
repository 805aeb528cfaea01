"""A real gateway changes its configuration in the middle of an epoch, and over a real broker a collector follows."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np
import pytest

from collector.__main__ import Collector
from collector.intake import events
from collector.store import EntryKind
from gateway import seal, wire
from gateway.assignment_files import read_assignment
from gateway.configuration import approve, canonical, hash_of
from gateway.identity import public_hex
from gateway.measurement import SECOND_NS
from gateway.papers import APPROVAL
from gateway.spooler import outbox_folder
from tests.collector.brokers import mosquitto_at
from tests.collector.test_collector_main import eventually
from tests.gateway.batches import COLLECTOR_KEY, KEY, PATIENCE_S
from tests.gateway.ports import free_port
from tests.gateway.processes import gateway, instruments, site


def approved(file: Path) -> bytes:
    """Approve what the site file says, as `emitwatch enroll --sign` does; its hash."""
    found = read_assignment(str(file), None, demo=True)
    hash = hash_of(canonical(found.site, found.gateway, found.sensors))
    approval = approve(found.gateway, hash, time.time_ns(), COLLECTOR_KEY)
    (outbox_folder(found.site.data_dir, found.gateway) / APPROVAL).write_text(approval.hex())
    return hash


@pytest.mark.system
def test_a_collector_follows_a_configuration_that_changes_in_the_middle_of_an_epoch(
    mosquitto: str, tmp_path: Path
) -> None:
    port = free_port()
    key = tmp_path / "data" / "collector" / "key"
    key.parent.mkdir(parents=True)
    key.touch(mode=0o600)
    key.write_text(COLLECTOR_KEY.private_bytes_raw().hex())
    known = f'id = "riverside-gw"\npublic_key = "{public_hex(KEY)}"'
    with mosquitto_at(mosquitto, tmp_path, port), instruments() as modbus:
        file = site(tmp_path, broker=port, modbus=modbus, change=lambda t: t.replace('id = "riverside-gw"', known))
        collector = Collector([read_assignment(str(file), None, demo=True).site], demo=True)
        collector.start()

        def measures() -> tuple[str, str]:
            found = collector.health()["gateways"]["riverside-gw"]["configuration"]
            return found["hash"], found["problem"]

        with gateway(file) as process:
            eventually(lambda: measures()[1] == "it is not signed", PATIENCE_S)
            first = approved(file)
            process.send_signal(signal.SIGHUP)  # the same, approved by now
            eventually(lambda: measures() == (first.hex(), ""), PATIENCE_S)
            time.sleep(1.0)  # so that something is measured by each of them
            file.write_text(file.read_text().replace("interval_s = 0.1", "interval_s = 0.2"))
            second = approved(file)
            assert second != first
            process.send_signal(signal.SIGHUP)
            eventually(lambda: measures() == (second.hex(), ""), PATIENCE_S)
            time.sleep(1.0)
            process.terminate()
            process.communicate()
        health = collector.health()["gateways"]["riverside-gw"]
        entries = collector.journal.read(0, 1 << 20)
        collector.stop()
    assert (health["faults"], health["quarantined"], health["conflict"]) == ({}, 0, 0)
    told = [events.event(entry) for entry in entries if entry.kind is EntryKind.EVENT]
    assert [one.what for one in told if one.what.startswith("config")] == [
        "config_unsigned", "config_changed", "config_changed",
    ]  # fmt: skip
    assert [one.detail["its_result"] for one in told if one.detail.get("noticed") == "reload"] == ["applied", "applied"]
    batches = {
        (entry.epoch, entry.seq): wire.decode(seal.verify(entry.payload, KEY.public_key()))
        for entry in entries
        if entry.kind is EntryKind.BATCH
    }
    assert len({epoch for epoch, _ in batches}) == 1, "in the middle of an epoch"
    whole = [batch for _, batch in sorted(batches.items())]
    records = [batch.fields["config"] for batch in whole if batch.header.kind == "config"]
    assert [(record["before"], record["hash"]) for record in records] == [
        (wire.NO_HASH, first), (first, first), (first, second),
    ]  # fmt: skip
    assert any("interval_s 0.2" in line for line in records[-1]["added"])
    for hash, step_ns in ((first, SECOND_NS // 10), (second, SECOND_NS // 5)):
        ticks = [batch.columns.time_ns for batch in whole if batch.header.cfg == hash and len(batch.columns)]
        assert set(np.diff(np.unique(np.concatenate(ticks))).tolist()) == {step_ns}, "each under its own hash"
