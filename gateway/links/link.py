"""What every way to an instrument is: one question, and words or the reason why there are none.

A link reaches one or more units; it reads, and nothing else, and one caller at a time may use it. Who
knows the device says how long to wait for it. Errors, all LinkError:

- LinkDown     there is no connection, so no unit behind it can be read; HungUp where there was one until it was asked;
- NoAnswer     the unit did not answer in time;
- BadAnswer    something else than the answer came back, and nothing of it is used;
- Refused      the unit answered with an exception; `policy` says what to make of it.

Pure: the links themselves do the I/O.
Source: MODBUS Application Protocol V1.1b3, section 7 (exception codes).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from gateway.links.address import PLAIN, Quirks
from gateway.measurement import UInt16
from gateway.registers import Block


class LinkError(Exception):
    """A read that gave no values; says why."""


class LinkDown(LinkError):
    """There is no connection to the instrument's address, so no unit behind it can be read."""


class HungUp(LinkDown):
    """The other side closed the connection instead of answering."""


class NoAnswer(LinkError):
    """The unit did not answer in time. heard: what there was of an answer."""

    def __init__(self, text: str, heard: bytes = b"") -> None:
        self.heard = heard
        super().__init__(text)


class BadAnswer(LinkError):
    """Something else than the answer to the request came back. heard: all of it, as far as it was kept."""

    def __init__(self, text: str, heard: bytes = b"") -> None:
        self.heard = heard
        super().__init__(text)


class Refused(LinkError):
    """The instrument answered with an exception. code: its Modbus exception code."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"exception {code}, {_REASONS.get(code, 'unknown')}")


class Link(Protocol):
    """One way to one or more units: a TCP connection or a serial bus. One caller at a time.

    latency_s: how long the last answer took, without the time its bytes take on a serial line. [s]
    """

    latency_s: float

    async def read(self, unit: int, block: Block, *, timeout_s: float, quirks: Quirks = PLAIN) -> UInt16:
        """The words of a block of a unit, shape (block.count,); bits as 0 and 1. Raises LinkError.

        timeout_s: how long the unit may take to answer, without the time the bytes take on a serial line. [s]
        """
        ...

    def close(self) -> None:
        """End the connection; the next read opens it anew."""
        ...


class Remedy(Enum):
    """What to do after an exception."""

    NONE = "the request is wrong: it is not repeated, somebody has to change the configuration"
    FAULT = "the device says that it is broken: its values are at fault"
    LATER = "it is busy: ask again after a while"
    AGAIN = "ask once again"
    AWAY = "the unit does not answer; whoever answered in its place is well"


@dataclass(frozen=True, slots=True)
class Policy:
    """What an exception code calls for. retries: at most, retry_s: after shortest and longest wait. [s]"""

    remedy: Remedy
    retries: int = 0
    retry_s: tuple[float, float] = (0.0, 0.0)


_WRONG, _FAULT, _AWAY = Policy(Remedy.NONE), Policy(Remedy.FAULT), Policy(Remedy.AWAY)
_BUSY = Policy(Remedy.LATER, 2, (0.1, 0.5))
_POLICIES = {
    1: _WRONG, 2: _WRONG, 3: _WRONG, 4: _FAULT, 5: _BUSY, 6: _BUSY, 8: Policy(Remedy.AGAIN, 1), 10: _AWAY, 11: _AWAY,
}  # fmt: skip
_REASONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge, busy",
    6: "busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target does not answer",
}


def policy(code: int) -> Policy:
    """What the exception of a code calls for; one that no standard knows is a fault of the device.

    >>> policy(6).remedy.name, policy(6).retries, policy(2).retries
    ('LATER', 2, 0)
    """
    return _POLICIES.get(code, _FAULT)
