"""The generated files in a real mosquitto: who gets in, who may what, and how a revoked gateway is shut out."""

from __future__ import annotations

import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from api.cli import main
from collector.__main__ import Collector
from collector.intake.events import event
from collector.intake.gate import QUARANTINE_COUNT
from collector.proof.authority_files import AuthorityFiles
from collector.store import EntryKind
from gateway import papers, wire
from gateway.configuration import Configuration, approve, hash_of
from gateway.connection import tls_context
from gateway.identity import load_or_create_key, public_key
from gateway.measurement import SECOND_NS, Columns, Series
from gateway.publisher import Publisher
from gateway.settings import Broker
from gateway.spooler import Spooler
from tests.collector.batches import FakeGateway
from tests.collector.brokers import listening
from tests.collector.proof.places import Place, mosquitto_of
from tests.gateway.ports import free_port

pytestmark = pytest.mark.system
NOISE = (Series("riverside", "fence-north", "slm-north", "LAeq", "dB(A)"),)


def eventually(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.01)


class Peer:
    """A client that tells what the broker says to it."""

    def __init__(self, door: Broker, client_id: str = "", will: tuple[str, bytes] | None = None) -> None:
        self.reasons: dict[int, str] = {}
        self.heard: list[tuple[str, bytes]] = []
        self.answer = ""
        self._answered = threading.Event()
        self.client = client = Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5, reconnect_on_failure=False
        )
        if will:
            client.will_set(*will, qos=1, retain=True)
        if tls := tls_context(door):
            client.tls_set_context(tls)
        client.on_connect = lambda _, __, ___, reason, ____: self._answer(str(reason))
        client.on_disconnect = lambda _, __, ___, reason, ____: self._answer(f"ended: {reason}")
        client.on_publish = lambda _, __, mid, reason, ___: self.reasons.update({mid: str(reason)})
        client.on_message = lambda _, __, message: self.heard.append((message.topic, message.payload))
        try:
            client.connect("127.0.0.1", door.port)
        except (OSError, ssl.SSLError) as error:
            self._answer(f"ended: {error}")
            return
        client.loop_start()
        self._answered.wait(20)

    def _answer(self, answer: str) -> None:
        self.answer = answer
        self._answered.set()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> str:
        """The broker's reason code."""
        mid = self.client.publish(topic, payload, 1, retain).mid
        eventually(lambda: mid in self.reasons or self.answer.startswith("ended"))
        return self.reasons.get(mid, self.answer)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@dataclass
class Line:
    """A running collector behind a broker that knows gw-a and gw-b."""

    place: Place
    collector: Collector

    def fake(self, gateway: str) -> FakeGateway:
        """Seals batches with the gateway's own key, each time as a new process."""
        epoch = time.time_ns().to_bytes(8) + b"randomly"
        return FakeGateway(gateway, epoch=epoch, key=self.place.signing_key(gateway))

    def kept(self, gateway: str) -> list[tuple[EntryKind, int]]:
        """The messages of a gateway that the journal has."""
        entries = self.collector.journal.read(0, 10_000)
        return [(e.kind, e.seq) for e in entries if e.gateway == gateway and e.kind is not EntryKind.EVENT]

    def told(self, gateway: str) -> Counter[str]:
        """The security events about a gateway that the journal has."""
        found = [event(e) for e in self.collector.journal.events(0, 10_000) if e.gateway == gateway]
        return Counter(one.what for one in found if one.security)


@contextmanager
def line_at(program: str, folder: Path) -> Iterator[Line]:
    place = Place(folder, free_port())
    assert place.enroll("gw-a") == place.enroll("gw-b") == 0
    with ExitStack() as stack:
        stack.enter_context(mosquitto_of(program, place))
        collector = Collector([place.site()])
        stack.callback(collector.stop)
        subscribed = listening(collector.subscriber)
        collector.start()
        assert subscribed.wait(10)
        yield Line(place, collector)


