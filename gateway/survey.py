"""Survey: which registers of an instrument exist, found out by asking for as few blocks as it takes.

An instrument refuses a block that touches an address it does not have (exception 2), and says nothing of the others in
it. So a refused block is halved, as in `gateway.plans`, until what is left is answered for or is one register alone.
That finds everything in a short range, and would take hundreds of thousands of requests over all addresses; so:

- blocks beside something found come first, for registers stand together; then the longest, so that what is found
  with a given number of requests is as much as can be;
- LONE places, where makers like to begin, are asked for alone first, and what answers is followed up both ways;
- where nobody said where to look, blocks that are refused and short (FINE) are left at that, unless they stand beside
  something; where somebody did, every single address is settled;
- a block with an address that is known to be refused is halved without asking;
- a function that the instrument does not know (exception 1) is not asked for again;
- where it refuses the length (exception 3), shorter blocks are asked for from then on;
- a block that is met with silence counts as refused, for some devices do not even refuse;
- after `most` requests it ends, and what has not been asked for is `unknown`, not absent.

An instrument that answers for EVERYWHERE lone places of a function answers for every address there is, most of which
mean nothing: it is looked at up to REACH alone (`boundless`). Pure: the caller asks (`next`), and says what came of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.blocks import MAX_REGISTERS, Block

FUNCTIONS = (3, 4, 1, 2)  # what is most likely to be there first
REACH = 1000  # registers from 0 that are looked at where nobody says which
LONE = (
    0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 30, 32, 40, 48, 50, 64, 80, 96, 100, 101, 110, 120, 128, 138, 150, 160,
    180, 200, 201, 250, 256, 300, 301, 350, 400, 401, 500, 501, 512, 600, 700, 768, 800, 900, 1000, 1001, 2000, 2001,
    3000, 3001, 4000, 4001, 4096, 5000, 6000, 7000, 8192, 9000, 10000, 20000, 30000, 30001, 40000, 40001, 50000, 60000,
)  # fmt: skip
LONE_BITS = (0, 1, 2, 8, 16, 32, 64, 100, 128, 200, 256, 300, 400)
FINE = 12  # registers: a refused block no longer than this is not halved, unless something was found beside it
EVERYWHERE = 5
MOST = 600  # requests
BITS = 512  # of one request; longer ones many instruments refuse
ILLEGAL_FUNCTION, ILLEGAL_VALUE = 1, 3
END = 65536


class Survey:
    """What is asked for next, and what has been found. most: requests. fine: see FINE; 1 = settle every address."""

    def __init__(
        self, blocks: Iterable[Block], lone: Iterable[Block] = (), *, most: int = MOST, fine: int = 1,
        longest: int = MAX_REGISTERS,
    ) -> None:  # fmt: skip
        self.longest, self.asked, self._most, self._fine = longest, 0, most, fine
        self._open = [part for block in blocks for part in _cut(block, BITS if block.bits else longest)]
        self._lone = list(lone)[::-1]
        self.found: list[Block] = []
        self.refused: set[Block] = set()  # single ones
        self.functions: dict[int, str] = {}  # that do not exist, and why
        self.boundless: set[int] = set()  # functions that are answered for everywhere
        self._hits: list[Block] = []

    @property
    def left(self) -> int:
        """Requests that may still come."""
        return max(self._most - self.asked, 0)

    @property
    def unknown(self) -> tuple[Block, ...]:
        """What was refused only as a part of more, or not asked for at all."""
        return merged(self._open)

    def next(self) -> Block | None:
        """What to ask for now; None where there is nothing left, or nothing left to ask with."""
        if not self.left:
            return None
        if self._lone:
            return self._lone[-1]
        ends = {(block.fc, end) for block in self.found for end in (block.address, block.end)}
        while self._open:
            best = max(self._open, key=lambda block: _merit(block, ends))
            if best.count < self._fine and not _beside(best, ends):
                return None
            if best in self.refused:
                self._open.remove(best)
            elif best.count == 1 or not any(map(best.holds, self.refused)):
                return best
            else:
                self._halve(best)
        return None

    def answered(self, block: Block) -> None:
        """All of a block exists."""
        lone = self._take(block)
        self.found.append(block)
        if lone:
            self._follow(block)
        elif self._fine > 1 and block.end >= REACH and not block.bits and block.fc not in self.boundless:
            self._add(block.fc, block.end, min(block.end + self.longest, END))  # it may go on

    def refuse(self, block: Block, code: int = 0) -> None:
        """Something of a block does not exist. code: of the exception, 0 = it was met with silence."""
        self._take(block)
        if code == ILLEGAL_FUNCTION:
            self.functions[block.fc] = "illegal function"
            self._forget(block.fc, 0)
        elif block.count == 1:
            self.refused.add(block)
            self._open = [other for other in self._open if other != block]
        else:
            self._open.append(block)
            self._halve(block)
            if code == ILLEGAL_VALUE and not block.bits:
                self.longest = max(block.count // 2, 1)
                self._open = [
                    part for other in self._open for part in _cut(other, BITS if other.bits else self.longest)
                ]

    def _take(self, block: Block) -> bool:
        """Counts a request; whether it was for a lone place."""
        self.asked += 1
        if self._lone and self._lone[-1] == block:
            self._lone.pop()
            return True
        self._open.remove(block)
        return False

    def _halve(self, block: Block) -> None:
        self._open.remove(block)
        first = block.count // 2
        self._open.append(Block(block.fc, block.address, first))
        self._open.append(Block(block.fc, block.address + first, block.count - first))

    def _follow(self, hit: Block) -> None:
        """A lone place answers: so may what is around it - or everything does."""
        self._hits.append(hit)
        around = next((block for block in self._open if block.holds(hit)), None)
        if around is not None:
            self._open.remove(around)
            self._add(around.fc, around.address, hit.address)
            self._add(around.fc, hit.end, around.end)
        elif hit.address >= REACH and hit.fc not in self.boundless:
            far = sum(other.fc == hit.fc and other.address >= REACH for other in self._hits)
            if far >= EVERYWHERE:
                self.boundless.add(hit.fc)
                self._forget(hit.fc, REACH)
            else:
                self._add(hit.fc, hit.end, min(hit.end + self.longest, END))
                self._add(hit.fc, max(hit.address - 8, REACH), hit.address)

    def _add(self, fc: int, start: int, end: int) -> None:
        """What there is to find out between two addresses, but for what is known or waits already."""
        known = {address for other in (*self.found, *self.refused, *self._open) if other.fc == fc
                 for address in range(max(other.address, start), min(other.end, end))}  # fmt: skip
        rest = merged(Block(fc, address, 1) for address in range(start, end) if address not in known)
        self._open += [part for block in rest for part in _cut(block, BITS if block.bits else self.longest)]

    def _forget(self, fc: int, start: int) -> None:
        """All of a function from an address on, found or not."""
        for blocks in (self.found, self._open, self._lone):
            blocks[:] = [block for block in blocks if block.fc != fc or block.address < start]


def _beside(block: Block, ends: set[tuple[int, int]]) -> bool:
    return (block.fc, block.address) in ends or (block.fc, block.end) in ends


def _merit(block: Block, ends: set[tuple[int, int]]) -> tuple[bool, int, int, int]:
    registers = block.count // (BITS // MAX_REGISTERS) if block.bits else block.count
    return _beside(block, ends), registers, -FUNCTIONS.index(block.fc), -block.address


def _cut(block: Block, longest: int) -> list[Block]:
    starts = range(block.address, block.end, longest)
    return [Block(block.fc, start, min(longest, block.end - start)) for start in starts]


def merged(blocks: Iterable[Block], longest: int = END) -> tuple[Block, ...]:
    """The same addresses in as few blocks as they take, each at most so long.

    >>> merged([Block(3, 4, 2), Block(3, 0, 4), Block(3, 9, 1)])
    (Block(fc=3, address=0, count=6), Block(fc=3, address=9, count=1))
    """
    found: list[Block] = []
    for block in sorted(blocks):
        if found and found[-1].fc == block.fc and found[-1].end >= block.address:
            last = found[-1]
            found[-1] = Block(last.fc, last.address, max(last.end, block.end) - last.address)
        else:
            found.append(block)
    return tuple(part for block in found for part in _cut(block, longest))


def everything(functions: Sequence[int] = FUNCTIONS, *, most: int = MOST) -> Survey:
    """Where nobody says which: the first REACH addresses of each function, and lone places of the registers."""
    registers = [fc for fc in functions if fc in (3, 4)]
    return Survey(
        [Block(fc, 0, REACH if fc in registers else BITS) for fc in functions],
        [Block(fc, a, 1) for fc in functions for a in (LONE if fc in registers else LONE_BITS)], most=most, fine=FINE,
    )  # fmt: skip
