"""Tamper drills: whatever is done to an export or to the journal behind it is found, and its place is named."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.intake.journal import Journal
from collector.proof.checkpoint import Checkpoint, origin, sign
from collector.proof.leaf_file import LeafFile
from collector.proof.notary import Notary
from gateway import seal
from gateway.identity import public_hex
from tests.collector.batches import START_NS
from tests.collector.proof.kit import Chained, House, Opened, noise, verify

Capture = pytest.CaptureFixture[str]
STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
CSV, INDEX, BIN = (f"plants/harbour/{name}" for name in ("measurements.csv", "batches.csv", "batches.bin"))
PROOFS, CHECKPOINT, OLD = (f"plants/harbour/{name}" for name in ("proofs.csv", "checkpoint.txt", "checkpoints.txt"))
# Column numbers of the index.
LEAF, RECEIVED, SEQ, SHA, OFFSET, BYTES = 0, 2, 6, 7, 8, 9


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = House(tmp_path_factory.mktemp("house"))
    house.export()
    return house


def on_table(name: str, change: Callable[[list[list[str]]], object]) -> Callable[[Opened], None]:
    def tamper(opened: Opened) -> None:
        rows = opened.table(name)
        change(rows)
        opened.put(name, rows)

    return tamper


def cell(name: str, row: int, column: int, value: str | Callable[[str], str]) -> Callable[[Opened], None]:
    def change(rows: list[list[str]]) -> None:
        rows[row][column] = value(rows[row][column]) if callable(value) else value

    return on_table(name, change)


def swap(name: str, a: int, b: int) -> Callable[[Opened], None]:
    def change(rows: list[list[str]]) -> None:
        rows[a], rows[b] = rows[b], rows[a]

    return on_table(name, change)


def cut(name: str, share: float) -> Callable[[Opened], None]:
    def tamper(opened: Opened) -> None:
        opened.files[name] = opened.files[name][: int(len(opened.files[name]) * share)]

    return tamper


def flip(opened: Opened, leaf: int, *, mend: bool = False) -> None:
    """Change a byte of a batch; with mend, the index is made to fit."""
    rows, data = opened.table(INDEX), bytearray(opened.files[BIN])
    start, length = int(rows[leaf + 1][OFFSET]), int(rows[leaf + 1][BYTES])
    data[start + length - 1] ^= 1
    opened.files[BIN] = bytes(data)
    if mend:
        rows[leaf + 1][SHA] = seal.digest(bytes(data[start : start + length])).hex()
        opened.put(INDEX, rows)


def forge(opened: Opened) -> None:
    """A batch of a key of one's own, at the end."""
    rows, gateway = opened.table(INDEX), Chained("harbour")
    gateway.gateway.key = STRANGER
    payload = gateway.batch(noise("harbour", 300), START_NS).payload
    last = rows[-1]
    rows.append(["18", str(int(last[1]) + 5), last[2], "batch", *last[4:6], "19", seal.digest(payload).hex(),
                 str(len(opened.files[BIN])), str(len(payload))])  # fmt: skip
    opened.files[BIN] += payload
    opened.put(INDEX, rows)


def replay(opened: Opened) -> None:
    """A batch that is there already, once more under a later position."""
    rows = opened.table(INDEX)
    rows.append(["", str(int(rows[-1][1]) + 5), rows[-1][2], *rows[6][3:]])
    opened.put(INDEX, rows)


def drop_batch(opened: Opened) -> None:
    """A batch taken out of all files."""
    for name in (INDEX, PROOFS, CSV):
        rows = opened.table(name)
        kept = [row for row in rows if not (row[0] == "5" if name != CSV else row[-2] == "6")]
        opened.put(name, kept)


def drop_end(opened: Opened) -> None:
    """The last batch taken out of all files, and of the manifest's count."""
    for name in (INDEX, PROOFS, CSV):
        opened.put(name, [r for r in opened.table(name) if not (r[0] == "17" if name != CSV else r[-2] == "18")])
    manifest = json.loads(opened.files["manifest.json"])
    manifest["plants"]["harbour"]["count"] = 17
    opened.files["manifest.json"] = json.dumps(manifest).encode()


def other_key(opened: Opened) -> None:
    keys = json.loads(opened.files["keys.json"])
    keys["gateways"]["harbour-gw"]["keys"][0]["key"] = public_hex(STRANGER)
    opened.files["keys.json"] = json.dumps(keys).encode()


