"""What a demonstration came to: counted from its files, after all its processes have ended.

`measured` comes from the outbox files, `stored` from the store by query, the rest from the book of
verdicts and the ledger of notices. Nothing here believes a counter that a part kept of itself.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from alerts.ledger import Ledger
from alerts.records import NoticeState
from collector.stores.duckdb import DuckdbStore
from collector.verdicts.book import Book
from collector.verdicts.records import Change
from gateway.spooler import read_batches
from simulators.tally import Streams, tally


def report(data: Path, url: str) -> dict[str, Any]:
    """The report of the demonstration whose data lie in a folder."""
    streams = Streams()
    outboxes = sorted((data / "gateways").glob("*/outbox"))
    batches = [(path.parent.name, *batch) for path in outboxes for batch in read_batches(path.parent)]
    measured = streams.batches(batches)
    store = DuckdbStore(data / "collector" / "store.duckdb")
    try:
        rows = store.keys()
    finally:
        store.close()
    counted = tally(measured, streams.rows(rows.streams, rows.stream_index, rows.seq, rows.index))
    return {
        "measured": counted.measured,
        "stored": counted.stored,
        "lost": counted.lost,
        "duplicated": counted.duplicated,
        "foreign": counted.foreign,
        "exceedances": _exceedances(data / "collector" / "verdicts.db"),
        **_incidents(data / "collector"),
        "url": url,
    }


def _exceedances(path: Path) -> dict[str, int]:
    """How many stand, by pack and clause."""
    book = Book(path)
    try:
        found: Counter[str] = Counter()
        after = 0
        while rows := book.exceedances(newest=True, after_id=after):
            after = rows[-1].id
            found.update(r.exceedance.key for r in rows if r.exceedance.change is not Change.WITHDRAWN)
        return dict(sorted(found.items()))
    finally:
        book.close()


def _incidents(folder: Path) -> dict[str, Any]:
    """How many incidents, and how many notices were sent by pack and clause."""
    ledger = Ledger(folder)
    try:
        incidents, before = 0, None
        while rows := ledger.incidents(limit=1000, after=before):
            incidents, before = incidents + len(rows), rows[-1].id
        sent: Counter[str] = Counter()
        before = None
        while notices := ledger.notices(after=before):
            before = notices[-1].id
            sent.update(f"{n.pack}/{n.clause}" for n in notices if n.state is NoticeState.SENT)
        return {"incidents": incidents, "notices": dict(sorted(sent.items()))}
    finally:
        ledger.close()
