"""The journal: everything that was received, as received, appended and never changed.

SQLite files in one folder, one a month (of receive time), WAL with synchronous=FULL: when `append`
returns, the entries are on the disk. Rules of this file:

- positions are contiguous from 1 over all files; receive times never fall, whatever the clock does;
- triggers forbid to change or delete an entry; what does change (`stream`: which batches of each
  stream are there; `meta`) is written in the transaction that adds the entries it follows from, and
  is carried over into each new month's file, so that only the newest one is needed to go on;
- one process writes (a lock on the folder), any number of threads read;
- of a month that was archived or has expired (`months`) the events are here, and whoever asks for more is told
  which month it is in;
- a file beside the folder marks how far the journal is; a journal that is found shorter was restored from a
  backup and begins a new generation, upon which gateways send again what it lacks.

Errors: JournalError, "the disk or a file refuses"; of it MonthMissing.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from msgspec.structs import replace

from collector.intake import months
from collector.intake.disk import Space
from collector.intake.generation import Mark, decode, encode, following, went_back
from collector.intake.inbox import Ranges, Stream
from collector.intake.months import Month
from collector.intake.segment import JournalError as JournalError
from collector.intake.segment import MonthMissing, Segment, entry_of, lock_folder, put_meta, put_streams, row_of
from collector.store import Entry, EntryKind
from gateway.identity import sync_folder

# A follower that goes on waiting after the end does not spin.
_FINISHED_WAIT_S = 0.02
_ATTEMPT = "attempt/"
# Messages whose failures are counted; there is a mistake for each, so a few would be many.
_ATTEMPTS = 1000
_FIELDS = "position, received_ns, kind, gateway, epoch, seq, payload, first_ns, last_ns"
# A batch is found by its length class (span: 2**span ns > last - first) and its first instant, so that
# one batch with a wild clock does not make every other search slow.
_OVERLAPPING = f"""
WITH RECURSIVE class (span) AS (SELECT 0 UNION ALL SELECT span + 1 FROM class WHERE span < 62)
SELECT {_FIELDS} FROM class CROSS JOIN entry INDEXED BY entry_time USING (span)
WHERE first_ns > :from - (1 << class.span) AND first_ns < :to AND last_ns >= :from AND position <= :upto
ORDER BY position
"""  # noqa: S608 - made of constants


class Journal:
    """The journal of one collector; implements `collector.store.JournalReader`. Safe to call from any thread.

    restored: it was found to be from a backup, and began a new generation.
    """

    def __init__(self, folder: str | Path, *, restored: bool = False) -> None:
        """Open the journal in a folder, making both if they are not there.

        restored: it comes from a backup, which is found out by itself only where its mark was not restored too.
        """
        self._folder = Path(folder)
        self._commit = threading.Condition()
        self._finished = False
        self._replaced: list[Segment] = []
        self._writing = threading.Lock()
        self._lock = lock_folder(self._folder)
        try:
            self._open(restored)
            self.mark()
        except BaseException:
            os.close(self._lock)
            raise

    def _open(self, restored: bool) -> None:
        found = [Segment(path) for path in sorted(self._folder.glob("[0-9]*-[0-9][0-9].db"))]
        self._segments = [segment for segment in found if segment.made]
        for segment in found:
            if not segment.made:  # a month that was only begun: it holds nothing, and begins again when it comes
                segment.close()
        self.last, self._received_ns = self._segments[-1].end() if self._segments else (0, 0)
        self._meta = {k: v for s in self._segments[-1:] for k, v in s.meta().items() if k != "first"}
        noted = {k: v for k, v in self._meta.items() if k.startswith(_ATTEMPT)}
        self._attempts = {bytes.fromhex(key.removeprefix(_ATTEMPT)): int(count) for key, count in noted.items()}
        mark = self._read_mark()
        known = (int(self._meta.get("generation", 0)), bytes(self._meta.get("generation_id", b"")))
        # A journal made anew must be above the one before it, which may be gone without a trace, else gateways
        # would take its acknowledgements for replays: so generations start at the second they are made.
        self.restored = bool(self._segments) and (restored or went_back(mark, known, self.last))
        if self.restored or not self._segments:
            self._meta["generation"] = following(mark, known[0], int(datetime.now(UTC).timestamp()))
            self._meta["generation_id"] = os.urandom(8)
        # Each start counts, so that acknowledgements never repeat a number of an earlier one.
        self._meta["starts"] = self._meta.get("starts", 0) + 1
        if self._segments:
            # What an earlier process committed on a disk that then failed may be there, and not on the disk:
            # written anew, it is, or the disk refuses again.
            self._segments[-1].settle()
            with self._segments[-1].transaction() as connection:
                put_meta(connection, self._meta)

    def _read_mark(self) -> Mark | None:
        try:
            return decode(self._mark_file.read_bytes())
        except OSError:
            return None

    @property
    def _mark_file(self) -> Path:
        return self._folder.with_name(f"{self._folder.name}.mark")

    def mark(self) -> None:
        """Note beside the folder how far the journal is; it need not be on the disk at once."""
        half = self._mark_file.with_name(f".{self._mark_file.name}")
        with contextlib.suppress(OSError):  # a full disk is told by what matters
            half.write_bytes(encode(Mark(*self.generation, self.last)))
            half.replace(self._mark_file)

    @property
    def generation(self) -> tuple[int, bytes]:
        """Grows when the journal is restored from a backup; gateways then send again."""
        return int(self._meta["generation"]), bytes(self._meta["generation_id"])

    @property
    def starts(self) -> int:
        """How often this journal was opened, this time included."""
        return int(self._meta["starts"])

    @property
    def received_ns(self) -> int:
        """The last receive time; 0 = nothing was received yet. [ns since 1970 UTC]"""
        return self._received_ns

    @property
    def months(self) -> dict[str, Month]:
        """The months that were sealed, by name, wherever they are now."""
        return months.noted(self._meta)

    @property
    def lacking(self) -> bool:
        """Whether a month is not here."""
        return any(segment.thin for segment in self._segments)

    def append(
        self,
        entries: Sequence[Entry],
        streams: Mapping[Stream, Ranges] | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> int:
        """Add entries, all or none; they are on the disk when this returns the last position.

        The entries' own positions are ignored; a receive time before the last one is raised to it.
        streams: the streams that these entries change, as they are afterwards. meta: notes that change with them.
        Raises JournalError; nothing is added then.
        """
        if not entries:
            return self.last
        with self._writing:
            placed = list(self._place(entries))
            with self._segment(_month(placed[0].received_ns)).transaction() as connection:
                connection.executemany("INSERT INTO entry VALUES (?,?,?,?,?,?,?,?,?,?,?)", map(row_of, placed))
                put_streams(connection, streams or {}, placed[-1].position)
                put_meta(connection, meta or {})
            self._meta |= meta or {}
            with self._commit:
                self.last, self._received_ns = placed[-1].position, placed[-1].received_ns
                self._commit.notify_all()
                return self.last

    def _place(self, entries: Sequence[Entry]) -> Iterator[Entry]:
        received_ns = self._received_ns
        for position, entry in enumerate(entries, self.last + 1):
            received_ns = max(received_ns, entry.received_ns)
            yield replace(entry, position=position, received_ns=received_ns)

    def _segment(self, month: str) -> Segment:
        """The newest segment, or a new one when a month begins."""
        if self._segments and self._segments[-1].path.stem >= month:
            return self._segments[-1]
        streams = self.streams()
        segment = Segment(self._folder / f"{month}.db")
        try:
            segment.make(self.last + 1, self._meta, streams)
        except BaseException:
            segment.close()
            raise
        sync_folder(self._folder)
        if self._segments:
            self._segments[-1].settle()
        self._segments.append(segment)
        return segment

    def read(self, after: int, limit: int) -> list[Entry]:
        """Up to `limit` entries with position > after, ordered by position. Raises MonthMissing."""
        found: list[Entry] = []
        segments = list(self._segments)
        start = max(0, bisect_right([segment.first for segment in segments], after + 1) - 1)
        for segment in segments[start:]:
            if len(found) >= limit:
                break
            if segment.thin:
                if found:
                    break
                self._miss(after + 1, after + 1)
                continue
            sql = f"SELECT {_FIELDS} FROM entry WHERE position > ? ORDER BY position LIMIT ?"  # noqa: S608 - constants
            found += map(entry_of, segment.query(sql, (after, limit - len(found))))
        return found

    def beyond(self, after: int) -> int:
        """Where to read on after a position when months that are not here are left out."""
        for month in self.months.values():
            if not month.here and month.first <= after + 1 <= month.last:
                after = month.last
        return after

    def _miss(self, first: int, last: int) -> None:
        """Raise MonthMissing where entries of [first, last] are in a month that is not here."""
        if lacking := months.missing(self.months.values(), first, last):
            _missing(lacking, f"entries {first} to {last}" if last > first else f"entry {first}")

    def overlapping(self, from_ns: int, to_ns: int, upto: int) -> list[Entry]:
        """Every batch with a measurement in [from_ns, to_ns) and position <= upto, ordered by position.

        Raises MonthMissing where a month that is not here may have one.
        """
        if lacking := [m for m in months.missing(self.months.values(), 1, upto) if m.touches(from_ns, to_ns)]:
            _missing(lacking, "measurements of the time that is asked for")
        wanted = {"from": from_ns, "to": to_ns, "upto": upto}
        segments = [segment for segment in self._segments if segment.first <= upto]
        return [entry_of(row) for segment in segments for row in segment.query(_OVERLAPPING, wanted)]

    def closed(self) -> dict[str, Segment]:
        """The files of the months that are over, by month."""
        return {segment.path.stem: segment for segment in self._segments[:-1]}

    def newest(self) -> str:
        """The month that is written now, as 2026-11; "" before the first entry."""
        return self._segments[-1].path.stem if self._segments else ""

    def exchange(self, month: str, path: Path) -> None:
        """Put another file in the place of a month that is over; those who read the old one may finish."""
        place = next(n for n, segment in enumerate(self._segments[:-1]) if segment.path.stem == month)
        old = self._segments[place]
        path.replace(old.path)
        sync_folder(self._folder)
        self._segments[place] = Segment(old.path)
        self._replaced.append(old)

    def events(self, after: int, limit: int) -> list[Entry]:
        """Up to `limit` events with position > after, ordered by position."""
        return self._of_kind(EntryKind.EVENT, after, limit)

    def marks(self, after: int, limit: int) -> list[Entry]:
        """Up to `limit` marks with position > after, ordered by position."""
        return self._of_kind(EntryKind.MARK, after, limit)

    def _of_kind(self, kind: EntryKind, after: int, limit: int) -> list[Entry]:
        # The kind is written into the statement, for SQLite to see that an index of that kind alone will do.
        sql = f"SELECT {_FIELDS} FROM entry WHERE kind = '{kind}' AND position > ? ORDER BY position LIMIT ?"  # noqa: S608
        found: list[Entry] = []
        for segment in list(self._segments):
            found += map(entry_of, segment.query(sql, (after, limit - len(found))))
        return found

    def latest_events(self, before: int, limit: int) -> list[Entry]:
        """Up to `limit` events with position < before, the newest first."""
        sql = (
            f"SELECT {_FIELDS} FROM entry WHERE kind = 'event' AND position < ? "  # noqa: S608 - constants
            "ORDER BY position DESC LIMIT ?"
        )
        found: list[Entry] = []
        for segment in reversed(list(self._segments)):
            found += map(entry_of, segment.query(sql, (before, limit - len(found))))
        return found

    def hashes_within(self, from_ns: int, to_ns: int, upto: int) -> list[tuple[int, Stream, bytes]]:
        """Position, stream and payload's SHA-256 of every batch that `overlapping` gives, in its order."""
        wanted = {"from": from_ns, "to": to_ns, "upto": upto}
        sql = _OVERLAPPING.replace(_FIELDS, "position, gateway, epoch, hash")
        segments = [segment for segment in self._segments if segment.first <= upto]
        rows = [row for segment in segments for row in segment.query(sql, wanted)]
        return [(position, (gateway, epoch), hash) for position, gateway, epoch, hash in rows]

    def batches(self, gateway: str, epoch: bytes, seqs: tuple[int, int], limit: int) -> list[Entry]:
        """The first `limit` batches of a stream in a range of numbers, both ends included, ordered by number."""
        sql = (
            f"SELECT {_FIELDS} FROM entry WHERE gateway = ? AND epoch = ? AND seq BETWEEN ? AND ? AND seq > 0 "  # noqa: S608
            "AND kind = 'batch' ORDER BY seq LIMIT ?"
        )
        wanted = (gateway, epoch, *seqs, limit)
        found = [entry_of(row) for segment in list(self._segments) for row in segment.query(sql, wanted)]
        return sorted(found, key=lambda entry: entry.seq)[:limit]

    def payloads(self, stream: Stream, seq: int) -> list[bytes]:
        """Everything received under a number of a stream that could be read then, as received."""
        named = "gateway = ? AND epoch = ? AND seq = ? AND seq > 0 AND kind != 'quarantine'"
        sql = f"SELECT payload FROM entry WHERE {named}"  # noqa: S608 - constants
        return [row[0] for segment in reversed(self._segments) for row in segment.query(sql, (*stream, seq))]

    def is_batch(self, stream: Stream, seq: int, hash: bytes) -> bool:
        """Whether a payload, given by its SHA-256, is here as a batch."""
        named = "gateway = ? AND epoch = ? AND seq = ? AND seq > 0 AND hash = ? AND kind = 'batch'"
        sql = f"SELECT 1 FROM entry WHERE {named}"  # noqa: S608 - constants
        return any(segment.query(sql, (*stream, seq, hash)) for segment in self._segments)

    @property
    def attempts(self) -> dict[bytes, int]:
        """How often the examination of a message failed by a mistake of ours, by the SHA-256 of the message."""
        return self._attempts

    def attempt(self, hash: bytes) -> None:
        """Note one more such failure; it is on the disk when this returns."""
        if hash in self._attempts or len(self._attempts) < _ATTEMPTS:
            self._attempts[hash] = self._attempts.get(hash, 0) + 1
            key = f"{_ATTEMPT}{hash.hex()}"
            with self._writing, self._segment(self.newest() or _month(time.time_ns())).transaction() as connection:
                put_meta(connection, {key: self._attempts[hash]})
            self._meta[key] = self._attempts[hash]

    def wait(self, after: int, timeout_s: float) -> int:
        """The last committed position, as soon as it is above `after` or the time is over."""
        with self._commit:
            if self._finished:
                self._commit.wait(_FINISHED_WAIT_S)
            self._commit.wait_for(lambda: self.last > after or self._finished, timeout_s)
            return self.last

    def space(self) -> Space:
        """The file system that the journal is on; raises OSError."""
        found = os.statvfs(self._folder)
        return Space(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)

    def growth(self) -> tuple[int, int]:
        """How much the newest month's file has grown [bytes], in which time [ns]."""
        if not self._segments:
            return 0, 0
        newest = self._segments[-1]
        rows = newest.query("SELECT received_ns FROM entry ORDER BY position LIMIT 1")
        ((pages, size),) = newest.query("SELECT page_count, page_size FROM pragma_page_count(), pragma_page_size()")
        return pages * size, self._received_ns - rows[0][0] if rows else 0

    def finish(self) -> None:
        """No more entries come: followers that wait find out now, so that ending them takes no time."""
        with self._commit:
            self._finished = True
            self._commit.notify_all()

    def hashes(self, stream: Stream, seq: int) -> set[bytes]:
        """SHA-256 of everything received under a number of a stream."""
        sql = "SELECT hash FROM entry WHERE gateway = ? AND epoch = ? AND seq = ? AND seq > 0"
        return {row[0] for segment in reversed(self._segments) for row in segment.query(sql, (*stream, seq))}

    def streams(self) -> dict[Stream, Ranges]:
        """Which batches of each stream are there; the stream used last stands last."""
        if not self._segments:
            return {}
        rows = self._segments[-1].query("SELECT gateway, epoch, upto, have FROM stream ORDER BY used")
        return {(g, epoch): Ranges(upto, tuple((a, b) for a, b in json.loads(have))) for g, epoch, upto, have in rows}

    def close(self) -> None:
        """Release all files and the lock. Followers that wait are woken."""
        self.finish()
        with self._writing:
            if self._lock >= 0:
                self.mark()
            for segment in [*self._segments, *self._replaced]:
                segment.close()
            if self._lock >= 0:
                os.close(self._lock)
            self._lock = -1


def _missing(lacking: Sequence[Month], what: str) -> NoReturn:
    raise MonthMissing(f"{what} are not in the journal's folder: {', '.join(map(str, lacking))}. {months.REMEDY}")


def _month(time_ns: int) -> str:
    """The UTC month of an instant, as `2026-11`."""
    return datetime.fromtimestamp(time_ns // 10**9, UTC).strftime("%Y-%m")
