"""The Merkle tree of RFC 6962 over what a plant's journal holds, one leaf a batch, in journal order.

Its root stands for every batch and their order: whoever holds a root of yesterday can tell whether
today's tree still starts with yesterday's batches. Rules of this file:

- a leaf's hash covers the batch's position in the journal, its receive time and the SHA-256 of its
  payload, so that nothing of the three can be changed later;
- leaves and nodes are hashed with different first bytes, so that neither passes for the other;
- a tree grows at its right end and never otherwise. `Frontier` is the little that growing needs,
  `Tree` keeps all nodes, 64 bytes a leaf, for proofs.

Source: RFC 6962 section 2.1; the two verifying functions follow RFC 9162 sections 2.1.3.2 and 2.1.4.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_data(position: int, received_ns: int, payload_hash: bytes) -> bytes:
    """What a leaf stands for. received_ns: [ns since 1970 UTC]. payload_hash: SHA-256 of the payload as received."""
    return position.to_bytes(8, "big") + received_ns.to_bytes(8, "big") + payload_hash


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of the node above two."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """A tree as far as its root and its growth need it.

    size: number of leaves. peaks: roots of its full subtrees, from left to right, one for each bit of `size`.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def then(self, leaf: bytes) -> Frontier:
        """The tree with one more leaf, given by its hash."""
        peaks, node, size = list(self.peaks), leaf, self.size
        while size & 1:
            node = node_hash(peaks.pop(), node)
            size >>= 1
        return Frontier(self.size + 1, (*peaks, node))

    def root(self) -> bytes:
        """The root of the whole tree."""
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root


def extension(old: Frontier, size: int, leaves: Iterator[bytes]) -> list[bytes]:
    """The hashes that show that a tree of `size` leaves begins with those of `old`.

    leaves: hashes of the leaves after those of `old`, in order. No more of the tree is needed: what the proof has
    from before is among the peaks, and the rest are whole ranges, side by side.
    """
    assert 0 < old.size <= size, "no such sizes"
    parts: list[bytes | int] = []  # a peak, or the length of a range of new leaves; from the root downwards
    low, high, whole, peaks = 0, size, True, list(old.peaks)
    while old.size != high:
        middle = low + _split(high - low)
        if old.size <= middle:
            parts.append(high - middle)
            high = middle
        else:
            parts.append(peaks.pop(0))
            low, whole = middle, False
    path = [part if isinstance(part, bytes) else grow(islice(leaves, part)).root() for part in reversed(parts)]
    return path if whole else [peaks[-1], *path]


def grow(leaves: Iterable[bytes], frontier: Frontier = Frontier()) -> Frontier:
    """A tree with more leaves, given by their hashes."""
    for leaf in leaves:
        frontier = frontier.then(leaf)
    return frontier


class Tree:
    """All nodes of a tree: gives proofs for any of its sizes up to now."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        """leaves: hashes, in order."""
        # levels[k] holds the roots of the full subtrees of 2**k leaves, side by side.
        self._levels: list[bytearray] = [bytearray()]
        for leaf in leaves:
            self.append(leaf)

    @property
    def size(self) -> int:
        """Number of leaves."""
        return len(self._levels[0]) // HASH_BYTES

    def append(self, leaf: bytes) -> None:
        """Add a leaf, given by its hash."""
        place, level, node = self.size, 0, leaf
        self._levels[0] += node
        while place & 1:
            node = node_hash(self._node(level, place - 1), node)
            place, level = place >> 1, level + 1
            if level == len(self._levels):
                self._levels.append(bytearray())
            self._levels[level] += node

    def root(self, size: int | None = None) -> bytes:
        """The root of the first `size` leaves; None = all."""
        size = self.size if size is None else size
        assert 0 <= size <= self.size, "the tree is smaller"
        return self._range(0, size) if size else EMPTY_ROOT

    def leaf(self, index: int) -> bytes:
        """The hash of a leaf."""
        assert 0 <= index < self.size, "no such leaf"
        return self._node(0, index)

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The hashes that lead from a leaf to the root of the first `size` leaves, from the leaf upwards."""
        assert 0 <= index < size <= self.size, "no such leaf"
        path: list[bytes] = []
        low, high = 0, size
        while high - low > 1:
            middle = low + _split(high - low)
            if index < middle:
                path.append(self._range(middle, high))
                high = middle
            else:
                path.append(self._range(low, middle))
                low = middle
        return path[::-1]

    def consistency(self, old: int, size: int) -> list[bytes]:
        """The hashes that show that the first `size` leaves begin with the first `old` leaves."""
        assert 0 < old <= size <= self.size, "no such sizes"
        path: list[bytes] = []
        low, high, whole = 0, size, True
        while old != high:
            middle = low + _split(high - low)
            if old <= middle:
                path.append(self._range(middle, high))
                high = middle
            else:
                path.append(self._range(low, middle))
                low, whole = middle, False
        return ([] if whole else [self._range(low, high)]) + path[::-1]

    def _range(self, low: int, high: int) -> bytes:
        """The root of the leaves [low, high), where low is a multiple of the largest power of two below."""
        length = high - low
        if length & (length - 1) == 0:
            level = length.bit_length() - 1
            return self._node(level, low >> level)
        middle = low + _split(length)
        return node_hash(self._range(low, middle), self._range(middle, high))

    def _node(self, level: int, place: int) -> bytes:
        return bytes(self._levels[level][place * HASH_BYTES : (place + 1) * HASH_BYTES])


def _split(length: int) -> int:
    """The largest power of two below a length of two or more."""
    return 1 << (length - 1).bit_length() - 1


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether a leaf, given by its hash, is number `index` of the `size` leaves of a root."""
    if not 0 <= index < size:
        return False
    place, last, node = index, size - 1, leaf
    for other in path:
        if not last:
            return False
        if place & 1 or place == last:
            node = node_hash(other, node)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            node = node_hash(node, other)
        place, last = place >> 1, last >> 1
    return not last and node == root


def verify_consistency(old: int, size: int, old_root: bytes, root: bytes, path: Sequence[bytes]) -> bool:
    """Whether the `size` leaves of `root` begin with the `old` leaves of `old_root`."""
    if not 0 < old <= size:
        return old == 0 and not path and old_root == EMPTY_ROOT
    if old == size:
        return not path and old_root == root
    hashes = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not hashes:
        return False
    place, last = old - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    first = second = hashes[0]
    for other in hashes[1:]:
        if not last:
            return False
        if place & 1 or place == last:
            first, second = node_hash(other, first), node_hash(other, second)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            second = node_hash(second, other)
        place, last = place >> 1, last >> 1
    return not last and first == old_root and second == root
