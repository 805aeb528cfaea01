"""What the outbox keeps, what leaves it, and what is said of it: the gateway's half of the promise.

- A batch is sealed before it is committed, and only what is committed is ever sent. The chain moves on
  with the commit, never before it.
- Each process start is a new epoch, whose first batch (hello) names the last one; a sequence number that
  is used twice cannot be told from a duplicate.
- A row leaves when the collector's signed acknowledgement named it and it has been kept for some weeks
  more, so that a collector restored from a backup can be filled again. Before that it goes only when the
  outbox is over its limit or its bytes are damaged (`gateway.retention`), in one commit with the record
  that says so.

Pure: the storage is a `shelves.Shelves`, the clocks are asked through a function, so that a simulation
runs what a gateway runs. Source: protocol 2.2, 2.3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
from msgspec.structs import replace

from gateway import outbox, retention, wire
from gateway.clock import UNKNOWN, Clock, Discipline
from gateway.configuration import Configuration
from gateway.lanes import START, Key, Row
from gateway.measurement import SECOND_NS, Columns, empty_columns
from gateway.outbox import Dropped, grown, newer
from gateway.retention import Gap, Held, Limits, Room
from gateway.salvage import Found, Salvaged, missing
from gateway.seal import Chain, Signer, digest, seal
from gateway.shelves import Change, Meta, Sealed, Shelves, SpoolFull

DAY_NS = 86400 * SECOND_NS
PRUNE_ROWS = 500  # rows deleted at once: 50,000 take 0.8 s, in which nothing could be committed
PRUNE_EVERY_NS = 60 * SECOND_NS
COUNTED = (
    "sealed_values", "sealed_batches", "acked_batches", "acks_ignored", "given_up_batches", "given_up_values",
    "refilled_batches", "salvaged_batches", "damaged_batches",
)  # fmt: skip

Part: TypeAlias = tuple[wire.Kind, Columns, Mapping[str, Any]]


class Instant(msgspec.Struct, frozen=True):
    """Both clocks, and what the system says of the wall clock. [ns]"""

    wall_ns: int
    mono_ns: int
    discipline: Discipline = UNKNOWN


@dataclass(frozen=True, slots=True)
class Start:
    """A process start. counter: higher than at any start before. boot_id: which start of the machine, "" = unknown."""

    counter: int
    random: bytes
    boot_id: str
    version: str

    @property
    def epoch(self) -> bytes:
        """The epoch that begins, 16 bytes."""
        return self.counter.to_bytes(8) + self.random


def end_reason(meta: Meta, boot_id: str) -> str:
    """Why the last epoch ended: start (as meant, or there was none), power (the machine went), crash."""
    if meta.clean:
        return "start"
    return "crash" if meta.boot_id == boot_id else "power"


class Keeper:
    """The outbox of one gateway, over its storage; `begin` first. Used by one thread at a time.

    key: what the batches are signed with. now: asks the clocks. limits: how long and how much is kept.
    found: what was salvaged from damaged storage and is to be stored again; salvaged: what storage has in place again
    already. Both None = nothing was damaged. earliest_ns: no right clock shows less;
    None = the clock is not judged. clock: what the wall clock is worth.
    configuration: what is measured by, at first; None = it is not told.
    """

    def __init__(
        self,
        shelves: Shelves,
        plant: str,
        gateway: str,
        key: Signer,
        *,
        now: Callable[[], Instant],
        limits: Limits = Limits(),  # noqa: B008 - frozen
        found: Mapping[Key, Found] | None = None,
        salvaged: Salvaged | None = None,
        earliest_ns: int | None = None,
        configuration: Configuration | None = None,
    ) -> None:
        self._shelves, self.plant, self.gateway, self._key = shelves, plant, gateway, key
        self._now, self._limits, self._found = now, limits, found
        self._salvaged = salvaged
        self._configuration, self._cfg = configuration, configuration.hash if configuration else wire.NO_HASH
        # The last acknowledgement moves on between commits, so it stands beside what a commit writes.
        self._meta, self._unacked = shelves.meta(), shelves.count()
        self._ack = self._meta.ack
        if found:
            last = found[max(found)]
            said = {"last_epoch": last.key[0], "last_seq": last.key[1], "last_hash": digest(last.payload)}
            self._meta = replace(self._meta, **said)
        if earliest_ns is not None:
            earliest_ns = max(earliest_ns, self._meta.seen_ns)
        self.clock, self._chain = Clock(earliest_ns), Chain(b"")
        self._over, self._pruned_ns = False, now().mono_ns
        self._undeclared: set[Key] = set()  # damaged rows whose gap records found the disk full
        self._collector_ns: int | None = None  # its clock minus our monotonic one
        self.counts = dict.fromkeys(COUNTED, 0)

    @property
    def last_counter(self) -> int:
        """The counter of the last process start that the outbox knows of."""
        return int.from_bytes(self._meta.last_epoch[:8])

    @property
    def last(self) -> Key:
        """The last batch that the outbox has stored."""
        return self._meta.last_epoch, self._meta.last_seq

    def begin(self, start: Start) -> None:
        """A new epoch, chained to the last one, with its hello as first batch, and what is measured by as the next."""
        meta, found, place = self._meta, self._found or {}, self._salvaged
        hello = {
            "prev_ep": meta.last_epoch,
            "prev_last_seq": meta.last_seq,
            "prev_last_hash": meta.last_hash,
            "reason": end_reason(meta, start.boot_id) if self._found is None and place is None else "corrupt",
            "version": start.version,
            "boot_id": start.boot_id,
        }
        self._meta = replace(meta, clean=False, boot_id=start.boot_id)
        self._chain = Chain(start.epoch, 0, meta.last_hash)
        rows, lost = [one.row for _, one in sorted(found.items())], [*missing(found), *(place.lost if place else ())]
        parts: list[Part] = [("hello", empty_columns(), hello)]
        if self._configuration:
            parts.append(("config", empty_columns(), self._configuration.fields()))
        self._commit([*parts, *_gap_parts(lost)], salvaged=rows)
        self._unacked += len(rows)
        self.counts["salvaged_batches"] = len(rows) + (place.rows if place else 0)

    def end(self) -> None:
        """Note that this end is meant."""
        meta = replace(self._meta, clean=True, ack=self._ack)
        self._shelves.commit(Change(self._now().wall_ns, meta))
        self._meta = meta

    # --- in: values, until they are committed ------------------------------------------------------

    def keep(self, parts: Sequence[outbox.Part]) -> None:
        """Seal and commit batches that were cut (`outbox.Outbox.take`), all or none.

        What follows a configuration is sealed under its hash, and a record of it comes before.
        """
        self._commit(
            [
                ("data", part, {}) if isinstance(part, Columns) else ("config", empty_columns(), part.fields())
                for part in parts
            ]
        )

    def tell(self, what: str, text: str, detail: Mapping[str, Any]) -> None:
        """Seal and commit what the gateway noticed of itself. what: a word for machines, text: a sentence."""
        self._commit([("event", empty_columns(), {"event": {"what": what, "text": text, "detail": dict(detail)}})])

    def give_up(self, dropped: Dropped) -> None:
        """Declare measurements that were never sealed: a gap record names a number that is left unused."""
        before, number = self._chain, self._chain.seq + 1
        gap = Gap(before.epoch, number, number, dropped.n, dropped.first_ns, dropped.last_ns, "outbox_full")
        self._chain = replace(before, seq=number)
        try:
            self._commit(_gap_parts([gap]))
        except BaseException:
            self._chain = before
            raise
        self.counts["given_up_values"] += dropped.n

    def _commit(self, parts: Sequence[Part], gone: Sequence[Held] = (), *, salvaged: Sequence[Sealed] = ()) -> None:
        """Seal parts and store them. gone, salvaged: rows to delete, and sealed ones to store, in the same commit."""
        if not parts and not gone:
            return
        now = self._now()
        clk, first = self.clock.observe(now.wall_ns, now.mono_ns, now.discipline), self._chain.seq + 1
        # Before the values that were measured by the changed clock.
        clocks: list[Part] = [("clock", empty_columns(), fields) for fields in self.clock.records(first)]
        parts = [*clocks, *((kind, self.clock.dated(columns, now.mono_ns), fields) for kind, columns, fields in parts)]
        rows, told, chain, cfg = self._sealed(parts, now, clk)
        seen_ns = self.clock.earliest_ns or self._meta.seen_ns
        meta = replace(
            self._meta, last_epoch=chain.epoch, last_seq=chain.seq, last_hash=chain.hash, ack=self._ack, seen_ns=seen_ns
        )
        self._shelves.commit(Change(now.wall_ns, meta, [*salvaged, *rows], gone, told))
        self._chain, self._meta, self._cfg = chain, meta, cfg
        self.clock.recorded(first)
        self._unacked += len(rows)
        self.counts["sealed_batches"] += len(rows)
        self.counts["sealed_values"] += sum(row[2] for row in rows)

    def _sealed(
        self, parts: Sequence[Part], now: Instant, clk: wire.Clk
    ) -> tuple[list[Sealed], list[tuple[Key, Gap]], Chain, bytes]:
        """The parts as rows, what gap records among them say, and where chain and configuration then stand."""
        chain, cfg, rows, told = self._chain, self._cfg, [], []
        low = self._shelves.lowest(chain.epoch) or chain.seq + 1
        for kind, columns, fields in parts:
            if kind == "config":
                cfg = fields["config"]["hash"]
            header = wire.Header(
                plant=self.plant, gw=self.gateway, ep=chain.epoch, seq=chain.seq + 1, prev=chain.hash, low=low,
                n=len(columns), cfg=cfg, mono_ns=now.mono_ns, wall_ns=now.wall_ns, clk=clk, kind=kind,
            )  # fmt: skip
            payload = seal(wire.encode(header, columns, fields), self._key)
            rows.append((chain.epoch, header.seq, header.n, *columns.span(), payload))
            if kind == "gap":
                told.append(((chain.epoch, header.seq), Gap(**fields["gap"])))
            chain = chain.then(payload)
        return rows, told, chain, cfg

    # --- out: committed rows, until they are acknowledged ----------------------------------------------

    def pending(self, limit: int, after: Key = START) -> list[Row]:
        """Up to `limit` rows without acknowledgement above a key, in the order of epoch and seq."""
        if self._undeclared:  # nobody asks for those again
            damaged = [held for key in sorted(self._undeclared) for held in self._shelves.one(key)[1]]
            self._undeclared.intersection_update(held.key for held in damaged)
            self._declare(damaged)
        while True:
            sound, damaged = self._shelves.waiting(limit, after)
            if self._declare(damaged):
                continue
            if sound or not damaged:
                return sound
            after = damaged[-1].key  # no room to declare them: nothing here must not look like nothing behind them

    def row(self, key: Key) -> Row | None:
        """One row, if it is still without acknowledgement."""
        sound, damaged = self._shelves.one(key)
        self._declare(damaged)
        return sound[0] if sound else None

    def tail(self, rows: int) -> Key:
        """The key above which just so many rows are without acknowledgement; START where there are no more."""
        return self._shelves.tail(rows)

    def _declare(self, damaged: Sequence[Held]) -> bool:
        """Replace damaged rows by gap records; False where nothing was to do, or the disk has no room for them."""
        if not damaged:
            return False
        # A damaged gap record has to be said again.
        said = [*retention.gaps(damaged, "corrupt"), *self._shelves.told_by(damaged)]
        try:
            self._commit(_gap_parts(said), damaged)
        except SpoolFull:
            self._undeclared.update(row.key for row in damaged)
            return False
        self._undeclared.difference_update(row.key for row in damaged)
        self._unacked -= len(damaged)
        self.counts["damaged_batches"] += len(damaged)
        return True

    def accepts(self, ack: wire.Ack) -> bool:
        """Whether an acknowledgement is for this gateway and above the last one; others are counted."""
        good = ack.gw == self.gateway and newer(ack, self._ack)
        if not good:
            self.counts["acks_ignored"] += 1
        return good

    @property
    def generation(self) -> tuple[int, bytes] | None:
        """The journal that acknowledged last; None before the first time."""
        return self._ack and self._ack[:2]

    def acked(self, ack: wire.Ack) -> int:
        """Mark what a verified acknowledgement names; the number of rows that were not marked before.

        From a journal of a higher generation it undoes the marks of what it does not name.
        """
        if not self.accepts(ack):
            return 0
        undo = grown(ack, self._ack and self._ack[0])
        marked, undone = self._shelves.mark(ack, ack.now, undo=undo)
        self._collector_ns = ack.now - self._now().mono_ns
        self._ack = (*ack.gen, ack.n)
        self._unacked += undone - marked
        self.counts["refilled_batches"] += undone
        self.counts["acked_batches"] += marked
        return marked

    @property
    def unacked(self) -> int:
        """Number of committed rows without acknowledgement."""
        return self._unacked

    @property
    def epoch(self) -> bytes:
        """The epoch of this process, 16 bytes."""
        return self._chain.epoch

    # --- upkeep -------------------------------------------------------------------------------------------

    def upkeep(self) -> None:
        """Make a little room where the outbox is over its limit, and drop a few rows that were kept long enough."""
        self._make_room()
        mono_ns = self._now().mono_ns
        if self._collector_ns is None or mono_ns - self._pruned_ns < PRUNE_EVERY_NS:
            return
        # How old evidence is, the collector's clock says: our own may have stood in 1970 when it was marked.
        before_ns = self._collector_ns + mono_ns - int(self._limits.days * DAY_NS)
        if self._shelves.expire(before_ns, PRUNE_ROWS) < PRUNE_ROWS:
            self._pruned_ns = mono_ns

    def _make_room(self) -> None:
        """Over the limit: a few rows go, acknowledged ones first, others with a record that says so."""
        wanted = retention.excess(self._shelves.used_bytes(), self._limits.bytes, over=self._over)
        self._over = wanted > 0
        if not wanted or self._shelves.release():
            return
        acked = self._shelves.oldest(PRUNE_ROWS, acked=True)
        unacked = [] if acked else self._shelves.oldest(PRUNE_ROWS, acked=False)
        room: Room = retention.make_room(wanted, acked, unacked)
        said = retention.gaps(room.given_up, "outbox_full")
        self._commit(_gap_parts(said), [*room.free, *room.given_up])
        self._unacked -= len(room.given_up)
        self.counts["given_up_batches"] += len(room.given_up)
        self.counts["given_up_values"] += sum(row.n for row in room.given_up)


def _gap_parts(gaps: Sequence[Gap]) -> list[Part]:
    return [("gap", empty_columns(), gap.fields()) for gap in gaps]
