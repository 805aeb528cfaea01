"""Writes an export: what the journal holds of some plants, with everything that proves it, in one zip file.

For each plant: the batches as received, the measurements in them as CSV, each batch's way to the
root of the plant's tree, and the collector's checkpoints; for all: the public keys and a signed
manifest. Rules of this file:

- the batches of an export are a whole stretch of the tree, also where a time is asked for, so that one
  left out shows; the CSV holds the measurements of that time alone;
- entries are written as they stand in the journal, believed or not: judging them is the verifier's work;
- leaves come from `tree.db`, where they were put when the batch came in, and from the journal only for
  what came since;
- of months that were archived or have expired it has the places in the tree, and says so;
- the same journal gives the same file, byte for byte.

The files and their columns: docs/reference/export.md.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import zipfile
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.proof import verifier
from collector.proof.checkpoint import Checkpoint, CheckpointError, origin, read_note, sign
from collector.proof.identities import Register
from collector.proof.leaf_file import Kept, ProofError
from collector.proof.leaves import Planter, plant_of_mark
from collector.proof.tree import Tree
from collector.store import Absent, Entry, EntryKind
from gateway import seal, wire
from gateway.identity import public_hex

READ = 500
_DATE = (1980, 1, 1, 0, 0, 0)  # of every file in the zip: it says nothing, and so the same data give the same bytes
END_NS = (1 << 63) - 1


class Readable(Protocol):
    """Where entries come from: `collector.intake.journal_files`, or any other reader of a journal."""

    @property
    def absent(self) -> Sequence[Absent]:
        """The months that were archived or have expired."""

    def read(self, after: int, limit: int) -> list[Entry]:
        """Up to `limit` entries with position > after, ordered by position."""

    def marks(self, after: int, limit: int) -> list[Entry]:
        """Up to `limit` marks with position > after, ordered by position."""

    def span(self, from_ns: int, to_ns: int) -> tuple[int, int] | None:
        """Positions of the first and the last batch with a measurement in [from_ns, to_ns)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is wanted: measurements of some plants in [from_ns, to_ns); None = without bound.

    gateways: id -> plant and public key in hex, "" where it is not known, as the site files have them.
    register: the register of identities, its text and what it says.
    authors: by plant, id -> public key in hex.
    points, only: points and gateways whose measurements go into the CSV; none = all.
    """

    plants: Sequence[str]
    gateways: Mapping[str, tuple[str, str]]
    authors: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    from_ns: int | None = None
    to_ns: int | None = None
    register: tuple[str, Register] = ("", Register())
    points: Collection[str] = ()
    only: Collection[str] = ()

    @property
    def whole(self) -> bool:
        """Whether everything is wanted."""
        return self.from_ns is None and self.to_ns is None


@dataclass(slots=True)
class Grove:
    """The trees of all plants. places: position -> plant and number of its leaf. end: the last entry looked at."""

    trees: dict[str, Tree] = field(default_factory=dict)
    positions: dict[str, list[int]] = field(default_factory=dict)
    places: dict[int, tuple[str, int]] = field(default_factory=dict)
    end: tuple[int, int] = (0, 0)

    def add(self, plant: str, position: int, leaf: bytes) -> None:
        """One more leaf, given by its hash."""
        tree = self.trees.setdefault(plant, Tree())
        self.places[position] = plant, tree.size
        self.positions.setdefault(plant, []).append(position)
        tree.append(leaf)


def export(
    journal: Readable, kept: Kept, order: Order, *, key: Ed25519PrivateKey, out: Path,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Write an export to a file that is not there yet, and return its manifest. Raises ProofError.

    progress: told the position of the journal from time to time.
    """
    if out.exists():
        raise ProofError(f"{out}: is there already; an export is never overwritten, choose another --out")
    grove = grow(journal, kept)
    try:
        with TemporaryDirectory(dir=out.parent, prefix=".export-") as folder:
            writing = _Writing(Path(folder), grove, order, key, kept)
            writing.write(journal, progress)
            manifest = writing.manifest()
            draft = Path(folder) / "export.zip"
            _pack(draft, Path(folder), sorted(writing.files), manifest, key)
            draft.replace(out)
    except OSError as error:
        raise ProofError(f"{out}: cannot be written: {error.strerror or error}") from error
    return manifest


