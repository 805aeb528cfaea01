"""Whether a database's write-ahead log is whole, judged before the database library opens it.

The library reads a log up to the first frame whose checksum is wrong and takes that for its end: so it
rightly drops what was being written when the power went, and so a single flipped bit would drop, without
a word, every commit behind it. Told apart are they here. Each frame carries the checksum of all frames up
to it, so each can be checked against the one before it alone, and what lies behind a wrong one is still
known to be a part of this log. A commit found there was cut off; without one the end is an honest one:
a transaction that never came to its end, or frames of the log's earlier use.

Pure: bytes in, a verdict out. Source: sqlite.org/fileformat2.html, section 4.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

PAGE = 4096  # what outbox files are made with
HEADER, FRAME_HEADER = 32, 24
FRAME = FRAME_HEADER + PAGE
_MAGIC = 0x377F0682  # the last bit says in which byte order checksums are made
_LOGGED = b"\x02\x02"  # at byte 18 of a database that has a log

Words = npt.NDArray[np.uint32]


def flaw(file: bytes, log: bytes) -> str:
    """What is wrong with a log so that commits in it would be lost unseen; "" when nothing is.

    file: the first bytes of the database. log: all of its write-ahead log.
    """
    if len(log) < HEADER + FRAME:
        return ""  # nothing was ever committed in it
    if file[18:20] != _LOGGED:
        return "the file does not say that it has a log"
    header: Words = np.frombuffer(log, ">u4", HEADER // 4).astype(np.uint32)
    order = ">u4" if int(header[0]) & 1 else "<u4"
    start = _checksum(np.frombuffer(log, order, 6)[None].astype(np.uint32), np.zeros((1, 2), np.uint32))[0]
    if int(header[0]) | 1 != _MAGIC | 1 or int(header[2]) != PAGE or not np.array_equal(start, header[6:]):
        return "its header is damaged"
    count = (len(log) - HEADER) // FRAME
    frames = np.frombuffer(log, np.uint8, count * FRAME, HEADER).reshape(count, FRAME)
    fields: Words = frames[:, :FRAME_HEADER].copy().view(">u4").astype(np.uint32)
    said = fields[:, 4:]
    before = np.concatenate((header[None, 6:], said[:-1]))
    data: Words = np.concatenate((frames[:, :8], frames[:, FRAME_HEADER:]), axis=1).view(order).astype(np.uint32)
    off = said - _checksum(data, before)
    far = np.bitwise_count(fields[:, 2:4] ^ header[4:6]).sum(axis=1)
    good = (far == 0) & ~off.any(axis=1)
    end = count if good.all() else int(np.argmin(good))
    cut = np.flatnonzero(far[end:] <= 1) + end  # of this use of the log, one bit of a salt may be wrong
    if (fields[cut, 1] > 0).any() or (len(cut) and _was_commit(off[cut[0]])):
        return f"frame {int(cut[0]) + 1} of {count} is damaged, and there are commits behind or in it"
    return ""


def _checksum(data: Words, start: Words) -> Words:
    """The checksum of each row of words, going on from another one.

    The words are taken in pairs, s0 += x0 + s1 and s1 += x1 + s0, modulo 2**32: a linear map, so that a row's
    checksum is one product with the weights its words have at the end.
    """
    weights, carried = _weights(data.shape[1])
    return data @ weights + start @ carried


def _weights(words: int) -> tuple[Words, Words]:
    """What a word, and the checksum before, count in the checksum after so many words."""
    known = _KNOWN.get(words)
    if known is None:
        mask, rows = 0xFFFFFFFF, []
        s0, s1 = (1, 0), (0, 1)  # what s0 and s1 of the start count at the end, last pair first
        for _ in range(words // 2):
            # One pair earlier: s0' = s0 + s1 + x0, s1' = s1 + s0' + x1 = s0 + 2 s1 + x0 + x1.
            first = (s0[0] + s1[0]) & mask, (s0[1] + s1[1]) & mask
            rows += [s1, first]
            second = (s0[0] + 2 * s1[0]) & mask, (s0[1] + 2 * s1[1]) & mask
            s0, s1 = first, second
        known = np.array(rows[::-1], np.uint32), np.array((s0, s1), np.uint32)
        _KNOWN[words] = known
    return known


_KNOWN: dict[int, tuple[Words, Words]] = {}


def _was_commit(off: Words) -> bool:
    """Whether a frame would be whole if one bit of the field that marks a commit were set again."""
    weights, _ = _weights((FRAME_HEADER - 16 + PAGE) // 4)
    lost: Any = weights[1][None] * (np.uint32(1) << np.arange(32, dtype=np.uint32))[:, None]
    return bool((lost == off).all(axis=1).any())
