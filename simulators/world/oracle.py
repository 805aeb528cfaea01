"""The oracle: it knows every value that was measured, and says what may be missing. Nothing else may.

It is told by the machines what was polled and committed, by the cards what left them and why, by the journal what
it holds. It never excuses a kind of loss: of each value that is not in the store it is known on which card its batch
was, and what became of it there, and that has to be a lawful reason for this very batch (docs/reliability.md). This
module watches while the world runs; `simulators.world.reckoning` reckons at its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from collector.intake.events import What, event
from collector.store import Entry, EntryKind
from gateway import wire
from gateway.lanes import Key
from gateway.seal import SIGNATURE_BYTES
from gateway.shelves import Change, Sealed
from simulators.world.card import Card
from simulators.world.ledger import Ledger, Truth
from simulators.world.timeline import Timeline


class Stop(Exception):
    """The first violation, where that is enough."""


@dataclass(frozen=True, slots=True)
class Violation:
    """What must not be. clause: which promise is broken."""

    clause: str
    detail: str


@dataclass(slots=True)
class Produced:
    """The polls of one machine, by counter. died: those that ended with a process, before they were committed.

    time_ns: what its clock said, true_ns: when it was. clocks: since when (true) its wall clock was how far off. [ns]
    """

    gateway: str
    time_ns: list[int] = field(default_factory=list)
    true_ns: list[int] = field(default_factory=list)
    committed: set[int] = field(default_factory=set)
    died: set[int] = field(default_factory=set)
    clocks: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Left:
    """A row that left a card. why: cut, ruined, given up, corrupt, freed, expired, taken."""

    gateway: str
    row: Sealed
    why: str


class Oracle:
    """violations: what was found. licences: security events that may be in the journal, and told: those that ever were.

    Both are (what, gateway, epoch); an epoch of b"" stands for any.
    """

    def __init__(self, timeline: Timeline, *, stop_first: bool = False) -> None:
        self.violations: list[Violation] = []
        self.produced: dict[int, Produced] = {}
        self.left_rows: dict[Card, dict[Key, Left]] = {}
        # Ruined above all that was salvaged of their epochs, and how many process starts there had been by then.
        self.beyond: dict[tuple[str, bytes, int], int] = {}
        self.returned: set[tuple[str, bytes, int]] = set()  # given up, and on the card again as it went back in time
        self.rolled_back: set[tuple[str, bytes, int]] = set()
        self.licences: set[tuple[str, str, bytes]] = set()
        self.told: list[tuple[str, str, bytes]] = []
        self.forgeries: set[bytes] = set()
        self.acks: dict[str, list[bytes]] = {}
        self.replaced: set[str] = set()
        self.ends: dict[tuple[str, bytes], str] = {}
        self.troubled_ns = 0
        self.trouble = 0
        self._timeline, self._stop_first = timeline, stop_first
        self._named: dict[tuple[str, bytes], Truth] = {}  # what acknowledgements ever named
        self._limits: dict[Card, tuple[int, int]] = {}
        self._ruined: dict[Card, dict[Key, Left]] = {}
        self._marked: dict[Card, dict[Key, int]] = {}

    def violate(self, clause: str, detail: str) -> None:
        """A promise is broken."""
        self.violations.append(Violation(clause, f"at {self._timeline.now / 1e9:.3f} s: {detail}"))
        if self._stop_first or len(self.violations) >= 50:
            raise Stop

    # --- machines ------------------------------------------------------------------------------------

    def machine(self, number: int, gateway: str) -> None:
        """There is another machine."""
        self.produced[number] = Produced(gateway)

    def polled(self, number: int, time_ns: int, true_ns: int) -> None:
        """A machine has polled its sensors. time_ns: what its clock said."""
        made = self.produced[number]
        made.time_ns.append(time_ns)
        made.true_ns.append(true_ns)

    def committed(self, number: int, polls: Iterable[int]) -> None:
        """The keeper says that these are safe."""
        self.produced[number].committed.update(polls)

    def died(self, number: int, polls: Sequence[int], *, strained: bool) -> None:
        """A process ended, and with it what was not committed. strained: the card had no room for it."""
        self.produced[number].died.update(polls)
        if len(polls) > 1 and not strained:
            self.violate("unexplained", f"machine {number} lost {len(polls)} polls with its process, not one")

    def began(self, gateway: str, epoch: bytes, reason: str) -> None:
        """A process started. reason: how the one before it on its card ended, as its hello has to say."""
        self.ends[gateway, epoch] = reason

    # --- cards -----------------------------------------------------------------------------------------

    def card(self, card: Card, limit_bytes: int, ring_ns: int) -> None:
        """There is another card, with these limits."""
        self.left_rows[card] = {}
        self._limits[card] = limit_bytes, ring_ns
        self._marked[card] = {}

    def left(self, card: Card, rows: Iterable[Sealed], why: str) -> None:
        """Rows are no longer on a card."""
        found = {(row[0], row[1]): Left(card.gateway, row, why) for row in rows}
        self.left_rows[card].update(found)
        if found and why == "never asked to be kept":
            self.violate("lost", f"{card.gateway}: power took {len(found)} batches that were committed")
        if found and why in ("cut", "ruined"):
            self.license_lost(card.gateway)
            if not card.state.meta.last_epoch:  # nothing at all is left: it begins as if it had never sent anything
                self.licences.add((What.CHAIN_BREAK, card.gateway, b""))
        if why == "cut" and any(_tells_of_damage(one.row) for one in found.values()):
            # What told of the damage was cut off in its turn: all that went with it is the lying card's doing.
            again = {key: replace(one, why="cut") for key, one in self._ruined.get(card, {}).items()}
            self.left_rows[card].update(again)
        if why == "ruined":
            self._ruined[card] = found
            last = dict(sorted(card.aside or ()))  # the highest number of each epoch
            for epoch, seq in found:
                if seq > last.get(epoch, 0):
                    self.beyond[card.gateway, epoch, seq] = card.state.counter

    def license_lost(self, gateway: str) -> None:
        """A card has forgotten what it had written, or there are two of it: the collector may find out."""
        # Two epochs may then name the same one as the last, and come in turn while connections break.
        self.licences |= {(What.DISK_LOST, gateway, b""), (What.DUPLICATE_IDENTITY, gateway, b"")}

    def back(self, card: Card) -> None:
        """A card went back in time: what had left it may be there again."""
        left = self.left_rows[card]
        for key in [key for key in left if key in card.state.rows]:
            if left.pop(key).why == "given up":
                self.returned.add((card.gateway, *key))

    def changed(self, card: Card, change: Change, gone: Sequence[tuple[Sealed, bool]], used: int) -> None:
        """Rows were stored and deleted; every one that is deleted without acknowledgement has to be declared."""
        if not gone and not change.told:
            return
        limit, _ = self._limits[card]
        declared = {(gap.ep, seq) for _, gap in change.told for seq in range(gap.from_seq, gap.to_seq + 1)}
        for row, acked in gone:
            key = row[0], row[1]
            if acked and key not in declared:
                if used <= 0.98 * limit:
                    self.violate("ring", f"{card.gateway}: batch {key[1]} is dropped with {used} of {limit} bytes used")
                self.left(card, [row], "freed")
            elif key in declared or not row[2]:
                self.left(card, [row], "given up")
            else:
                self.violate("lost", f"{card.gateway}: batch {key[1]} is dropped without a word")
        for _, gap in change.told:
            given = any(not acked and row[0] == gap.ep and gap.from_seq <= row[1] <= gap.to_seq for row, acked in gone)
            if given and gap.reason == "outbox_full" and card.state.acked:  # a damaged record is said again
                self.violate("lost", f"{card.gateway}: given up, with {len(card.state.acked)} acknowledged ones there")
            held = [seq for seq in range(gap.from_seq, gap.to_seq + 1) if (gap.ep, seq) in card.state.rows]
            if held:
                self.violate("gap_wrong", f"{card.gateway}: batches {held[:3]} are declared lost and are on the card")
            rows = [row for row, _ in gone if row[0] == gap.ep and gap.from_seq <= row[1] <= gap.to_seq]
            if rows and gap.n != sum(row[2] for row in rows):
                self.violate("gap_wrong", f"{card.gateway}: a gap record counts {gap.n} measurements wrongly")

    def expired(self, card: Card, keys: Sequence[Key]) -> None:
        """Rows were deleted because they were acknowledged long ago."""
        _, ring_ns = self._limits[card]
        for key in keys:
            marked_ns = self._marked[card].get(key, 0)
            if self._timeline.now - marked_ns < ring_ns:
                self.violate("ring", f"{card.gateway}: batch {key[1]} is dropped as evidence before its time")
            self.left(card, [card.state.rows[key]], "expired")

    def marked(self, card: Card, keys: Sequence[Key], before: tuple[int, bytes, int] | None) -> None:
        """Rows were marked as acknowledged: the collector must have said so, and nothing newer before."""
        for key in keys:
            self._marked[card][key] = self._timeline.now
            named = self._named.get((card.gateway, key[0]))
            if named is None or key[1] not in named:
                self.violate("acked_undurable", f"{card.gateway}: batch {key[1]} is freed, and never was acknowledged")
        ack = card.state.ack
        if before and ack and (ack[0], ack[2]) <= (before[0], before[2]):
            self.violate("replayed", f"{card.gateway}: an acknowledgement that is not above the last one counts")

    # --- the collector -----------------------------------------------------------------------------------

    def acknowledged(self, gateway: str, payload: bytes, ledger: Ledger) -> None:
        """The collector speaks: all that it names must be in the journal at this instant."""
        self.acks.setdefault(gateway, []).append(payload)
        for epoch in wire.decode_ack(payload[1 + SIGNATURE_BYTES :]).epochs:
            stream = gateway, epoch.ep
            truth = ledger.truth.get(stream)
            named = self._named.get(stream) or self._named.setdefault(stream, Truth())
            good = truth is not None and epoch.upto <= truth.upto
            for first, last in epoch.have:
                good = good and truth is not None and truth.holds(first, last)
                named.above.update(range(max(first, named.upto + 1), last + 1))
            named.upto = max(named.upto, epoch.upto)
            if not good:
                self.violate("acked_undurable", f"{gateway}: {epoch} is acknowledged; the journal holds {truth}")

    def dealt(self, made_up: Sequence[Entry], ledger: Ledger) -> None:
        """The collector has dealt with batches that somebody with the key made up: they are kept as evidence."""
        for entry in made_up:
            if entry.seq and entry.payload not in ledger.payloads((entry.gateway, entry.epoch), entry.seq):
                self.violate("alarm_missing", f"{entry.gateway}: another batch {entry.seq} is thrown away")

    def restored(self, gone: Sequence[Entry]) -> None:
        """The journal was put back from a backup. gone: what it no longer holds."""
        self.rolled_back.update((entry.gateway, entry.epoch, entry.seq) for entry in gone if entry.seq)
        self.remember(gone)

    def remember(self, entries: Sequence[Entry]) -> None:
        """Note the alarms among some entries of the journal."""
        found = [(entry, event(entry)) for entry in entries if entry.kind is EntryKind.EVENT]
        self.told += [(one.what, entry.gateway, entry.epoch) for entry, one in found if one.security]

    # --- freshness ---------------------------------------------------------------------------------------

    def disturb(self, change: int) -> None:
        """A fault began (+1) or ended (-1)."""
        self.trouble += change
        self.troubled_ns = self._timeline.now


def _tells_of_damage(row: Sealed) -> bool:
    """Whether a row is the hello of a process that found its outbox damaged."""
    return row[1] == 1 and wire.decode(row[5][1 + SIGNATURE_BYTES :]).fields.get("reason") == "corrupt"
