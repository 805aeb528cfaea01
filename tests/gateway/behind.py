"""Servers behind a thread of their own, so that a command can be run against them as a person runs it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Served(Protocol):
    """What can be started and stopped in an event loop."""

    async def start(self) -> object: ...

    async def stop(self) -> None: ...


@contextmanager
def behind(served: Served) -> Iterator[None]:
    """Served for the length of a block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(work: object) -> object:
        return asyncio.run_coroutine_threadsafe(work, loop).result(10.0)

    try:
        run(served.start())
        yield
    finally:
        run(served.stop())
        run(asyncio.sleep(0.01))
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10.0)
        loop.close()