def older_checkpoint(opened: Opened) -> None:
    """The first of the earlier checkpoints in place of the last one."""
    first = opened.files[OLD].decode().split("\n\n— ")
    opened.files[CHECKPOINT] = f"{first[0]}\n\n— {first[1].splitlines()[0]}\n".encode()


def edit(name: str, old: str, new: str) -> Callable[[Opened], None]:
    def tamper(opened: Opened) -> None:
        text = opened.files[name].decode()
        assert old in text
        opened.files[name] = text.replace(old, new, 1).encode()

    return tamper


BATCH = "plants/harbour/batches.csv: batch {} of gateway harbour-gw, epoch 0000000000000001, leaf {}: "
DRILLS: dict[str, tuple[Callable[[Opened], object], str]] = {
    "edit a value": (cell(CSV, 40, 5, "1.0"), f"{CSV}: row altered: 2026-11-01T03:06:41Z"),
    "edit a status": (cell(CSV, 11, 6, "maintenance"), f"{CSV}: row altered: "),
    "edit a unit": (cell(CSV, 12, 4, "dB"), f"{CSV}: row altered: "),
    "back-date a row": (cell(CSV, 40, 0, "2026-10-31T00:00:00Z"), f"{CSV}: row altered: 2026-10-31T00:00:00Z"),
    "drop a row": (on_table(CSV, lambda rows: rows.pop(40)), f"{CSV}: row missing: "),
    "drop many rows": (on_table(CSV, lambda rows: rows.__delitem__(slice(10, 60))), f"{CSV}: row missing: "),
    "insert a row": (on_table(CSV, lambda rows: rows.insert(40, [*rows[39][:-1], "12"])), f"{CSV}: row added: "),
    "repeat a row": (on_table(CSV, lambda rows: rows.append(rows[7])), f"{CSV}: row added: "),
    "reorder two rows": (swap(CSV, 40, 41), f"{CSV}: row reordered: "),
    "reorder far rows": (swap(CSV, 10, 150), f"{CSV}: row reordered: "),
    "truncate the CSV": (cut(CSV, 0.5), f"{CSV}: row missing: "),
    "empty the CSV": (cut(CSV, 0), f"{CSV}: the heading"),
    "edit a batch": (lambda o: flip(o, 4), BATCH.format(5, 4) + "altered: its bytes"),
    "edit a batch and its hash": (lambda o: flip(o, 4, mend=True), BATCH.format(5, 4) + "altered or added"),
    "drop a batch from the index": (on_table(INDEX, lambda rows: rows.pop(6)), "missing: the batch of leaf 5"),
    "drop a batch everywhere": (drop_batch, "epoch 0000000000000001: batches 6 to 6: missing"),
    "drop the last batch everywhere": (drop_end, f"{INDEX}: not whole: leaves 0 to 16 of 18"),
    "reorder two batches": (swap(INDEX, 6, 7), BATCH.format(6, 5) + "reordered"),
    "exchange two leaves": (cell(INDEX, 6, LEAF, "6"), BATCH.format(6, 6) + "not what the tree has there"),
    "insert a forged batch": (forge, BATCH.format(19, 18) + "altered or added: its gateway's key"),
    "replay a batch": (replay, "batch 6 of gateway harbour-gw, epoch 0000000000000001, leaf none: added"),
    "back-date a receipt": (cell(INDEX, 6, RECEIVED, lambda t: str(int(t) - 1)), BATCH.format(6, 5) + "not what the"),
    "back-date before the last": (cell(INDEX, 6, RECEIVED, "5"), BATCH.format(6, 5) + "reordered or back-dated"),
    "renumber a batch": (cell(INDEX, 6, SEQ, "60"), BATCH.format(60, 5) + "it says it is batch 6"),
    "give a batch to quarantine": (cell(INDEX, 6, 3, "quarantine"), "missing: the batch of leaf 5"),
    "truncate the batches": (cut(BIN, 0.9), BATCH.format(18, 17) + "altered: its bytes"),
    "truncate the index": (cut(INDEX, 0.5), f"{INDEX}: "),
    "edit a proof": (cell(PROOFS, 6, 1, "00" * 32), BATCH.format(6, 5) + "not what the tree has there"),
    "drop a proof": (on_table(PROOFS, lambda rows: rows.pop(6)), BATCH.format(6, 5) + "not what the tree has there"),
    "swap key: another one for a gateway": (other_key, BATCH.format(2, 1) + "altered or added: its gateway's key"),
    "edit the checkpoint": (edit(CHECKPOINT, "\n18\n", "\n17\n"), f"{CHECKPOINT}: cannot be read to its end: check"),
    "replay a checkpoint": (older_checkpoint, f"{CHECKPOINT}: 1 leaves, but 18 in the manifest"),
    "edit an old checkpoint": (edit(OLD, "tick 2026", "tick 2025"), "checkpoint 1, of 1 leaves, is not signed"),
    "truncate the checkpoints": (cut(OLD, 0.7), "stands what is no checkpoint"),
    "drop a file": (lambda o: o.files.pop(PROOFS), PROOFS),
    "break a table": (edit(INDEX, "batch", '"batch'), INDEX),
}  # fmt: skip


