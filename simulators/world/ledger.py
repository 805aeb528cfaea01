"""The collector's journal in memory, on a disk that can be full, fail, and be put back from a backup.

Implements `collector.intake.desk.Ledger`, and stands in for `collector.intake.journal`. What the journal really
holds is counted here a second time, from its entries alone (`Truth`), so that the oracle need not believe what
the collector says of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

from collector.intake.generation import Mark, following, went_back
from collector.intake.inbox import Ranges, Stream
from collector.reading import decoded
from collector.store import Entry, EntryKind
from gateway import wire
from gateway.measurement import SECOND_NS
from gateway.seal import SIGNATURE_BYTES, digest
from simulators.world.dice import Dice

_BODY = attrgetter("kind", "gateway", "epoch", "seq", "payload", "first_ns", "last_ns")
_KEPT = (EntryKind.BATCH, EntryKind.QUARANTINE)


class Refused(Exception):
    """The journal's disk refuses. full: there is no room; else it fails, and nobody knows what is on it."""

    def __init__(self, *, full: bool) -> None:
        super().__init__("full" if full else "failed")
        self.full = full


class Backup(NamedTuple):
    """A journal as it was. length: how many entries it had."""

    length: int
    streams: dict[Stream, Ranges]
    generation: tuple[int, bytes]
    starts: int


class Declared(NamedTuple):
    """A gap record, and where it stands. missing: how many of its numbers the journal lacked then."""

    gateway: str
    key: tuple[bytes, int]
    ep: bytes
    from_seq: int
    to_seq: int
    n: int
    missing: int


@dataclass(slots=True)
class Truth:
    """Numbers of a stream: in the journal or declared, or ever named. upto: all of 1 .. upto; above: further ones."""

    upto: int = 0
    above: set[int] = field(default_factory=set)

    def __contains__(self, seq: int) -> bool:
        return seq <= self.upto or seq in self.above

    def add(self, seqs: Iterable[int]) -> None:
        """These are there too."""
        for seq in seqs:
            if seq > self.upto:
                self.above.add(seq)
        while self.upto + 1 in self.above:
            self.upto += 1
            self.above.discard(self.upto)

    def holds(self, first: int, last: int) -> bool:
        """Whether all of first .. last are there."""
        return self.above.issuperset(range(max(first, self.upto + 1), last + 1))


class Ledger:
    """full, failing: how the disk is. generation, starts: as of the journal."""

    def __init__(self, dice: Dice, now_ns: int) -> None:
        self.full = self.failing = False
        self.entries: list[Entry] = []
        self.truth: dict[Stream, Truth] = {}
        self.declared: list[Declared] = []
        self.starts = 0
        self._dice, self.received_ns = dice, 0
        self._streams: dict[Stream, Ranges] = {}
        self._found: dict[tuple[Stream, int], list[bytes]] = {}
        self._ghost: tuple[Sequence[Entry], Mapping[Stream, Ranges]] | None = None
        self._mark: Mark | None = None
        self._decoded: dict[bytes, wire.Batch] = {}
        self.generation = (following(None, 0, now_ns // SECOND_NS), dice.bytes(8))
        self.mark()

    # --- what befalls it -----------------------------------------------------------------------------

    def backup(self) -> Backup:
        """A copy."""
        return Backup(len(self.entries), dict(self._streams), self.generation, self.starts)

    def restore(self, backup: Backup) -> list[Entry]:
        """Put a copy back; the entries that are gone."""
        gone = self.entries[backup.length :]
        kept = self.entries[: backup.length]
        self.entries, self.truth, self.declared, self._found = [], {}, [], {}
        self._streams, self.generation, self.starts = dict(backup.streams), *backup[2:]
        self._ghost, self.received_ns = None, 0
        for entry in kept:
            self._enter(entry)
        return gone

    def open(self, now_ns: int, *, restored: bool = False) -> bool:
        """A process opens the journal; whether it found it restored. now_ns: time of day. [ns since 1970 UTC]"""
        if self._ghost and self._dice.chance(0.5):  # a disk that failed may have written all the same
            self._add(*self._ghost)
        self._ghost = None
        found = restored or went_back(self._mark, self.generation, len(self.entries))
        if found:
            number = following(self._mark, self.generation[0], now_ns // SECOND_NS)
            self.generation = (number, self._dice.bytes(8))
        self.starts += 1
        self.mark()
        return found

    def mark(self) -> None:
        """Note beside the journal how far it is."""
        self._mark = Mark(*self.generation, len(self.entries))

    def read(self, entry: Entry) -> wire.Batch:
        """A batch of the journal; the same bytes are read once."""
        found = self._decoded.get(entry.payload)
        if found is None:
            found = self._decoded[entry.payload] = decoded(entry.payload[1 + SIGNATURE_BYTES :])
        return found

    # --- desk.Ledger -----------------------------------------------------------------------------------

    def streams(self) -> dict[Stream, Ranges]:
        """Which batches of each stream are there; the stream used last stands last."""
        return dict(self._streams)

    def events(self, after: int, limit: int) -> list[Entry]:
        """Events with position > after."""
        return [entry for entry in self.entries[after:] if entry.kind is EntryKind.EVENT][:limit]

    def append(self, entries: Sequence[Entry], streams: Mapping[Stream, Ranges]) -> int:
        """Add entries, all or none."""
        if entries:
            if self.full:
                raise Refused(full=True)
            if self.failing:
                self._ghost = (list(entries), dict(streams))
                raise Refused(full=False)
            self._add(entries, streams)
        return len(self.entries)

    def _add(self, entries: Sequence[Entry], streams: Mapping[Stream, Ranges]) -> None:
        for entry in entries:
            self.received_ns = max(self.received_ns, entry.received_ns)
            received_ns, position = self.received_ns, len(self.entries) + 1
            self._enter(Entry(position, received_ns, *_BODY(entry)))
        for stream, ranges in streams.items():
            self._streams.pop(stream, None)
            self._streams[stream] = ranges

    def _enter(self, entry: Entry) -> None:
        self.entries.append(entry)
        if not entry.seq:
            return
        stream = entry.gateway, entry.epoch
        self._found.setdefault((stream, entry.seq), []).append(entry.payload)
        if entry.kind in _KEPT:
            self.truth.setdefault(stream, Truth()).add((entry.seq,))
            if entry.kind is EntryKind.BATCH:
                self.read(entry)  # the gate has just read it, and remembers it for moments only
            if entry.kind is EntryKind.BATCH and not entry.first_ns:
                self._declare(entry)

    def _declare(self, entry: Entry) -> None:
        batch = self.read(entry)
        if batch.header.kind != "gap":
            return
        gap = batch.fields["gap"]
        truth = self.truth.setdefault((entry.gateway, gap["ep"]), Truth())
        seqs = [seq for seq in range(gap["from_seq"], gap["to_seq"] + 1) if seq not in truth]
        span = gap["ep"], gap["from_seq"], gap["to_seq"], gap["n"]
        self.declared.append(Declared(entry.gateway, (entry.epoch, entry.seq), *span, len(seqs)))
        truth.add(seqs)

    def payloads(self, stream: Stream, seq: int) -> list[bytes]:
        """Everything received under a number of a stream, as received."""
        return list(self._found.get((stream, seq), ()))

    def hashes(self, stream: Stream, seq: int) -> set[bytes]:
        """SHA-256 of everything received under a number of a stream."""
        return {digest(payload) for payload in self._found.get((stream, seq), ())}
