"""Proves an export of emitwatch, or says where it is broken. `emitwatch verify FILE`, or this file alone:

    python verifier.py FILE [--key HEX] [--witness CHECKPOINTS]

One file on purpose: it needs Python 3.11, its standard library and `cryptography`, nothing of
emitwatch, so that whoever doubts an export can read all of what proves it. It shares no code with the
writer but the form of a CSV row. What it checks, in this order (docs/reference/export.md):

- the collector's signature of the manifest, and every file against the manifest;
- the register of identities: its chain, and that every checkpoint has seen the same one;
- checkpoints: signature, and that each tree begins with the one before it, the witness's included;
- each batch: signature by a key of its gateway that was good at that time, place and receive time in the
  tree, sequence, chain of hashes;
- each mark: author's signature, place in the tree, its time, the mark before it, what it speaks of;
- each row of the CSV against the batches, so that both say the same in the same order.

A bundle is a stranger's: whatever stands in it, reading it ends with one of these codes, each file is read
with a limit, and nothing of it reaches the terminal but as text.

Exit code 0 = valid, 1 = broken (or not provable), 2 = a file that was named cannot be opened.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import io
import json
import re
import struct
import sys
import zipfile
import zlib
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise
from pathlib import Path
from typing import IO, Any, TextIO, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT = "emitwatch-export/1"
COLUMNS = ("time", "point", "sensor", "parameter", "unit", "value", "status", "gateway", "epoch", "seq", "index")
INDEX = ("leaf", "position", "received_ns", "kind", "gateway", "epoch", "seq", "sha256", "offset", "bytes")
RECORDS = ("swap", "sound_check", "sheet")  # fields of marks that are records of commissioning
MARKS = ("leaf", "position", "received_ns", "payload", "hashes")
STATUS = ("ok", "maintenance", "calibration", "fault", "out_of_range", "stopped", "manual", "no_comm", "stale",
          "unsynced")  # fmt: skip
_NOTE = re.compile(r"^((?:[^\n]+\n){1,10}+)\n((?:— [^\n]+\n)++)", re.MULTILINE)  # without ways back: in linear time
_WINDOW, _MOST, _SHOWN, _TELL = 20_000, 1000, 20, 1000
_INFLATED, _AGAIN = 1 << 20, 1 << 32  # bytes: of one batch at most; read once more for rows out of place
_FAULTS, _WORDS = 10_000, 2000  # that are told, and of characters in one: a bundle can be broken everywhere
_MEMBERS = 20_000  # files of some 2000 plants
_ROW, _PATH = 1 << 18, 8192  # characters: the longest row is a mark of 64 KiB, the longest proof has twice 63 hashes
_READ = {  # bytes of the files that are read at once; the others are read row by row
    "manifest.json": 1 << 24, "manifest.sig": 1 << 10, "keys.json": 1 << 24,  # some 100,000 files, as many keys
    "identities.jsonl": 1 << 26, "checkpoint.txt": 1 << 16, "checkpoints.txt": 1 << 27,  # hourly ones of 30 years
}  # fmt: skip
_TOLERANCE_NS = 600 * 10**9  # between a mark's own time and its receipt
_FOREVER, _GRACE_NS = (1 << 63) - 1, 60 * 10**9  # a revocation is in force everywhere within a minute
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, csv.Error, struct.error, LookupError, ValueError,
               TypeError, AttributeError, ArithmeticError, RuntimeError)  # fmt: skip
Row: TypeAlias = Sequence[str]
Report: TypeAlias = Callable[[str, str], None]

# --- forms -----------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def instant(time_ns: int) -> str:
    """RFC 3339 in UTC, with as much of a fraction as there is."""
    whole, part = divmod(time_ns, 10**9)
    fraction = f".{part:09d}".rstrip("0") if part else ""
    return f"{(datetime(1970, 1, 1) + timedelta(seconds=whole)).isoformat()}{fraction}Z"  # noqa: DTZ001 - UTC


def cell(text: str) -> str:
    """A text as a spreadsheet takes it for text, not for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r", "\0") else text


def plain(text: str) -> str:
    """A text in one line, without anything that moves a terminal's cursor or turns its words around."""
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def why(error: Exception) -> str:
    """What an error says; KeyError says the key alone."""
    return f"it has no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__


def measurement_row(
    series: Row, time_ns: int, value: float, status: int, batch: tuple[str, str, str], index: int
) -> Row:
    """A row of the CSV. series: point, sensor, parameter, unit, each a cell. batch: gateway, epoch (hex), seq."""
    text = "" if value != value else repr(value)  # NaN is not itself
    return (instant(time_ns), *series, text, STATUS[status], *batch, str(index))


def unpack(data: bytes) -> Any:  # noqa: ANN401 - msgpack is of any type
    """The value in msgpack bytes; ValueError on anything after it."""
    value, end = _unpack(data, 0)
    if end != len(data):
        raise ValueError("bytes after the end")
    return value