@pytest.mark.parametrize("drill", DRILLS)
@pytest.mark.parametrize("insider", [False, True], ids=["", "by who signs"])
def test_a_changed_export_is_found_and_the_place_named(
    pristine: House, capsys: Capture, drill: str, insider: bool
) -> None:
    """An insider has the collector's key and signs the manifest anew, so nothing shows there."""
    opened, (tamper, place) = Opened(pristine.folder / "export.zip"), DRILLS[drill]
    before = dict(opened.files)
    tamper(opened)
    changed = [name for name, content in before.items() if opened.files.get(name) != content]
    code, said = verify(opened.write(pristine.key if insider else None), capsys)
    assert code == 1
    assert place in said, said
    assert "Traceback" not in said
    for name in changed:
        listed = f"BROKEN {name}: altered: it is not" in said or (name == "manifest.json" and "fit" in said)
        assert listed is not insider or drill == "drop a file", said


def test_files_that_do_not_belong_there_are_named(pristine: House, capsys: Capture) -> None:
    opened = Opened(pristine.folder / "export.zip")
    opened.files["plants/harbour/more.csv"] = b"1"
    assert "BROKEN plants/harbour/more.csv: added" in verify(opened.write(), capsys)[1]


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sig", "keys.json"])
def test_without_manifest_or_keys_nothing_is_proved(pristine: House, capsys: Capture, name: str) -> None:
    opened = Opened(pristine.folder / "export.zip")
    del opened.files[name]
    code, said = verify(opened.write(), capsys)
    assert code == 1
    assert name in said


def test_a_signature_of_another_export_does_not_fit(pristine: House, capsys: Capture) -> None:
    part = pristine.export("part.zip", "--to", "2026-11-01T03:30:00Z")
    opened = Opened(pristine.folder / "export.zip")
    opened.files["manifest.sig"] = Opened(part).files["manifest.sig"]
    assert "BROKEN manifest.json: altered" in verify(opened.write(), capsys)[1]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_file_that_was_cut_short_is_broken(pristine: House, capsys: Capture, share: float) -> None:
    whole = (pristine.folder / "export.zip").read_bytes()
    file = pristine.folder / "cut.zip"
    file.write_bytes(whole[: int(len(whole) * share)])
    code, said = verify(file, capsys)
    assert code == 1
    assert "cut.zip: cut short or damaged" in said


