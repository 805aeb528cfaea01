"""What becomes of an examined message, whatever comes in whatever order."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.intake.events import Event, What, event
from collector.intake.gate import Gate, Trusted
from collector.intake.inbox import Inbox, Ranges, Stream
from collector.intake.sorter import Sorter
from collector.shifts import told_in
from collector.store import Entry, EntryKind, Shift
from gateway import seal
from gateway.configuration import Configuration, approve, hash_of
from gateway.identity import public_hex
from gateway.measurement import Status, empty_columns
from tests.collector.batches import START_NS, FakeGateway, columns
from tests.effort import examples

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
KEY_HEX = public_hex(KEY)
COLLECTOR = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"1")


@dataclass
class Desk:
    """A sorter with gate, inbox and a journal in memory."""

    entries: list[Entry] = field(default_factory=list)
    held: dict[Stream, Ranges] = field(default_factory=dict)
    now_ns: int = 0
    sorter: Sorter = field(init=False)
    inbox: Inbox = field(init=False)

    def __post_init__(self) -> None:
        self.gate = Gate(
            {"riverside-gw": Trusted("riverside", KEY.public_key())},
            approvers=[(COLLECTOR.public_key(), START_NS + 1)],
        )
        self.inbox = Inbox(self.held, ["riverside-gw"])
        self.sorter = Sorter(self.inbox, self, ["riverside-gw"])
        self.sorter.remember(entry for entry in self.entries if entry.kind is EntryKind.EVENT)
        self.waiting: list[Entry] = []

    def take(self, *payloads: bytes) -> list[Entry]:
        """Sort payloads; what they add waits for `commit`."""
        added = []
        for payload in payloads:
            examined = self.gate.examine("riverside-gw", payload, received_ns=START_NS, now_ns=self.now_ns)
            added += self.sorter.take(examined, self.now_ns)
        self.waiting += added
        return added

    def events(self, *payloads: bytes) -> list[Event]:
        """The events that payloads make; everything is committed."""
        added = self.take(*payloads)
        self.commit()
        return [event(entry) for entry in added if entry.kind is EntryKind.EVENT]

    def commit(self) -> None:
        self.entries += self.waiting
        self.waiting = []
        self.held.update(self.inbox.proposed())
        self.inbox.committed(self.now_ns)

    def restarted(self) -> Desk:
        """The collector after a crash: what was not committed is gone."""
        return Desk(self.entries, self.held)

    def hashes(self, stream: Stream, seq: int) -> Collection[bytes]:
        return {seal.digest(payload) for payload in self.payloads(stream, seq)}

    def payloads(self, stream: Stream, seq: int) -> list[bytes]:
        return [e.payload for e in self.entries if ((e.gateway, e.epoch), e.seq) == (stream, seq) and seq]


def gateway(epoch: int = 1, **fields: object) -> FakeGateway:
    return replace(FakeGateway(key=KEY, epoch=epoch.to_bytes(8, "big") + b"randomly"), **fields)


# --- gaps and conflicts ---------------------------------------------------------------------------


@settings(max_examples=examples(40))
@given(st.data())
def test_whatever_is_lost_by_declaration_is_counted_and_all_else_is_kept(data: st.DataObject) -> None:
    sender = gateway()
    payloads = {seq: sender.sealed() for seq in range(1, 13)}
    gaps = [
        (first, sender.gap(first, last, n=10 * (last - first + 1)))
        for first, last in data.draw(st.lists(st.tuples(st.integers(2, 12), st.integers(2, 12)), max_size=3))
        if first <= last
    ]
    arriving = data.draw(st.permutations([*payloads.values(), *(payload for _, payload in gaps)]))
    arriving = arriving[: data.draw(st.integers(0, len(arriving)))]
    desk = Desk()
    for payload in arriving:
        desk.take(payload)
        if data.draw(st.booleans()):
            desk.commit()
        if data.draw(st.integers(0, 9)) == 0:
            desk.commit()
            desk = desk.restarted()
    desk.commit()
    batches = [entry for entry in desk.entries if entry.kind is EntryKind.BATCH]
    assert sorted(entry.payload for entry in batches) == sorted(set(arriving)), "kept once, whatever was given up"
    declared = [event(entry).detail for entry in desk.entries if entry.kind is EntryKind.EVENT]
    covered = {seq for told in declared for seq in range(told["from_seq"], told["to_seq"] + 1)}
    assert len(declared) == sum(payload in arriving for _, payload in gaps)
    held = desk.held.get(("riverside-gw", sender.epoch), Ranges())
    assert {seq for seq in range(1, 20) if seq in held} == covered | {entry.seq for entry in batches}
    gaps_told = desk.sorter.gaps.get("riverside-gw")
    assert (gaps_told.measurements if gaps_told else 0) == sum(told["n"] for told in declared)


def test_a_gap_may_be_of_an_epoch_nobody_saw() -> None:
    desk, later = Desk(), gateway(2)
    unseen = gateway(1).epoch
    (told,) = desk.events(later.sealed(), later.gap(1, 500, ep=unseen, n=7))
    assert (told.what, told.security) == ("gap", False)
    assert (told.detail["missing"], told.detail["epoch"], told.detail["told_in"]) == (500, unseen.hex(), 2)
    assert "give up 7 measurements, batches 1 to 500: its outbox was full" in told.text
    assert desk.held["riverside-gw", unseen] == Ranges(500)


def test_a_gap_that_cannot_be_read_is_poison_and_blocks_nothing() -> None:
    desk, sender = Desk(), gateway()
    added = desk.take(sender.sealed(), sender.gap(5, 4), sender.sealed())
    assert [(entry.kind, entry.seq) for entry in added][:2] == [(EntryKind.BATCH, 1), (EntryKind.QUARANTINE, 2)]
    desk.commit()
    assert desk.held["riverside-gw", sender.epoch] == Ranges(3)


def test_counts_by_reason_are_never_changed_in_place() -> None:
    """Another thread reads them meanwhile, for `health`; a dictionary that grows under it would end that."""
    desk, sender, unseen = Desk(), gateway(2), gateway(1).epoch
    counts = desk.sorter.counts["riverside-gw"]
    faults = counts.faults
    desk.take(b"noise", sender.sealed(), sender.gap(1, 2, ep=unseen, n=7))
    assert (faults, sum(counts.faults.values())) == ({}, 1)
    gaps = desk.sorter.gaps["riverside-gw"]
    reasons = gaps.reasons
    desk.take(sender.gap(3, 4, ep=unseen, n=7, reason="corrupt"))
    assert (reasons, gaps.reasons) == ({"outbox_full": 1}, {"outbox_full": 1, "corrupt": 1})


# --- the chain ------------------------------------------------------------------------------------


def breaks(found: list[Event]) -> list[tuple[int, int]]:
    """Where chain breaks were told: counter of the epoch, number."""
    return [
        (int(told.detail["epoch"][:16], 16), told.detail.get("break_seq", told.detail["seq"]))
        for told in found
        if told.what == "chain_break"
    ]


def epochs(*sizes: int) -> list[list[bytes]]:
    """The payloads of an honest gateway, epoch by epoch."""
    sender, found = gateway(), []
    for size in sizes:
        found.append([sender.sealed() for _ in range(size)])
        sender = sender.restarted()
    return found


def arrive(data: st.DataObject, payloads: list[bytes]) -> tuple[Desk, list[Event]]:
    """Payloads in any order, again and again, with commits and crashes of the collector anywhere."""
    desk, found = Desk(), []
    numbers = range(len(payloads))
    arriving = [*data.draw(st.permutations(numbers)), *data.draw(st.lists(st.sampled_from(numbers), max_size=3))]
    for number in arriving:
        found += [event(entry) for entry in desk.take(payloads[number]) if entry.kind is EntryKind.EVENT]
        if data.draw(st.booleans()):
            desk.commit()
            if data.draw(st.integers(0, 5)) == 0:
                desk = desk.restarted()
    desk.commit()
    return desk, found


HONEST = epochs(5, 1, 4)


@settings(max_examples=examples(60))
@given(st.data())
def test_an_honest_chain_is_never_doubted_whatever_the_order(data: st.DataObject) -> None:
    desk, found = arrive(data, [payload for epoch in HONEST for payload in epoch])
    assert found == []
    assert sorted(ranges.upto for ranges in desk.held.values()) == [1, 4, 5]


@settings(max_examples=examples(60))
@given(st.data())
def test_a_batch_that_was_made_anew_breaks_the_link_after_it(data: st.DataObject) -> None:
    sender, honest = gateway(), []
    place = data.draw(st.integers(1, 6))
    for seq in range(1, 7):
        before = sender.last
        honest.append(sender.sealed())
        if seq == place:
            honest[-1] = replace(sender, seq=seq - 1, last=before, hashes=[]).sealed(wall_ns=START_NS + 99)
    after = sender.restarted()
    desk, found = arrive(data, [*honest, after.sealed(), after.sealed()])
    # The last one's link is the next epoch's hello; whichever came second tells.
    assert breaks(found) in ([[(1, place + 1)]] if place < 6 else [[(2, 1)], [(1, 6)]])
    assert len(desk.entries) == 8 + len(found), "kept"
    assert [ranges.upto for ranges in desk.held.values()] in ([6, 2], [2, 6]), "and acknowledged"


def test_the_break_is_told_with_its_place_also_when_the_middle_comes_last() -> None:
    sender = gateway()
    hello, second, third, fourth = (sender.sealed() for _ in range(4))
    sender.seq, sender.last = 2, seal.digest(second)
    other = sender.sealed(wall_ns=5)
    desk = Desk()
    assert desk.events(hello, second, fourth) == []
    desk = desk.restarted()
    (told,) = desk.events(other)
    assert (told.what, told.security, told.detail["break_seq"]) == ("chain_break", True, 4)
    assert "batch 4 does not follow the batch 3" in told.text
    conflict = desk.events(third)
    assert [found.what for found in conflict] == ["conflict"]


def test_a_link_over_poison_holds_and_a_link_over_a_gap_is_not_doubted() -> None:
    desk, sender = Desk(), gateway()
    sender.sealed()
    poison = (sender.sealed(), sender.gap(9, 8), sender.sealed(), sender.sealed())
    assert whats(desk.events(*poison[:3], sender.gap(5, 5), sender.sealed())) == ["poison", "gap"]
    assert desk.held["riverside-gw", sender.epoch] == Ranges(0, ((2, 7),))


def test_poison_under_a_number_that_is_taken_is_told_as_both_and_kept_beside() -> None:
    desk, sender = Desk(), gateway()
    sender.sealed()
    good = sender.sealed()
    sender.seq -= 1
    poison = sender.gap(1, 2)
    assert whats(desk.events(good, poison)) == ["conflict", "poison"]
    assert [entry.kind for entry in desk.entries if entry.seq] == [EntryKind.BATCH, EntryKind.CONFLICT]
    assert desk.events(poison) == [], "the same again is nothing new"


# --- epochs ---------------------------------------------------------------------------------------


def whats(found: list[Event]) -> list[str]:
    return [told.what for told in found]


@settings(max_examples=examples(30))
@given(st.integers(2, 8), st.integers(1, 6), st.booleans())
def test_a_disk_that_lied_is_told_as_such(size: int, lied: int, crash: bool) -> None:
    sender, desk = gateway(), Desk()
    lied = min(lied, size - 1)
    assert desk.events(*(sender.sealed() for _ in range(size))) == []
    later = sender.restarted(lied=lied)
    desk = desk.restarted() if crash else desk
    (told,) = desk.events(later.sealed(), later.sealed(), later.sealed())
    assert (told.what, told.detail["batches"], told.detail["lost_epoch"]) == ("disk_lost", lied, sender.epoch.hex())
    assert f"its disk lost {lied} batches" in told.text


def test_what_was_on_its_way_when_the_disk_forgot_it_is_no_second_gateway() -> None:
    sender, desk = gateway(), Desk()
    sent = [sender.sealed() for _ in range(6)]
    desk.events(*sent[:4])
    later = sender.restarted(lied=2)
    assert desk.events(later.sealed(), later.sealed()) == []
    assert whats(desk.events(*sent[4:])) == ["disk_lost"]
    assert desk.events(*(later.sealed() for _ in range(10))) == []


def test_a_restart_that_forgets_a_whole_epoch_is_a_disk_that_lied() -> None:
    sender, desk = gateway(), Desk()
    desk.events(sender.sealed(), sender.sealed())
    forgotten, later = sender.restarted(twin=1), sender.restarted(twin=2)
    desk.events(forgotten.sealed(), forgotten.sealed())
    (told,) = desk.events(later.sealed())
    assert (told.what, told.detail["batches"], told.detail["lost_epoch"]) == ("disk_lost", 2, forgotten.epoch.hex())
    assert desk.events(*(later.sealed() for _ in range(10))) == []


@settings(max_examples=examples(30))
@given(st.booleans(), st.lists(st.booleans(), min_size=24, max_size=24))
def test_two_machines_with_one_identity_are_found_and_both_are_kept(copied_running: bool, turns: list[bool]) -> None:
    sender, desk = gateway(), Desk()
    desk.events(sender.sealed(), sender.sealed())
    first = sender if copied_running else sender.restarted(twin=1)
    second = sender.restarted(twin=2)
    found = [] if copied_running else desk.events(first.sealed())
    found += desk.events(second.sealed())
    alternations = 0
    for before, turn in zip([True, *turns], turns, strict=False):
        found += desk.events((first if turn else second).sealed())
        alternations += before != turn
    assert whats(found).count("duplicate_identity") <= 1
    if alternations >= 7:
        assert "duplicate_identity" in whats(found)
    assert "chain_break" not in whats(found)
    assert sum(entry.kind is EntryKind.BATCH for entry in desk.entries) == 27 + (not copied_running)


def test_a_gateway_that_starts_as_if_nothing_was_before_has_to_say_why() -> None:
    desk = Desk()
    assert desk.events(gateway(1).sealed()) == []
    assert whats(desk.events(gateway(2).sealed())) == ["chain_break"]
    (told,) = desk.events(gateway(3, claims={"reason": "replaced"}).sealed())
    assert (told.what, told.security) == ("chain_break", True), "its own word is none"
    desk.gate.trust({"riverside-gw": replace(desk.gate.trusted["riverside-gw"], replacements=frozenset({KEY_HEX}))})
    (told,) = desk.events(gateway(4).sealed())
    assert (told.what, told.security, told.detail["key"]) == ("replaced", False, KEY_HEX)
    assert whats(desk.events(gateway(5).sealed())) == ["chain_break"], "one new machine explains one beginning"
    after = desk.restarted()
    after.gate.trust(desk.gate.trusted)
    assert whats(after.events(gateway(6).sealed())) == ["chain_break"]


def config(sender: FakeGateway, text: str, *, before: str = "", signer: Ed25519PrivateKey | None = None) -> bytes:
    approval = approve("riverside-gw", hash_of(text), START_NS, signer) if signer else b""
    return sender.sealed(empty_columns(), Configuration(text, approval, before=before).fields(), kind="config")


def test_each_configuration_is_told_once_and_only_the_collectors_own_word_approves_it() -> None:
    sender, desk = gateway(), Desk()
    desk.events(sender.sealed())
    (told,) = desk.events(config(sender, "scale 1.0\n", signer=COLLECTOR))
    assert (told.what, told.security, told.detail["problem"]) == ("config_changed", False, "")
    assert desk.events(config(sender, "scale 1.0\n", signer=COLLECTOR)) == []
    (told,) = desk.events(config(sender, "scale 0.9\n", before="scale 1.0\n"))
    assert (told.what, told.security, told.detail["problem"]) == ("config_unsigned", True, "it is not signed")
    assert (told.detail["added"], told.detail["removed"]) == (["scale 0.9"], ["scale 1.0"])
    after = desk.restarted()
    assert after.events(config(sender, "scale 0.9\n")) == []
    (told,) = after.events(config(sender, "scale 0.9\n", signer=KEY))
    assert told.detail["problem"] == "no key of the collector signed it"
    assert after.sorter.configurations["riverside-gw"].problem == told.detail["problem"]


def test_a_backlog_of_older_configurations_does_not_stand_for_the_latest() -> None:
    """A gateway that was away while its configuration changed sends the newest batches first."""
    sender, desk = gateway(), Desk()
    desk.events(sender.sealed())
    first, second, third = (config(sender, f"scale {n}.0\n", signer=COLLECTOR) for n in range(3))
    desk.events(first)
    (told,) = desk.events(third)
    assert "measures by configuration" in told.text
    (told,) = desk.events(second)
    assert (told.what, told.detail["hash"]) == ("config_changed", hash_of("scale 1.0\n").hex())
    assert "measured for a while by configuration" in told.text
    for one in (desk, desk.restarted()):
        assert one.sorter.configurations["riverside-gw"].hash == hash_of("scale 2.0\n").hex()


def test_a_new_machine_measures_by_its_own_configuration_though_it_counts_from_the_beginning() -> None:
    old, new, desk = gateway(7), gateway(1, claims={"reason": "replaced"}), Desk()
    desk.events(old.sealed(), config(old, "scale 1.0\n", signer=COLLECTOR))
    desk.gate.trust({"riverside-gw": replace(desk.gate.trusted["riverside-gw"], replacements=frozenset({KEY_HEX}))})
    assert whats(desk.events(new.sealed())) == ["replaced"]
    late = config(old, "scale 3.0\n", signer=COLLECTOR)
    (told,) = desk.events(config(new, "scale 2.0\n", signer=COLLECTOR))
    assert "measures by configuration" in told.text
    (told,) = desk.events(late)
    assert "measured for a while" in told.text, "what the old machine had sent before it died"
    new = new.restarted()
    after = desk.restarted()
    assert after.sorter.configurations["riverside-gw"].hash == hash_of("scale 2.0\n").hex()
    for one in (desk, after):
        again = replace(new)
        assert one.events(again.sealed(), config(again, "scale 2.0\n", signer=COLLECTOR)) == [], "told once"
        one.events(config(again, "scale 4.0\n", signer=COLLECTOR))
        assert one.sorter.configurations["riverside-gw"].hash == hash_of("scale 4.0\n").hex()


@pytest.mark.parametrize("replaced", [True, False])
def test_a_new_machine_with_the_old_ones_configuration_is_heard_when_it_changes_that(replaced: bool) -> None:
    old, new, desk = gateway(7), gateway(1), Desk()
    desk.events(old.sealed(), config(old, "scale 1.0\n", signer=COLLECTOR))
    trusted = replace(desk.gate.trusted["riverside-gw"], replacements=frozenset({KEY_HEX} if replaced else ()))
    desk.gate.trust({"riverside-gw": trusted})
    assert whats(desk.events(new.sealed())) == ["replaced" if replaced else "chain_break"]
    assert whats(desk.events(config(new, "scale 1.0\n", signer=COLLECTOR))) == ["config_changed"]
    assert desk.events(config(new, "scale 1.0\n", signer=COLLECTOR)) == []
    desk, new = desk.restarted(), new.restarted()
    assert desk.events(new.sealed(), config(new, "scale 1.0\n", signer=COLLECTOR)) == []
    (told,) = desk.events(config(new, "scale 2.0\n", signer=COLLECTOR))
    assert "measures by configuration" in told.text
    assert desk.sorter.configurations["riverside-gw"].hash == hash_of("scale 2.0\n").hex()


def test_no_epoch_is_so_high_that_the_next_start_is_not_heard() -> None:
    high, desk = gateway((1 << 64) - 1), Desk()
    desk.events(high.sealed(), config(high, "scale 1.0\n", signer=COLLECTOR))
    low = gateway(2, last=high.last)
    low.claims = {"prev_ep": high.epoch, "prev_last_seq": high.seq, "prev_last_hash": high.last}
    desk.events(low.sealed(), config(low, "scale 2.0\n", signer=COLLECTOR))
    for one in (desk, desk.restarted()):
        assert one.sorter.configurations["riverside-gw"].hash == hash_of("scale 2.0\n").hex()


@settings(max_examples=examples(60))
@given(st.permutations(range(4)), st.booleans())
def test_whichever_epochs_of_a_new_machine_come_first_its_last_word_counts(order: list[int], restart: bool) -> None:
    old, desk = gateway(7), Desk()
    desk.events(old.sealed(), config(old, "scale old\n", signer=COLLECTOR))
    machine, epochs = gateway(1), list[tuple[bytes, bytes]]()
    for start in range(4):
        epochs.append((machine.sealed(), config(machine, f"scale {start}\n", signer=COLLECTOR)))
        machine = machine.restarted()
    for start in order:
        desk.events(*epochs[start])
    desk = desk.restarted() if restart else desk
    assert desk.sorter.configurations["riverside-gw"].hash == hash_of("scale 3\n").hex()


def test_what_a_gateway_measures_by_is_known_however_often_it_changes() -> None:
    sender, desk = gateway(), Desk()
    desk.events(sender.sealed())
    told = [event for n in range(60) for event in desk.events(config(sender, f"scale {n}\n", signer=COLLECTOR))]
    assert len(told) == 20, "an event each, until it is a flood"
    assert desk.sorter.configurations["riverside-gw"].hash == hash_of("scale 59\n").hex()


def test_an_approval_covers_its_own_text_and_gateway_and_ends_with_its_key() -> None:
    good = Configuration("scale 1.0\n", approve("riverside-gw", hash_of("scale 1.0\n"), START_NS, COLLECTOR))
    twisted = good.fields()
    twisted["config"]["text"] = "scale 2.0\n"
    for fields, received_ns, problem in (
        (good.fields(), START_NS, ""),
        (twisted, START_NS, "its text is not what its hash says"),
        (Configuration("scale 2.0\n", good.approval).fields(), START_NS, "it was changed after it was signed"),
        (good.fields(), START_NS + 1, "no key of the collector signed it"),
    ):
        sender, desk = gateway(), Desk()
        sender.sealed()
        payload = sender.sealed(empty_columns(), fields, kind="config")
        said = desk.gate.examine("riverside-gw", payload, received_ns=received_ns, now_ns=0).said
        assert said
        assert said.unapproved == problem


def test_a_hello_that_contradicts_itself_or_what_was_received_is_a_break() -> None:
    sender, desk = gateway(), Desk()
    desk.events(sender.sealed(), sender.sealed())
    twisted = sender.restarted()
    assert breaks(desk.events(twisted.sealed(prev=bytes(31) + b"1"))) == [(2, 1)]
    made_up = twisted.restarted()
    made_up.last = made_up.claims["prev_last_hash"] = bytes(31) + b"2"
    assert breaks(desk.events(made_up.sealed())) == [(3, 1)]
    early = made_up.restarted()
    early.last = early.claims["prev_last_hash"] = bytes(31) + b"3"
    early.claims["prev_last_seq"] = 2
    assert desk.events(early.sealed()) == []
    assert breaks(desk.events(made_up.sealed())) == [(3, 2)], "told when the batch it names arrives"


def test_a_flood_of_breaks_fills_no_journal() -> None:
    sender, desk = gateway(), Desk()
    sender.sealed()
    found = [told for _ in range(60) for told in desk.events(sender.sealed(prev=bytes(31) + b"1"))]
    assert len(found) == 20
    desk.now_ns = 3600 * 10**9
    assert len(desk.events(sender.sealed(prev=bytes(31) + b"1"))) == 1


# --- wrong clocks ---------------------------------------------------------------------------------


def clock(*moved: dict[str, int]) -> dict[str, object]:
    return {"clock": {"mono_ns": 1, "wall_before_ns": 2, "wall_after_ns": 3, "step_id": 1, "moved": list(moved)}}


def test_what_a_clock_record_moves_is_told_as_an_event_and_the_batches_stay() -> None:
    desk, sender = Desk(), gateway()
    before = [sender.sealed() for _ in range(3)]
    desk.take(*before)
    record = sender.sealed(empty_columns(), clock({"from_seq": 2, "to_seq": 3, "shift_ns": -7}), kind="clock")
    added = desk.take(record, record)
    told = [event(entry) for entry in added if entry.kind is EntryKind.EVENT]
    assert [(one.what, one.security) for one in told] == [("rebased", False)]
    assert told[0].detail == {
        "from_seq": 2, "to_seq": 3, "shift_ns": -7, "told_in": 4, "epoch": sender.epoch.hex()
    }  # fmt: skip
    assert told_in(added) == [Shift(sender.id, sender.epoch, 2, 3, -7, 4)]
    desk.commit()
    assert [e.payload for e in desk.entries if e.kind is EntryKind.BATCH] == [*before, record]


@pytest.mark.parametrize(
    "move",
    [
        {"from_seq": 3, "to_seq": 2, "shift_ns": 0}, {"from_seq": 1, "to_seq": 4, "shift_ns": 0},
        {"from_seq": 0, "to_seq": 1, "shift_ns": 0}, {"from_seq": 1, "to_seq": 2, "shift_ns": 1 << 62},
        {"from_seq": 1, "to_seq": 2},
    ],
)  # fmt: skip
def test_a_clock_record_that_cannot_be_is_quarantined_and_moves_nothing(move: dict[str, int]) -> None:
    desk, sender = Desk(), gateway()
    desk.take(*(sender.sealed() for _ in range(3)))
    added = desk.take(sender.sealed(empty_columns(), clock(move), kind="clock"))
    assert added[0].kind is EntryKind.QUARANTINE
    assert told_in(added) == []


def test_the_newest_batch_says_whether_the_clock_is_wrong() -> None:
    desk, sender = Desk(), gateway()
    flagged = msgspec.structs.replace(columns(3), status=np.full(3, Status.UNSYNCED, np.uint8))
    payloads = [sender.sealed(), sender.sealed(), sender.sealed(flagged), sender.sealed()]
    counts = desk.sorter.counts["riverside-gw"]
    desk.take(payloads[0], payloads[2])
    assert counts.clock_wrong
    desk.take(payloads[1])
    assert counts.clock_wrong, "an older batch that comes later says nothing"
    desk.take(payloads[3])
    assert not counts.clock_wrong


def test_what_was_received_in_a_month_that_is_away_is_not_taken_in_again() -> None:
    gateway, desk = FakeGateway(key=KEY), Desk()
    payloads = [gateway.sealed() for _ in range(5)]
    gap = gateway.gap(4, 4)
    desk.events(*payloads[:3], payloads[4], gap)
    forgetful = Desk(entries=[entry for entry in desk.entries if entry.kind is EntryKind.EVENT], held=desk.held)
    forgetful.sorter = Sorter(forgetful.inbox, forgetful, ["riverside-gw"], lacking=lambda: True)
    forgetful.sorter.remember(forgetful.entries)
    added = forgetful.take(*payloads, gateway.sealed())
    assert [entry.seq for entry in added] == [4, 7], "what was given up and comes after all, and what is new"
    assert forgetful.sorter.counts["riverside-gw"].duplicate == 4


def test_what_comes_again_of_a_month_that_is_away_is_named_however_many_holes_there_are() -> None:
    gateway = FakeGateway(key=KEY)
    payloads = [gateway.sealed() for _ in range(200)]
    stream = "riverside-gw", gateway.epoch
    desk = Desk(held={stream: Ranges().add([1, *range(3, 200, 2)])})
    desk.sorter = Sorter(desk.inbox, desk, ["riverside-gw"], lacking=lambda: True)

    def named() -> list[int]:
        ((_, ranges),) = desk.inbox.holding("riverside-gw").epochs
        return [first for first, _ in ranges.have]

    assert 199 not in named()
    assert desk.take(payloads[198]) == []
    assert 199 in named()


def test_what_a_gateway_notices_of_itself_is_told() -> None:
    gateway, desk = FakeGateway(key=KEY), Desk()
    desk.take(gateway.sealed())
    noticed = {"what": "storage", "text": "The outbox is 80 % full", "detail": {"share": 0.81, "alarm": 80, "x": [1]}}
    (told,) = desk.events(gateway.sealed(empty_columns(), {"event": noticed}, kind="event"))
    assert (told.what, told.security) == (What.GATEWAY, False)
    assert told.text == "gateway riverside-gw: The outbox is 80 % full"
    assert told.detail | {"noticed": "storage", "its_share": "0.81", "its_alarm": 80} == told.detail
    assert "its_x" not in told.detail
    assert desk.events(gateway.sealed(empty_columns(), {"what": "of the first versions"}, kind="event")) == []


def test_how_instruments_are_set_keeps_nothing_else_from_being_told_and_a_change_is_a_security_event() -> None:
    gateway, desk = FakeGateway(key=KEY), Desk()
    desk.take(gateway.sealed())

    def tells(what: str) -> list[Event]:
        noticed = {"what": what, "text": "", "detail": {"sensor": "cems-1", "before": 500.0, "after": None}}
        return desk.events(gateway.sealed(empty_columns(), {"event": noticed}, kind="event"))

    assert sum(len(tells("settings")) for _ in range(200)) < 200, "of a kind there are not endlessly many an hour"
    (told,) = tells("silent")
    assert told.what == What.GATEWAY
    (changed,) = tells("setting_changed")
    assert (changed.what, changed.security) == (What.SETTING_CHANGED, True)
    assert changed.detail["its_before"] == "500.0"
