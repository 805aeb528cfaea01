"""Tamper drills on marks: what somebody said of measurements is proved like the measurements themselves."""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.marks import Kind, SheetFile, SoundCheck, Swap
from gateway import seal
from gateway.identity import public_hex
from tests.collector.proof.kit import AUTHOR, House, Opened, alone, verify

Capture = pytest.CaptureFixture[str]
STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
MARKS, INDEX = "plants/harbour/marks.csv", "plants/harbour/batches.csv"
LEAF, POSITION, RECEIVED, PAYLOAD = 0, 1, 2, 3
HOUR_NS = 3600 * 10**9


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = House(tmp_path_factory.mktemp("house"), marked=True)
    house.export()
    return house


def body(change: Callable[[dict], object], key: Ed25519PrivateKey | None = None) -> Callable[[Opened], None]:
    """Change what the first mark says; with a key it is signed anew."""

    def tamper(opened: Opened) -> None:
        rows = opened.table(MARKS)
        payload = base64.b64decode(rows[1][PAYLOAD])
        said = json.loads(payload[65:])
        change(said)
        text = json.dumps(said).encode()
        rows[1][PAYLOAD] = base64.b64encode(seal.seal_mark(text, key) if key else payload[:65] + text).decode()
        opened.put(MARKS, rows)

    return tamper


def table(change: Callable[[list[list[str]]], object]) -> Callable[[Opened], None]:
    def tamper(opened: Opened) -> None:
        rows = opened.table(MARKS)
        change(rows)
        opened.put(MARKS, rows)

    return tamper


def swap(rows: list[list[str]]) -> None:
    rows[2], rows[3] = rows[3], rows[2]


def receipt(by_ns: int) -> Callable[[list[list[str]]], None]:
    def change(rows: list[list[str]]) -> None:
        rows[1][RECEIVED] = str(int(rows[1][RECEIVED]) + by_ns)

    return change


def forged(rows: list[list[str]]) -> None:
    said = json.loads(base64.b64decode(rows[-1][PAYLOAD])[65:])
    payload = seal.seal_mark(json.dumps(said | {"prev": "00" * 32}).encode(), STRANGER)
    rows.append(
        [
            rows[-1][LEAF],
            str(int(rows[-1][POSITION]) + 3),
            rows[-1][RECEIVED],
            base64.b64encode(payload).decode(),
            rows[-1][-1],
        ]
    )


def keys(change: Callable[[dict[str, str]], object]) -> Callable[[Opened], None]:
    def tamper(opened: Opened) -> None:
        found = json.loads(opened.files["keys.json"])
        change(found["authors"]["harbour"])
        opened.files["keys.json"] = json.dumps(found).encode()

    return tamper


def drop_everywhere(opened: Opened) -> None:
    """The last mark taken out, and of the manifest's count."""
    table(lambda rows: rows.pop())(opened)
    manifest = json.loads(opened.files["manifest.json"])
    manifest["plants"]["harbour"]["count"] -= 1
    opened.files["manifest.json"] = json.dumps(manifest).encode()


def drop_batch(opened: Opened) -> None:
    opened.put(INDEX, [row for row in opened.table(INDEX) if row[0] != "2"])


SIGNED = f"{MARKS}: mark 19 of author li.na: altered or added: its author's key has not signed it"
TREE = "not what the tree has there"
CHAIN = "reordered, or one before it is missing or altered: the chain of hashes is broken"
DRILLS: dict[str, tuple[Callable[[Opened], object], str]] = {
    "edit the reason": (body(lambda said: said.update(reason="nothing at all")), SIGNED),
    "edit the span": (body(lambda said: said.update(to_ns=said["to_ns"] + HOUR_NS)), SIGNED),
    "edit the kind": (body(lambda said: said.update(kind="note")), SIGNED),
    "back-date a mark": (body(lambda said: said.update(made_ns=said["made_ns"] - HOUR_NS)), SIGNED),
    "back-date with the author's key": (
        body(lambda said: said.update(made_ns=said["made_ns"] - HOUR_NS), AUTHOR),
        f"{MARKS}: mark 19 of author li.na: back-dated: it says it was made at 2026-11-01T02:16:42Z",
    ),
    "say another thing with the author's key": (
        body(lambda said: said.update(reason="a magpie"), AUTHOR), f"{MARKS}: mark 19 of author li.na: {TREE}",
    ),
    "swap the author": (
        body(lambda said: said.update(author="wu.ming")), f"{MARKS}: mark 19 of author wu.ming: altered or added",
    ),
    "swap the author's key": (keys(lambda found: found.update({"li.na": public_hex(STRANGER)})), SIGNED),
    "drop the author": (keys(lambda found: found.clear()), SIGNED),
    "back-date the receipt": (table(receipt(-HOUR_NS)), "mark 19 of author li.na: back-dated: it says"),
    "back-date the receipt a little": (table(receipt(-1)), f"mark 19 of author li.na: {TREE}"),
    "move a mark": (table(lambda rows: rows[1].__setitem__(POSITION, "18")), f"mark 18 of author li.na: {TREE}"),
    "drop the first mark": (table(lambda rows: rows.pop(1)), CHAIN),
    "drop a mark in between": (table(lambda rows: rows.pop(2)), f"{INDEX}: missing: the batch of leaf 13"),
    "drop the last mark": (table(lambda rows: rows.pop()), f"{INDEX}: missing: the batch of leaf 21"),
    "drop the last mark everywhere": (drop_everywhere, f"{INDEX}: not whole: leaves 0 to 20 of 22"),
    "drop all marks": (table(lambda rows: rows.__delitem__(slice(1, None))), "missing: the batch of leaf 6"),
    "drop the file": (lambda opened: opened.files.pop(MARKS), MARKS),
    "truncate the file": (lambda o: o.files.update({MARKS: o.files[MARKS][:400]}), f"{MARKS}: cannot be read"),
    "reorder two marks": (table(swap), CHAIN),
    "replay a mark": (table(lambda rows: rows.append(rows[1])), CHAIN),
    "insert a forged mark": (table(forged), "mark 61 of author li.na: altered or added: its author's key"),
    "edit a mark's proof": (table(lambda rows: rows[1].__setitem__(-1, "00" * 32)), f"author li.na: {TREE}"),
    "drop what a mark speaks of": (drop_batch, "mark 19 of author li.na: what it speaks of is not what the export"),
}  # fmt: skip