_SIMPLE = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h",
            0xD2: ">i", 0xD3: ">q"}  # fmt: skip
_SIZED = {0xC4: ("b", 1), 0xC5: ("b", 2), 0xC6: ("b", 4), 0xD9: ("s", 1), 0xDA: ("s", 2), 0xDB: ("s", 4),
          0xDC: ("a", 2), 0xDD: ("a", 4), 0xDE: ("m", 2), 0xDF: ("m", 4)}  # fmt: skip


def _unpack(data: bytes, at: int) -> tuple[Any, int]:
    code, at = data[at], at + 1
    if 0xA0 <= code < 0xC0 and at + (code & 31) <= len(data):  # a short text, as most of a batch's items are
        return data[at : at + (code & 31)].decode(), at + (code & 31)
    if code < 0x80 or code >= 0xE0:
        return (code if code < 0x80 else code - 256), at
    if code in _SIMPLE:
        return _SIMPLE[code], at
    if code in _NUMBERS:
        form = _NUMBERS[code]
        return struct.unpack_from(form, data, at)[0], at + struct.calcsize(form)
    if code < 0xC0:
        kind, size = ("m", code & 15) if code < 0x90 else ("a", code & 15) if code < 0xA0 else ("s", code & 31)
    else:
        kind, width = _SIZED[code]
        size, at = int.from_bytes(data[at : at + width], "big"), at + width
    if kind in "bs":
        if at + size > len(data):
            raise ValueError("cut short")
        part = data[at : at + size]
        return (part if kind == "b" else part.decode()), at + size
    items = []
    for _ in range(size * (2 if kind == "m" else 1)):
        item, at = _unpack(data, at)
        items.append(item)
    return (dict(zip(items[::2], items[1::2], strict=True)) if kind == "m" else items), at


def decode(payload: bytes) -> dict[str, Any]:
    """The map in a batch's payload, behind version and signature."""
    inflater = zlib.decompressobj()
    packed = inflater.decompress(payload[65:], _INFLATED)
    if not inflater.eof or inflater.unused_data:
        raise ValueError("cut short, too large, or bytes after the end")
    body = unpack(packed)
    if not isinstance(body, dict):
        raise ValueError("no map")
    return body


def rows(body: dict[str, Any], from_ns: int, to_ns: int) -> Iterator[Row]:
    """The CSV rows of a batch's measurements in [from_ns, to_ns). [ns since 1970 UTC]"""
    n, batch = body["n"], (cell(body["gw"]), body["ep"].hex(), str(body["seq"]))
    table = [tuple(map(cell, series[1:])) for series in body["series"]]
    columns = [struct.unpack(f"<{n}{form}", body[name])
               for name, form in (("series_index", "H"), ("time", "q"), ("value", "d"), ("status", "B"))]  # fmt: skip
    for index, (series, offset, value, status) in enumerate(zip(*columns, strict=True)):
        if from_ns <= body["first_ns"] + offset < to_ns:
            yield measurement_row(table[series], body["first_ns"] + offset, value, status, batch, index)


# --- proofs ----------------------------------------------------------------------------------------


def _sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def _climb(place: int, last: int, path: list[bytes], first: bytes, second: bytes) -> tuple[bytes, bytes]:
    """The roots that a path leads to: of the tree up to `place`, and of the whole (RFC 9162, 2.1.3.2 and 2.1.4.2)."""
    for other in path:
        if not last:
            return b"", b""
        if place & 1 or place == last:
            first, second = _sha(b"\x01", other, first), _sha(b"\x01", other, second)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            second = _sha(b"\x01", second, other)
        place, last = place >> 1, last >> 1
    return (first, second) if not last else (b"", b"")


def included(leaf: bytes, index: int, size: int, path: list[bytes], root: bytes) -> bool:
    """Whether a leaf hash is number `index` of the `size` leaves under a root."""
    return 0 <= index < size and _climb(index, size - 1, path, leaf, leaf)[1] == root


def consistent(old: int, size: int, old_root: bytes, root: bytes, path: list[bytes]) -> bool:
    """Whether the `size` leaves under `root` begin with the `old` leaves under `old_root`."""
    if old == size:
        return old_root == root
    if not 0 < old < size:
        return False
    hashes = [old_root, *path] if old & (old - 1) == 0 else path
    place, last = old - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    return bool(hashes) and _climb(place, last, hashes[1:], hashes[0], hashes[0]) == (old_root, root)


