"""An export brings every key that its batches were sealed with, and the register that says until when each was good."""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api.cli import main
from collector.intake.journal import Journal
from collector.proof.checkpoint import origin, read_note, sign
from collector.proof.collector_key import current_key
from collector.proof.identities import Record
from gateway.identity import public_hex
from gateway.measurement import SECOND_NS
from tests.collector.batches import START_NS
from tests.collector.proof.kit import MINUTE_NS, House, Opened, noise, verify
from tests.collector.proof.witness_kit import go_on

Capture = pytest.CaptureFixture[str]
FIRST, SECOND, THIRD = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2, 3))
HOUR_NS = 60 * MINUTE_NS
MARGIN_NS = 600 * SECOND_NS


def record(kind: str, hour: float, **more: object) -> Record:
    at = START_NS + round(hour * HOUR_NS)
    return Record(kind=kind, at=at, gateway="harbour-gw", plant="harbour", **more)  # type: ignore[arg-type]


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Hours 0 to 2 with the site file's key, then one hour with each of three enrolled ones."""
    house = House(tmp_path)
    gateway = house.gateways["harbour"].gateway
    own = public_hex(gateway.key)
    changes = {
        3: (FIRST, [record("enrolled", 2.9, key=public_hex(FIRST), serial="1")]),
        4: (SECOND, [record("rotated", 3.9, key=public_hex(SECOND), serial="2", until=START_NS + 5 * HOUR_NS)]),
        5: (THIRD, [
            record("revoked", 4.9, keys=tuple(sorted([own, public_hex(FIRST), public_hex(SECOND)])), reason="stolen"),
            record("enrolled", 4.95, key=public_hex(THIRD), serial="3"),
        ]),
    }  # fmt: skip
    for hour, (key, records) in changes.items():
        gateway.key = key
        house.identify(*records)
        go_on(house, hour)
    return house


def test_batches_of_every_key_there_was_are_proved(house: House, capsys: Capture) -> None:
    file = house.export()
    code, said = verify(file, capsys, "--witness", str(house.collector / "checkpoints" / "harbour.txt"))
    assert (code, "BROKEN" in said) == (0, False), said
    keys = {key["key"]: key for key in json.loads(Opened(file).files["keys.json"])["gateways"]["harbour-gw"]["keys"]}
    assert keys[public_hex(SECOND)]["from"] == "2026-11-01T06:20:40Z"
    assert keys[public_hex(SECOND)]["until"] == "2026-11-01T07:20:40Z"
    assert keys[public_hex(THIRD)]["until"] is None
    assert len(keys) == 4
    site = house.sites / "harbour.toml"  # the site file may forget an old key: the register has it
    own = next(key for key in keys if keys[key]["from"] is None)
    site.write_text(site.read_text().replace(f'public_key = "{own}"\n', ""))
    assert verify(house.export("later.zip"), capsys)[0] == 0


def test_a_key_that_was_revoked_or_has_run_out_proves_nothing(house: House, capsys: Capture) -> None:
    chained = house.gateways["harbour"]
    chained.gateway.key = SECOND
    at_ns = START_NS + 6 * HOUR_NS
    with closing(Journal(house.collector / "journal")) as journal:
        journal.append([chained.batch(noise("harbour", 360), at_ns)])
    code, said = verify(house.export(), capsys)
    assert code == 1
    place = "BROKEN plants/harbour/batches.csv: batch 37 of gateway harbour-gw, epoch 0000000000000001, leaf 36"
    assert f"{place}: signed with a key that was good until 2026-11-01T07:20:40Z only" in said, said


def cut(house: House) -> None:
    """The revocation taken out at the end, so that a stolen key would count again."""
    lines = house.register.read_text().splitlines(keepends=True)
    house.register.write_text("".join(lines[:2]))


def exchange(house: House) -> None:
    """Another register, whole in itself."""
    house.register.unlink()
    keys = (FIRST, SECOND, THIRD)
    house.identify(*(record("enrolled", 2.9, key=public_hex(key), serial="1") for key in keys))


def remove(house: House) -> None:
    """No register, and the keys in the site file instead."""
    house.register.unlink()


@pytest.mark.parametrize("how", [cut, exchange, remove])
def test_a_register_that_was_exchanged_is_found(house: House, capsys: Capture, how: object) -> None:
    how(house)  # type: ignore[operator]
    code, said = verify(house.export(), capsys)
    assert code == 1
    place = "BROKEN plants/harbour/checkpoints.txt: identities.jsonl does not continue the register of tick 2026-11-01T"
    assert place in said, said


