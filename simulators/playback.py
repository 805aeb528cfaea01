"""A recorded session, played again: what the units on that link reply, request by request.

The record has a clock, which starts at its first request with the first there is now, and runs `speed` times as fast
as the wall. Rules:

- the very same request gets what it got, in the recorded order: words, the same exception, silence, rubbish, a
  connection that ends. What lies more than SLACK_S behind the clock is passed over, and what lies so far ahead of it is
  not given yet, but the last again: who asks more rarely or more often than was recorded sees the record's own time;
- a request that nobody recorded is answered with the newest words, where all of its registers are in the record
  (before their time, with the first there are); else with exception 2, and where a unit was only ever silent, with
  silence; a unit that nobody asked then is not there (exception 11 on TCP, silence on a bus);
- an answer takes as long as it took, divided by the speed;
- after its end the record stays at the last words, or begins again.

Pure: `now_s` is monotonic. [s]
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gateway.blocks import Block
from gateway.measurement import UInt16
from gateway.session_file import Exchange, Failure, Session
from simulators import modbus
from simulators.faults import Fault, replies
from simulators.modbus import REQUEST, frame, refusal

SLACK_S = 2.0  # of the wall: how far a reader may be from the record's clock and still get all of it in order
_ABSENT = 11  # gateway target does not answer
_RUBBISH = Fault("", "crc", 0.0)
_ADDRESSES = 0x10000


@dataclass(slots=True)
class _Registers:
    """What is known of one function of one unit, shapes (65536,)."""

    word: UInt16 = field(default_factory=lambda: np.zeros(_ADDRESSES, np.uint16))
    held: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(_ADDRESSES, np.bool_))

    def put(self, block: Block, words: Sequence[int]) -> None:
        """Words that came in one answer."""
        self.word[block.address : block.end] = words
        self.held[block.address : block.end] = True


class Playback:
    """A record and how far it has been played."""

    def __init__(self, session: Session, *, speed: float = 1.0, loop: bool = False, slack_s: float = SLACK_S) -> None:
        assert session.exchanges, "a record of something"
        self._record = sorted(session.exchanges, key=lambda one: one.t_s)
        self._times = [one.t_s for one in self._record]
        self._speed, self._slack_s, self._loop = speed, slack_s * speed, loop
        self.lasts_s = max(session.lasted_s, 1.0)
        self.units = sorted({one.unit for one in self._record})
        self._mute = set(self.units) - {one.unit for one in self._record if one.failure is None}
        self._asked: dict[tuple[int, Block], list[Exchange]] = {}
        for one in self._record:
            self._asked.setdefault((one.unit, one.block), []).append(one)
        self._began_s: float | None = None
        self._lap = 0
        self._rewind()

    def _rewind(self) -> None:
        self._given: dict[tuple[int, Block], int] = {}  # how many of the outcomes of a request have had their turn
        self._seen = 0  # exchanges of the record that the clock has passed
        self._known: dict[tuple[int, int], _Registers] = {}
        for one in reversed(self._record):
            self._learn(one)

    def rounds(self, now_s: float) -> int:
        """How often the record has ended; without a loop once at most. 0 before the first request."""
        if self._began_s is None:
            return 0
        ended = int((now_s - self._began_s) * self._speed // self.lasts_s)
        return ended if self._loop else min(ended, 1)

    def wait_s(self, now_s: float) -> float | None:
        """How long until it ends the next time; None = nobody has asked yet, or it has ended for good. [s]"""
        if self._began_s is None or (not self._loop and self.rounds(now_s)):
            return None
        return self._began_s + (self.rounds(now_s) + 1) * self.lasts_s / self._speed - now_s

    def reply(self, now_s: float, transaction: int | None, unit: int, request: bytes) -> tuple[float, bytes | None]:
        """How long the unit takes [s], and the bytes on the wire: empty = silence, None = the connection is closed.

        transaction: None = RTU frames. request: a PDU.
        """
        clock_s = self._clock(now_s)
        block = _block(request)
        if block is not None and (outcomes := self._asked.get((unit, block))):
            return self._again(self._outcome(outcomes, clock_s), transaction, request)
        if unit not in self.units and transaction is not None:
            return 0.0, frame(transaction, unit, refusal(request[0], _ABSENT))
        if unit not in self.units or unit in self._mute:
            return 0.0, b""
        return 0.0, frame(transaction, unit, self._newest(unit, block, request))

    def _clock(self, now_s: float) -> float:
        """Where the record is. [s since it began]"""
        if self._began_s is None:
            self._began_s = now_s
        clock_s = (now_s - self._began_s) * self._speed
        if self._loop and (lap := self.rounds(now_s)) != self._lap:
            self._lap = lap
            self._rewind()
        clock_s += self._times[0] - self._lap * self.lasts_s
        passed = bisect_right(self._times, clock_s)
        for one in self._record[self._seen : passed]:
            self._learn(one)
        self._seen = max(self._seen, passed)
        return clock_s

    def _learn(self, exchange: Exchange) -> None:
        if exchange.words is not None:
            key = exchange.unit, exchange.block.fc
            self._known.setdefault(key, _Registers()).put(exchange.block, exchange.words)

    def _outcome(self, outcomes: Sequence[Exchange], clock_s: float) -> Exchange:
        """What comes of a request this time. outcomes: all that ever came of it, in order."""
        key = outcomes[0].unit, outcomes[0].block
        turn = self._given.get(key, 0)
        while turn + 1 < len(outcomes) and _passed(outcomes, turn, clock_s, self._slack_s):
            turn += 1
        if turn < len(outcomes) and (not turn or outcomes[turn].t_s <= clock_s + self._slack_s):
            self._given[key] = turn + 1
            return outcomes[turn]
        last = outcomes[turn - 1]
        if turn < len(outcomes) or last.words is not None:
            return last
        return next((one for one in reversed(outcomes) if one.words is not None), last)

    def _again(self, found: Exchange, transaction: int | None, request: bytes) -> tuple[float, bytes | None]:
        unit, took_s = found.unit, found.took_ms / 1000 / self._speed
        if found.words is not None:
            self._learn(found)
            words = np.array(found.words, np.uint16)
            held = modbus.memory([(found.block.fc, found.block.address, words)])
            return took_s, frame(transaction, unit, modbus.answer(held, request))
        if found.refused:
            return took_s, frame(transaction, unit, refusal(found.block.fc, found.refused))
        if found.failure is Failure.BAD_ANSWER and found.heard:
            return 0.0, found.heard
        if found.failure is Failure.BAD_ANSWER:
            return 0.0, replies(_RUBBISH, transaction, unit, refusal(found.block.fc, _ABSENT))
        return 0.0, None if found.failure is Failure.LINK_DOWN else b""

    def _newest(self, unit: int, block: Block | None, request: bytes) -> bytes:
        known = self._known.get((unit, block.fc)) if block else None
        if block is None or known is None or not known.held[block.address : block.end].all():
            return modbus.answer({}, request)
        words = known.word[block.address : block.end]
        return modbus.answer(modbus.memory([(block.fc, block.address, words)]), request)


def _passed(outcomes: Sequence[Exchange], turn: int, clock_s: float, slack_s: float) -> bool:
    """Whether an outcome is too old to be given, and another has come since."""
    return outcomes[turn].t_s < clock_s - slack_s and outcomes[turn + 1].t_s <= clock_s


def _block(request: bytes) -> Block | None:
    """What a PDU asks for; None where it is no request to read."""
    if len(request) != REQUEST.size or request[0] not in (1, 2, 3, 4):
        return None
    function, address, count = REQUEST.unpack(request)
    return Block(function, address, count) if count and address + count <= _ADDRESSES else None
