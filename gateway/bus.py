"""The addresses that are polled: the link of each, whose turn it is there, and who takes turns.

Who is polled may change while they are served: whoever stays keeps link, ticks and place in the queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, Protocol, TypeAlias, TypeVar

from gateway.links.address import Link as Address
from gateway.links.link import Link
from gateway.links.open import open_link
from gateway.schedule import Standing
from gateway.turns import Lapse, Turns

CONNECT_S = 1.5  # a second try of the system's own falls into it, and one that was lost costs less than a second more

Key: TypeAlias = tuple[str, str, int]  # kind, address and port


class Polled(Protocol):
    """Who is polled. link: the way there. job: its number in the turns of its bus."""

    link: Address
    job: int


Poll = TypeVar("Poll", bound=Polled)


class Bus(Generic[Poll]):
    """A TCP endpoint or a serial line. polls: who is polled over it, by job of `turns`.

    offset_ns: of the wall clock that its ticks are of. now_ns: monotonic. [ns]
    """

    def __init__(self, address: Address, now_ns: int, offset_ns: int) -> None:
        self.key, self._address = address.bus, address
        self._link = open_link(address, connect_s=CONNECT_S)
        self._nap: asyncio.Future[None] | None = None
        self.polls: dict[int, Poll] = {}
        self.offset_ns = offset_ns
        self.turns = Turns([], [], now_ns, offset_ns)

    @property
    def link(self) -> Link:
        """The way there; a line that is set otherwise by now is opened anew."""
        wanted = next((poll.link for poll in self.polls.values()), self._address)
        if wanted.line != self._address.line:
            self._link.close()
            self._address, self._link = wanted, open_link(wanted, connect_s=CONNECT_S)
        return self._link

    def set_clock(self, now_ns: int, offset_ns: int) -> None:
        """The wall clock was set."""
        self.offset_ns = offset_ns
        self.turns.reset(now_ns, offset_ns)

    def revise(self, ended: Iterable[Poll], begun: Sequence[tuple[Poll, Standing]], now_ns: int) -> None:
        """After a look at the turns at the same instant: others are polled from now on.

        begun: who, and where its ticks begin.
        """
        gone = {poll.job for poll in ended}
        jobs = self.turns.revise(gone, [(poll.link.unit, standing) for poll, standing in begun], now_ns)
        self.polls = {job: poll for job, poll in self.polls.items() if job not in gone}
        for job, (poll, _) in zip(jobs, begun, strict=True):
            poll.job, self.polls[job] = job, poll
        self.turns.numbered = all(poll.link.numbered for poll in self.polls.values())
        if self._nap is not None:
            _wake(self._nap)

    async def nap(self, seconds: float) -> None:
        """Wait so long, or until others are polled."""
        loop = asyncio.get_running_loop()
        nap = self._nap = loop.create_future()
        alarm = loop.call_later(seconds, _wake, nap)
        try:
            await nap
        finally:
            alarm.cancel()
            self._nap = None

    def close(self) -> None:
        """End the connection."""
        self._link.close()


class Buses(Generic[Poll]):
    """All addresses that are polled."""

    def __init__(self) -> None:
        self._buses: dict[Key, Bus[Poll]] = {}

    def __iter__(self) -> Iterator[Bus[Poll]]:
        return iter(self._buses.values())

    def standing(self, poll: Poll, interval_ns: int) -> Standing:
        """How far one that is polled has come; where nothing runs it has not begun."""
        bus = self._buses.get(poll.link.bus)
        return bus.turns.standing(poll.job) if bus else Standing(interval_ns)

    def withdraw(self, polls: Iterable[Poll]) -> list[tuple[Poll, Lapse]]:
        """Nothing will come of turns of these that are under way; the ticks that wait no more, to be told."""
        found = ((poll, self._buses[poll.link.bus].turns.withdraw(poll.job)) for poll in polls if self._buses)
        return [(poll, lapse) for poll, lapses in found for lapse in lapses]

    def revise(
        self, ended: Iterable[Poll], begun: Sequence[tuple[Poll, Standing]], now_ns: int, offset_ns: int
    ) -> list[Bus[Poll]]:
        """After a look at all turns: others are polled from now on; the addresses that nobody serves yet."""
        going: dict[Key, list[Poll]] = {}
        coming: dict[Key, list[tuple[Poll, Standing]]] = {}
        for poll in ended:
            going.setdefault(poll.link.bus, []).append(poll)
        for poll, standing in begun:
            coming.setdefault(poll.link.bus, []).append((poll, standing))
        new = [Bus[Poll](some[0][0].link, now_ns, offset_ns) for key, some in coming.items() if key not in self._buses]
        self._buses.update((bus.key, bus) for bus in new)
        for key in going | coming:
            self._buses[key].revise(going.get(key, []), coming.get(key, []), now_ns)
        return new

    def close(self, bus: Bus[Poll]) -> None:
        """Nobody is polled there any more."""
        del self._buses[bus.key]
        bus.close()


def _wake(nap: asyncio.Future[None]) -> None:
    if not nap.done():
        nap.set_result(None)
