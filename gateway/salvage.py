"""Sealed payloads out of a damaged outbox file, whatever the damage: the file's pages are read one by one.

A database library gives up where a page contradicts another. Here no page needs another one, except
those a long payload goes on in: every page that looks like a leaf of a table is searched for records
that hold a payload, in the file and in its write-ahead log. What is found proves itself: only what
the gateway's own key sealed is kept, so a page of chance, of a deleted row or of an older state can
add nothing that was not once said. Source: sqlite.org/fileformat2.html, sections 1.6, 2.1, 4.1.

Under one number two payloads may be found: a commit that a full disk refused was sealed again, and its first
try may still stand in the log. The one that counts is the one the next payload, or the outbox's own note, names.

Pure: the bytes of two files in, payloads out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from gateway import seal, wire
from gateway.lanes import START, Key
from gateway.retention import Gap
from gateway.wal import FRAME, FRAME_HEADER, HEADER, PAGE

_LEAF = 0x0D  # leaf page of a table; one bit of it may be wrong
_USABLE_MAX = PAGE - 35  # of a record, before it goes on in other pages
_USABLE_MIN = (PAGE - 12) * 32 // 255 - 23
_MAX_RECORD = 2 * wire.MAX_BODY
_PAYLOAD = 6  # which column of a row it is

Pages = Callable[[int], list[bytes]]


@dataclass(frozen=True, slots=True)
class Found:
    """A payload that was salvaged, and what it says of itself.

    low: what was acknowledged then is below. prev: hash of the one before. ended: the last key of the epoch before,
    which a hello names.
    """

    key: Key
    low: int
    n: int
    first_ns: int
    last_ns: int
    payload: bytes
    prev: bytes = b""
    ended: Key = START

    @property
    def row(self) -> tuple[bytes, int, int, int, int, bytes]:
        """As `outbox_rows.insert` takes it."""
        return (*self.key, self.n, self.first_ns, self.last_ns, self.payload)


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What came of a salvage. rows: how many are in place again. lost: what is not, as it has to be declared."""

    rows: int
    lost: tuple[Gap, ...] = ()