@pytest.mark.parametrize("drill", DRILLS)
@pytest.mark.parametrize("insider", [False, True], ids=["", "by who signs"])
def test_a_changed_mark_is_found_and_the_place_named(
    pristine: House, capsys: Capture, drill: str, insider: bool
) -> None:
    opened, (tamper, place) = Opened(pristine.folder / "export.zip"), DRILLS[drill]
    tamper(opened)
    code, said = verify(opened.write(pristine.key if insider else None), capsys)
    assert code == 1
    assert place in said, said
    assert "Traceback" not in said


def test_what_was_said_is_listed(pristine: House, tmp_path: Path) -> None:
    found = alone(pristine.folder / "export.zip", tmp_path)
    assert found.returncode == 0, found.stdout
    lines = [line for line in found.stdout.splitlines() if line.startswith(MARKS)]
    span = "2026-11-01T02:26:40Z to 2026-11-01T02:56:40Z"
    assert [line.split(": ", 2)[2] for line in lines] == [
        f"invalid, fence-north, {span}: 'a crow on the microphone'",
        f"revocation, fence-north, {span}: 'it was a magpie'",
        f"correction, fence-north, {span}: 'wrong calibrator'",
        f"note, fence-north, {span}: '=cmd()'",
    ]


RECORDS: list[dict[str, Any]] = [
    {"kind": Kind.SWAP, "sensor": "slm-north", "swap": Swap(serial="N-2", old_serial="O-1", as_found=93.1, as_left=94)},
    {"kind": Kind.SOUND_CHECK, "sensor": "slm-north",
     "sound_check": SoundCheck(level=94, as_found=94.2, as_left=94, tolerance=0.5, passed=True)},
    {"kind": Kind.SHEET, "sheet": SheetFile(name="fence.pdf", bytes=4711, sha256="ab" * 32)},
]  # fmt: skip


def test_records_of_commissioning_are_proved_and_told(tmp_path: Path) -> None:
    house = House(tmp_path, hours=1, marked=True, said=([{**one, "reason": "acceptance"} for one in RECORDS],))
    found = alone(house.export(), tmp_path)
    assert found.returncode == 0, found.stdout
    lines = [line for line in found.stdout.splitlines() if line.startswith(MARKS)]
    assert [line.split(": ", 2)[2].split(",")[0] for line in lines] == ["swap", "sound_check", "sheet"]
    assert '"old_serial": "O-1", "serial": "N-2"}' in lines[0]
    assert '"passed": true' in lines[1]
    assert f'"sha256": "{"ab" * 32}"' in lines[2]


def test_an_export_of_a_part_has_what_was_said_of_it_later(pristine: House, capsys: Capture) -> None:
    part = pristine.export("part.zip", "--to", "2026-11-01T03:00:00Z")
    code, said = verify(part, capsys)
    assert (code, said.count(f"{MARKS}: mark")) == (0, 4), said
    opened = Opened(part)
    table(lambda rows: rows.pop(2))(opened)
    code, said = verify(opened.write(pristine.key), capsys)
    assert (code, CHAIN in said) == (1, True), said


JOURNAL_DRILLS = {
    "edit a mark": ("UPDATE entry SET payload = CAST(replace(payload, 'crow', 'bird') AS BLOB) WHERE {at}", SIGNED),
    "delete a mark": ("DELETE FROM entry WHERE {at}", "missing: the batch of leaf 6"),
    "hide a mark": ("UPDATE entry SET kind = 'event' WHERE {at}", "missing: the batch of leaf 6"),
    "back-date a mark": ("UPDATE entry SET received_ns = received_ns - 1 WHERE {at}", f"author li.na: {TREE}"),
    "empty a mark": ("UPDATE entry SET payload = x'' WHERE {at}", f"{MARKS}: "),
}


@pytest.mark.parametrize("drill", JOURNAL_DRILLS)
def test_a_mark_changed_in_the_journal_is_found(pristine: House, capsys: Capture, tmp_path: Path, drill: str) -> None:
    shutil.copytree(pristine.folder / "data", tmp_path / "data")
    shutil.copytree(pristine.folder / "sites", tmp_path / "sites")
    for site in (tmp_path / "sites").glob("*.toml"):
        site.write_text(site.read_text().replace(str(pristine.folder), str(tmp_path)))
    copy = object.__new__(House)
    copy.folder, copy.collector, copy.sites = tmp_path, tmp_path / "data" / "collector", tmp_path / "sites"
    statement, place = JOURNAL_DRILLS[drill]
    with closing(sqlite3.connect(copy.journal_file())) as database:
        for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        database.execute(statement.format(at="position = 19"))
        database.commit()
    code, said = verify(copy.export(), capsys)
    assert code == 1, said
    assert place in said, said


def test_the_journal_refuses_to_change_a_mark(pristine: House) -> None:
    with closing(sqlite3.connect(pristine.journal_file())) as database:
        for statement in ("UPDATE entry SET payload = x'00'", "DELETE FROM entry"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                database.execute(f"{statement} WHERE kind = 'mark'")
