"""The oracle is no fool: each of its clauses fails when, and only when, its promise is broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from collector.intake.events import What
from collector.intake.gate import Gate
from collector.store import Entry, EntryKind
from gateway import keeper, wire
from gateway.lanes import Key
from gateway.measurement import SECOND_NS, empty_columns
from gateway.outbox import Sender
from gateway.retention import Gap
from gateway.shelves import Change
from simulators.world import card as world_card
from simulators.world import ledger, reckoning, run
from simulators.world.broker import Broker
from simulators.world.card import Card, State, _held
from simulators.world.collector import Store
from simulators.world.dice import Dice
from simulators.world.ledger import Truth
from simulators.world.oracle import Left, Oracle, Stop
from simulators.world.run import World
from simulators.world.schedule import Fault, plan
from simulators.world.timeline import Timeline

SPAN_NS = 20 * SECOND_NS


def world(*rows: int) -> World:
    """Twenty quiet seconds, or with a fault of each row at the tenth."""
    faults = tuple(Fault(number, row, 10 * SECOND_NS, 3 * SECOND_NS, 0) for number, row in enumerate(rows))
    return World(replace(plan(1), span_ns=SPAN_NS, faults=faults, limits=(1 << 30, 1 << 30), real=False, thin=False))


def clauses(found: World) -> set[str]:
    return {one.clause for one in found.run().violations}


def at_the_end(monkeypatch: pytest.MonkeyPatch, tamper: Callable[[World], None], found: World) -> set[str]:
    """The clauses that fail when something is tampered with before the reckoning."""
    genuine = run.reckon

    def reckon(*known: object) -> None:
        tamper(found)
        genuine(found.oracle, found.collector.ledger, found.collector.store.pieces)

    monkeypatch.setattr(run, "reckon", reckon)
    return clauses(found)


def last_batch(found: World):
    return next(entry for entry in reversed(found.collector.ledger.entries) if entry.kind is EntryKind.BATCH)


def followed(found: World) -> None:
    found.collector.store = Store()
    found.collector.store.follow(found.collector.ledger)


def test_a_world_that_nobody_tampers_with_breaks_nothing():
    assert clauses(world()) == set()
    assert clauses(world(2, 13)) == set()


# --- at the end: what is in store and journal --------------------------------------------------------


def lose(found: World) -> None:
    found.collector.ledger.entries.remove(last_batch(found))
    followed(found)


def lose_in_the_store(found: World) -> None:
    found.collector.store.pieces.clear()


def double(found: World) -> None:
    entry, entries = last_batch(found), found.collector.ledger.entries
    entries.append(msgspec.structs.replace(entry, position=len(entries) + 1, epoch=bytes(16)))
    followed(found)


def alter(found: World) -> None:
    found.oracle.produced[0].time_ns[7] += 1


def forget_to_commit(found: World) -> None:
    found.oracle.produced[0].committed.discard(len(found.oracle.produced[0].time_ns) - 1)
    lose_poll(found, len(found.oracle.produced[0].time_ns) - 1)


def lose_poll(found: World, poll: int) -> None:
    entries = found.collector.ledger.entries
    entries[:] = [one for one in entries if one.gateway != "gw-0" or poll not in polls(found, one)]
    followed(found)


def polls(found: World, entry) -> set[int]:
    if entry.kind is not EntryKind.BATCH:
        return set()
    return {int(value) % (1 << 32) for value in found.collector.ledger.read(entry).columns.value}


def leave_a_hole(found: World) -> None:
    truth = found.collector.ledger.truth["gw-0", last_batch_of(found, "gw-0").epoch]
    truth.add([truth.upto + 2])


def last_batch_of(found: World, name: str):
    entries = found.collector.ledger.entries
    return next(one for one in reversed(entries) if one.kind is EntryKind.BATCH and one.gateway == name)


def count_wrongly(found: World) -> None:
    entry = last_batch(found)
    key = entry.epoch, entry.seq
    found.collector.ledger.declared.append(ledger.Declared(entry.gateway, key, entry.epoch, 2, 3, 6, 2))


def break_the_chain(found: World) -> None:
    entry = last_batch(found)
    batch = found.collector.ledger.read(entry)
    other = msgspec.structs.replace(batch, header=msgspec.structs.replace(batch.header, prev=bytes(32)))
    found.collector.ledger._decoded[entry.payload] = other


def cry_wolf(found: World) -> None:
    found.oracle.told.append((What.CHAIN_BREAK, "gw-0", bytes(16)))


@pytest.mark.parametrize(
    ("tamper", "clause"),
    [
        (lose, "lost"),
        (lose_in_the_store, "rebuild"),
        (double, "duplicated"),
        (alter, "altered"),
        (forget_to_commit, "unexplained"),
        (leave_a_hole, "unexplained"),
        (count_wrongly, "gap_wrong"),
        (break_the_chain, "chain"),
        (cry_wolf, "alarm_false"),
    ],
)
def test_what_is_wrong_at_the_end_is_told_under_its_clause(monkeypatch, tamper, clause):
    assert at_the_end(monkeypatch, tamper, world()) == {clause}


def test_a_card_that_forgets_without_an_alarm_is_told(monkeypatch):
    def forget(found: World) -> None:
        for entry in found.collector.ledger.entries:
            if entry.kind is EntryKind.BATCH and entry.seq == 1:
                batch = found.collector.ledger.read(entry)
                if batch.fields["prev_ep"]:
                    batch.fields["prev_last_seq"] -= 1  # type: ignore[index]

    assert at_the_end(monkeypatch, forget, world(2)) == {"alarm_missing"}


def make_up(found: World) -> None:
    """The journal holds a batch that was made up, and nothing tells that it follows no other."""
    found.oracle.forgeries.add(last_batch_of(found, "gw-0").payload)


def test_a_batch_that_was_made_up_without_an_alarm_is_told(monkeypatch):
    assert "alarm_missing" in at_the_end(monkeypatch, make_up, world())


def test_another_batch_that_is_thrown_away_is_told(oracle):
    entry = Entry(0, 1, EntryKind.CONFLICT, "gw-0", EPOCH, 7, b"another")
    journal = ledger.Ledger(Dice("test"), 0)
    oracle.dealt([entry], journal)
    assert [one.clause for one in oracle.violations] == ["alarm_missing"]
    journal.append([entry], {})
    oracle.dealt([entry], journal)
    assert len(oracle.violations) == 1


def test_a_hello_that_tells_another_end_than_there_was_is_told(monkeypatch):
    monkeypatch.setattr(keeper, "end_reason", lambda meta, boot_id: "power")
    assert clauses(world(2)) == {"end_wrong"}
    monkeypatch.setattr(keeper, "end_reason", lambda meta, boot_id: "crash")
    assert clauses(world(3)) == {"end_wrong"}


# --- while it runs -------------------------------------------------------------------------------------


def test_a_line_that_never_comes_back_is_stuck():
    found = world()
    found.timeline.at(15 * SECOND_NS, found.broker.kill)
    assert clauses(found) >= {"stuck"}


def test_values_that_are_not_fresh_after_a_connection_came_back_are_told():
    found = world()

    def spoil() -> None:
        found.broker.weather.forbidden.add("gw-0")
        found.broker.weather.silent = True
        found.broker.cut("gw-0")
        found.broker.weather.cut.clear()

    found.timeline.at(8 * SECOND_NS, spoil)
    found.timeline.at(18 * SECOND_NS, found.broker.weather.forbidden.clear)
    assert clauses(found) == {"starved"}


def test_a_dead_line_that_is_trusted_for_too_long_is_told(monkeypatch):
    found, dead_s = world(), 70
    found.plan = replace(found.plan, span_ns=80 * SECOND_NS, faults=(Fault(0, 11, SECOND_NS, dead_s * SECOND_NS, 0),))
    monkeypatch.setattr(Broker, "_notice", lambda self, line: None)
    monkeypatch.setattr(Sender, "silent", lambda self, now_ns, *, waiting: False)
    assert clauses(found) == {"deaf"}


def test_a_line_that_lived_meanwhile_has_been_dead_since_it_died_last():
    timeline = Timeline()
    broker = Broker(timeline, Dice("test"), thin=False)
    line = broker.connect(None, "gw-0", "gw-0")  # type: ignore[arg-type]
    lines = broker.deaden("gw-0", noticed=False)
    timeline.run(5 * SECOND_NS)
    assert broker.deaden("gw-0", noticed=False) == lines == [line]
    assert line.died_ns == 0, "it is dead already"
    broker.revive(lines)
    broker.deaden("gw-0", noticed=False)
    assert line.died_ns == 5 * SECOND_NS


def test_whatever_the_product_raises_is_told(monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise IndexError("not for any bytes on any topic")

    monkeypatch.setattr(Gate, "examine", broken)
    assert clauses(world()) == {"crash"}


def test_more_than_one_poll_may_not_end_with_a_process():
    found = world()
    found.oracle.died(0, [0, 1], strained=True)
    assert not found.oracle.violations
    found.oracle.died(0, [0, 1], strained=False)
    assert [one.clause for one in found.oracle.violations] == ["unexplained"]


# --- a card and an acknowledgement ---------------------------------------------------------------------

EPOCH = bytes(7) + b"\x01" + bytes(8)


@pytest.fixture
def oracle() -> Oracle:
    return Oracle(Timeline())


@pytest.fixture
def card(oracle: Oracle) -> Card:
    """Five rows of three values, the first two acknowledged."""
    card = Card("gw-0", oracle, Dice("test"), State())
    oracle.card(card, 1 << 30, 30 * 86_400 * SECOND_NS)
    rows = [(EPOCH, seq, 3, 1, 2, b"payload") for seq in range(1, 6)]
    card.commit(Change(0, card.meta(), rows))
    oracle._named["gw-0", EPOCH] = Truth(2)
    card.mark(said(2), 0, undo=False)
    assert not oracle.violations
    return card


def said(upto: int, n: int = 1) -> wire.Ack:
    return wire.Ack(gw="gw-0", gen=(1, bytes(8)), n=n, epochs=(wire.EpochAck(EPOCH, upto),), win=64, now=0)


def gone(card: Card, *seqs: int, told: tuple[tuple[Key, Gap], ...] = ()) -> Change:
    return Change(0, card.meta(), (), [_held(card.state.rows[EPOCH, seq]) for seq in seqs], told)


def gap(first: int, last: int, n: int, reason: str = "corrupt") -> tuple[tuple[Key, Gap], ...]:
    return (((EPOCH, 9), Gap(EPOCH, first, last, n, 0, 0, reason)),)


def found(oracle: Oracle) -> list[str]:
    return [one.clause for one in oracle.violations]


def test_what_is_given_up_has_to_be_declared(oracle, card):
    card.commit(gone(card, 3, 4, told=gap(3, 4, 6)))
    assert found(oracle) == []
    card.commit(gone(card, 5))
    assert found(oracle) == ["lost"]


def test_what_is_declared_has_to_be_gone_and_counted(oracle, card):
    card.commit(gone(card, 3, told=gap(3, 4, 3)))
    assert found(oracle) == ["gap_wrong"]
    card.commit(gone(card, 4, told=gap(4, 4, 2)))
    assert found(oracle) == ["gap_wrong"] * 2


def test_what_damage_took_with_its_whole_process_start_is_told_by_the_hello_of_the_next(oracle, card, monkeypatch):
    second = (2).to_bytes(8) + bytes(8)
    card.commit(Change(0, card.meta(), [(second, seq, 3, 1, 2, b"payload") for seq in (1, 2)]))
    card.state.counter = 2
    monkeypatch.setattr(world_card, "_found", lambda row: row)
    card.ruin(1.0)
    assert card.aside is not None
    assert not any(epoch == second for epoch, _ in card.aside)
    lost, journal = oracle.left_rows[card][second, 2], ledger.Ledger(Dice("test"), 0)
    monkeypatch.setattr(reckoning, "_tells_of", lambda *_: False)
    assert reckoning.unlawful(oracle, journal, lost, set()) == "nothing tells of it"
    assert reckoning.unlawful(oracle, journal, lost, {("gw-0", 2), ("gw-1", 3)}) == "nothing tells of it"
    assert reckoning.unlawful(oracle, journal, lost, {("gw-0", 3)}) == "", "whatever start it names as the last"


def test_what_was_given_up_and_came_back_counts_as_received(oracle, card, monkeypatch):
    journal = ledger.Ledger(Dice("test"), 0)
    journal.declared.append(ledger.Declared("gw-0", (EPOCH, 9), EPOCH, 3, 4, 6, 2))
    card.lie(True)
    card.commit(gone(card, 3, 4, told=gap(3, 4, 6)))
    card.cut_power()
    assert {(EPOCH, 3), (EPOCH, 4)} <= card.state.rows.keys(), "nothing of the commit was written"
    oracle._named["gw-0", EPOCH] = Truth(5)
    card.mark(said(5, 2), 0, undo=False)
    kept = Left("gw-0", card.state.rows[EPOCH, 3], "kept")
    assert reckoning.unlawful(oracle, journal, kept, set()) == "", "as long as it is evidence, too"
    monkeypatch.setattr(oracle, "_limits", {card: (1, 1)})
    card.commit(gone(card, 3, 4, 5))
    monkeypatch.setattr(reckoning, "_tells_of", lambda *_: False)
    why = {seq: reckoning.unlawful(oracle, journal, oracle.left_rows[card][EPOCH, seq], set()) for seq in (3, 4, 5)}
    assert why == {3: "", 4: "", 5: "it was acknowledged"}
    oracle.returned.clear()
    assert reckoning.unlawful(oracle, journal, oracle.left_rows[card][EPOCH, 3], set()) == "it was acknowledged"
    assert found(oracle) == []


def test_a_card_that_is_taken_takes_what_was_salvaged_from_it(oracle, card):
    rows = [seal_row(seq) for seq in (6, 7)]
    card.commit(Change(0, card.meta(), rows))
    assert [row[1] for row in card.held()] == [1, 2, 3, 4, 5, 6, 7]
    for seq in range(1, 6):
        del card.state.rows[EPOCH, seq]
    card.ruin(0.0)
    assert card.state.rows == {}
    assert [row[1] for row in card.held()] == [6, 7]


def seal_row(seq: int) -> tuple[bytes, int, int, int, int, bytes]:
    header = wire.Header(
        plant="plant", gw="gw-0", ep=EPOCH, seq=seq, prev=wire.NO_HASH, low=1, n=0, cfg=wire.NO_HASH, mono_ns=1,
        wall_ns=1, clk=wire.Clk("synced", 1, 0), kind="data",
    )  # fmt: skip
    return EPOCH, seq, 0, 0, 0, bytes(1 + 64) + wire.encode(header, empty_columns())


def test_nothing_is_given_up_while_there_is_something_that_the_collector_has(oracle, card):
    card.commit(gone(card, 3, told=gap(3, 3, 3, "outbox_full")))
    assert found(oracle) == ["lost"]
    oracle.violations.clear()
    card.state.acked.clear()
    card.commit(gone(card, 4, told=gap(4, 4, 3, "outbox_full")))
    assert found(oracle) == []


def test_evidence_stays_its_time_and_longer_while_there_is_room(oracle, card):
    card.expire(0, 500)
    assert found(oracle) == []
    card.expire(1, 1)
    assert found(oracle) == ["ring"]
    card.commit(gone(card, 2))
    assert found(oracle) == ["ring"] * 2


def test_nothing_is_freed_that_was_never_acknowledged(oracle, card):
    card.mark(said(4, n=2), 0, undo=False)
    assert found(oracle) == ["acked_undurable"] * 2


def test_no_acknowledgement_counts_after_a_newer_one(oracle, card):
    card.mark(said(2, n=3), 0, undo=False)
    assert found(oracle) == []
    card.mark(said(2, n=3), 0, undo=False)
    card.mark(said(2, n=2), 0, undo=False)
    assert found(oracle) == ["replayed"] * 2


def test_nothing_is_acknowledged_that_the_journal_does_not_hold(oracle):
    journal = ledger.Ledger(Dice("test"), 0)
    oracle.acknowledged("gw-0", bytes(65) + wire.encode_ack(said(0)), journal)
    assert found(oracle) == ["acked_undurable"]
    journal.truth["gw-0", EPOCH] = ledger.Truth(3, {5})
    oracle.violations.clear()
    oracle.acknowledged("gw-0", bytes(65) + wire.encode_ack(said(3)), journal)
    have = wire.Ack(gw="gw-0", gen=(1, bytes(8)), n=1, epochs=(wire.EpochAck(EPOCH, 3, ((5, 5),)),), win=64, now=0)
    oracle.acknowledged("gw-0", bytes(65) + wire.encode_ack(have), journal)
    assert found(oracle) == []
    oracle.acknowledged("gw-0", bytes(65) + wire.encode_ack(said(5)), journal)
    assert found(oracle) == ["acked_undurable"]


def test_the_first_violation_may_end_a_run():
    with pytest.raises(Stop):
        Oracle(Timeline(), stop_first=True).violate("lost", "a value")
