"""The hash chain of a stream, checked as batches arrive: each names the hash of the one before.

Pure; asks the journal only where a batch does not follow the one just received. Rules of this file:

- a batch is compared with the one before it and the one after it, whichever came first, so that every
  link is checked exactly when its second end arrives;
- a link to a batch that was given up (a gap record) or expired cannot be checked, and is no break;
- under a number with a conflict each of the payloads will do: which one is right, nobody here can say;
- a break is told with its place, and changes nothing else: the batch is kept and acknowledged.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from collector.intake.events import What
from collector.intake.inbox import Inbox, Stream
from collector.intake.records import Said, said_in

# Links kept in memory, of all gateways: more than what waits for one commit.
_RECENT = 4096


class Memory(Protocol):
    """What the journal holds, as far as it is asked."""

    def hashes(self, stream: Stream, seq: int) -> Collection[bytes]:
        """SHA-256 of everything received under a number of a stream."""

    def payloads(self, stream: Stream, seq: int) -> list[bytes]:
        """Everything received under a number of a stream, as received."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a batch that has to be told. detail: figures beside epoch and number of that batch."""

    what: What
    text: str
    detail: dict[str, int | str] = field(default_factory=dict)


class Arrival(msgspec.Struct, frozen=True):
    """A batch as it came in. digest: hash of its payload. said: None where it could not be read."""

    stream: Stream
    seq: int
    digest: bytes
    said: Said | None


class Chain:
    """The links of all streams."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        # (stream, seq) -> (hash, hash that it names as the one before) of what came last.
        self._recent: OrderedDict[tuple[Stream, int], list[tuple[bytes, bytes | None]]] = OrderedDict()

    def note(self, arrival: Arrival) -> None:
        """Remember a batch that was taken in."""
        link = arrival.digest, arrival.said.prev if arrival.said else None
        self._recent.setdefault((arrival.stream, arrival.seq), []).append(link)
        if len(self._recent) > _RECENT:
            self._recent.popitem(last=False)

    def hashes(self, stream: Stream, seq: int) -> set[bytes]:
        """Hashes of everything received under a number of a stream, committed or not."""
        return {hash for hash, _ in self._recent.get((stream, seq), ())} | set(self._memory.hashes(stream, seq))

    def payloads(self, stream: Stream, seq: int) -> list[bytes]:
        """Everything committed under a number of a stream, as received."""
        return self._memory.payloads(stream, seq)

    def check(self, arrival: Arrival, inbox: Inbox) -> list[Finding]:
        """The breaks that a fresh batch shows; it has been noted."""
        found, stream, seq = [], arrival.stream, arrival.seq
        if arrival.said and seq > 1 and inbox.holds(stream, seq - 1):
            found += self._compare(stream, seq, {arrival.said.prev})
        if inbox.holds(stream, seq + 1) and (named := self._named(stream, seq + 1)):
            found += self._compare(stream, seq + 1, named)
        return found

    def _compare(self, stream: Stream, seq: int, named: set[bytes]) -> list[Finding]:
        recent = {hash for hash, _ in self._recent.get((stream, seq - 1), ())}
        if named & recent or not (before := self.hashes(stream, seq - 1)) or named & before:
            return []
        text = (
            f"gateway {stream[0]}: batch {seq} does not follow the batch {seq - 1} that was received; "
            "one of them was altered or made up"
        )
        return [Finding(What.CHAIN_BREAK, text, {"break_seq": seq})]

    def _named(self, stream: Stream, seq: int) -> set[bytes]:
        """What the batches under a number name as the hash before them."""
        recent = self._recent.get((stream, seq))
        if recent is not None:
            return {prev for _, prev in recent if prev is not None}
        return {found.prev for payload in self._memory.payloads(stream, seq) if (found := said_in(payload))}
