"""Blocks: which requests get some words of an instrument for the least time.

A request costs its turnaround and each register it brings costs its bytes, so two spans of words are asked for in one
request where the registers between them are cheaper than another turnaround. Rules:

- a span is whole in one block: what belongs together (a 32-bit value, a value in parts) never comes from two replies;
- no block touches a hole that the profile declares, nor reads across a gap wider than the profile allows;
- no block is longer than the instrument answers; where it answers certain requests only, those are sent;
- a block that is refused (exception 2) is halved at a span's border and each half asked for alone, so that of n spans
  k bad ones are found with at most 2 k (log2 n + 1) requests, once; a span that is refused alone is asked no more.

The division is the cheapest there is (dynamic programming over the spans in order). Pure.
Source: MODBUS Application Protocol V1.1b3, 6.1 to 6.4; MODBUS over Serial Line V1.02, 2.5.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

# Modbus Application Protocol V1.1b3, 6.1 to 6.4: most that one request may ask for.
MAX_REGISTERS = 125
MAX_BITS = 2000
_BITS_A_REGISTER = 16


@dataclass(frozen=True, slots=True, order=True)
class Block:
    """One request: function code, first address on the wire, number of registers or bits."""

    fc: int
    address: int
    count: int

    @property
    def end(self) -> int:
        """The first address after it."""
        return self.address + self.count

    @property
    def bits(self) -> bool:
        """Whether it is about coils or discrete inputs."""
        return self.fc in (1, 2)

    def holds(self, other: Block) -> bool:
        """Whether it has all of another."""
        return self.fc == other.fc and self.address <= other.address and other.end <= self.end

    def touches(self, other: Block) -> bool:
        """Whether they have an address in common."""
        return self.fc == other.fc and self.address < other.end and other.address < self.end


Span = Block  # words that must come in one reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What requests an instrument allows: see the profile's keys of these names."""

    registers: int = MAX_REGISTERS
    bits: int = MAX_BITS
    hole: int = 0
    hole_bits: int = 0
    holes: tuple[Block, ...] = ()
    requests: tuple[Block, ...] = ()


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request takes beside its registers, and what each register takes. [s]"""

    request_s: float
    register_s: float

    def of(self, block: Block) -> float:
        """What a block takes. [s]"""
        registers = -(-block.count // _BITS_A_REGISTER) if block.bits else block.count
        return self.request_s + registers * self.register_s


# An instrument takes some milliseconds to answer over TCP, and next to nothing for a register more.
TCP = Cost(5e-3, 20e-6)
_TURNAROUND_S = 10e-3  # of an instrument on a serial line, when nobody has measured it
_FRAME_CHARACTERS = 8 + 5 + 2 * 3.5  # request, head and check of the reply, silence before each
_CHARACTER_BITS = 11  # start, eight, parity or a second stop, stop
CONVERTER_BAUD = 9600  # of the line behind a converter, which nobody tells us


def serial(baud: int) -> Cost:
    """What requests cost on a serial line.

    >>> round(serial(9600).request_s * 1000), round(serial(9600).register_s * 1000, 1)
    (33, 2.3)
    """
    character_s = _CHARACTER_BITS / baud
    return Cost(_TURNAROUND_S + _FRAME_CHARACTERS * character_s, 2 * character_s)


def link_cost(kind: str, baud: int = CONVERTER_BAUD) -> Cost:
    """What requests cost on a link of the site file: tcp, rtu+tcp (a serial line behind a converter) or rtu."""
    return TCP if kind in ("tcp", "") else serial(baud)


@dataclass(frozen=True, slots=True)
class Part:
    """A block and the spans it is asked for, in order of address."""

    block: Block
    spans: tuple[Span, ...]


def divide(spans: Iterable[Span], limits: Limits, cost: Cost) -> tuple[Part, ...]:
    """The cheapest requests that bring every span whole, in order of function and address."""
    ordered = sorted(set(spans))
    fixed = _fixed([span for span in ordered if _requests(span, limits)], limits)
    return tuple(sorted([*fixed, *_cheapest([s for s in ordered if not _requests(s, limits)], limits, cost)],
                        key=lambda part: (part.block, part.spans)))  # fmt: skip


def _requests(span: Span, limits: Limits) -> list[Block]:
    return [request for request in limits.requests if request.holds(span)]


def _fixed(spans: Sequence[Span], limits: Limits) -> list[Part]:
    """The declared requests that bring most, one after the other, until every span has come."""
    left, found = list(spans), []
    while left:
        request = max(limits.requests, key=lambda block: (sum(map(block.holds, left)), -block.count))
        held = tuple(span for span in left if request.holds(span))
        found.append(Part(request, held))
        left = [span for span in left if span not in held]
    return found


def _cheapest(spans: Sequence[Span], limits: Limits, cost: Cost) -> list[Part]:
    """best[n]: what the first n spans cost at least, and where the last of their blocks begins."""
    best: list[tuple[float, int]] = [(0.0, 0)]
    for end in range(1, len(spans) + 1):
        blocks = _ending(spans, end, limits)
        best.append(min((best[start][0] + cost.of(block), start) for start, block in blocks))
    parts = []
    end = len(spans)
    while end:
        start = best[end][1]
        parts.append(Part(_around(spans[start:end]), tuple(spans[start:end])))
        end = start
    return parts[::-1]


def _ending(spans: Sequence[Span], end: int, limits: Limits) -> Iterator[tuple[int, Block]]:
    """The blocks that an instrument answers for and that end with a span: where each begins, the shortest first."""
    last = spans[end - 1]
    longest, widest = (limits.bits, limits.hole_bits) if last.bits else (limits.registers, limits.hole)
    reach = last.end
    for start in range(end - 1, -1, -1):
        first = spans[start]
        reach = max(reach, first.end)
        block = Block(first.fc, first.address, reach - first.address)
        far = start < end - 1 and (block.count > longest or spans[start + 1].address - first.end > widest)
        if first.fc != last.fc or far or (start < end - 1 and any(map(block.touches, limits.holes))):
            return  # a longer one is not answered either
        yield start, block


def _around(spans: Sequence[Span]) -> Block:
    """The block from the first to the last of some spans of one function, in order."""
    first = spans[0].address
    return Block(spans[0].fc, first, max(span.end for span in spans) - first)


def joined(spans: Sequence[Span], limits: Limits) -> tuple[Span, ...]:
    """One span for all, of one function, where the instrument answers for them as one block; else as they are."""
    alone = len(divide(spans, limits, Cost(1.0, 0.0))) == 1
    return (_around(sorted(spans)),) if alone else tuple(spans)


def halves(part: Part, limits: Limits) -> tuple[Part, ...]:
    """A refused part in two, each asked for alone; () where it cannot be divided: all it holds is refused."""
    if len(part.spans) < 2 or part.block in limits.requests:
        return ()
    middle = len(part.spans) // 2
    return tuple(Part(_around(spans), spans) for spans in (part.spans[:middle], part.spans[middle:]))