def test_a_byte_that_fell_over_anywhere_is_found(pristine: House, capsys: Capture) -> None:
    whole = (pristine.folder / "export.zip").read_bytes()
    file = pristine.folder / "flipped.zip"
    for at in range(40, len(whole) - 3000, len(whole) // 40):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        code, said = verify(file, capsys)
        if code == 0:  # a date in the zip's own headers, which says nothing
            assert Opened(file).files == Opened(pristine.folder / "export.zip").files
        else:
            assert (code, "BROKEN" in said) == (1, True)


def test_an_export_signed_anew_by_a_stranger_is_told_by_the_key(pristine: House, capsys: Capture) -> None:
    """All of it made to fit another key: only somebody who knows the collector's key, or a witness, can tell."""
    opened = Opened(pristine.folder / "export.zip")
    for plant in pristine.gateways:
        size, root = 18, _root(opened, plant)
        note = sign(Checkpoint(origin(plant, STRANGER.public_key()), size, root, START_NS, 54), STRANGER)
        opened.files[f"plants/{plant}/checkpoint.txt"] = note.encode()
        opened.files[f"plants/{plant}/checkpoints.txt"] = b""
    opened.files["keys.json"] = opened.files["keys.json"].replace(
        public_hex(pristine.key).encode(), public_hex(STRANGER).encode()
    )
    file = opened.write(STRANGER)
    code, said = verify(file, capsys)
    assert (code, f"signed by collector {public_hex(STRANGER)} (is it the key you know?" in said) == (0, True), said
    code, said = verify(file, capsys, "--key", public_hex(pristine.key))
    assert (code, "BROKEN keys.json: signed by" in said) == (1, True)
    witness = pristine.collector / "checkpoints" / "harbour.txt"
    code, said = verify(file, capsys, "--witness", str(witness))
    assert (code, "BROKEN witness" in said) == (1, True)


def _root(opened: Opened, plant: str) -> bytes:
    import base64

    return base64.b64decode(opened.files[f"plants/{plant}/checkpoint.txt"].splitlines()[2])


# --- in the journal --------------------------------------------------------------------------------

HARBOUR = "gateway = 'harbour-gw' AND kind = 'batch'"


def sql(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as database:
        for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            database.execute(statement)
        database.commit()


def at(seq: int) -> str:
    return f"{HARBOUR} AND seq = {seq}"


BACK = 3_600_000_000_000
PAIR = f"{HARBOUR} AND seq IN (6, 7)"
COPY = "kind, gateway, epoch, seq, x'00', first_ns, last_ns, span, payload FROM entry"


def forged() -> bytes:
    """The sixth batch sealed with another key."""
    forger = Chained("harbour")
    forger.gateway.key = STRANGER
    return [forger.batch(noise("harbour", 50), START_NS).payload for _ in range(6)][-1]


SWAPPED = "SELECT payload FROM x WHERE x.seq = 13 - entry.seq"
EDITED = "CAST(substr(payload, 1, 99) || x'00' || substr(payload, 101) AS BLOB)"
JOURNAL_DRILLS: dict[str, tuple[list[str], str]] = {
    "edit a batch": ([f"UPDATE entry SET payload = {EDITED} WHERE {at(6)}"], BATCH.format(6, 5) + "altered or added"),
    "truncate a batch": ([f"UPDATE entry SET payload = substr(payload, 1, 80) WHERE {at(6)}"], BATCH.format(6, 5)),
    "empty a batch": ([f"UPDATE entry SET payload = x'' WHERE {at(6)}"], BATCH.format(6, 5) + "altered or added"),
    "drop a batch": ([f"DELETE FROM entry WHERE {at(6)}"], "missing: the batch of leaf 5"),
    "drop a batch that is in no tree yet": ([f"DELETE FROM entry WHERE {at(16)}"], "batches 16 to 16: missing"),
    "drop the oldest": ([f"DELETE FROM entry WHERE {at(1)}"], "missing: the batch of leaf 0"),
    "truncate the end": (["DELETE FROM entry WHERE position > 30"], "missing: the batch of leaf 11"),
    "back-date a receipt": (
        [f"UPDATE entry SET received_ns = received_ns - 1 WHERE {at(6)}"],
        BATCH.format(6, 5) + "not what the tree has there: back-dated",
    ),
    "back-date all receipts": (
        [f"UPDATE entry SET received_ns = received_ns - {BACK}"],
        BATCH.format(1, 0) + "not what the tree has there: back-dated",
    ),
    "back-date a late receipt": (
        [f"UPDATE entry SET received_ns = received_ns - {BACK} WHERE {at(17)}"],
        BATCH.format(17, 16) + "reordered or back-dated",
    ),
    "renumber a batch": ([f"UPDATE entry SET seq = 99 WHERE {at(6)}"], BATCH.format(99, 5) + "it says it is batch 6"),
    "hide a batch in quarantine": (
        [f"UPDATE entry SET kind = 'quarantine' WHERE {at(6)}"],
        "missing: the batch of leaf 5",
    ),
    "invent a kind": ([f"UPDATE entry SET kind = 'none' WHERE {at(6)}"], "missing: the batch of leaf 5"),
    "give a batch to another gateway": (
        [f"UPDATE entry SET gateway = 'riverside-gw' WHERE {at(6)}"],
        "batch 6 of gateway riverside-gw, epoch 0000000000000001, leaf 5: altered",
    ),
    "reorder two payloads": (
        [
            f"CREATE TABLE x AS SELECT seq, payload FROM entry WHERE {PAIR}",
            f"UPDATE entry SET payload = ({SWAPPED}) WHERE {PAIR}",
        ],
        BATCH.format(6, 5) + "it says it is batch 7",
    ),
    "reorder two positions": (
        [
            f"CREATE TABLE x AS SELECT seq, position FROM entry WHERE {PAIR}",
            f"UPDATE entry SET position = -position WHERE {PAIR}",
            "UPDATE entry SET position = (SELECT position FROM x WHERE x.seq = 13 - entry.seq) WHERE position < 0",
        ],
        BATCH.format(7, 5) + "not what the tree has there",
    ),
    "swap key: seal a batch with another one": (
        [f"UPDATE entry SET payload = x'{forged().hex()}' WHERE {at(6)}"],
        BATCH.format(6, 5) + "altered or added: its gateway's key",
    ),
    "replay a batch": (
        [f"INSERT INTO entry SELECT 1000, received_ns + {99 * BACK}, {COPY} WHERE {at(6)}"],
        BATCH.format(6, 18) + "replayed",
    ),
    "insert a replayed batch in between": (
        [
            "DELETE FROM entry WHERE position = (SELECT min(position) FROM entry WHERE kind = 'tick')",
            f"INSERT INTO entry SELECT 3, {START_NS}, {COPY} WHERE {at(6)}",
        ],
        "batch 6 of gateway harbour-gw, epoch 0000000000000001, leaf none: added",
    ),
}


@pytest.fixture
def house(pristine: House, tmp_path: Path) -> House:
    """A copy of the pristine house to tamper with."""
    shutil.copytree(pristine.folder / "data", tmp_path / "data")
    shutil.copytree(pristine.folder / "sites", tmp_path / "sites")
    for site in (tmp_path / "sites").glob("*.toml"):
        site.write_text(site.read_text().replace(str(pristine.folder), str(tmp_path)))
    copy = object.__new__(House)
    copy.folder, copy.collector, copy.sites, copy.key = (
        tmp_path,
        tmp_path / "data" / "collector",
        tmp_path / "sites",
        pristine.key,
    )
    copy.gateways = pristine.gateways
    return copy


@pytest.mark.parametrize("drill", JOURNAL_DRILLS)
def test_a_changed_journal_is_found_and_the_place_named(house: House, capsys: Capture, drill: str) -> None:
    statements, place = JOURNAL_DRILLS[drill]
    sql(house.journal_file(), *statements)
    code, said = verify(house.export(), capsys)
    assert code == 1, said
    assert place in said, said


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ("UPDATE leaf SET hash = zeroblob(32) WHERE plant = 'harbour' AND number = 5", BATCH.format(6, 5) + "not what"),
        ("DELETE FROM leaf WHERE plant = 'harbour' AND number = 11", "leaf none: added"),
        ("DELETE FROM leaf", "leaf none: added"),
        ("UPDATE checkpoint SET note = replace(note, 'tick 2026', 'tick 2025')", "is not signed by the collector"),
    ],
)  # fmt: skip
def test_a_changed_tree_is_found(house: House, capsys: Capture, change: str, place: str) -> None:
    sql(house.collector / "tree.db", change)
    code, said = verify(house.export(), capsys)
    assert code == 1
    assert place in said, said


