"""A bundle is whatever a stranger sends: each one is found valid or broken, in a sentence, and nothing else happens."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import time
import tracemalloc
import unicodedata
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.proof import verifier
from collector.proof.checkpoint import Checkpoint, origin, sign
from collector.proof.identities import Record
from gateway.identity import public_hex
from gateway.seal import seal_mark
from tests.collector.batches import START_NS
from tests.collector.proof.kit import AUTHOR, House, Opened
from tests.effort import examples

HARBOUR = "plants/harbour/"
BIN, INDEX, PROOFS, CSV, MARKS, CHECKPOINT, OLD, CONSISTENCY = (
    HARBOUR + name
    for name in ("batches.bin", "batches.csv", "proofs.csv", "measurements.csv", "marks.csv", "checkpoint.txt",
                 "checkpoints.txt", "consistency.csv")
)  # fmt: skip
EVIL = "\x1b[2Jvalid\nexport.zip: valid\u202e\u2028\x9b\x7f\r"
DEEP = json.loads("[" * 200 + "]" * 200)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """With marks, and a register of which the last checkpoint knows."""
    made = House(tmp_path_factory.mktemp("house"), marked=True)
    key = public_hex(made.gateways["harbour"].gateway.key)
    made.identify(Record(kind="enrolled", at=START_NS, gateway="harbour-gw", plant="harbour", key=key, serial="1"))
    for line in made.collector.glob("checkpoints/*"):
        line.unlink()  # they are of before that register
    made.export()
    return made


@pytest.fixture(scope="module")
def pristine(house: House) -> Path:
    return house.folder / "export.zip"


@dataclass(frozen=True)
class Answer:
    """What the verifier answers."""

    code: int
    out: str
    err: str


def ask(file: Path, *arguments: str) -> Answer:
    """Verify; whatever is printed has to be lines of text."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = verifier.main([str(file), *arguments])
    answer = Answer(code, out.getvalue(), err.getvalue())
    for c in (answer.out + answer.err).replace("\n", ""):
        assert unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp"), f"{c!r} is printed"
    assert code in (0, 1, 2)
    assert answer.out.endswith(("valid\n", "fault\n", "faults\n", "}\n")) or code == 2
    return answer


def contents(file: Path) -> list[tuple[str, bytes]] | None:
    """What is in a zip file, as anybody reads it; None where that cannot be read."""
    try:
        with zipfile.ZipFile(file) as bundle:
            return [(info.filename, bundle.read(info)) for info in bundle.infolist()]
    except Exception:  # noqa: BLE001 - whatever it is, it cannot be read
        return None


def packed(opened: Opened, how: Callable[[str], int], flips: dict[str, int] | None = None) -> Path:
    """Write it with each file compressed in its own way; flips: by file, the byte of it that is flipped when packed."""
    out = opened.file.with_name("hostile.zip")
    with zipfile.ZipFile(out, "w") as bundle:
        for name, content in opened.files.items():
            bundle.writestr(name, content, how(name))
        starts = {info.filename: (info.header_offset + 30 + len(info.filename), info.compress_size)
                  for info in bundle.infolist()}  # fmt: skip
    raw = bytearray(out.read_bytes())
    for name, at in (flips or {}).items():
        raw[starts[name][0] + at % starts[name][1]] ^= 0xFF
    out.write_bytes(raw)
    return out


# --- one of each kind --------------------------------------------------------------------------------

METHODS = {"lzma": zipfile.ZIP_LZMA, "bzip2": zipfile.ZIP_BZIP2, "deflated": zipfile.ZIP_DEFLATED,
           "stored": zipfile.ZIP_STORED}  # fmt: skip


@pytest.mark.parametrize("name", [CSV, "manifest.json", "keys.json", BIN])
@pytest.mark.parametrize("method", METHODS)
def test_a_file_that_cannot_be_unpacked_is_broken(pristine: Path, method: str, name: str) -> None:
    whole = packed(Opened(pristine), lambda n: METHODS[method] if n == name else zipfile.ZIP_DEFLATED)
    answer = ask(whole)
    if method in ("deflated", "stored"):
        assert answer.code == 0, answer.out
    else:
        assert (answer.code, f"{name} is encrypted, or compressed otherwise" in answer.out) == (1, True), answer.out
    for at in (0, 5, 20, 60):
        hit = packed(Opened(pristine), lambda n: METHODS[method] if n == name else zipfile.ZIP_DEFLATED, {name: at})
        answer = ask(hit)
        assert (answer.code, f"BROKEN {name}" in answer.out) == (1, True), answer.out


