"""Bundles: several sealed batches in one message, so that a backlog costs less than a message a batch.

    MARK (1 byte) | of each batch: length (u32, big endian) | payload

A bundle is an envelope and no more: each batch keeps its seal, and is judged and acknowledged by itself. A collector
says in its acknowledgements how large a bundle it takes; before a gateway has heard that, and where a batch goes out
alone, a message is the batch. Pure. Source: docs/reference/wire.md (Bundles).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gateway.lanes import Row
from gateway.wire import WireError

MARK = 0xBB  # no version of a batch
MAX_BYTES = 1 << 16
MAX_BATCHES = 256
_LENGTH = 4


def bundled(rows: Iterable[Row], max_bytes: int) -> Iterator[list[Row]]:
    """Rows in their order, cut into what fits into a message each. max_bytes: 0 = one in each."""
    part: list[Row] = []
    size = 1
    for row in rows:
        more = _LENGTH + len(row.payload)
        if part and (size + more > max_bytes or len(part) == MAX_BATCHES):
            yield part
            part, size = [], 1
        part.append(row)
        size += more
    if part:
        yield part


def pack(payloads: Sequence[bytes]) -> bytes:
    """One message of some payloads; of one it is the payload itself."""
    if len(payloads) == 1:
        return payloads[0]
    return bytes([MARK]) + b"".join([len(payload).to_bytes(_LENGTH) + payload for payload in payloads])


def unpack(message: bytes) -> list[bytes]:
    """The payloads in a message; raises WireError on a bundle that is cut, empty, too large or of too many.

    >>> unpack(pack([b"one", b"three"]))
    [b'one', b'three']
    """
    if message[:1] != bytes([MARK]):
        return [message]
    if len(message) > 2 * MAX_BYTES:  # of one batch that is larger than a bundle there is no bundle
        raise WireError(f"not a bundle: {len(message)} bytes are more than anybody was told to send")
    payloads: list[bytes] = []
    at = 1
    while at < len(message):
        start = at + _LENGTH
        at = start + int.from_bytes(message[at:start])
        if start > len(message) or at > len(message) or len(payloads) == MAX_BATCHES:
            raise WireError(f"not a bundle: batch {len(payloads) + 1} does not end in {len(message)} bytes")
        payloads.append(message[start:at])
    if not payloads:
        raise WireError("not a bundle: it holds no batch")
    return payloads