def test_a_rewritten_past_is_found_by_the_witness(house: House, capsys: Capture, tmp_path: Path) -> None:
    """Who has the disk and the collector's key can make everything anew, but not what a witness holds."""
    witness = tmp_path / "witness.txt"
    shutil.copy(house.collector / "checkpoints" / "harbour.txt", witness)
    sql(house.journal_file(), f"UPDATE entry SET received_ns = received_ns - 1 WHERE {at(6)}")
    (house.collector / "tree.db").unlink()
    file = house.export()
    assert verify(file, capsys)[0] == 0
    code, said = verify(file, capsys, "--witness", str(witness))
    assert code == 1
    assert "BROKEN witness: the tree does not begin with the" in said


def test_a_changed_file_of_checkpoints_is_told_by_the_collector(house: House) -> None:
    text = house.collector / "checkpoints" / "harbour.txt"
    whole = text.read_text()
    for content in (whole.replace("tick 2026", "tick 2025"), whole[:-70], ""):
        text.write_text(content)
        with (
            closing(Journal(house.collector / "journal")) as journal,
            closing(LeafFile(house.collector / "tree.db")) as f,
        ):
            notary = Notary(journal, f, house.collector / "checkpoints", house.key)
        assert ("not as it was written" in notary.damage) is ("2025" in content)
        assert text.read_text() == (content if "2025" in content else whole)


def test_nothing_of_the_tree_can_be_changed_by_accident(house: House) -> None:
    with closing(sqlite3.connect(house.collector / "tree.db")) as database:
        for statement in ("DELETE FROM leaf", "UPDATE leaf SET position = 1", "DELETE FROM checkpoint"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                database.execute(statement)