def test_an_encrypted_file_is_broken(pristine: Path) -> None:
    raw = bytearray(pristine.read_bytes())
    at = raw.rindex(b"keys.json") - 46  # its entry in the directory
    assert raw[at : at + 4] == b"PK\x01\x02"
    raw[at + 8] |= 1
    out = pristine.with_name("hostile.zip")
    out.write_bytes(raw)
    answer = ask(out)
    assert (answer.code, "BROKEN keys.json: cannot be read: keys.json is encrypted" in answer.out) == (1, True)


def test_what_cannot_be_opened_is_not_broken(pristine: Path, tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    for arguments, why in (
        ([tmp_path / "no.zip"], "no.zip: No such file or directory"),
        ([tmp_path], "Is a directory"),
        ([pristine, "--witness", tmp_path / "no.txt"], "no.txt: No such file or directory"),
        ([pristine, "--witness", tmp_path], "Is a directory"),
        ([pristine, "--witness", tmp_path / "latin"], "latin: no checkpoints, which are text in UTF-8"),
    ):
        answer = ask(*map(str, arguments))  # type: ignore[arg-type]
        assert (answer.code, answer.out, why in answer.err) == (2, "", True), answer


def test_what_is_no_zip_file_is_broken(tmp_path: Path) -> None:
    strange = io.BytesIO()
    with zipfile.ZipFile(strange, "w") as bundle:
        bundle.writestr("é", b"")
    for raw in (b"", b"PK", bytes(99), strange.getvalue().replace("é".encode(), b"\xff\xff")):
        (tmp_path / "x.zip").write_bytes(raw)
        answer = ask(tmp_path / "x.zip")
        assert (answer.code, "x.zip: cut short or damaged" in answer.out) == (1, True)


def on_json(name: str, *path: str | int) -> Callable[[Opened, Any], None]:
    """Puts another value into a JSON file."""

    def put(opened: Opened, value: Any) -> None:
        whole = json.loads(opened.files[name])
        at = whole
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value
        opened.files[name] = json.dumps(whole).encode()

    return put


def on_cell(name: str, row: int, column: int) -> Callable[[Opened, Any], None]:
    """Puts another text into a CSV file."""

    def put(opened: Opened, value: Any) -> None:
        rows = opened.table(name)
        rows[row][column] = str(value)
        opened.put(name, rows)

    return put


def on_mark(*path: str) -> Callable[[Opened, Any], None]:
    """Puts another value into a mark, which its author signs."""

    def put(opened: Opened, value: Any) -> None:
        rows = opened.table(MARKS)
        mark = json.loads(base64.b64decode(rows[1][3])[65:])
        at = mark
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value
        rows[1][3] = base64.b64encode(seal_mark(json.dumps(mark).encode(), AUTHOR)).decode()
        opened.put(MARKS, rows)

    return put


PLACES: dict[str, Callable[[Opened, Any], None]] = {
    **{f"plant {key}": on_json("manifest.json", "plants", "harbour", key)
       for key in ("first", "count", "size", "complete", "from_ns", "to_ns", "points", "absent")},
    **{f"manifest {key}": on_json("manifest.json", key) for key in ("format", "plants")},
    "the plant": on_json("manifest.json", "plants", "harbour"),
    **{f"keys {key}": on_json("keys.json", key) for key in ("collector", "gateways", "authors", "collector_before")},
    "a gateway": on_json("keys.json", "gateways", "harbour-gw"),
    "a gateway's plant": on_json("keys.json", "gateways", "harbour-gw", "plant"),
    "a gateway's key": on_json("keys.json", "gateways", "harbour-gw", "keys", 0, "key"),
    "an author": on_json("keys.json", "authors", "harbour", "li.na"),
    **{f"register {key}": on_json("identities.jsonl", key)
       for key in ("kind", "at", "gateway", "key", "keys", "until", "prev", "signed")},
    **{f"index {column}": on_cell(INDEX, 2, verifier.INDEX.index(column)) for column in verifier.INDEX},
    **{f"csv {column}": on_cell(CSV, 5, verifier.COLUMNS.index(column)) for column in verifier.COLUMNS},
    **{f"marks {column}": on_cell(MARKS, 1, verifier.MARKS.index(column)) for column in verifier.MARKS},
    **{f"mark {key}": on_mark(key)
       for key in ("author", "made_ns", "from_ns", "to_ns", "kind", "reason", "prev", "point", "old")},
    "mark position": on_mark("old", "position"),
    "proof": on_cell(PROOFS, 1, 1), "proof's leaf": on_cell(PROOFS, 1, 0),
}  # fmt: skip
VALUES: dict[str, Any] = {
    "null": None, "true": True, "minus": -1, "2^64": 1 << 64, "2^63 s": 1000 << 63, "fraction": 1.5, "1e308": 1e308,
    "NaN": float("nan"), "infinity": float("-inf"), "text": "x", "empty": "", "control": EVIL, "surrogate": "\ud800",
    "list": [], "lists": [[{}]], "map": {}, "of a name": {"harbour": 1}, "deep": DEEP, "digits": int("9" * 4300),
    "number as text": "9" * 5000,
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_value_of_another_type_or_size_is_broken_or_nothing(house: House, pristine: Path, place: str) -> None:
    """Signed by the collector, who may be the stranger; without, all of these are broken already."""
    for value in VALUES.values():
        opened = Opened(pristine)
        with contextlib.suppress(UnicodeEncodeError):  # a table cannot hold every text
            PLACES[place](opened, value)
        answer = ask(opened.write(house.key))
        assert answer.code in (0, 1)


JSON = ("manifest.json", "keys.json", "identities.jsonl")


@pytest.mark.parametrize("name", JSON)
@pytest.mark.parametrize("text", ["", "[" * 200_000, "9" * 5000, "NaN", "null", "[]", '"x"', "{}", "\udcff", "1e9999"])
def test_a_file_that_is_no_map_is_broken(house: House, pristine: Path, name: str, text: str) -> None:
    opened = Opened(pristine)
    if name != "manifest.json":
        opened.files[name] = text.encode("utf-8", "surrogateescape")
        file = opened.write(house.key)
    else:
        opened.files[name] = text.encode("utf-8", "surrogateescape")
        file = opened.write()
    answer = ask(file)
    assert (answer.code, name in answer.out) == (1, True), answer.out


@pytest.mark.parametrize("name", [CHECKPOINT, OLD, CONSISTENCY, INDEX, PROOFS, CSV, MARKS, BIN])
@pytest.mark.parametrize("raw", [b"", b"\n\n", b"\xff", b"a\n\n\xe2\x80\x94 a b\n", b"1,2\n1\n", b'"', b"\0,\0\n"])
def test_a_file_of_nothing_or_something_else_is_broken(house: House, pristine: Path, name: str, raw: bytes) -> None:
    opened = Opened(pristine)
    opened.files[name] = raw
    assert ask(opened.write(house.key)).code in ((0, 1) if name in (OLD, CONSISTENCY) else (1,))


def test_names_and_texts_of_a_bundle_do_nothing_to_the_terminal(house: House, pristine: Path) -> None:
    opened = Opened(pristine)
    opened.files[EVIL] = b""
    on_cell(CSV, 3, 1)(opened, EVIL)
    on_mark("reason")(opened, EVIL)
    on_mark("author")(opened, EVIL)
    file = opened.write()
    said = ask(file)
    assert said.code == 1
    assert "\nexport.zip: valid" not in said.out
    assert r"BROKEN \u001b[2Jvalid\nexport.zip: valid\u202e\u2028\u009b\u007f\r: added" in said.out
    told = json.loads(ask(file, "--json").out)
    assert any(line.startswith(f"{EVIL}: added") for line in told["broken"]), "in JSON it is what it was"
    manifest = json.loads(opened.files["manifest.json"])
    manifest["plants"][EVIL] = manifest["plants"]["harbour"]
    opened.files["manifest.json"] = json.dumps(manifest).encode()
    assert "\nexport.zip: valid" not in ask(opened.write(house.key)).out


def test_a_terminal_that_has_no_such_letters_is_told_all_the_same(
    pristine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Opened(pristine)
    opened.files["测点"] = b""
    out = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr("sys.stdout", out)
    assert verifier.main([str(opened.write()), "--json"]) == 1
    out.seek(0)
    assert any(line.startswith("测点: added") for line in json.loads(out.read())["broken"])


# --- what takes time or memory -----------------------------------------------------------------------

BOMB, LIMIT = 8 << 20, 1 << 20


def checkpoint(house: House, size: int) -> str:
    """A checkpoint of a tree that nobody has grown."""
    return sign(Checkpoint(origin("harbour", house.key.public_key()), size, bytes(32), START_NS, 1), house.key)


def huge(name: str, piece: bytes, size: int = BOMB) -> Callable[[House, Opened], None]:
    def put(_: House, opened: Opened) -> None:
        first, end, rest = opened.files[name].partition(b"\n")
        opened.files[name] = first + end + piece * (size // len(piece)) + rest

    return put


def beyond(house: House, opened: Opened) -> None:
    """A tree of 2^60 leaves, of which one month is said to have expired."""
    opened.files[CHECKPOINT] = checkpoint(house, 1 << 60).encode()
    manifest = json.loads(opened.files["manifest.json"])
    absent = [{"month": "2026-10", "state": "expired", "sha256": "", "first": 0, "count": 1 << 59}]
    manifest["plants"]["harbour"] |= {"size": 1 << 60, "count": 1 << 60, "absent": absent}
    opened.files["manifest.json"] = json.dumps(manifest).encode()
    opened.files["identities.jsonl"] = b""


def all_of_it(_: House, opened: Opened) -> None:
    """Rows that ask for more than a batch can have."""
    opened.files[BIN] += bytes(BOMB)
    rows = opened.table(INDEX)
    rows[3][9] = str(BOMB)
    opened.put(INDEX, rows)


def negative(_: House, opened: Opened) -> None:
    opened.files[BIN] += bytes(BOMB)
    rows = opened.table(INDEX)
    rows[3][9] = "-1"
    opened.put(INDEX, rows)


BOMBS: dict[str, Callable[[House, Opened], None]] = {
    **{f"huge {name}": huge(name, b" " * 1024)
       for name in ("keys.json", "manifest.json", "manifest.sig", CHECKPOINT, OLD, "identities.jsonl")},
    "a row without end": huge(CSV, b"a" * 1024), "a row of many lines": huge(CSV, b'"\n",'),
    "rows of nothing": huge(CSV, b"\n" * 1024), "the same row": huge(CSV, b",,,,,,,,,,\n" * 64),
    "the same batch": huge(INDEX, b"1,1,1,batch,x,x,1,x,0,1\n" * 64), "the same mark": huge(MARKS, b"1,1,1,,\n" * 64),
    "the same proof": huge(PROOFS, b"x,\n" * 64), "a proof without end": huge(PROOFS, b"9,"),
    "the same size": huge(CONSISTENCY, b"7,\n" * 64), "lines": huge(OLD, b"a\n", LIMIT // 2),
    "signatures": huge(OLD, "a\n\n— a\n".encode(), LIMIT // 2),
    "a tree of 2^60": beyond, "a batch of everything": all_of_it, "a batch of minus one": negative,
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_inflates_fills_no_memory_and_ends(
    house: House, pristine: Path, bomb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier, "_READ", {name: min(most, LIMIT) for name, most in verifier._READ.items()})
    opened = Opened(pristine)
    BOMBS[bomb](house, opened)
    file = opened.write(None if "manifest" in bomb else house.key)
    del opened
    tracemalloc.start()
    try:
        began = time.process_time()
        answer = ask(file)
        took_s, most = time.process_time() - began, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer.code == (0 if bomb == "the same size" else 1), answer.out
    assert most < BOMB
    assert took_s < 30


def test_many_files_take_no_square_of_time(house: House, pristine: Path, tmp_path: Path) -> None:
    raw = pristine.read_bytes()
    for count, seconds in ((8000, 5), (verifier._MEMBERS + 1, 5)):
        file = tmp_path / "many.zip"
        file.write_bytes(raw)
        with zipfile.ZipFile(file, "a") as bundle:
            for number in range(count):
                bundle.writestr(f"{number}", b"")
        began = time.process_time()
        assert ask(file).code == 1
        assert time.process_time() - began < seconds


# --- whatever else -------------------------------------------------------------------------------------

LEAVES = st.one_of(st.sampled_from(list(VALUES.values())), st.integers(), st.floats(), st.text(max_size=8))


def paths(value: Any, here: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The way to each value in a JSON text."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([here] if here else []), *(path for key, one in inner for path in paths(one, (*here, key)))]


def mutate(opened: Opened, data: st.DataObject) -> None:
    """One change of what is in the files."""
    name = data.draw(st.sampled_from(sorted(opened.files)), label="file")
    content = opened.files[name]
    kind = data.draw(st.sampled_from(["value", "value", "bytes", "gone", "added", "renamed", "place"]), label="kind")
    if kind == "place":
        with contextlib.suppress(UnicodeEncodeError, LookupError, ValueError, TypeError):
            PLACES[data.draw(st.sampled_from(list(PLACES)), label="place")](opened, data.draw(LEAVES))
    elif kind == "gone":
        del opened.files[name]
    elif kind == "added":
        opened.files[data.draw(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12))] = content
    elif kind == "renamed":
        opened.files[EVIL] = opened.files.pop(name)
    elif kind == "bytes" or not content:
        at = data.draw(st.integers(0, len(content)))
        opened.files[name] = (
            content[:at] + data.draw(st.binary(max_size=9)) + content[at + data.draw(st.integers(0, 9)) :]
        )
    elif name.endswith(".json"):
        with contextlib.suppress(ValueError):
            on_json(name, *data.draw(st.sampled_from(paths(json.loads(content)))))(opened, data.draw(LEAVES))
    elif name.endswith(".csv"):
        with contextlib.suppress(ValueError, LookupError):
            rows = opened.table(name)
            row = data.draw(st.integers(0, len(rows) - 1))
            on_cell(name, row, data.draw(st.integers(0, len(rows[row]) - 1)))(opened, data.draw(LEAVES))
    elif name.endswith((".txt", ".jsonl")):
        lines = content.split(b"\n")
        lines[data.draw(st.integers(0, len(lines) - 1))] = data.draw(
            st.sampled_from([b"", b"9" * 5000, b"-1", b"\xff"])
        )
        opened.files[name] = b"\n".join(lines)


@settings(max_examples=examples(120, 600), deadline=None)
@given(st.data())
def test_no_bundle_makes_the_verifier_fall(house: House, pristine: Path, data: st.DataObject) -> None:
    opened = Opened(pristine)
    for _ in range(data.draw(st.integers(0, 3), label="changes")):
        if opened.files:
            mutate(opened, data)
    resigned = False
    if data.draw(st.booleans(), label="signed again"):
        with contextlib.suppress(KeyError, ValueError, TypeError, AttributeError):  # what is no manifest stays as it is
            opened.write(house.key)
            resigned = True
    methods = data.draw(st.lists(st.sampled_from(list(METHODS.values())), min_size=1, max_size=3), label="methods")
    ways = {name: methods[n % len(methods)] for n, name in enumerate(opened.files)}
    file = packed(opened, ways.__getitem__)
    raw = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(0, 2), label="flips")):
        if raw:
            raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(raw)
    answer = ask(file, *data.draw(st.sampled_from([[], ["--json"]])))
    assert answer.code in (0, 1), "there is such a file"
    if answer.code == 0 and not resigned:
        found = contents(file)
        assert found is not None
        assert hashlib.sha256(repr(sorted(found)).encode()).digest() == fingerprint(pristine), (
            "valid, and not as it was"
        )


def fingerprint(file: Path) -> bytes:
    """Of what is in a zip file."""
    return hashlib.sha256(repr(sorted(contents(file) or ())).encode()).digest()
