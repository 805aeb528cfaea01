"""The way to the broker, over a real one: nothing is lost, nothing but a signed acknowledgement frees a row."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from gateway.connection import BrokerError
from gateway.outbox import RTO_MIN_NS
from gateway.publisher import Publisher
from gateway.spooler import Spooler, SpoolFull
from tests.gateway.batches import (
    COLLECTOR_KEY,
    KEY,
    PATIENCE_S,
    Collector,
    Mosquitto,
    ack,
    broker,
    columns,
    running,
    sealed_ack,
    wait_until,
)
from tests.gateway.ports import free_port


@pytest.fixture
def mqtt_broker(mosquitto: str, tmp_path: Path) -> Iterator[Mosquitto]:
    with running(mosquitto, tmp_path) as found:
        yield found


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Spooler]:
    with contextlib.closing(Spooler(tmp_path / "gw", "riverside", "riverside-gw", KEY)) as found:
        yield found


@contextlib.contextmanager
def publishing(outbox: Spooler, port: int, protocol: str = "5", **other: object) -> Iterator[Publisher]:
    given: dict[str, object] = {"collector_key": COLLECTOR_KEY.public_key(), "password": None} | other
    found = Publisher(
        broker(port, protocol, **({"user": "gw"} if given["password"] else {})), given.pop("password"), "riverside-gw",
        outbox, given.pop("collector_key"), **given,
    )  # type: ignore[arg-type]  # fmt: skip
    found.start()
    try:
        yield found
    finally:
        found.stop()


@contextlib.contextmanager
def collecting(port: int) -> Iterator[Collector]:
    collector = Collector(port)
    try:
        yield collector
    finally:
        collector.close()


def measure(outbox: Spooler, values: int) -> None:
    outbox.put(columns(values))
    outbox.flush()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_everything_arrives_once_and_in_order_and_is_acknowledged(mqtt_broker, outbox, protocol, monkeypatch):
    monkeypatch.setattr("gateway.outbox.RTO_MIN_NS", 10 * RTO_MIN_NS)  # a machine that stands still loses nothing
    with (
        collecting(mqtt_broker.port) as collector,
        publishing(outbox, mqtt_broker.port, protocol, live=False) as publisher,
    ):
        measure(outbox, 40_000)
        assert publisher.wait_drained(PATIENCE_S)
        assert [seq for _, seq in collector.batches] == list(range(1, 82))
        assert len(collector.payloads) == 81
    assert outbox.counts()["acked_batches"] == 81


def test_an_acknowledgement_that_finds_the_disk_full_does_not_end_the_connection(mqtt_broker, outbox, monkeypatch):
    full, mark, connections = [True], outbox.acked, []
    monkeypatch.setattr("gateway.outbox.RTO_MIN_NS", 10 * RTO_MIN_NS)  # a machine that stands still loses nothing

    def acked(said):
        if full[0]:
            raise SpoolFull("the disk is full")
        return mark(said)

    monkeypatch.setattr(outbox, "acked", acked)
    with (
        capture_logs() as logs,  # from the start: the first acknowledgement comes as soon as there is a connection
        collecting(mqtt_broker.port) as collector,
        publishing(outbox, mqtt_broker.port) as publisher,
    ):
        wait_until(lambda: publisher.connected)
        monkeypatch.setattr(publisher, "_connect", lambda: connections.append(1))
        measure(outbox, 10)
        wait_until(lambda: any("acknowledgements are not noted" in log["event"] for log in logs))
        full[0] = False
        measure(outbox, 10)
        assert publisher.wait_drained(PATIENCE_S)
        assert len(collector.payloads) == 3
        assert connections == []


def test_what_waited_before_the_start_and_in_older_epochs_goes_first(mqtt_broker, tmp_path):
    for _ in range(2):
        with contextlib.closing(Spooler(tmp_path / "gw", "riverside", "riverside-gw", KEY)) as old:
            measure(old, 3)
    with (
        contextlib.closing(Spooler(tmp_path / "gw", "riverside", "riverside-gw", KEY)) as outbox,
        collecting(mqtt_broker.port) as collector,
        publishing(outbox, mqtt_broker.port) as publisher,
    ):
        assert publisher.wait_drained(PATIENCE_S)
        assert [(int.from_bytes(ep[:8]), seq) for ep, seq in collector.batches] == [
            (1, 1),
            (1, 2),
            (2, 1),
            (2, 2),
            (3, 1),
        ]


def test_a_backlog_travels_in_bundles_once_the_collector_takes_them(mqtt_broker, outbox, monkeypatch):
    monkeypatch.setattr("gateway.outbox.RTO_MIN_NS", RTO_MIN_NS // 10)
    for _ in range(300):
        measure(outbox, 1)
    with collecting(mqtt_broker.port) as collector:
        collector.bundle, collector.drop = 5000, 5
        with publishing(outbox, mqtt_broker.port) as publisher:
            assert publisher.wait_drained(PATIENCE_S)
            assert {seq for _, seq in collector.batches} == set(range(1, 302))
            assert collector.messages < 200
            collector.bundle = 0
            measure(outbox, 1)
            assert publisher.wait_drained(PATIENCE_S), "one by one again: another collector knows no bundles"
            before = collector.messages
            measure(outbox, 2500)
            assert publisher.wait_drained(PATIENCE_S)
            assert collector.messages >= before + 5, "what is late for a moment is sent again"


def test_a_bundle_keeps_to_what_the_broker_takes(mosquitto, tmp_path, outbox):
    with (
        running(mosquitto, tmp_path, "allow_anonymous true", "max_packet_size 3000") as found,
        collecting(found.port) as collector,
    ):
        collector.bundle = 1 << 16
        for _ in range(100):
            measure(outbox, 1)
        with publishing(outbox, found.port) as publisher:
            assert publisher.wait_drained(PATIENCE_S)
            assert collector.messages < 100


def test_lost_batches_are_sent_again(mqtt_broker, outbox, monkeypatch):
    monkeypatch.setattr("gateway.outbox.RTO_MIN_NS", RTO_MIN_NS // 10)
    with collecting(mqtt_broker.port) as collector, publishing(outbox, mqtt_broker.port) as publisher:
        collector.drop = 7
        measure(outbox, 5000)
        assert publisher.wait_drained(PATIENCE_S)
        assert {seq for _, seq in collector.batches} == set(range(1, 12))


def test_a_broker_that_is_killed_costs_nothing(mqtt_broker, outbox, monkeypatch):
    monkeypatch.setattr("gateway.outbox.RTO_MIN_NS", RTO_MIN_NS // 10)
    monkeypatch.setattr("gateway.publisher.RETRY_S", (0.05, 0.2))
    with capture_logs() as logs, publishing(outbox, mqtt_broker.port) as publisher:
        for _ in range(2):
            with collecting(mqtt_broker.port) as collector:
                measure(outbox, 2000)
                wait_until(lambda seen=collector: len(seen.batches) >= 2)
                mqtt_broker.stop()
                measure(outbox, 2000)
                wait_until(lambda: not publisher.connected)
            mqtt_broker.start()
        with collecting(mqtt_broker.port):
            assert publisher.wait_drained(PATIENCE_S)
    assert outbox.counts()["acked_batches"] == 17
    said = [line["event"].split(";")[0] for line in logs if line["log_level"] == "warning"]
    assert said.count("The connection to the broker is gone") == 2


def test_a_broker_that_brings_nothing_is_left_for_the_next(mqtt_broker, outbox, monkeypatch):
    monkeypatch.setattr("gateway.publisher.RETRY_S", (0.01, 0.02))
    away = broker(free_port(), alternates=(f"mqtt://127.0.0.1:{mqtt_broker.port}",))
    measure(outbox, 100)
    publisher = Publisher(away, None, "riverside-gw", outbox, COLLECTOR_KEY.public_key())
    with capture_logs() as logs, collecting(mqtt_broker.port) as collector:
        publisher.start()
        try:
            assert publisher.wait_drained(PATIENCE_S)
            wait_until(lambda: collector.states)
        finally:
            publisher.stop()
    (told,) = [line for line in logs if line["event"] == "Another broker is tried"]
    assert told["broker"] == away.alternates[0]
    state = json.loads(collector.states[0])
    assert state["broker"] == away.alternates[0]
    assert state["clock"] == {"standing": "presumed", "steps": 0, "off_s": None}


def test_a_broker_that_is_not_there_is_said_once_and_found_when_it_comes(mosquitto, outbox, tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.publisher.RETRY_S", (0.05, 0.1))
    late = Mosquitto(mosquitto, tmp_path)
    try:
        with capture_logs() as logs, publishing(outbox, late.port) as publisher:
            wait_until(lambda: logs)
            assert not publisher.wait_drained(0.3)
            late.start()
            with collecting(late.port):
                assert publisher.wait_drained(PATIENCE_S)
        assert [line["log_level"] for line in logs] == ["warning", "info"]
        assert "Connection refused" in logs[0]["problem"]
    finally:
        late.stop()


def test_a_collector_that_is_away_gets_everything_when_it_comes(mqtt_broker, outbox, monkeypatch):
    monkeypatch.setattr("gateway.outbox.RTO_MIN_NS", RTO_MIN_NS // 10)
    with publishing(outbox, mqtt_broker.port) as publisher:
        measure(outbox, 50_000)
        assert not publisher.wait_drained(0.5)
        assert outbox.unacked() == 101
        with collecting(mqtt_broker.port) as collector:
            assert publisher.wait_drained(PATIENCE_S)
            assert len(collector.batches) == 101


def test_a_collector_restored_from_a_backup_is_filled_again_from_the_ring(mqtt_broker, outbox):
    with collecting(mqtt_broker.port) as collector, publishing(outbox, mqtt_broker.port) as publisher:
        measure(outbox, 50_000)
        assert publisher.wait_drained(PATIENCE_S)
        whole = dict(collector.batches)
        with capture_logs() as logs:
            collector.gen = (2, b"restored")
            for seq in range(20, 102):
                del collector.batches[outbox.epoch, seq]
            collector.acknowledge()
            wait_until(lambda: collector.batches.keys() == whole.keys())
            assert publisher.wait_drained(PATIENCE_S)
        assert [line["batches"] for line in logs] == [82]
        assert len(set(collector.payloads)) == 101, "the same bytes again"


def test_silence_makes_a_new_connection(mqtt_broker, outbox, monkeypatch):
    monkeypatch.setattr("gateway.outbox.RTO_MIN_NS", RTO_MIN_NS // 20)
    monkeypatch.setattr("gateway.outbox.SILENCE_NS", 10**8)
    monkeypatch.setattr("gateway.publisher.RETRY_S", (0.05, 0.1))
    with capture_logs() as logs, publishing(outbox, mqtt_broker.port):
        wait_until(lambda: sum(line["event"] == "Connected to the broker" for line in logs) >= 2)
    standing = ("The collector has acknowledged nothing", "The broker does not pass batches on")
    said = [line["event"] for line in logs if line["event"].startswith(standing)]
    assert said, "nobody listens, nobody acknowledges"
    assert len(said) == len(set(said)), "once, not at every try"


def forged(outbox: Spooler) -> dict[str, Callable[[], bytes]]:
    good = ack(outbox.epoch, 99, n=2**62)
    sealed = sealed_ack(good)
    return {
        "another key": lambda: sealed_ack(good, KEY),
        "one bit": lambda: sealed[:-1] + bytes([sealed[-1] ^ 1]),
        "no seal": lambda: sealed[65:],
        "nothing": lambda: b"x",
        "another gateway's": lambda: sealed_ack(ack(outbox.epoch, 99, n=2**62, gw="other-gw")),
        "signed noise": lambda: __import__("gateway.seal", fromlist=["x"]).seal_ack(b"noise", COLLECTOR_KEY),
    }


def test_only_the_collector_can_free_a_row(mqtt_broker, outbox):
    measure(outbox, 3)
    with contextlib.ExitStack() as stack:
        logs, collector = stack.enter_context(capture_logs()), stack.enter_context(collecting(mqtt_broker.port))
        collector.acknowledges = False  # before anything can come
        stack.enter_context(publishing(outbox, mqtt_broker.port))
        wait_until(lambda: len(collector.batches) == 2)
        for make in forged(outbox).values():
            collector.publish(make())
        wait_until(lambda: outbox.counts()["acks_ignored"] == 1)
        assert outbox.unacked() == 2
        collector.acknowledge()
        wait_until(outbox.drained)
        replayed = sealed_ack(ack(outbox.epoch, 99, n=1))
        measure(outbox, 3)
        collector.publish(replayed)
        wait_until(lambda: outbox.counts()["acks_ignored"] == 2)
        assert outbox.unacked() == 1
    assert {line["log_level"] for line in logs if "acknowledgement" in line["event"]} == {"error"}


def test_another_journal_of_the_same_generation_frees_nothing_and_is_said(mqtt_broker, outbox):
    with (
        collecting(mqtt_broker.port) as collector,
        capture_logs() as logs,
        publishing(outbox, mqtt_broker.port) as publisher,
    ):
        assert publisher.wait_drained(PATIENCE_S)
        collector.acknowledges = False
        measure(outbox, 3)
        for _ in range(2):
            collector.publish(sealed_ack(ack(outbox.epoch, 99, n=2**62, gen=(1, b"another!"))))
        wait_until(lambda: outbox.counts()["acks_ignored"] == 2)
        assert outbox.unacked() == 1
    assert [line["problem"] for line in logs if line["log_level"] == "error"] == ["generation 1 " + b"another!".hex()]


def test_without_the_collectors_key_everything_is_sent_and_nothing_freed(mqtt_broker, outbox):
    with (
        collecting(mqtt_broker.port) as collector,
        capture_logs() as logs,
        publishing(outbox, mqtt_broker.port, collector_key=None),
    ):
        measure(outbox, 50_000)
        wait_until(lambda: len(collector.batches) == 101)
        assert outbox.unacked() == 101
    assert "public_key" in logs[0]["event"]


def test_no_credit_stops_the_gateway(mqtt_broker, outbox):
    measure(outbox, 3)
    with contextlib.ExitStack() as stack:
        collector = stack.enter_context(collecting(mqtt_broker.port))
        collector.win = 0  # from the first acknowledgement on, by when both batches are on their way
        publisher = stack.enter_context(publishing(outbox, mqtt_broker.port))
        assert publisher.wait_drained(PATIENCE_S)
        measure(outbox, 3)
        assert not publisher.wait_drained(0.3)
        assert len(collector.batches) == 2
        collector.win = 10
        collector.acknowledge()
        assert publisher.wait_drained(PATIENCE_S)


def test_the_state_is_there_for_who_asks_and_says_when_it_ends(mqtt_broker, outbox):
    with collecting(mqtt_broker.port) as collector:
        with publishing(outbox, mqtt_broker.port, state=lambda: {"links": {"slm-1": "silent"}}):
            wait_until(lambda: collector.states)
        wait_until(lambda: len(collector.states) >= 2)
        first, last = json.loads(collector.states[0]), json.loads(collector.states[-1])
    assert first["state"] == "online"
    assert first["links"] == {"slm-1": "silent"}
    assert first["unacked_batches"] == 1
    assert last == {"state": "offline", "gateway": "riverside-gw"}


def test_the_state_of_ten_thousand_sensors_is_a_small_message(mqtt_broker, outbox):
    ids = [f"sensor-{n:05}" for n in range(10_000)]
    state = {
        "links": {id: "x" * 1000 if n % 2 else "" for n, id in enumerate(ids)}, "silent": ids,
        "good_s": {id: float(n) for n, id in enumerate(ids)}, "inputs": dict.fromkeys(ids, "y" * 1000),
    }  # fmt: skip
    with (
        collecting(mqtt_broker.port) as collector,
        publishing(outbox, mqtt_broker.port, state=lambda: state) as publisher,
    ):
        wait_until(lambda: collector.states)
        assert len(publisher.state()["links"]) == 10_000, "whoever asks on the machine gets all of it"
    assert len(collector.states[0]) <= 1 << 16, "a collector looks at no more"
    told = json.loads(collector.states[0])
    assert list(told["good_s"])[:2] == ["sensor-09999", "sensor-09998"]
    assert all(told["links"].values()), "those with a problem first"


def test_access_rules_that_forbid_publishing_are_said(mosquitto, outbox, tmp_path):
    rules = tmp_path / "acl"
    rules.write_text("topic read em/v1/riverside-gw/down\n")
    with (
        running(mosquitto, tmp_path, "allow_anonymous true", f"acl_file {rules}") as strict,
        capture_logs() as logs,
        publishing(outbox, strict.port) as publisher,
    ):
        wait_until(lambda: any(line.get("reason") == "Not authorized" for line in logs))
        assert outbox.unacked() == 1
        measure(outbox, 5000)
        wait_until(lambda: publisher._exchange.delivery.refused >= 10)
    assert sum("does not pass batches on" in line["event"] for line in logs) == 1, "once, not for every batch"
    assert publisher.state()["delivery"]["state"] == "not_authorized"


def test_a_broker_without_a_collector_and_one_that_takes_no_large_packet_are_said(mosquitto, outbox, tmp_path):
    with running(mosquitto, tmp_path) as lonely, capture_logs() as logs, publishing(outbox, lonely.port) as publisher:
        wait_until(lambda: publisher._exchange.delivery.now.state == "no_subscriber")
        wait_until(lambda: any("No matching subscribers" in line.get("reason", "") for line in logs))
        assert publisher._exchange.delivery.now.hint, "it says what to do"
    with (
        running(mosquitto, tmp_path, "allow_anonymous true", "max_packet_size 300") as narrow,
        publishing(outbox, narrow.port) as publisher,
    ):
        wait_until(lambda: publisher._exchange.delivery.now.state == "packet_too_large")
        assert publisher._exchange.delivery.now.hint, "it says what to do"


def test_a_password_that_is_wrong_is_said_and_a_right_one_opens(mosquitto, outbox, tmp_path):
    import subprocess

    passwords = tmp_path / "passwords"
    program = str(Path(mosquitto).with_name("mosquitto_passwd"))
    if not Path(program).exists():
        program = "mosquitto_passwd"
    subprocess.run([program, "-b", "-c", str(passwords), "gw", "secret"], check=True, capture_output=True)
    with running(mosquitto, tmp_path, "allow_anonymous false", f"password_file {passwords}") as strict:
        with capture_logs() as logs, publishing(outbox, strict.port, password="wrong"):
            wait_until(lambda: logs)
        assert "Not authorized" in logs[0]["problem"]
        with capture_logs() as logs, publishing(outbox, strict.port, password="secret") as publisher:
            wait_until(lambda: publisher.connected)


def test_an_error_nobody_foresaw_costs_a_connection_and_nothing_else(mqtt_broker, outbox, monkeypatch):
    monkeypatch.setattr("gateway.publisher.RETRY_S", (0.05, 0.1))

    def fail() -> dict[str, object]:
        monkeypatch.setattr(publisher, "_state", dict)
        raise KeyError("links")

    with collecting(mqtt_broker.port), publishing(outbox, mqtt_broker.port, state=lambda: fail()) as publisher:
        measure(outbox, 10)
        assert publisher.wait_drained(PATIENCE_S)


def test_stop_ends_soon_whatever_the_broker_does(outbox):
    publisher = Publisher(broker(free_port()), None, "riverside-gw", outbox, None)
    publisher.start()
    publisher.stop()
    assert not publisher._thread.is_alive()
    Publisher(broker(1), None, "riverside-gw", outbox, None).stop()


def test_tls_files_that_cannot_be_used_are_said(outbox):
    settings = broker(1, url="mqtts://127.0.0.1:8883", ca="/nowhere/ca.pem")
    with pytest.raises(BrokerError, match="/nowhere/ca"):
        Publisher(settings, None, "riverside-gw", outbox, None)


def test_each_new_reason_why_the_broker_is_out_of_reach_is_told_once(outbox, monkeypatch):
    monkeypatch.setattr("gateway.publisher.RETRY_S", (0.001, 0.001))
    left = ["refused", "refused", "not known", "refused", "not known"]
    tried = SimpleNamespace(problem="", code=0)

    def connect():
        tried.problem = left.pop(0) if left else "refused"
        return tried

    publisher = Publisher(broker(free_port()), None, "riverside-gw", outbox, COLLECTOR_KEY.public_key())
    monkeypatch.setattr(publisher, "_connect", connect)
    with capture_logs() as logs:
        publisher.start()
        wait_until(lambda: not left)
        publisher.stop()
    told = [line for line in logs if line["event"].startswith("The broker cannot be reached")]
    assert [line["problem"] for line in told] == ["refused", "not known"]
    assert all("[broker] url" in line["hint"] for line in told)
