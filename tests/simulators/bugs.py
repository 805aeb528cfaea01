"""Bugs to plant into the product, each as somebody might write it: the simulation has to find every one of them.

A simulation that finds nothing proves little unless it is known to find what is there. Each bug is a patch of the
product's own modules, small and plausible. Source: protocol 2.6 for the classic ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from collector.intake import generation, inbox, lineage, sorter
from collector.intake.chain import Arrival, Finding
from collector.intake.chain import Chain as Links
from collector.intake.desk import Desk
from collector.intake.events import What
from collector.intake.gate import Gate
from collector.intake.inbox import Inbox, Ranges, Verdict
from gateway import keeper, lanes, outbox, retention, seal, shelves, wire
from gateway.exchange import Exchange
from gateway.keeper import Keeper
from gateway.lanes import START, Lanes
from gateway.outbox import Outbox, Sender
from simulators.world import ledger

Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, slots=True)
class Bug:
    """what: in a sentence. classic: one of the eight that every delivery protocol has had."""

    name: str
    what: str
    plant: Plant
    classic: bool = False


BUGS: list[Bug] = []


def bug(what: str, *, classic: bool = False) -> Callable[[Plant], Plant]:
    """Enter a bug under the name of the function that plants it."""

    def enter(plant: Plant) -> Plant:
        BUGS.append(Bug(plant.__name__, what, plant, classic))
        return plant

    return enter


# --- the eight classics -------------------------------------------------------------------------------


@bug("the collector acknowledges what it has not committed yet", classic=True)
def ack_before_commit(patch: pytest.MonkeyPatch) -> None:
    honest = Desk.take

    def take(self: Desk, examined: Any, now_ns: int) -> Any:
        added = honest(self, examined, now_ns)
        proposed = self._inbox.proposed()
        self._inbox.committed(now_ns)
        self._early = {**getattr(self, "_early", {}), **proposed}
        return added

    def commit(self: Desk, now_ns: int) -> None:
        self._ledger.append(self._group, getattr(self, "_early", {}))
        self._group, self._early = [], {}
        if self.stalled:
            self.stalled = False
            self.hurry_all()

    patch.setattr(Desk, "take", take)
    patch.setattr(Desk, "commit", commit)


@bug("the collector acknowledges up to the highest number, whatever is missing below", classic=True)
def ack_highest(patch: pytest.MonkeyPatch) -> None:
    honest = Inbox.holding

    def holding(self: Inbox, gateway: str) -> inbox.Holding:
        found = honest(self, gateway)
        return inbox.Holding(gateway, tuple((epoch, Ranges(ranges.top)) for epoch, ranges in found.epochs))

    patch.setattr(Inbox, "holding", holding)


@bug("the gateway frees a batch when the broker has it", classic=True)
def prune_on_puback(patch: pytest.MonkeyPatch) -> None:
    honest = Exchange.answered

    def answered(self: Exchange, key: Any, code: int, now_ns: int) -> Any:
        if key and code < 0x80:
            _mark(self._spool, key)
            self._sender.forget(key)
        return honest(self, key, code, now_ns)

    patch.setattr(Exchange, "answered", answered)


def _mark(spool: Any, key: lanes.Key) -> None:
    """Mark one row as if the collector had acknowledged it."""
    kept = getattr(spool, "_keeper", spool)
    generation, random, n = kept._meta.ack or (0, bytes(8), 0)
    named = wire.EpochAck(key[0], 0, ((key[1], key[1]),))
    ack = wire.Ack(gw=kept.gateway, gen=(generation, random), n=n, epochs=(named,), win=64, now=0)
    marked, _ = kept._shelves.mark(ack, kept._now().wall_ns, undo=False)
    kept._unacked -= marked


@bug("duplicates are told by their number alone, whatever the epoch", classic=True)
def duplicate_by_number(patch: pytest.MonkeyPatch) -> None:
    honest = Inbox.accept

    def accept(self: Inbox, stream: inbox.Stream, seq: int, digest: bytes, recall: Any) -> Verdict:
        others = [epoch for epoch in self.epochs(stream[0]) if epoch != stream[1]]
        if any(seq in self.known((stream[0], epoch)) for epoch in others):
            self._pending.setdefault(stream, set()).add(seq)
            return Verdict.DUPLICATE
        return honest(self, stream, seq, digest, recall)

    patch.setattr(Inbox, "accept", accept)


@bug("duplicates are not told at all", classic=True)
def no_duplicates(patch: pytest.MonkeyPatch) -> None:
    def accept(self: Inbox, stream: inbox.Stream, seq: int, digest: bytes, recall: Any) -> Verdict:
        self._pending.setdefault(stream, set()).add(seq)
        return Verdict.FRESH

    patch.setattr(Inbox, "accept", accept)


@bug("what is not acknowledged in time never goes out again", classic=True)
def no_resend(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Sender, "overdue", lambda self, now_ns: [])
    patch.setattr(Sender, "next_ns", lambda self: None)
    patch.setattr(Sender, "silent", lambda self, now_ns, *, waiting: False)


@bug("a commit returns before the disk has it", classic=True)
def no_fsync(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(shelves, "SYNCHRONOUS", "OFF")


@bug("a process start goes on in the epoch of the one before", classic=True)
def same_epoch(patch: pytest.MonkeyPatch) -> None:
    honest = Keeper.begin

    def begin(self: Keeper, start: keeper.Start) -> None:
        last = self._meta
        if not last.last_epoch:
            return honest(self, start)
        self._meta = replace(last, clean=False, boot_id=start.boot_id)
        self._chain = seal.Chain(last.last_epoch, last.last_seq, last.last_hash)
        return None

    patch.setattr(Keeper, "begin", begin)


# --- at the gateway -----------------------------------------------------------------------------------


@bug("values that could not be committed are forgotten")
def no_restore(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Outbox, "restore", lambda self, parts: None)


@bug("what is given up for want of room is not declared")
def silent_giving_up(patch: pytest.MonkeyPatch) -> None:
    honest = retention.gaps
    patch.setattr(retention, "gaps", lambda rows, reason: [] if reason == "outbox_full" else honest(rows, reason))


@bug("a damaged row is deleted without a word")
def silent_damage(patch: pytest.MonkeyPatch) -> None:
    honest = retention.gaps
    patch.setattr(retention, "gaps", lambda rows, reason: [] if reason == "corrupt" else honest(rows, reason))


@bug("what nobody has yet is given up before what the collector has")
def wrong_first(patch: pytest.MonkeyPatch) -> None:
    def make_room(self: Keeper) -> None:
        wanted = retention.excess(self._shelves.used_bytes(), self._limits.bytes, over=self._over)
        self._over = wanted > 0
        rows = retention.make_room(wanted, [], self._shelves.oldest(keeper.PRUNE_ROWS, acked=False)).given_up
        self._commit(keeper._gap_parts(retention.gaps(rows, "outbox_full")), rows)
        self._unacked -= len(rows)

    patch.setattr(Keeper, "_make_room", make_room)


@bug("an acknowledgement counts whoever signed it")
def any_signature(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(seal, "verify_ack", lambda payload, key: payload[1 + seal.SIGNATURE_BYTES :])


@bug("an acknowledgement counts however old it is")
def old_acks(patch: pytest.MonkeyPatch) -> None:
    for module in (outbox, keeper):
        patch.setattr(module, "newer", lambda ack, last: True)


@bug("a journal that was restored is not filled again")
def no_refill(patch: pytest.MonkeyPatch) -> None:
    for module in (outbox, keeper):
        patch.setattr(module, "grown", lambda ack, generation: False)


@bug("one more batch is freed than the acknowledgement names")
def one_too_many(patch: pytest.MonkeyPatch) -> None:
    honest = Keeper.acked

    def acked(self: Keeper, ack: wire.Ack) -> int:
        epochs = tuple(wire.EpochAck(epoch.ep, epoch.upto + 1, epoch.have) for epoch in ack.epochs)
        return honest(self, wire.Ack(gw=ack.gw, gen=ack.gen, n=ack.n, epochs=epochs, win=ack.win, now=ack.now))

    patch.setattr(Keeper, "acked", acked)


@bug("the live lane's jump leaves out what it jumps over")
def lost_backlog(patch: pytest.MonkeyPatch) -> None:
    def begin(self: Lanes, tail: lanes.Key) -> None:
        self.live = self.backlog = tail

    def jump(self: Lanes, tail: lanes.Key) -> None:
        self.live = self.backlog = max(self.live, tail)

    patch.setattr(Lanes, "begin", begin)
    patch.setattr(Lanes, "jump", jump)


@bug("there is no live lane: what is new waits behind all that is old")
def one_lane(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Keeper, "tail", lambda self, rows: START)


@bug("a connection on which nothing is heard is never doubted")
def trusting(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Sender, "silent", lambda self, now_ns, *, waiting: False)


@bug("a batch does not name the one before")
def no_chain(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(seal.Chain, "then", lambda self, payload: seal.Chain(self.epoch, self.seq + 1, self.hash))


@bug("a crash looks like an end that was meant")
def always_clean(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(keeper, "end_reason", lambda meta, boot_id: "start")


# --- at the collector -----------------------------------------------------------------------------------


@bug("a restored journal keeps its generation")
def same_generation(patch: pytest.MonkeyPatch) -> None:
    for module in (generation, ledger):
        patch.setattr(module, "following", lambda mark, known, now_s: known or now_s)
        patch.setattr(module, "went_back", lambda mark, known, position: False)


@bug("acknowledgements are counted from one at every start")
def acks_from_one(patch: pytest.MonkeyPatch) -> None:
    honest = Desk.__init__

    def begin(self: Desk, *args: Any, **named: Any) -> None:
        honest(self, *args, **named)
        self._acks = 0

    patch.setattr(Desk, "__init__", begin)


@bug("a group that the journal refused is dropped, and acknowledged with the next one")
def dropped_group(patch: pytest.MonkeyPatch) -> None:
    honest = Desk.commit

    def commit(self: Desk, now_ns: int) -> None:
        try:
            honest(self, now_ns)
        except BaseException:
            self._group = []
            raise

    patch.setattr(Desk, "commit", commit)


@bug("other bytes under a number that is taken are thrown away in silence")
def silent_conflict(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sorter.Sorter, "_conflict", lambda self, entry, arrival, now_ns: [])


@bug("what is signed and cannot be read counts as a message without a number, which nobody acknowledges")
def poison_blocks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Gate, "_poison", lambda self, message, body, fault: self._distrust(message, What.NO_NUMBER, fault))


@bug("a gap record is kept, and its numbers stay missing")
def gap_not_counted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Inbox, "cover", lambda self, stream, first, last: last - first + 1)


@bug("two machines with one identity are not told apart")
def no_clones(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(lineage, "RETURNS", 1 << 30)


@bug("a disk that lied is not noticed")
def trusted_disk(patch: pytest.MonkeyPatch) -> None:
    honest = lineage.Lineage.check

    def check(self: lineage.Lineage, arrival: Arrival) -> list[Finding]:
        return [one for one in honest(self, arrival) if one.what != What.DISK_LOST]

    patch.setattr(lineage.Lineage, "check", check)


@bug("a batch that does not follow the one before is not noticed")
def no_links(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Links, "check", lambda self, arrival, inbox: [])
