"""A link that is recorded: every read goes through as it is, and a line of the session says what came of it.

    with file.open("w", encoding="ascii") as out:
        link = Recorded(open_link(address), out.write, "tcp://10.0.0.5:502?unit=1")      one link, or
        open_recorded = recording(open_link, out.write, "rtu:///dev/ttyUSB0?unit=1")     all that are opened with it

The header is written at once, each request when it has ended, so that a record is good up to where it was cut. What
`write` raises (a full disk) goes through to the reader: a record with holes that nobody knows of helps nobody.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from gateway.links.address import PLAIN, Quirks
from gateway.links.address import Link as Address
from gateway.links.link import BadAnswer, Link, LinkDown, LinkError, Refused
from gateway.measurement import UInt16
from gateway.registers import Block
from gateway.session_file import Exchange, Failure, write_exchange, write_header


class Recorded:
    """A link whose reads are written down. One caller at a time, as with any link.

    address: of the link, as the site file would have it. write: takes a line with its end. began_s: when the session
    began, by mono_s, where its header has been written; None = it begins here.
    """

    def __init__(
        self,
        link: Link,
        write: Callable[[str], object],
        address: str,
        *,
        began_s: float | None = None,
        now_ns: Callable[[], int] = time.time_ns,
        mono_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link, self._write, self._mono_s = link, write, mono_s
        self._began_s = mono_s() if began_s is None else began_s
        self.latency_s = link.latency_s
        if began_s is None:
            write(write_header(address, now_ns()))

    async def read(self, unit: int, block: Block, *, timeout_s: float, quirks: Quirks = PLAIN) -> UInt16:
        """What the link reads. Raises what it raises, LinkError."""
        asked_s = self._mono_s()
        try:
            words = await self._link.read(unit, block, timeout_s=timeout_s, quirks=quirks)
        except Refused as error:
            self.latency_s = self._link.latency_s
            self._note(unit, block, asked_s, refused=error.code)
            raise
        except LinkError as error:
            heard = getattr(error.__cause__ or error, "heard", b"")  # of a bad answer, where the link kept it
            self._note(unit, block, asked_s, failure=_failure(error), error=str(error), heard=heard)
            raise
        except asyncio.CancelledError:
            self._note(unit, block, asked_s, failure=Failure.NO_ANSWER, error="given up before an answer came")
            raise
        self.latency_s = self._link.latency_s
        self._note(unit, block, asked_s, words=tuple(words.tolist()))
        return words

    def close(self) -> None:
        """End the connection; the next read opens it anew, and is recorded as well."""
        self._link.close()

    def _note(
        self,
        unit: int,
        block: Block,
        asked_s: float,
        *,
        words: tuple[int, ...] | None = None,
        refused: int = 0,
        failure: Failure | None = None,
        error: str = "",
        heard: bytes = b"",
    ) -> None:
        # An answer took what the unit took for it; connecting and the silence before the request are not the unit's.
        took_s = self._mono_s() - asked_s if failure else self.latency_s
        self._write(write_exchange(Exchange(
            t_s=round(asked_s - self._began_s, 6), unit=unit, block=block, took_ms=round(took_s * 1000, 3),
            words=words, refused=refused, failure=failure, error=error, heard=heard,
        )))  # fmt: skip


def recording(
    open_link: Callable[[Address], Link], write: Callable[[str], object], address: str
) -> Callable[[Address], Link]:
    """`open_link` for one session: whatever it opens, one after the other, is recorded in the same file.

    address: of the session, as the site file would have it; its header is written at once.
    """
    began_s = time.monotonic()
    write(write_header(address, time.time_ns()))
    return lambda place: Recorded(open_link(place), write, address, began_s=began_s)


def _failure(error: LinkError) -> Failure:
    if isinstance(error, LinkDown):
        return Failure.LINK_DOWN
    return Failure.BAD_ANSWER if isinstance(error, BadAnswer) else Failure.NO_ANSWER
