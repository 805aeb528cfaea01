"""What becomes of an examined message: its verdict, its journal entries, and who has to be told.

Pure, and the only place where this is decided: the recorder runs it with a real journal and clock,
a simulation with its own. Rules of this file:

- a batch goes into the journal once; the same bytes again are dropped and acknowledged at once;
- other bytes under a number that is taken are kept beside the first, as a conflict;
- a gap record counts its range as received, since nobody can send it any more, and is told as an
  event, so that what is missing is never silent;
- a clock record that says by how much to move the times of batches is told as an event, by which those
  who follow the journal move them: the batches themselves stay as they are;
- what is not believed is told with the reason: each time it is kept, and once an hour where it is not;
- where months of the journal are away, a number that was received and was not given up is taken for a
  duplicate: what it held can be compared no more, and taking it in again would count it twice;
- an event is an entry among those of its cause: both are on the disk, or neither.

Source: protocol 2.4, 2.5.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from collector.intake import events
from collector.intake.chain import Arrival, Chain, Memory
from collector.intake.events import Event, What
from collector.intake.gate import QUARANTINE_COUNT, QUARANTINE_PERIOD_NS, Examined
from collector.intake.inbox import Inbox, Quota, Ranges, Stream, Verdict
from collector.intake.lineage import Lineage
from collector.intake.measuring import Measured, Measuring
from collector.intake.records import Config, Gap, Hello, Move
from collector.store import Entry, EntryKind


@dataclass(slots=True)
class Counts:
    """What came of a gateway's messages since the start. faults: those not believed, by reason.

    clock_wrong: whether its latest batch with values was dated by a clock that is known or presumed to be wrong.
    """

    fresh: int = 0
    duplicate: int = 0
    conflict: int = 0
    refused: int = 0
    quarantined: int = 0
    received_ns: int = 0
    clock_wrong: bool = False
    faults: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Security:
    """Security events that the journal holds. last_ns: when the latest was. [ns since 1970 UTC]"""

    events: int = 0
    last_ns: int = 0
    last: str = ""


@dataclass(slots=True)
class Gaps:
    """What a gateway declared lost, ever. batches: not held by the journal when told; measurements: as told.

    reasons: records by reason. first_ns, last_ns: the instants between which it lies; 0 = none. [ns since 1970 UTC]
    """

    records: int = 0
    batches: int = 0
    measurements: int = 0
    first_ns: int = 0
    last_ns: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def add(self, told: dict[str, Any]) -> None:
        """One more record, as its event tells it."""
        self.records += 1
        self.batches += told["missing"]
        self.measurements += told["n"]
        self.first_ns = min(filter(None, (self.first_ns, told["t_first"])), default=0)
        self.last_ns = max(self.last_ns, told["t_last"])
        self.reasons = {**self.reasons, told["reason"]: self.reasons.get(told["reason"], 0) + 1}


class Sorter:
    """Sorts examined messages into the journal's entries.

    counts, gaps, configurations: by gateway; strangers: counts of unknown ones.
    """

    def __init__(
        self, inbox: Inbox, memory: Memory, gateways: Collection[str], *, lacking: Callable[[], bool] = lambda: False
    ) -> None:
        """inbox: what has arrived; it is told of everything accepted. gateways: the trusted ones.

        lacking: whether there is something that the memory has forgotten.
        """
        self._lacking = lacking
        self._given_up: dict[Stream, Ranges] = {}
        self.counts = {gateway: Counts() for gateway in gateways}
        self.strangers = Counts()
        self.gaps: dict[str, Gaps] = {}
        self.security = Security()
        self.configurations: dict[str, Measuring] = {}
        self._measured: dict[str, Measured] = {}
        self._inbox, self._memory = inbox, memory
        self._chain = Chain(memory)
        self._lineages: dict[str, Lineage] = {}
        self._newest: dict[str, tuple[bytes, int]] = {}  # epoch and seq of the newest batch with values
        self._begun: dict[str, set[str]] = {}
        self._told = Quota(QUARANTINE_COUNT, QUARANTINE_PERIOD_NS)
        self._refused = Quota(1, QUARANTINE_PERIOD_NS)

    def remember(self, entries: Iterable[Entry]) -> None:
        """Take in the events that the journal holds."""
        for entry in entries:
            found = events.event(entry)
            if found.what == What.GAP:
                self._give_up(entry.gateway, found.detail)
            elif found.what == What.REPLACED:
                self._begun.setdefault(entry.gateway, set()).add(str(found.detail.get("key", "")))
                self._measured.setdefault(entry.gateway, Measured()).begin(entry.epoch, b"", anew=True)
            elif found.what in (What.CONFIG_CHANGED, What.CONFIG_UNSIGNED):
                measured = self._measured.setdefault(entry.gateway, Measured())
                measured.remember(entry.epoch, found.detail)
                self._measures(entry, found.detail)
            self._count(entry, found)

    def take(self, examined: Examined, now_ns: int) -> list[Entry]:
        """The entries that an examined message adds to the journal, in order. now_ns: a monotonic clock. [ns]"""
        counts = self.counts.get(examined.gateway, self.strangers)
        counts.received_ns = examined.received_ns
        if examined.what:
            # Never changed in place: `health` reads it in another thread.
            counts.faults = {**counts.faults, examined.what: counts.faults.get(examined.what, 0) + 1}
        added = self._sort(examined, counts, now_ns)
        for entry in added:
            if entry.kind is EntryKind.EVENT:
                self._count(entry, events.event(entry))
        return added

    def _count(self, entry: Entry, found: Event) -> None:
        if found.security:
            self.security.events += 1
            self.security.last_ns, self.security.last = entry.received_ns, found.text

    def _sort(self, examined: Examined, counts: Counts, now_ns: int) -> list[Entry]:
        entry = examined.entry
        if entry is None:
            return self._fault(examined, counts, self._refused, now_ns)
        if not entry.seq:
            counts.quarantined += 1
            return [entry, *self._fault(examined, counts, self._told, now_ns)]
        verdict = self._verdict(entry, examined)
        setattr(counts, verdict.value, getattr(counts, verdict.value) + 1)
        if examined.hello or verdict in (Verdict.DUPLICATE, Verdict.CONFLICT):
            self._inbox.hurry(entry.gateway)
        arrival = Arrival((entry.gateway, entry.epoch), entry.seq, examined.digest, examined.said)
        if verdict not in (Verdict.FRESH, Verdict.CONFLICT):
            return []
        fault = self._fault(examined, counts, self._told, now_ns) if examined.what else []
        if verdict is Verdict.CONFLICT:
            return [*self._conflict(entry, arrival, now_ns), *fault]
        if examined.said and entry.last_ns and self._newest.get(entry.gateway, (b"", 0)) < (entry.epoch, entry.seq):
            self._newest[entry.gateway] = entry.epoch, entry.seq
            counts.clock_wrong = examined.said.unsynced
        counts.quarantined += entry.kind is EntryKind.QUARANTINE
        return [entry, *fault, *self._follow(entry, arrival, now_ns)]

    def replay(self, examined: Examined, now_ns: int) -> list[Entry]:
        """The entries of a good batch that is in quarantine under its number, which counts as received since."""
        entry = examined.entry
        assert entry, "it is no batch yet"
        arrival = Arrival((entry.gateway, entry.epoch), entry.seq, examined.digest, examined.said)
        return [entry, *self._follow(entry, arrival, now_ns)]

    def _fault(self, examined: Examined, counts: Counts, quota: Quota, now_ns: int) -> list[Entry]:
        """Tell why a message is not believed, as often as the quota allows."""
        known, what = examined.gateway in self.counts, examined.what
        assert what, "a message without a fault"
        if not quota.take(f"{examined.gateway if known else ''}/{what}", now_ns):
            return []
        text = f"a message on the topic of gateway {examined.gateway!r} is not accepted: {examined.fault}"
        detail: dict[str, int | str] = {"messages": counts.faults[what], "kept": int(examined.entry is not None)}
        if examined.entry and examined.entry.seq:
            detail |= {"epoch": examined.entry.epoch.hex(), "seq": examined.entry.seq}
        return [events.entry(what, examined.gateway, b"", examined.received_ns, text, detail)]

    def _verdict(self, entry: Entry, examined: Examined) -> Verdict:
        gap = examined.said and examined.said.gap
        if gap and not self._inbox.covers((entry.gateway, gap.ep), gap.from_seq, gap.to_seq):
            return Verdict.REFUSED
        stream = entry.gateway, entry.epoch
        if self._lacking() and self._forgotten(stream, entry.seq):
            return self._inbox.again(stream, entry.seq)
        return self._inbox.accept(stream, entry.seq, examined.digest, self._memory.hashes)

    def _forgotten(self, stream: Stream, seq: int) -> bool:
        """Whether a number was received in a month that is away."""
        if not self._inbox.holds(stream, seq) or seq in self._given_up.get(stream, Ranges()):
            return False
        return not self._chain.hashes(stream, seq)

    def _give_up(self, gateway: str, told: dict[str, Any]) -> None:
        self.gaps.setdefault(gateway, Gaps()).add(told)
        stream = gateway, bytes.fromhex(told["epoch"])
        self._given_up[stream] = self._given_up.get(stream, Ranges()).cover(told["from_seq"], told["to_seq"])

    def _follow(self, entry: Entry, arrival: Arrival, now_ns: int) -> list[Entry]:
        """What follows from a fresh batch."""
        if entry.gateway not in self._lineages:
            begun = self._begun.get(entry.gateway, ())
            self._lineages[entry.gateway] = Lineage(entry.gateway, self._inbox, self._chain, begun)
        self._chain.note(arrival)
        found = self._chain.check(arrival, self._inbox)
        found += (strange := self._lineages[entry.gateway].check(arrival))
        if arrival.said and arrival.said.hello:
            self._begins(entry, arrival.said.hello, anew=bool(strange) and not arrival.said.hello.prev_ep)
        told = [event for one in found for event in self._tell(one.what, entry, one.text, now_ns, **one.detail)]
        said = arrival.said
        if said:
            told += [_rebased(entry, move) for move in said.moved]
        if said and said.told:
            text = f"gateway {entry.gateway}: {said.told.text or said.told.what}"
            what = _NOTICED.get(said.told.what, What.GATEWAY)
            told += self._tell(what, entry, text, now_ns, noticed=said.told.what, **_plain(said.told.detail))
        if said and said.config:
            told += self._config(entry, said.config, said.unapproved, now_ns)
        return [*told, self._gap(entry, said.gap)] if said and said.gap else told

    def _config(self, entry: Entry, config: Config, problem: str, now_ns: int) -> list[Entry]:
        """Tell what a gateway measures by, where that is another configuration than the last one told, or machine.

        A backlog brings records that are older than the last one: they are told as well, and change nothing.
        """
        last, hash = self.configurations.get(entry.gateway), config.hash.hex()
        measured = self._measured.setdefault(entry.gateway, Measured())
        if last and (last.hash, last.problem) == (hash, problem) and measured.speaks(entry.epoch):
            measured.note(entry.epoch, entry.seq, last)
            return []
        what = What.CONFIG_UNSIGNED if problem else What.CONFIG_CHANGED
        told = {
            "epoch": entry.epoch.hex(), "seq": entry.seq, "hash": hash, "before": config.before.hex(),
            "problem": problem, "added": list(config.added), "removed": list(config.removed),
            **measured.told(entry.epoch),
        }  # fmt: skip
        latest = self._measures(entry, told)
        if not self._told.take(f"{entry.gateway}/{what}", now_ns):
            return []
        word = f"which the collector has not approved: {problem}" if problem else "which the collector has approved"
        verb = "measures" if latest else "measured for a while"
        text = f"gateway {entry.gateway} {verb} by configuration {hash[:16]}, {word}"
        return [events.entry(what, entry.gateway, entry.epoch, entry.received_ns, text, told)]

    def _measures(self, entry: Entry, told: Mapping[str, Any]) -> bool:
        """Take it as what the gateway measures by, unless a later record is known; whether it is."""
        measured = self._measured.setdefault(entry.gateway, Measured())
        found = Measuring(told["hash"], told["problem"], entry.received_ns)
        latest = measured.note(bytes.fromhex(told["epoch"]), int(told["seq"]), found)
        self.configurations[entry.gateway] = measured.now or found
        return latest

    def _begins(self, entry: Entry, hello: Hello, *, anew: bool) -> None:
        """An epoch begins, and with it perhaps the word of another machine."""
        measured = self._measured.setdefault(entry.gateway, Measured())
        measured.begin(entry.epoch, hello.prev_ep, anew=anew)
        if measured.now:
            self.configurations[entry.gateway] = measured.now

    def _gap(self, entry: Entry, gap: Gap) -> Entry:
        missing = self._inbox.cover((entry.gateway, gap.ep), gap.from_seq, gap.to_seq)
        told = {
            "epoch": gap.ep.hex(), "from_seq": gap.from_seq, "to_seq": gap.to_seq, "missing": missing, "n": gap.n,
            "t_first": gap.t_first, "t_last": gap.t_last, "reason": gap.reason, "told_in": entry.seq,
        }  # fmt: skip
        self._give_up(entry.gateway, told)
        text = f"gateway {entry.gateway} had to give up {gap.n} measurements, batches {gap.from_seq} to {gap.to_seq}"
        return events.entry(
            What.GAP, entry.gateway, entry.epoch, entry.received_ns, f"{text}: {_REASONS[gap.reason]}", told
        )

    def _conflict(self, entry: Entry, arrival: Arrival, now_ns: int) -> list[Entry]:
        """Two payloads under one number: a cloned gateway, or somebody who has its key."""
        self._chain.note(arrival)
        kept = Entry(0, entry.received_ns, EntryKind.CONFLICT, entry.gateway, entry.epoch, entry.seq, entry.payload)
        text = (
            f"gateway {entry.gateway}: batch {entry.seq} came twice with different content; both are kept. "
            "Is the gateway cloned, or its key stolen?"
        )
        return [kept, *self._tell(What.CONFLICT, entry, text, now_ns)]

    def _tell(self, what: What, entry: Entry, text: str, now_ns: int, **detail: int | str) -> list[Entry]:
        """An event about a batch; none when there were very many of its kind and gateway within the hour."""
        if not self._told.take(f"{entry.gateway}/{what}", now_ns):
            return []
        told = {"epoch": entry.epoch.hex(), "seq": entry.seq, **detail}
        return [events.entry(what, entry.gateway, entry.epoch, entry.received_ns, text, told)]


def _rebased(entry: Entry, move: Move) -> Entry:
    text = (
        f"gateway {entry.gateway}: batches {move.from_seq} to {move.to_seq} were dated by a wrong clock; "
        f"their times are moved by {move.shift_ns / 1e9:+.1f} s"
    )
    told = {**msgspec.structs.asdict(move), "epoch": entry.epoch.hex(), "told_in": entry.seq}
    return events.entry(What.REBASED, entry.gateway, entry.epoch, entry.received_ns, text, told)


def _plain(detail: Mapping[str, Any]) -> dict[str, int | str]:
    """What a gateway says, as far as events hold it, under names of its own."""
    kept = {f"its_{key}"[:64]: value for key, value in detail.items() if isinstance(value, int | float | str | None)}
    return {key: value if isinstance(value, int) else str(value)[:200] for key, value in kept.items()}


# What a gateway notices that is an event of a kind of its own: a span that is changed may be meant to deceive, and
# hundreds of instruments that first say how they are set keep nothing else from being told.
_NOTICED = {one.value: one for one in (What.SETTINGS, What.SETTING_CHANGED, What.OTHER_INSTRUMENT)}
_REASONS = {
    "outbox_full": "its outbox was full before the collector could be reached",
    "corrupt": "its outbox was damaged",
    "operator": "an operator ordered it",
}