def salvage(
    file: bytes | memoryview, log: bytes, verify: Callable[[bytes], bytes], last_hash: bytes = b""
) -> dict[Key, Found]:
    """All sealed payloads in an outbox file and its write-ahead log.

    verify: see `seal.verify`, with the own key. last_hash: of the outbox's last payload, where it is known.
    """
    frames: dict[int, list[bytes]] = {}
    for at in range(HEADER, len(log) - FRAME + 1, FRAME):
        page = log[at + FRAME_HEADER : at + FRAME]
        frames.setdefault(int.from_bytes(log[at : at + 4]), []).append(page)

    def pages(number: int) -> list[bytes]:
        """All versions of a page, the newest first."""
        start = (number - 1) * PAGE
        own = [bytes(file[start : start + PAGE])] if 0 <= start < len(file) else []
        return [*reversed(frames.get(number, [])), *own]

    found: list[Found] = []
    seen: set[bytes] = set()
    for number in sorted({*range(1, len(file) // PAGE + 1), *frames}):
        for page in pages(number):
            for payload in _payloads(page, pages):
                if payload not in seen:
                    seen.add(payload)
                    found += read(payload, verify)
    return _one_each(found, last_hash)


def read(payload: bytes, verify: Callable[[bytes], bytes]) -> list[Found]:
    """What a payload says of itself; nothing where its seal is not the own key's."""
    try:
        batch = wire.decode(verify(payload))
    except (seal.SealError, wire.WireError):
        return []
    header, times, fields = batch.header, batch.columns.time_ns, batch.fields
    first, last = (int(times.min()), int(times.max())) if header.n else (0, 0)
    ended = (fields["prev_ep"], fields["prev_last_seq"]) if header.kind == "hello" else START
    return [Found((header.ep, header.seq), header.low, header.n, first, last, payload, header.prev, ended)]


def _one_each(found: Iterable[Found], last_hash: bytes) -> dict[Key, Found]:
    """One payload for each key: the one that another names as the one before it, else the newest."""
    versions: dict[Key, list[Found]] = {}
    for one in found:
        versions.setdefault(one.key, []).append(one)
    named = {last_hash} | {one.prev for several in versions.values() for one in several}
    return {
        key: next((one for one in several if len(several) > 1 and seal.digest(one.payload) in named), several[0])
        for key, several in versions.items()
    }


def _payloads(page: bytes, pages: Pages) -> Iterator[bytes]:
    """What may be payloads in one page."""
    if len(page) < PAGE or (page[0] ^ _LEAF).bit_count() > 1:
        return
    cells = min(int.from_bytes(page[3:5]), (PAGE - 8) // 2)
    for at in range(8, 8 + 2 * cells, 2):
        start = int.from_bytes(page[at : at + 2])
        if 8 <= start < PAGE - 4:
            yield from _record(page, start, pages)


def _record(page: bytes, start: int, pages: Pages) -> Iterator[bytes]:
    size, at = _varint(page, start)
    _, at = _varint(page, at)
    if not 65 < size <= _MAX_RECORD:
        return
    here = size
    if size > _USABLE_MAX:
        here = _USABLE_MIN + (size - _USABLE_MIN) % (PAGE - 4)
        here = here if here <= _USABLE_MAX else _USABLE_MIN
    head = page[at : at + here]
    if here == size:
        yield from _payload(head)
        return
    for record in _continued(head, int.from_bytes(page[at + here : at + here + 4]), size, pages):
        yield from _payload(record)


def _continued(head: bytes, following: int, size: int, pages: Pages) -> Iterator[bytes]:
    """A record that goes on in further pages: as these stand now, and as they stand in the file."""
    for version in (0, -1):
        record, number = head, following
        while len(record) < size and number and (versions := pages(number)):
            page = versions[version]
            number = int.from_bytes(page[:4])
            record += page[4:]
        if len(record) >= size:
            yield record[:size]


def _payload(record: bytes) -> Iterator[bytes]:
    """The column that holds the payload, if the record has one."""
    header, at = _varint(record, 0)
    kinds: list[int] = []
    while at < min(header, len(record)) and len(kinds) < 16:
        kind, at = _varint(record, at)
        kinds.append(kind)
    if len(kinds) <= _PAYLOAD or kinds[_PAYLOAD] < 12 or kinds[_PAYLOAD] % 2:
        return
    start = header + sum(map(_size, kinds[:_PAYLOAD]))
    yield record[start : start + _size(kinds[_PAYLOAD])]


def _size(kind: int) -> int:
    return (kind - 12) // 2 if kind >= 12 else (0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0)[kind]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of 7 bits a byte, and where it ends."""
    value = 0
    for byte in data[at : at + 9]:
        at += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            break
    return value, at


def missing(found: Mapping[Key, Found], ends: Iterable[Key] = (), *, after: Key = START) -> list[Gap]:
    """Gap records for what lies between known numbers and was not known to be acknowledged.

    found: what was salvaged, and its neighbours in sound files. ends: further last keys of epochs that are known.
    after: up to here nothing is missing.
    What came after the last known number of an epoch nobody knows; the next hello says that there was damage.
    """
    epochs: dict[bytes, list[Found]] = {}
    for key in sorted(found):
        epochs.setdefault(key[0], []).append(found[key])
    last: dict[bytes, int] = {}
    for epoch, seq in (*ends, *(one.ended for one in found.values())):
        last[epoch] = max(seq, last.get(epoch, 0))
    starts = {epoch: max(row.low for row in rows) - 1 for epoch, rows in epochs.items()}
    starts[after[0]] = max(after[1], starts.get(after[0], 0))
    return [gap for epoch, rows in epochs.items() for gap in _holes(epoch, rows, starts[epoch], last.get(epoch, 0))]


def _holes(epoch: bytes, rows: Iterable[Found], before: int, last: int) -> Iterator[Gap]:
    for seq in (*(row.key[1] for row in rows), last + 1):
        if seq > before + 1:
            yield Gap(epoch, before + 1, seq - 1, 0, 0, 0, "corrupt")
        before = max(before, seq)