def grow(journal: Readable, kept: Kept) -> Grove:
    """The trees as kept, and what the journal has since."""
    grove, planter = Grove(), Planter()
    for plant, leaves in kept.leaves.items():
        for position, hash in leaves:
            grove.add(plant, position, hash)
    for entry in entries(journal.read, kept.position, END_NS):
        for leaf in planter.leaves([entry]):
            grove.add(leaf.plant, leaf.position, leaf.hash)
        grove.end = entry.position, entry.received_ns
    if not grove.end[0]:  # nothing since; then the last entry kept gives the time
        last = journal.read(kept.position - 1, 1)
        grove.end = kept.position, last[0].received_ns if last else 0
    return grove


def entries(read: Callable[[int, int], list[Entry]], after: int, upto: int) -> Iterator[Entry]:
    """All entries that `read` gives with after < position <= upto."""
    while found := read(after, READ):
        for entry in found:
            if entry.position > upto:
                return
            yield entry
        after = found[-1].position


class _Writing:
    """An export on its way into a folder. files: the names written."""

    def __init__(self, folder: Path, grove: Grove, order: Order, key: Ed25519PrivateKey, kept: Kept) -> None:
        self.folder, self.grove, self.order, self.key, self.kept = folder, grove, order, key, kept
        self.files: list[str] = []
        self.from_ns = 0 if order.from_ns is None else order.from_ns
        self.to_ns = END_NS if order.to_ns is None else order.to_ns
        self.plants: dict[str, dict[str, Any]] = {}

    def write(self, journal: Readable, progress: Callable[[int], None]) -> None:
        """Everything but the manifest."""
        span = (1, END_NS) if self.order.whole else journal.span(self.from_ns, self.to_ns) or (1, 0)
        self._text("keys.json", _json({
            "collector": public_hex(self.key), "gateways": _keys(self.order),
            "collector_before": list(self.order.register[1].collector_keys[:-1]),
            "authors": {plant: self.order.authors.get(plant, {}) for plant in self.order.plants},
        }))  # fmt: skip
        self._text("identities.jsonl", self.order.register[0])
        with ExitStack() as stack:
            parts = {plant: self._part(plant, span, journal.absent, stack) for plant in self.order.plants}
            for entry in entries(journal.read, span[0] - 1, span[1]):
                if entry.position % READ == 0:
                    progress(entry.position)
                plant, leaf = self._whose(entry)
                if plant in parts:
                    parts[plant].add(entry, leaf)
        marks = list(entries(journal.marks, 0, self.grove.end[0]))
        for plant in self.order.plants:
            self._marks(plant, marks)
            self._checkpoints(plant)

    def _whose(self, entry: Entry) -> tuple[str, int | None]:
        """Plant and leaf of an entry; "" for one that belongs into no export."""
        if entry.kind is EntryKind.TICK or not entry.seq:
            return "", None
        if entry.kind is EntryKind.BATCH and entry.position in self.grove.places:
            return self.grove.places[entry.position]
        return self.order.gateways.get(entry.gateway, ("", ""))[0], None

    def _part(self, plant: str, span: tuple[int, int], absent: Sequence[Absent], stack: ExitStack) -> _Part:
        positions = self.grove.positions.get(plant, [])
        first, end = bisect_left(positions, span[0]), bisect_right(positions, span[1])
        tree = self.grove.trees.setdefault(plant, Tree())
        self.plants[plant] = {
            "first": first, "count": max(0, end - first), "size": tree.size, "complete": self.order.whole,
            "from_ns": self.from_ns, "to_ns": self.to_ns,
        }  # fmt: skip
        wanted = {"points": sorted(self.order.points), "gateways": sorted(self.order.only)}
        self.plants[plant] |= {key: names for key, names in wanted.items() if names}
        if gone := [place for one in absent if (place := _place(one, positions, first, end))["count"]]:
            self.plants[plant]["absent"] = gone
        names = ("batches.csv", "proofs.csv", "measurements.csv")
        tables = [stack.enter_context(self._open(f"plants/{plant}/{name}")) for name in names]
        path = self._path(f"plants/{plant}/batches.bin")
        return _Part(tree, tables, stack.enter_context(path.open("wb")), self.order)

    def _marks(self, plant: str, marks: Sequence[Entry]) -> None:
        """All marks of a plant, whatever span is wanted: what is said of it may be said at any time later."""
        tree = self.grove.trees[plant]
        with self._open(f"plants/{plant}/marks.csv") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(verifier.MARKS)
            for entry in marks:
                whose, leaf = self.grove.places.get(entry.position, (plant_of_mark(entry.payload), None))
                if whose == plant:
                    proof = "" if leaf is None else _hex(tree.inclusion(leaf, tree.size))
                    text = base64.b64encode(entry.payload).decode()
                    table.writerow(("" if leaf is None else leaf, entry.position, entry.received_ns, text, proof))

    def _checkpoints(self, plant: str) -> None:
        """The checkpoint of now, those before it, and that the tree begins with each of them."""
        tree, name = self.grove.trees[plant], origin(plant, self.key.public_key())
        position, received_ns = self.grove.end
        self._text(f"plants/{plant}/checkpoint.txt",
                   sign(Checkpoint(name, tree.size, tree.root(), received_ns, position,
                                   self.order.register[1].anchor), self.key))  # fmt: skip
        notes = self.kept.notes.get(plant, [])
        self._text(f"plants/{plant}/checkpoints.txt", "".join(f"{note}\n" for note in notes))
        sizes = set()
        for note in notes:
            try:
                sizes.add(read_note(note).size)
            except CheckpointError:
                continue  # it is in the export as it is, and the verifier says so
        with self._open(f"plants/{plant}/consistency.csv") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(("size", "hashes"))
            table.writerows((n, _hex(tree.consistency(n, tree.size))) for n in sorted(sizes) if 0 < n <= tree.size)

    def manifest(self) -> dict[str, Any]:
        """What is in the export, with the SHA-256 of each file."""
        listed = {}
        for name in sorted(self.files):
            path = self.folder / name
            with path.open("rb") as file:
                listed[name] = {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
        bounds = {"from": self.order.from_ns, "to": self.order.to_ns}
        return {
            "format": verifier.FORMAT,
            **{name: None if time_ns is None else verifier.instant(time_ns) for name, time_ns in bounds.items()},
            "received_until": verifier.instant(self.grove.end[1]), "plants": self.plants, "files": listed,
        }  # fmt: skip

    def _path(self, name: str) -> Path:
        self.files.append(name)
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _open(self, name: str) -> IO[str]:
        return self._path(name).open("w", encoding="utf-8", newline="")

    def _text(self, name: str, text: str) -> None:
        self._path(name).write_text(text, encoding="utf-8")


class _Part:
    """The files of one plant that grow batch by batch."""

    def __init__(self, tree: Tree, tables: Sequence[IO[str]], data: IO[bytes], order: Order) -> None:
        self.tree, self.data, self.order, self.offset = tree, data, order, 0
        self.batches, self.proofs, self.measurements = (csv.writer(file, lineterminator="\n") for file in tables)
        self.batches.writerow(verifier.INDEX)
        self.proofs.writerow(("leaf", "hashes"))
        self.measurements.writerow(verifier.COLUMNS)

    def add(self, entry: Entry, leaf: int | None) -> None:
        """One batch. leaf: its number in the tree; None for one that is in none."""
        self.batches.writerow((
            "" if leaf is None else leaf, entry.position, entry.received_ns, entry.kind.value, entry.gateway,
            entry.epoch.hex(), entry.seq, seal.digest(entry.payload).hex(), self.offset, len(entry.payload),
        ))  # fmt: skip
        self.data.write(entry.payload)
        self.offset += len(entry.payload)
        if leaf is not None:
            self.proofs.writerow((leaf, _hex(self.tree.inclusion(leaf, self.tree.size))))
        if entry.kind is EntryKind.BATCH:
            try:
                batch = wire.decode(entry.payload[1 + seal.SIGNATURE_BYTES :])
            except wire.WireError:
                return
            if not self.order.only or entry.gateway in self.order.only:
                self.measurements.writerows(_rows(batch, self.order))


def _keys(order: Order) -> dict[str, Any]:
    """The keys of each gateway, those before the present one included, with the time they are good for."""
    register = order.register[1]
    found: dict[str, dict[str, Any]] = {id: {"plant": identity.plant} for id, identity in register.identities.items()}
    ever = register.keys_ever()
    for id, (plant, hex) in order.gateways.items():
        if hex or id in found:
            found[id] = {"plant": plant}
            ever.setdefault(id, {}).setdefault(hex, (0, END_NS))
    for id, about in found.items():
        about["keys"] = [
            {"key": key, "from": _bound(from_ns, 0), "until": _bound(until_ns, END_NS)}
            for key, (from_ns, until_ns) in ever[id].items()
            if key
        ]
    return found


def _bound(time_ns: int, without: int) -> str | None:
    return None if time_ns == without else verifier.instant(time_ns)


def _place(absent: Absent, positions: Sequence[int], first: int, end: int) -> dict[str, Any]:
    """Which of the leaves [first, end) of a plant are of a month that is not here."""
    low = max(first, bisect_left(positions, absent.first))
    high = min(end, bisect_right(positions, absent.last))
    said = {"month": absent.month, "state": absent.state, "sha256": absent.sha256}
    return {**said, "first": low, "count": max(0, high - low)}


def _rows(batch: wire.Batch, order: Order) -> Iterator[verifier.Row]:
    from_ns, to_ns = order.from_ns or 0, END_NS if order.to_ns is None else order.to_ns
    columns, key = batch.columns, (verifier.cell(batch.header.gw), batch.header.ep.hex(), str(batch.header.seq))
    table = [tuple(map(verifier.cell, (s.point, s.sensor, s.parameter, s.unit))) for s in columns.series]
    values = (columns.series_index, columns.time_ns, columns.value, columns.status)
    for index, (series, time_ns, value, status) in enumerate(zip(*(v.tolist() for v in values), strict=True)):
        if from_ns <= time_ns < to_ns and (not order.points or columns.series[series].point in order.points):
            yield verifier.measurement_row(table[series], time_ns, value, status, key, index)


def _pack(out: Path, folder: Path, names: Collection[str], manifest: dict[str, Any], key: Ed25519PrivateKey) -> None:
    """The zip file of what was written, the manifest and its signature first."""
    raw = _json(manifest).encode()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as bundle:
        for name, content in (("manifest.json", raw), ("manifest.sig", key.sign(b"em/export" + raw).hex().encode())):
            bundle.writestr(zipfile.ZipInfo(name, _DATE), content, zipfile.ZIP_DEFLATED)
        for name in names:
            info = zipfile.ZipInfo(name, _DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            with (folder / name).open("rb") as file, bundle.open(info, "w", force_zip64=True) as member:
                while part := file.read(1 << 20):
                    member.write(part)


def _json(value: object) -> str:
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


def _hex(hashes: Sequence[bytes]) -> str:
    return " ".join(one.hex() for one in hashes)