def test_a_register_and_checkpoints_made_anew_are_found_by_the_witness(
    house: House, capsys: Capture, tmp_path: Path
) -> None:
    witness = tmp_path / "witness.txt"
    shutil.copy(house.collector / "checkpoints" / "harbour.txt", witness)
    exchange(house)
    (house.collector / "tree.db").unlink()
    shutil.rmtree(house.collector / "checkpoints")
    go_on(house)
    code, said = verify(house.export(), capsys, "--witness", str(witness))
    assert code == 1
    assert "BROKEN witness: identities.jsonl does not continue the register of tick" in said


def test_a_line_of_the_register_that_was_altered_in_the_export_is_named(house: House, capsys: Capture) -> None:
    opened = Opened(house.export())
    text = opened.files["identities.jsonl"].decode()
    opened.files["identities.jsonl"] = text.replace('"serial":"2"', '"serial":"7"').encode()
    code, said = verify(opened.write(house.key), capsys)
    assert code == 1
    assert "BROKEN identities.jsonl:3: does not follow the line before: altered, taken out or moved" in said


def test_an_older_export_is_not_held_against_a_newer_checkpoint(house: House, capsys: Capture) -> None:
    file = house.export()
    go_on(house, 6)
    witness = str(house.collector / "checkpoints" / "harbour.txt")
    code, said = verify(file, capsys, "--witness", witness)
    assert (code, "cut off, unless it was made before tick 2026-11-01T" in said) == (1, True), said
    assert verify(file, capsys, "--witness", witness, "--older")[0] == 0


@pytest.mark.parametrize("good", [True, False])
def test_a_collectors_key_before_the_present_one_still_proves(house: House, capsys: Capture, good: bool) -> None:
    """The checkpoints of before the hand-over are the old key's, which has signed that the new one follows."""
    opened = Opened(house.export())
    old, new = house.key, FIRST
    word = {"old": old.public_key().public_bytes_raw(), "new": new.public_key().public_bytes_raw(), "at": 1, "until": 2}
    rest = b"\x01" + msgspec.msgpack.encode(word)
    signature = (old if good else SECOND).sign(b"em/handover" + rest)
    text = opened.files["identities.jsonl"].decode()
    head = hashlib.sha256(text.splitlines(keepends=True)[-1].encode()).hexdigest()
    line = {
        "kind": "handed_over", "at": 1, "gateway": "", "plant": "", "key": public_hex(new), "keys": [public_hex(old)],
        "signed": (rest[:1] + signature + rest[1:]).hex(), "prev": head,
    }  # fmt: skip
    opened.files["identities.jsonl"] = (text + json.dumps(line) + "\n").encode()
    keys = json.loads(opened.files["keys.json"]) | {"collector": public_hex(new)}
    opened.files["keys.json"] = json.dumps(keys).encode()
    for plant in ("harbour", "riverside"):
        name = f"plants/{plant}/checkpoint.txt"
        last = read_note(opened.files[name].decode())
        opened.files[name] = sign(replace(last, origin=origin(plant, new.public_key())), new).encode()
    code, said = verify(opened.write(new), capsys, "--key", public_hex(old))
    assert (code, "checkpoint 1 is not of" in said, "which is not the collector's key" in said) == (
        (0, False, False) if good else (1, True, True)
    ), said


def test_a_collector_that_was_given_new_keys_proves_what_it_signed_with_each(house: House, capsys: Capture) -> None:
    had = [public_hex(house.key)]
    for hour in (6, 7):
        assert main(["enroll", str(house.sites), "--rotate-collector", "--reason", "yearly"]) == 0
        house.key, created = current_key(house.collector)
        assert not created
        had.append(public_hex(house.key))
        go_on(house, hour)
    file = house.export()
    keys = json.loads(Opened(file).files["keys.json"])
    assert [*keys["collector_before"], keys["collector"]] == had
    witness = str(house.collector / "checkpoints" / "harbour.txt")
    for key in had:  # whoever knows any of them need not have heard of the later ones
        code, said = verify(file, capsys, "--key", key, "--witness", witness)
        assert (code, "BROKEN" in said) == (0, False), said
    opened = Opened(file)
    stranger = public_hex(THIRD)
    opened.files["keys.json"] = json.dumps(keys | {"collector_before": [stranger]}).encode()
    code, said = verify(opened.write(house.key), capsys)
    assert (code, f"keys.json: no hand-over in identities.jsonl leads from {stranger}" in said) == (1, True), said


def test_an_export_finishes_a_rotation_that_was_cut_off(house: House, capsys: Capture) -> None:
    old = public_hex(house.key)
    assert main(["enroll", str(house.sites), "--rotate-collector"]) == 0
    (house.collector / "key").rename(house.collector / "key.new")  # as before the last step
    file = house.export()
    assert json.loads(Opened(file).files["keys.json"])["collector"] != old
    assert verify(file, capsys, "--key", old)[0] == 0