@pytest.fixture(scope="module")
def line(mosquitto: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """For tests that take nobody's identity away."""
    with line_at(mosquitto, tmp_path_factory.mktemp("line")) as found:
        yield found


def test_who_looks_after_the_broker_gets_in_and_may_nothing(line: Line) -> None:
    folder = line.place.collector / "broker"
    files = {name: str(folder / file) for name, file in (("cert", "health.pem"), ("key", "health.key"))}
    with closing(Peer(replace(line.place.door("gw-a"), **files))) as peer:
        assert peer.answer == "Success"
        for topic in ("em/v1/health/up", "em/v1/health/state", "em/v1/gw-a/up", "em/v1/gw-a/down"):
            assert peer.publish(topic, b"x") == "Not authorized"


def test_an_enrolled_gateway_delivers(line: Line, tmp_path: Path) -> None:
    key = line.place.signing_key("gw-a")
    with closing(Spooler(tmp_path, "riverside", "gw-a", key)) as spooler:
        publisher = Publisher(line.place.door("gw-a"), None, "gw-a", spooler, public_key(line.collector.public_key))
        publisher.start()
        time_ns = time.time_ns() + np.arange(600, dtype=np.int64) * SECOND_NS
        spooler.put(Columns(NOISE, np.zeros(600, np.uint16), time_ns, np.full(600, 51.5), np.zeros(600, np.uint8)))
        spooler.flush()
        assert publisher.wait_drained(10)
        publisher.stop()
    assert line.collector.health()["gateways"]["gw-a"]["trusted"]


def _measure(spooler: Spooler) -> None:
    time_ns = time.time_ns() + np.arange(60, dtype=np.int64) * SECOND_NS
    spooler.put(Columns(NOISE, np.zeros(60, np.uint16), time_ns, np.full(60, 51.5), np.zeros(60, np.uint8)))
    spooler.flush()


def test_gateways_learn_the_collectors_new_key_from_its_acknowledgements(mosquitto: str, tmp_path: Path) -> None:
    place, folder = Place(tmp_path, free_port()), tmp_path / "gw"
    assert place.enroll("gw-a") == 0
    with mosquitto_of(mosquitto, place), ExitStack() as stack:
        with _collecting(place) as first:
            known = first.public_key
            text = "scale 1.0\n"
            key = load_or_create_key(place.collector / "key")[0]
            config = Configuration(text, approve("gw-a", hash_of(text), time.time_ns(), key))
            spooler = stack.enter_context(
                closing(Spooler(folder, "riverside", "gw-a", place.signing_key("gw-a"), configuration=config))
            )
            publisher = Publisher(
                place.door("gw-a"), None, "gw-a", spooler, public_key(known),
                on_handover=lambda handovers: papers.keep_handovers(folder, handovers),
            )  # fmt: skip
            publisher.start()
            _measure(spooler)
            assert publisher.wait_drained(10)
            assert first.health()["gateways"]["gw-a"]["configuration"]["problem"] == ""
            assert main(["enroll", str(place.file), "--rotate-collector"]) == 0
            eventually(lambda: "new key" in "".join(first.health()["problems"]))
        with _collecting(place) as second:
            assert second.public_key != known
            _measure(spooler)
            assert publisher.wait_drained(10)
            publisher.stop()
        assert main(["enroll", str(place.file), "--rotate-collector", "--keep-days", "0"]) == 0
        trust = papers.load_trust(folder, known)
        assert trust
        assert trust.newest.public_bytes_raw().hex() == second.public_key
        with _collecting(place):
            later = Publisher(
                place.door("gw-a"), None, "gw-a", spooler, public_key(known), handovers=trust.handovers
            )  # fmt: skip
            later.start()
            _measure(spooler)
            assert later.wait_drained(10)
            later.stop()


@contextmanager
def _collecting(place: Place) -> Iterator[Collector]:
    collector = Collector([place.site()])
    with ExitStack() as stack:
        stack.callback(collector.stop)
        collector.start()
        eventually(lambda: collector.subscriber.connected)
        yield collector


def test_a_machine_that_takes_the_place_of_another_is_explained_by_the_register(mosquitto: str, tmp_path: Path) -> None:
    with line_at(mosquitto, tmp_path) as line:
        events = lambda: [event(e).what for e in line.collector.journal.events(0, 1000) if e.gateway == "gw-a"]  # noqa: E731
        old, door = line.fake("gw-a"), replace(line.place.door("gw-a"), **_copy(line.place, "gw-a", tmp_path / "old"))
        with closing(Peer(door)) as peer:
            assert peer.publish(wire.up_topic("gw-a"), old.sealed()) == "Success"
            eventually(lambda: (EntryKind.BATCH, 1) in line.kept("gw-a"))
        assert line.place.enroll("gw-a", "--replace", "--reason", "lightning") == 0
        eventually(lambda: len(line.collector._gate.trusted["gw-a"].older) == 1)
        eventually(lambda: Peer(door).answer.startswith("ended"))  # the old machine's certificate is revoked
        with closing(Peer(line.place.door("gw-a"))) as peer:
            # What the old card still held is read in and counts.
            assert peer.publish(wire.up_topic("gw-a"), old.sealed()) == "Success"
            assert peer.publish(wire.up_topic("gw-a"), line.fake("gw-a").sealed()) == "Success"
            eventually(lambda: "replaced" in events())
            assert peer.publish(wire.up_topic("gw-a"), line.fake("gw-a").sealed()) == "Success"
            eventually(lambda: "chain_break" in events())
        assert [kind for kind, _ in line.kept("gw-a")] == [EntryKind.BATCH] * 4


def test_a_gateway_writes_and_reads_its_own_topics_alone(line: Line) -> None:
    with closing(Peer(line.place.door("gw-b"))) as peer:
        spoofed = line.fake("gw-a")
        for topic, payload, retain in (
            ("em/v1/gw-a/up", spoofed.sealed(), False),
            ("em/v1/gw-a/up", b"poison", True),
            ("em/v1/gw-a/state", b"{}", True),
            ("em/v1/gw-a/down", b"rogue acknowledgement", True),
            ("em/v1/gw-b/down", b"its own acknowledgement", True),
            ("em/v1/gw-b/up/more", b"x", False),
            ("em/v1/collector/up", b"x", False),
            ("other", b"x", False),
        ):
            assert peer.publish(topic, payload, retain=retain) == "Not authorized", topic
        assert peer.publish("em/v1/gw-b/up", line.fake("gw-b").sealed()) == "Success"
        eventually(lambda: (EntryKind.BATCH, 1) in line.kept("gw-b"))
    assert b"rogue" not in b"".join(e.payload for e in line.collector.journal.read(0, 10_000))


def test_a_wildcard_brings_nothing_of_others(line: Line) -> None:
    with closing(Peer(line.place.door("gw-b"))) as peer, closing(Peer(line.place.door("gw-a"))) as other:
        for topic in ("#", "em/v1/+/up", "em/v1/+/down", "em/v1/gw-a/#", "$share/all/em/v1/+/up", "$SYS/#"):
            peer.client.subscribe(topic, 1)
        assert other.publish("em/v1/gw-a/up", line.fake("gw-a").sealed()) == "Success"
        assert peer.publish("em/v1/gw-b/up", line.fake("gw-b").sealed()) == "Success"
        eventually(lambda: len(peer.heard) > 0)
        time.sleep(0.3)
        assert {topic for topic, _ in peer.heard} == {"em/v1/gw-b/down"}


def test_tap_looks_on_under_a_name_of_its_own(line: Line, capsys: pytest.CaptureFixture[str]) -> None:
    own, file = line.place.collector / "identity", str(line.place.file)
    words = ["tap", file, "--count", "1", "--cert", str(own / "tap.pem"), "--key", str(own / "tap.key")]
    tapping = threading.Thread(target=main, args=[words])
    tapping.start()
    with closing(Peer(line.place.door("gw-a"))) as peer:
        while tapping.is_alive():
            peer.publish(wire.up_topic("gw-a"), line.fake("gw-a").sealed())
            tapping.join(0.2)
    assert '"signed":true' in capsys.readouterr().out
    assert line.collector.subscriber.connected


def test_a_will_does_not_reach_further_than_its_gateway(line: Line) -> None:
    with closing(Peer(line.place.door("gw-a"))) as other:
        other.client.subscribe("em/v1/gw-a/down", 1)
        peer = Peer(line.place.door("gw-b"), will=("em/v1/gw-a/down", b"will abuse"))
        peer.client.socket().close()  # type: ignore[union-attr]
        peer.client.loop_stop()
        time.sleep(0.5)
        assert b"will abuse" not in [payload for _, payload in other.heard]


def test_no_gateway_takes_over_the_session_of_another(line: Line) -> None:
    with closing(Peer(line.place.door("gw-a"), "gw-a")) as other:
        with closing(Peer(line.place.door("gw-b"), "gw-a")) as peer:
            assert peer.answer == "Success"
            with closing(Peer(line.place.door("gw-b"), "collector")):
                time.sleep(0.2)
        assert other.answer == "Success"
        assert line.collector.subscriber.connected
        assert other.publish("em/v1/gw-a/up", line.fake("gw-a").sealed()) == "Success"


def test_who_has_no_certificate_of_this_authority_stays_out(line: Line, tmp_path: Path) -> None:
    door = line.place.door("gw-a")
    stranger = AuthorityFiles(tmp_path, time.time_ns()).client("gw-a", days=1)
    for name, text in (("cert", stranger.certificate), ("key", stranger.key)):
        (tmp_path / name).write_text(text)
    year_ns = 366 * 86400 * SECOND_NS
    expired = AuthorityFiles(line.place.collector, time.time_ns() - year_ns).client("gw-a", days=1)
    for name, text in (("old-cert", expired.certificate), ("old-key", expired.key)):
        (tmp_path / name).write_text(text)
    for wrong in (
        replace(door, cert=str(tmp_path / "old-cert"), key=str(tmp_path / "old-key")),
        replace(door, cert="", key=""),
        replace(door, url=f"mqtt://127.0.0.1:{door.port}"),
        replace(door, cert=str(tmp_path / "cert"), key=str(tmp_path / "key")),
        # The broker's own certificate is no client's.
        replace(door, cert=str(line.place.broker / "cert.pem"), key=str(line.place.broker / "key.pem")),
    ):
        peer = Peer(wrong)
        eventually(lambda peer=peer: peer.answer.startswith("ended"))  # type: ignore[misc]
        peer.client.loop_stop()
        assert not peer.client.is_connected(), wrong


def test_a_certificate_alone_seals_nothing(line: Line) -> None:
    before = len(line.kept("gw-b"))
    forged = FakeGateway("gw-b")
    with closing(Peer(line.place.door("gw-b"))) as peer:
        assert peer.publish("em/v1/gw-b/up", forged.sealed()) == "Success"
    eventually(lambda: len(line.kept("gw-b")) > before)
    assert line.kept("gw-b")[-1] == (EntryKind.QUARANTINE, 0)
    assert line.told("gw-b")["bad_signature"]


def test_too_much_from_one_gateway_harms_no_other(line: Line) -> None:
    with closing(Peer(line.place.door("gw-a"))) as other:
        oversize = Peer(line.place.door("gw-b"))
        assert oversize.publish("em/v1/gw-b/up", bytes(300_000)).startswith("ended")
        with closing(Peer(line.place.door("gw-b"))) as flooding:
            for _ in range(2000):
                flooding.client.publish("em/v1/gw-b/up", b"nonsense" * 100, 1)
            fresh = line.collector.recorder.counts["gw-a"].fresh
            payload = line.fake("gw-a").sealed()
            # What the broker had for the session that ends with the flood is lost; gateways send until acknowledged.
            eventually(
                lambda: (
                    other.publish("em/v1/gw-a/up", payload) == "Success"
                    and line.collector.recorder.counts["gw-a"].fresh == fresh + 1
                )
            )
            eventually(lambda: len(flooding.reasons) == 2000)
            eventually(lambda: flooding.publish("em/v1/gw-b/up", b"more") == "No matching subscribers")
            eventually(lambda: line.told("gw-b")["flood"] > 0)
    assert len([kind for kind, _ in line.kept("gw-b") if kind is EntryKind.QUARANTINE]) <= QUARANTINE_COUNT


def test_a_revoked_gateway_is_shut_out_and_comes_back_with_a_new_identity(mosquitto: str, tmp_path: Path) -> None:
    with line_at(mosquitto, tmp_path) as line:
        old, sealer = line.place.door("gw-b"), line.fake("gw-b")
        certificate = _copy(line.place, "gw-b", tmp_path / "stolen")
        stolen = replace(old, **certificate)
        thief, other = Peer(stolen), Peer(line.place.door("gw-a"))
        assert thief.publish(wire.up_topic("gw-b"), sealer.sealed()) == "Success"
        eventually(lambda: (EntryKind.BATCH, 1) in line.kept("gw-b"))

        started = time.monotonic()
        assert line.place.enroll("gw-b", "--revoke", "--reason", "stolen") == 0
        eventually(lambda: thief.answer.startswith("ended"))  # the live session is cut
        assert Peer(stolen).answer.startswith("ended")  # and no other one begins
        eventually(lambda: "revoked" in "".join(line.collector.health()["problems"]))
        assert time.monotonic() - started < 15

        assert other.publish(wire.up_topic("gw-a"), line.fake("gw-a").sealed()) == "Success"
        eventually(lambda: (EntryKind.BATCH, 1) in line.kept("gw-a"))

        # Even where the broker lets them through, the collector refuses batches sealed with the revoked key.
        assert line.place.enroll("gw-b") == 0
        eventually(lambda: not line.collector.health()["problems"][1:])
        with closing(Peer(line.place.door("gw-b"))) as back:
            before = len(line.kept("gw-b"))
            assert back.publish(wire.up_topic("gw-b"), sealer.sealed()) == "Success"
            eventually(lambda: len(line.kept("gw-b")) > before)
            assert line.kept("gw-b")[-1] == (EntryKind.QUARANTINE, 0)
            assert back.publish(wire.up_topic("gw-b"), line.fake("gw-b").sealed()) == "Success"
            eventually(lambda: line.kept("gw-b")[-1] == (EntryKind.BATCH, 1))
            assert Peer(stolen).answer.startswith("ended")
        other.close()


def test_a_revoked_gateway_that_connects_without_end_is_shut_out_too(mosquitto: str, tmp_path: Path) -> None:
    place = Place(tmp_path, free_port())
    assert place.enroll("gw-b") == 0
    tries: list[tuple[float, str]] = []
    stop = threading.Event()

    def insist() -> None:
        while not stop.is_set():
            since, peer = time.monotonic(), Peer(place.door("gw-b"))
            tries.append((since, peer.publish(wire.state_topic("gw-b"), b"{}")))
            peer.close()

    thief = threading.Thread(target=insist)
    with mosquitto_of(mosquitto, place):
        thief.start()
        eventually(lambda: len(tries) > 2)
        code = place.enroll("gw-b", "--revoke")
        revoked = time.monotonic()
        time.sleep(1)
        eventually(lambda: any(since > revoked for since, _ in tries))
        stop.set()
        thief.join()
    assert code == 0
    after = [answer for since, answer in tries if since > revoked]
    assert after
    assert all(answer.startswith("ended") for answer in after)
    assert "No matching subscribers" in [answer for _, answer in tries]  # it was let in before


def test_a_rotated_gateway_delivers_with_both_keys(mosquitto: str, tmp_path: Path) -> None:
    with line_at(mosquitto, tmp_path) as line:
        before, old = line.fake("gw-a"), line.place.door("gw-a")
        old = replace(old, **_copy(line.place, "gw-a", tmp_path / "old"))
        assert line.place.enroll("gw-a", "--rotate") == 0
        after = line.fake("gw-a")
        eventually(lambda: len(line.collector._gate.trusted["gw-a"].older) == 1)
        for door, sealer in ((old, before), (line.place.door("gw-a"), before), (line.place.door("gw-a"), after)):
            with closing(Peer(door)) as peer:
                assert peer.publish(wire.up_topic("gw-a"), sealer.sealed()) == "Success"
        eventually(lambda: len(line.kept("gw-a")) == 3)
        assert {kind for kind, _ in line.kept("gw-a")} == {EntryKind.BATCH}
        # Rotated once more at once: the certificate before is on the list of revoked ones.
        assert line.place.enroll("gw-a", "--rotate", "--keep-days", "0") == 0
        eventually(lambda: Peer(old).answer.startswith("ended"))


def _copy(place: Place, gateway: str, folder: Path) -> dict[str, str]:
    """Certificate and key of a gateway, as somebody else carries them away."""
    folder.mkdir()
    for name in ("cert.pem", "key.pem"):
        (folder / name).write_bytes((place.bundle(gateway) / name).read_bytes())
    return {"cert": str(folder / "cert.pem"), "key": str(folder / "key.pem")}