def signed(key: bytes, signature: bytes, data: bytes) -> bool:
    """Whether the owner of an Ed25519 public key has signed some bytes."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def good_until(records: Iterable[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """The keys that a register has for each gateway (hex), with the time of receipt until which each is good. [ns]"""
    found: dict[str, dict[str, int]] = {}
    for record in records:
        keys, until = found.setdefault(record["gateway"], {}), record.get("until") or _FOREVER
        keys |= {key: _FOREVER for key in record.get("keys", ()) if key not in keys}
        keys |= {key: min(end, record["at"] if record["kind"] == "revoked" else until) for key, end in keys.items()}
        if record.get("key") and record["kind"] != "revoked":
            keys[record["key"]] = _FOREVER
    return found


def reigns(records: Sequence[dict[str, Any]], key: bytes) -> list[bytes]:
    """A collector's key and those before it, as far as each has signed that the next one follows."""
    keys = [key]
    for record in reversed(records):
        if record["kind"] == "handed_over" and record["key"] == keys[-1].hex():
            old, word = bytes.fromhex(record["keys"][0]), bytes.fromhex(record["signed"])
            said = unpack(word[65:])
            if signed(old, word[1:65], b"em/handover" + word[:1] + word[65:]) and said["new"] == keys[-1]:
                keys.append(old)
    return keys


def open_notes(text: str, names: dict[str, bytes]) -> Iterator[tuple[int, bytes, str, str]]:
    """Size, root, tick and register of each checkpoint in a text; ValueError names one that is not signed.

    names: of trees, with the keys that sign for them.
    """
    end = 0
    for number, note in enumerate(_NOTE.finditer(text), 1):
        lines = note[1].split("\n")
        words = [base64.b64decode(w.rpartition(" ")[2]) for w in note[2].splitlines() if w.startswith(f"— {lines[0]} ")]
        if text[end : note.start()].strip() or lines[0] not in names:
            raise ValueError(f"checkpoint {number} is not of {next(iter(names))}, or something stands before it")
        if not any(signed(names[lines[0]], word[4:], note[1].encode()) for word in words):
            raise ValueError(f"checkpoint {number}, of {lines[1]} leaves, is not signed by the collector")
        yield int(lines[1]), base64.b64decode(lines[2]), lines[3], lines[4].removeprefix("register ")
        end = note.end()
    if text[end:].strip():
        raise ValueError(f"after {end} characters stands what is no checkpoint")


