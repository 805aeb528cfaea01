"""Leaves of the plants' trees, made from journal entries. Pure.

A plant's tree has one leaf for each batch and each mark of the plant, in the order of the journal. What is in
quarantine is in no tree: the collector did not believe it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from collector.proof.tree import leaf_data, leaf_hash
from collector.store import Entry, EntryKind
from gateway import seal, wire

_MAX_STREAMS = 10_000


@dataclass(frozen=True, slots=True)
class Leaf:
    """A leaf on its way into a tree. position: of its entry in the journal. hash: of the leaf."""

    plant: str
    position: int
    hash: bytes


class _Plant(msgspec.Struct):
    """The little of a batch that says whose it is."""

    plant: wire.Name


@dataclass(slots=True)
class Planter:
    """Makes leaves. A stream's plant is read once: an epoch is one run of a gateway, which is bound to one plant."""

    _plants: dict[tuple[str, bytes], str] = field(default_factory=dict)

    def leaves(self, entries: Iterable[Entry]) -> Iterator[Leaf]:
        """The leaves of some entries; a batch or mark that cannot be read, and never could, has the plant ""."""
        for entry in entries:
            if entry.kind is EntryKind.BATCH:
                yield Leaf(self._plant(entry), entry.position, entry_leaf(entry))
            elif entry.kind is EntryKind.MARK:
                yield Leaf(plant_of_mark(entry.payload), entry.position, entry_leaf(entry))

    def _plant(self, entry: Entry) -> str:
        stream = (entry.gateway, entry.epoch)
        plant = self._plants.get(stream)
        if plant is None:
            if len(self._plants) >= _MAX_STREAMS:
                self._plants.clear()
            plant = plant_of(entry.payload)
            if plant:
                self._plants[stream] = plant
        return plant


def entry_leaf(entry: Entry) -> bytes:
    """The leaf hash of an entry of the journal."""
    return leaf_hash(leaf_data(entry.position, entry.received_ns, seal.digest(entry.payload)))


_packed = msgspec.msgpack.Decoder(_Plant).decode


def plant_of(payload: bytes) -> str:
    """The plant that a batch names, "" where it cannot be read."""
    try:
        packed = zlib.decompressobj().decompress(payload[1 + seal.SIGNATURE_BYTES :], wire.MAX_INFLATED)
        return _packed(packed).plant
    except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""


_text = msgspec.json.Decoder(_Plant).decode


def plant_of_mark(payload: bytes) -> str:
    """The plant that a mark names, "" where it cannot be read."""
    try:
        return _text(payload[1 + seal.SIGNATURE_BYTES :]).plant
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
