"""Charts kept up to date on the store's server: samples are taken, and every feed is copied there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from collector.charts.feed import Feed
from collector.charts.judged import Averages, Exceedances
from collector.charts.limits import Ahead, Rules
from collector.charts.logbook import Logbook, Sampler
from collector.store import Store
from collector.stores.opening import open_mirror
from collector.verdicts.book import Book

SAMPLES = "samples.db"


class Charts:
    """What is drawn beside measurements. Does nothing where charts read from the files of this machine.

    gateways: how they are, as `health` tells it. folder: where samples are kept.
    """

    def __init__(
        self, store: Store, book: Book, rules: Rules, folder: Path,
        gateways: Callable[[], Mapping[str, Mapping[str, Any]]],
    ) -> None:  # fmt: skip
        self._mirror = open_mirror(store, [Averages(book, rules), Exceedances(book), Ahead(rules, time.time_ns)])
        if self._mirror:
            self._logbook = Logbook(folder / SAMPLES)
            self._mirror.follow(self._logbook)
            self._sampler = Sampler(self._logbook, gateways)

    @property
    def trouble(self) -> str:
        """What is wrong now, as a sentence; "" = nothing."""
        return self._mirror.trouble or self._sampler.trouble if self._mirror else ""

    def follow(self, feed: Feed) -> None:
        """One more feed, before the start."""
        if self._mirror:
            self._mirror.follow(feed)

    def start(self) -> None:
        """Begin."""
        if self._mirror:
            self._sampler.start()
            self._mirror.start()

    def stop(self) -> None:
        """End; a second time is no fault."""
        if self._mirror:
            self._mirror.stop()
            self._sampler.stop()

    def close(self) -> None:
        """Release the file of samples."""
        if self._mirror:
            self._logbook.close()