def uncovered(first: int, last: int, parts: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """What some parts leave of a range. All of these have their last number in them."""
    for low, high in sorted(parts):
        if first <= last and low > first:
            yield first, min(last, low - 1)
        first = max(first, high + 1)
    if first <= last:
        yield first, last


def compare(expected: Iterable[Row], actual: Iterable[Row], report: Callable[[str, Row], None]) -> None:
    """Report each row that is altered, missing, added or reordered; `expected` comes from the batches."""
    want, have = iter(expected), iter(actual)
    wanted: deque[Row] = deque(islice(want, _WINDOW))
    found: deque[Row] = deque(islice(have, _WINDOW))
    missing: dict[Row, Row] = {}
    added: dict[Row, Row] = {}
    odd = 0
    while (wanted or found) and odd < _MOST:
        if wanted and found and wanted[0] == found[0]:
            wanted.popleft()
            found.popleft()
        else:
            odd += 1
            of_batches = bool(found) and found[0] in wanted
            of_file = not of_batches and bool(found) and (not wanted or wanted[0] in found)
            if not of_file:
                row = wanted.popleft()
                missing[row[-4:]] = row
            if not of_batches and found:
                row = found.popleft()
                added[row[-4:]] = row
        if len(wanted) < _WINDOW // 2 or len(found) < _WINDOW // 2:
            wanted.extend(islice(want, _WINDOW - len(wanted)))
            found.extend(islice(have, _WINDOW - len(found)))
    for key, row in missing.items():
        other = added.pop(key, None)
        report("missing" if other is None else "reordered" if other == row else "altered", other or row)
    for row in added.values():
        report("added", row)


# --- the bundle ------------------------------------------------------------------------------------


class Members:
    """The files in a zip file, none of them believed to be what it says. names: of all, twice where one is twice."""

    def __init__(self, bundle: zipfile.ZipFile) -> None:
        self.bundle, self.names = bundle, Counter(bundle.namelist())

    def open(self, name: str) -> IO[bytes]:
        """A file to read in parts; ValueError where it is none that an export has."""
        if name not in self.names:
            raise ValueError(f"{name} is missing")
        about = self.bundle.getinfo(name)
        if about.flag_bits & 1 or about.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{name} is encrypted, or compressed otherwise than an export is")
        return self.bundle.open(about)

    def read(self, name: str) -> bytes:
        """A file as a whole; ValueError where it is larger than one of its kind ever is, whatever size it says."""
        most = _READ[name.rpartition("/")[2]]
        with self.open(name) as file:
            data = file.read(most + 1)
        if len(data) > most:
            raise ValueError(f"{name} has more than {most} bytes")
        return data

    def table(self, name: str) -> Iterator[list[str]]:
        """The rows of a CSV file, header included; ValueError names the file and what is wrong with it."""
        size = 0

        def lines(text: io.TextIOWrapper) -> Iterator[str]:
            nonlocal size
            while line := text.readline(_ROW):
                if (size := size + len(line)) >= _ROW:
                    raise ValueError(f"a row of more than {_ROW} characters")
                yield line

        try:
            with self.open(name) as raw:
                for row in csv.reader(lines(io.TextIOWrapper(raw, "utf-8", newline=""))):
                    yield row
                    size = 0
        except _UNREADABLE as error:
            raise ValueError(f"{name}: {why(error)}") from error


class Plant:
    """One plant's part of a bundle. broken, note: take a place and a sentence; the first is a fault, the other is not.

    about: what the manifest says of it. keys: of its gateways, with the time until which each is good [ns].
    heads: what the register of identities was in the course of time. older: pass over what a witness has seen later.
    names: of its tree, with the collector's keys, the newest first.
    """

    def __init__(
        self, bundle: Members, id: str, about: dict[str, Any], *, broken: Report, note: Report,
        keys: dict[str, dict[bytes, int]], heads: set[str], collectors: list[bytes], older: bool,
        authors: dict[str, str],
    ) -> None:  # fmt: skip
        self.authors, self.marked, self.told = authors, list[tuple[str, dict[str, Any], Any]](), list[str]()
        self.id, self.about, self.broken, self.note, self.keys = id, about, broken, note, keys
        self.heads, self.older = heads, older
        self.bundle, self.names = bundle, {f"emitwatch/{key.hex()[:16]}/{id}": key for key in collectors}
        self.size, self.root, self.measurements, self.batches, self.witnessed = 0, b"", 0, 0, False
        self.vouched = 0  # so many leaves an earlier checkpoint knows
        self.seen: dict[int, None] = {}
        self.shown: set[str] = set()  # months in which something was received
        self.bad: set[tuple[str, str, str]] = set()
        self.streams: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
        self.gaps: set[tuple[str, str, int, int]] = set()

    def name(self, file: str) -> str:
        """A file's name in the bundle."""
        return f"plants/{self.id}/{file}"

    def table(self, file: str) -> Iterator[list[str]]:
        """The rows of one of its CSV files, header included."""
        return self.bundle.table(self.name(file))

    def check(self, witness: str) -> None:
        """Everything about the plant."""
        parts: dict[str, Callable[[], None]] = {"checkpoint.txt": lambda: self.checkpoints(witness)}
        for file, part in (parts | {"marks.csv": self.marks, "batches.csv": self.rows}).items():
            try:
                part()
            except _UNREADABLE as error:
                self.broken(self.name(file), f"cannot be read to its end: {why(error)}")

    def checkpoints(self, witness: str) -> None:
        """The tree's root, and that it begins with every earlier checkpoint."""
        last, before = self.text("checkpoint.txt"), self.text("checkpoints.txt")
        if not last.strip():
            raise ValueError("no checkpoint")
        self.size, self.root, end, _ = next(open_notes(last, self.names))
        if self.size != self.about["size"]:
            self.broken(self.name("checkpoint.txt"), f"{self.size} leaves, but {self.about['size']} in the manifest")
        own = "".join(f"{note[0]}\n" for note in _NOTE.finditer(witness) if note[1].split("\n")[0] in self.names)
        self.witnessed = bool(own)
        sizes = {note[1].split("\n")[1] for text in (before, last, own) for note in _NOTE.finditer(text)}
        paths = {int(size): path[:_PATH] for size, path in self.table("consistency.csv") if size in sizes}
        texts = ((self.name("checkpoints.txt"), before), (self.name("checkpoint.txt"), last), ("witness", own))
        for source, text in texts:
            for size, root, tick, register in open_notes(text, self.names):
                path = [bytes.fromhex(word) for word in paths.get(size, "").split()]
                if tick > end and self.older and source == "witness":
                    continue
                if register not in self.heads:
                    self.broken(source, f"identities.jsonl does not continue the register of {tick}: it was exchanged")
                if size > self.size:
                    made = f", unless it was made before {tick}: then --older" if tick > end else ""
                    self.broken(source, f"{size} leaves at {tick}, but the export has {self.size}: cut off{made}")
                elif size and not consistent(size, self.size, root, self.root, path):
                    self.broken(source, f"the tree does not begin with the {size} leaves of {tick}: it was rewritten")
                else:
                    self.vouched = max(self.vouched, size)

    def text(self, file: str) -> str:
        """A small file as text."""
        return self.bundle.read(self.name(file)).decode()

    def rows(self) -> None:
        """The batches, and the rows of the CSV against them."""
        low, high = self.about["from_ns"], self.about["to_ns"]
        asked = [(column, {cell(name) for name in self.about[key]})
                 for key, column in (("points", 1), ("gateways", 7)) if self.about.get(key)]  # fmt: skip
        expected = (row for body in self.bodies() for row in rows(body, low, high)
                    if all(row[column] in names for column, names in asked))  # fmt: skip
        table = self.table("measurements.csv")
        if tuple(next(table, ())) != COLUMNS:
            self.broken(self.name("measurements.csv"), "the heading is not that of an export")
        odd: list[tuple[str, Row]] = []
        compare(expected, map(tuple, table), lambda what, row: odd.append((what, row)))
        for _ in expected:  # the batches after the last row that was compared
            pass
        first, count = self.about["first"], self.about["count"]
        if self.about["complete"] and (first, count) != (0, self.size):
            self.broken(self.name("batches.csv"), f"not whole: leaves {first} to {first + count - 1} of {self.size}")
        gone = self.absent()
        for low_leaf, high_leaf in uncovered(first, first + count - 1, gone):
            for leaf in range(low_leaf, high_leaf + 1):
                if leaf not in self.seen:
                    self.broken(self.name("batches.csv"), f"missing: the batch of leaf {leaf}")
        for stream in sorted(self.streams):
            self.chain(*stream, self.streams[stream])
        for place, mark, sha in self.marked:
            if low <= mark["from_ns"] and mark["to_ns"] <= high and sha.hexdigest() != mark["old"]["sha256"]:
                (self.note if gone else self.broken)(place, "what it speaks of is not what the export holds")
        for what, row in odd:
            if tuple(row[-4:-1]) not in self.bad:
                self.broken(self.name("measurements.csv"), f"row {what}: {','.join(row)}")

    def absent(self) -> list[tuple[int, int]]:
        """First and last leaf of months that are elsewhere or expired, as far as an earlier checkpoint has them."""
        gone: list[tuple[int, int]] = []
        for said in self.about.get("absent", ()):
            month, state, low = str(said["month"]), str(said["state"]), int(said["first"])
            high, place = low + int(said["count"]), f"plants/{self.id}: month {month}"
            if state not in ("archived", "expired") or not low < high <= self.vouched:
                self.broken(place, f"said to be {state}, but no checkpoint before this export has its leaves")
            elif month in self.shown:
                self.broken(place, f"said to be {state}, but some of its batches are here: others were taken out")
            else:
                self.note(
                    place, f"{state}: its batches, leaves {low} to {high - 1}, are in the tree and not in the export"
                )
                gone.append((low, high - 1))
        return gone

    def bodies(self) -> Iterator[dict[str, Any]]:
        """Each batch that is as it was sealed, in order, after all checks of it."""
        proofs, table, after = islice(self.table("proofs.csv"), 1, None), self.table("batches.csv"), (-1, 0, 0)
        if tuple(next(table, ())) != INDEX:
            self.broken(self.name("batches.csv"), "the heading is not that of an export")
        known: dict[str, str] = {}
        again = 0  # bytes that are read once more, for rows that have changed places
        with self.bundle.open(self.name("batches.bin")) as data:
            for line in table:
                row = dict(zip(INDEX, line, strict=True))
                offset, length = int(row["offset"]), int(row["bytes"])
                again += offset if offset < data.tell() else 0
                if not (offset >= 0 and 0 <= length <= _INFLATED and again <= _AGAIN):
                    raise ValueError(f"offset {offset}, {length} bytes: no place that a batch can have")
                data.seek(offset)
                payload = data.read(length)
                ahead = islice(proofs, _WINDOW - len(known))
                while row["leaf"] and row["leaf"] not in known and (proof := next(ahead, None)):
                    known[proof[0]] = proof[1][:_PATH]
                body = self.batch(row, payload, known.pop(row["leaf"], ""), after)
                after = max(after[0], int(row["leaf"] or -1)), int(row["position"]), int(row["received_ns"])
                if body and row["kind"] == "batch":
                    self.speak(int(row["position"]), _sha(payload), body)
                    self.measurements, self.batches = self.measurements + body["n"], self.batches + 1
                    if self.batches % _TELL == 0 and sys.stderr.isatty():
                        done = plain(f"plant {self.id}: {self.batches} of {self.about['count']} batches ")
                        sys.stderr.write(f"\r{done}")
                    yield body

    def batch(
        self, row: dict[str, str], payload: bytes, proof: str, after: tuple[int, int, int]
    ) -> dict[str, Any] | None:
        """The body of a batch, None where it is broken. after: leaf, position and receive time before it."""
        sha, key = _sha(payload), (row["gateway"], row["epoch"], row["seq"])
        place = (f"{self.name('batches.csv')}: batch {row['seq']} of gateway {row['gateway']}, "
                 f"epoch {row['epoch'][:16]}, leaf {row['leaf'] or 'none'}")  # fmt: skip
        held: dict[str, Any] = {"sha": None, "prev": None, "low": 0}
        body: dict[str, Any] = {}
        fault = "altered: its bytes are not those of the index" if sha.hex() != row["sha256"] else ""
        sealed, keys = b"em/batch" + payload[:1] + payload[65:], self.keys.get(row["gateway"], {})
        signer = next((k for k in reversed(keys) if signed(k, payload[1:65], sealed)), None)
        if signer is None:
            fault = fault or "altered or added: its gateway's key has not signed it"
        elif int(row["received_ns"]) > keys[signer] + _GRACE_NS:
            fault = fault or f"signed with a key that was good until {instant(keys[signer])} only"
        elif row["kind"] == "batch":
            body = decode(payload)
            said = (body["gw"], body["ep"].hex(), str(body["seq"]), body["plant"])
            if said != (*key, self.id):
                fault = fault or f"it says it is batch {said[2]} of {said[0]}, epoch {said[1]}, plant {said[3]}"
        misplaced = self.place(row, sha, proof, after)  # a batch that is altered is not missing as well
        fault = fault or misplaced
        if fault:
            self.broken(place, fault)
            self.bad.add(key)
        else:
            held = {"sha": sha, "prev": body.get("prev"), "low": body.get("low", 0), **body}
        stream = self.streams.setdefault(key[:2], {})
        if row["kind"] == "batch" and stream.get(int(row["seq"]), {}).get("n") is not None and not fault:
            self.broken(place, "replayed: the number is there already")
            return None
        if int(row["seq"]) not in stream or body:
            stream[int(row["seq"])] = {k: held.get(k) for k in ("sha", "prev", "low", "n", *HELLO)}
        if body.get("kind") == "gap" and not fault:
            gap = body["gap"] if isinstance(body.get("gap"), dict) else {"ep": body.get("gap_ep", body["ep"]), **body}
            self.gaps.add((key[0], gap["ep"].hex(), gap["from_seq"], gap["to_seq"]))
        return None if fault else body

    def place(self, row: dict[str, str], sha: bytes, proof: str, after: tuple[int, int, int]) -> str:
        """What is wrong with a batch's place in journal and tree."""
        if int(row["received_ns"]) < after[2] or int(row["position"]) <= after[1]:
            return "reordered or back-dated: received before the batch that stands before it"
        if row["kind"] != "batch":
            return ""
        leaf = int(row["leaf"] or -1)
        if leaf in self.seen or not 0 <= leaf - self.about["first"] < self.about["count"]:
            return "added: it has no place of its own in the tree"
        self.seen[leaf] = None
        self.shown.add(instant(int(row["received_ns"]))[:7])
        if leaf < after[0]:
            return "reordered: it stands after a later one"
        return self.leaf(row, leaf, sha, proof)

    def leaf(self, row: dict[str, str], leaf: int, sha: bytes, proof: str) -> str:
        """What is wrong with an entry's leaf."""
        data = int(row["position"]).to_bytes(8, "big") + int(row["received_ns"]).to_bytes(8, "big") + sha
        path = [bytes.fromhex(word) for word in proof.split()]
        if not included(_sha(b"\x00", data), leaf, self.size, path, self.root):
            return "not what the tree has there: back-dated, exchanged, or its proof altered"
        return ""

    def marks(self) -> None:
        """Each mark: who signed it, when, where it stands in the tree, and the mark before it."""
        last, prev = [-1, 0, 0], ""
        for *words, text, proof in islice(self.table("marks.csv"), 1, None):
            payload, here = base64.b64decode(text), [int(word or -1) for word in words]
            mark, sha, row = json.loads(payload[65:]), _sha(payload), dict(zip(MARKS, words, strict=False))
            place = f"{self.name('marks.csv')}: mark {words[1]} of author {mark['author']}"
            key, fault = bytes.fromhex(self.authors.get(mark["author"], "")), self.leaf(row, here[0], sha, proof)
            if not signed(key, payload[1:65], b"em/mark" + payload[:1] + payload[65:]):
                fault = "altered or added: its author's key has not signed it"
            elif abs(mark["made_ns"] - here[2]) > _TOLERANCE_NS:
                fault = f"back-dated: it says it was made at {instant(mark['made_ns'])}"
            elif mark.get("prev", "") != prev or any(a < b for a, b in zip(here, last, strict=True)):
                fault = fault or "reordered, or one before it is missing or altered: the chain of hashes is broken"
            if fault:
                self.broken(place, fault)
            self.seen[here[0]], last, prev = None, here, sha.hex()
            self.marked.append((place, mark, hashlib.sha256()))
            span = f"{mark['point']}, {instant(mark['from_ns'])} to {instant(mark['to_ns'])}"
            record = "".join(f" {json.dumps(mark[kind], sort_keys=True)}" for kind in RECORDS if kind in mark)
            self.told.append(f"{place}, {instant(here[2])}: {mark['kind']}, {span}: {mark['reason']!r}{record}")

    def speak(self, position: int, sha: bytes, body: dict[str, Any]) -> None:
        """Note a batch for the marks that speak of it."""
        times = struct.unpack(f"<{body['n']}q", body["time"]) if self.marked and body["n"] else ()
        for _, mark, about in self.marked if times else ():
            low, high = mark["from_ns"] - body["first_ns"], mark["to_ns"] - body["first_ns"]
            if position <= mark["old"]["position"] and min(times) < high and max(times) >= low:
                about.update(sha)

    def chain(self, gateway: str, epoch: str, batches: dict[int, dict[str, Any]]) -> None:
        """Sequence and hashes of one stream."""
        place, numbers = f"plants/{self.id}: gateway {gateway}, epoch {epoch[:16]}", sorted(batches)
        held, whole = batches[numbers[-1]]["low"] or 0, self.about["complete"]
        away = bool(self.about.get("absent"))
        given_up = [(a, b) for g, e, a, b in self.gaps if (g, e) == (gateway, epoch)]  # the gateway has said so
        for a, b in pairwise([0, *numbers] if whole else numbers):
            for first, last in uncovered(a + 1, b - 1, given_up) if b > a + 1 else ():
                elsewhere = "outside the export" if not whole else "in a month that is not here" if away else ""
                waits = "not delivered yet" if 0 < held <= first else f"{elsewhere}, or missing" if elsewhere else ""
                (self.note if waits else self.broken)(place, f"batches {first} to {last}: {waits or 'missing'}")
            before, batch = batches.get(a, {}).get("sha"), batches[b]
            if b == a + 1 and before and batch["prev"] and batch["prev"] != before:
                self.broken(place, f"batch {b} does not follow batch {a}: the chain of hashes is broken")
        hello = batches.get(1, {})
        if hello.get("prev_ep") and hello.get("prev_last_seq"):
            end = self.streams.get((gateway, hello["prev_ep"].hex()), {}).get(hello["prev_last_seq"])
            if end is None and whole:
                self.note(place, f"the epoch before it, {hello['prev_ep'].hex()[:16]}, is not delivered to its end")
            elif end and end["sha"] and end["sha"] != hello["prev_last_hash"]:
                self.broken(place, "does not follow the epoch before it: the chain of hashes is broken")


HELLO = ("prev_ep", "prev_last_seq", "prev_last_hash")


class Enough(Exception):
    """So many faults are told that nothing more is looked at."""


class Bundle:
    """An export. broken, notes: what was found, sentences that begin with the place. at: what is being read."""

    def __init__(self, key: str, witness: str, *, older: bool) -> None:
        self.key, self.witness, self.older = key.lower(), witness, older
        self.broken: list[str] = []
        self.notes: list[str] = []
        self.summary: list[str] = []
        self.at = "manifest.json"

    def fault(self, place: str, what: str) -> None:
        """Something is broken."""
        self.broken.append(f"{place}: {what}"[:_WORDS])
        if len(self.broken) >= _FAULTS:
            raise Enough

    def note(self, place: str, what: str) -> None:
        """Something is not there, and explained."""
        if len(self.notes) < _FAULTS:
            self.notes.append(f"{place}: {what}"[:_WORDS])

    def check(self, file: IO[bytes], name: str) -> None:
        """Everything, as far as it can be read."""
        try:
            self.bundle = Members(zipfile.ZipFile(file))
        except _UNREADABLE as error:
            return self.fault(name, f"cut short or damaged, no whole zip file: {why(error)}")
        try:
            self.parts()
        except Enough:
            pass
        except _UNREADABLE as error:
            self.broken.append(f"{self.at}: cannot be read: {why(error)}"[:_WORDS])

    def parts(self) -> None:
        """Manifest, keys, files, register, and each plant."""
        raw = self.bundle.read("manifest.json")
        manifest = json.loads(raw)
        if manifest["format"] != FORMAT:
            raise ValueError(f"format {manifest['format']}; this verifier reads {FORMAT}")
        self.at = "keys.json"
        keys = json.loads(self.bundle.read("keys.json"))
        collector, known = bytes.fromhex(keys["collector"]), defaultdict[str, dict[str, Any]](dict)
        for gateway, of in keys["gateways"].items():
            known[of["plant"]][gateway] = [(key["key"], bytes.fromhex(key["key"])) for key in of["keys"]]
        self.at = "manifest.sig"
        if not signed(collector, bytes.fromhex(self.bundle.read("manifest.sig").decode()), b"em/export" + raw):
            self.fault("manifest.json", "altered: the collector's signature does not fit")
        self.at = "manifest.json"
        self.files(manifest["files"])
        self.at = "identities.jsonl"
        ever, heads, collectors = self.register(collector)
        self.at = "keys.json"
        if self.key and self.key not in [key.hex() for key in collectors]:
            self.fault("keys.json", f"signed by {collector.hex()}, which is not the collector's key {self.key}")
        for unproved in set(keys.get("collector_before", ())) - {key.hex() for key in collectors}:
            self.fault("keys.json", f"no hand-over in identities.jsonl leads from {unproved} to the collector's key")
        witnessed = False
        for id, about in manifest["plants"].items():
            self.at = f"plants/{id}"
            held = {gateway: {key: ever.get(gateway, {}).get(hex, _FOREVER) for hex, key in all}
                    for gateway, all in known[id].items()}  # fmt: skip
            plant = Plant(self.bundle, id, about, broken=self.fault, note=self.note, keys=held, heads=heads,
                          collectors=collectors, older=self.older, authors=keys["authors"][id])  # fmt: skip
            plant.check(self.witness)
            witnessed |= plant.witnessed
            self.summary += [(f"plant {id}: {plant.measurements} measurements in {plant.batches} batches, "
                              f"of a tree of {plant.size} with root {plant.root.hex()}"), *plant.told]  # fmt: skip
        if self.witness and not witnessed:
            self.fault("witness", "holds no checkpoint of a plant of this export, made by this collector")
        said = "the key given" if self.key else "is it the key you know? --key checks it"
        self.summary.append(f"signed by collector {collector.hex()} ({said})")

    def register(self, collector: bytes) -> tuple[dict[str, dict[str, int]], set[str], list[bytes]]:
        """Keys of the register of identities, its head after each line ("" = of an empty one), the collector's keys."""
        head, heads, records = "0" * 64, {""}, []
        for number, line in enumerate(self.bundle.read("identities.jsonl").decode().splitlines(keepends=True), 1):
            records.append(json.loads(line))
            if records[-1]["prev"] != head:
                self.fault(f"identities.jsonl:{number}", "does not follow the line before: altered, taken out or moved")
            head = _sha(line.encode()).hex()
            heads.add(head)
        return good_until(records), heads, reigns(records, collector)

    def files(self, listed: dict[str, dict[str, Any]]) -> None:
        """Each file against the manifest."""
        names = self.bundle.names
        if len(names) > _MEMBERS:
            raise ValueError(f"{len(names)} files, of {_MEMBERS} at most")
        for name, times in names.items():
            if name not in listed and name not in ("manifest.json", "manifest.sig"):
                self.fault(name, "added: the manifest has no such file")
            elif times > 1:
                self.fault(name, "added: it is twice")
        for name, about in listed.items():
            try:
                sha = hashlib.sha256()
                with self.bundle.open(name) as file:
                    while part := file.read(1 << 20):
                        sha.update(part)
                if sha.hexdigest() != about["sha256"]:
                    self.fault(name, "altered: it is not the file of the manifest")
            except _UNREADABLE as error:
                self.fault(name, "missing" if name not in names else f"damaged: {why(error)}")


def show(out: TextIO, *lines: str) -> None:
    """Print lines, and nothing but lines, whoever has written what is in them."""
    text = "".join(f"{plain(line)}\n" for line in lines)
    try:
        text.encode(out.encoding or "utf-8")
    except UnicodeEncodeError:
        text = "".join(c if c.isascii() else json.dumps(c)[1:-1] for c in text)
    out.write(text)


def tell(found: Bundle, name: str, *, as_json: bool) -> int:
    """Print what was found; the exit code."""
    number = len(found.broken)
    if as_json:
        report = {"file": name, "valid": not number, "broken": found.broken, "notes": found.notes,
                  "summary": found.summary}  # fmt: skip
        show(sys.stdout, *json.dumps(report, ensure_ascii=False, indent=1).split("\n"))
        return 1 if number else 0
    lines = [f"BROKEN {line}" for line in found.broken[:_SHOWN]] + [f"note   {line}" for line in found.notes[:_SHOWN]]
    if number > _SHOWN:
        lines.append(f"... and {number - _SHOWN} more")
    verdict = f"broken: {number} fault{'' if number == 1 else 's'}" if number else "valid"
    show(sys.stdout, *lines, *found.summary, f"{name}: {verdict}")
    return 1 if number else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify an export; the exit code."""
    parser = argparse.ArgumentParser(prog="emitwatch verify", description="Prove an export, or say where it is broken.")
    parser.add_argument("file", metavar="FILE", type=Path, help="the export, as `emitwatch export` wrote it")
    parser.add_argument("--key", default="", metavar="HEX", help="the collector's public key, as you know it")
    parser.add_argument("--witness", type=Path, metavar="FILE", help="checkpoints that somebody else has kept")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--older", action="store_true", help="the export is older than the newest of them")
    options = parser.parse_args(arguments)
    opening = options.witness
    try:
        witness = opening.read_text(encoding="utf-8") if opening else ""
        opening = options.file
        with opening.open("rb") as file:
            found = Bundle(options.key, witness, older=options.older)
            found.check(file, str(opening))
    except OSError as error:
        show(sys.stderr, f"{opening}: {error.strerror or error}")
        return 2
    except UnicodeDecodeError:
        show(sys.stderr, f"{opening}: no checkpoints, which are text in UTF-8")
        return 2
    return tell(found, str(options.file), as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
