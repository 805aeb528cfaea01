"""Site files and register together say whose batches are believed."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.intake.gate import Gate, Trusted
from collector.proof.identities import Record, Register, read_register
from collector.proof.mandates import FOREVER_NS
from collector.store import EntryKind
from collector.trust import trusted_now
from gateway.identity import public_hex
from gateway.measurement import SECOND_NS
from tests.collector.batches import START_NS, FakeGateway

OLD, NEW = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
UNTIL_NS = START_NS + 100 * SECOND_NS


def register(*records: Record) -> Register:
    text = ""
    for record in records:
        text += read_register(text, "r").line(record)
    return read_register(text, "r")


def enrolled(key: Ed25519PrivateKey, plant: str = "riverside") -> Record:
    return Record(kind="enrolled", at=1, gateway="riverside-gw", plant=plant, key=public_hex(key), serial="1")


ROTATED = Record(
    kind="rotated", at=2, gateway="riverside-gw", plant="riverside", key=public_hex(NEW), serial="2", until=UNTIL_NS
)
REVOKED = Record(kind="revoked", at=3 * SECOND_NS, gateway="riverside-gw", plant="riverside", keys=(public_hex(OLD),))


def trusted(found: Register, key: Ed25519PrivateKey | None = None) -> Trusted:
    of_site = {"riverside-gw": Trusted("riverside", key and key.public_key()), "other": Trusted("riverside", None)}
    joined = trusted_now(of_site, found)
    assert joined["other"] is of_site["other"]
    return joined["riverside-gw"]


def test_the_register_stands_beside_the_site_file() -> None:
    assert trusted(Register(), OLD).key == OLD.public_key()
    assert trusted(register(enrolled(NEW))) == Trusted("riverside", NEW.public_key())
    assert trusted(register(enrolled(NEW)), NEW) == Trusted("riverside", NEW.public_key())
    assert trusted(register(enrolled(NEW)), OLD).older == ((OLD.public_key(), FOREVER_NS),)


def test_a_rotated_key_of_the_site_file_ends_when_the_register_says() -> None:
    assert trusted(register(enrolled(OLD), ROTATED), OLD).older == ((OLD.public_key(), UNTIL_NS),)


def test_a_revoked_gateway_is_refused_whatever_the_site_file_says() -> None:
    gone = trusted(register(enrolled(OLD), REVOKED), NEW)
    assert (gone.key, gone.older) == (None, ())
    assert gone.refused == "its identity was revoked at 1970-01-01T00:00:03Z"
    back = trusted(register(enrolled(OLD), REVOKED, enrolled(NEW)), OLD)
    assert back == Trusted("riverside", NEW.public_key())


def test_a_gateway_speaks_for_no_other_plant_than_it_was_enrolled_for() -> None:
    assert "enrolled for plant harbour" in trusted(register(enrolled(NEW, "harbour")), NEW).refused


def test_the_gate_follows_rotation_and_revocation() -> None:
    gate = Gate({"riverside-gw": trusted(register(enrolled(OLD)))})
    old, new = FakeGateway(key=OLD), FakeGateway(key=NEW)

    def kind(gateway: FakeGateway, received_ns: int = START_NS) -> tuple[EntryKind, int] | None:
        examined = gate.examine("riverside-gw", gateway.sealed(), received_ns=received_ns, now_ns=0)
        return examined.entry and (examined.entry.kind, examined.entry.seq)

    refused = (EntryKind.QUARANTINE, 0)
    assert kind(old) == (EntryKind.BATCH, 1)
    assert kind(new) == refused
    gate.trust({"riverside-gw": trusted(register(enrolled(OLD), ROTATED))})
    assert kind(new) == (EntryKind.BATCH, 2)
    assert kind(old, UNTIL_NS - 1) == (EntryKind.BATCH, 2)
    assert kind(old, UNTIL_NS) == refused
    gate.trust({"riverside-gw": trusted(register(enrolled(OLD), ROTATED, REVOKED))})
    assert kind(new) == kind(old) == refused
    assert "revoked" in gate.examine("riverside-gw", new.sealed(), received_ns=START_NS, now_ns=0).fault
