"""What of each stream has arrived, and when it is acknowledged."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.intake import inbox
from collector.intake.inbox import Holding, Inbox, Quota, Ranges, Stream, Verdict
from tests.effort import examples

A: Stream = ("gw-a", b"a" * 16)
B: Stream = ("gw-b", b"b" * 16)
SEQS = st.lists(st.integers(1, 40))


def digest(seq: int, twin: int = 0) -> bytes:
    return bytes([twin]) + seq.to_bytes(31, "big")


def nothing(stream: Stream, seq: int) -> Collection[bytes]:
    raise AssertionError(f"the journal was asked for {stream} {seq}")


def take(box: Inbox, stream: Stream, *seqs: int) -> list[Verdict]:
    return [box.accept(stream, seq, digest(seq), lambda _, seq: {digest(seq)}) for seq in seqs]


# --- ranges ---------------------------------------------------------------------------------------


@settings(max_examples=examples(300))
@given(st.lists(SEQS, max_size=5))
def test_ranges_are_a_set_of_numbers_in_its_shortest_form(parts: list[list[int]]) -> None:
    ranges, known = Ranges(), set[int]()
    for part in parts:
        ranges = ranges.add(part)
        known |= set(part)
    assert {seq for seq in range(1, 50) if seq in ranges} == known
    assert ranges.upto == next(seq for seq in range(50) if seq + 1 not in known)
    bounds = [ranges.upto, *(bound for pair in ranges.have for bound in pair)]
    assert all(first <= last for first, last in ranges.have)
    assert all(end + 1 < start for end, start in zip(bounds[::2], bounds[1::2], strict=False)), "holes between"


@settings(max_examples=examples(300))
@given(SEQS, st.lists(st.tuples(st.integers(1, 40), st.integers(0, 20)), max_size=5))
def test_covering_ranges_adds_their_numbers(seqs: list[int], covers: list[tuple[int, int]]) -> None:
    ranges, known = Ranges().add(seqs), set(seqs)
    for first, more in covers:
        span = range(first, first + more + 1)
        assert ranges.missing(first, first + more) == len(set(span) - known)
        ranges = ranges.cover(first, first + more)
        known |= set(span)
    assert ranges == Ranges().add(known)
    assert ranges.top == max(known, default=0)


def test_a_gap_counts_as_received_and_a_late_batch_is_still_fresh() -> None:
    box = Inbox({A: Ranges(2)}, [A[0]])
    assert box.cover(A, 2, 5) == 3
    assert box.known(A) == Ranges(5)
    assert box.holding(A[0]).epochs == ((A[1], Ranges(2)),), "not before the commit"
    box.committed(0)
    assert box.holding(A[0]).epochs == ((A[1], Ranges(5)),)
    assert box.accept(A, 4, digest(4), lambda *_: ()) is Verdict.FRESH
    assert box.accept(A, 4, digest(4), lambda *_: ()) is Verdict.DUPLICATE
    assert box.proposed() == {}
    box.cover(A, 1, 2**63 - 1)
    assert box.proposed() == {A: Ranges(2**63 - 1)}, "a range of any length costs nothing"


def test_gaps_make_no_more_holes_than_are_remembered() -> None:
    many = tuple((2 * hole + 1, 2 * hole + 1) for hole in range(1, inbox.MAX_HOLES + 1))
    box = Inbox({A: Ranges(1, many)}, [A[0]])
    assert not box.covers(A, 10_000, 10_001)
    assert box.covers(A, 2, 10_001)
    assert box.covers(A, 5, 5)


# --- verdicts -------------------------------------------------------------------------------------


@settings(max_examples=examples(300))
@given(st.lists(st.tuples(st.sampled_from([A, B]), st.integers(1, 12), st.integers(0, 1), st.booleans())))
def test_every_batch_is_journalled_once_whatever_the_order(arrivals: list[tuple[Stream, int, int, bool]]) -> None:
    box = Inbox({}, [A[0], B[0]])
    journal: dict[tuple[Stream, int], list[bytes]] = {}
    pending: list[tuple[Stream, int, bytes]] = []
    for stream, seq, twin, commit in arrivals:
        verdict = box.accept(stream, seq, digest(seq, twin), lambda stream, seq: journal.get((stream, seq), []))
        known = [d for s, q, d in pending if (s, q) == (stream, seq)] + journal.get((stream, seq), [])
        if digest(seq, twin) in known:
            assert verdict is Verdict.DUPLICATE
        else:
            assert verdict is (Verdict.CONFLICT if known else Verdict.FRESH)
            pending.append((stream, seq, digest(seq, twin)))
        if commit:
            proposed = box.proposed()
            for s, q, d in pending:
                journal.setdefault((s, q), []).append(d)
            pending.clear()
            box.committed(0)
            for s in proposed:
                held = dict(box.holding(s[0]).epochs)[s[1]]
                assert held == Ranges().add(q for t, q in journal if t == s)


def test_nothing_is_acknowledged_before_it_is_committed() -> None:
    box = Inbox({}, [A[0]])
    assert take(box, A, 1, 2) == [Verdict.FRESH, Verdict.FRESH]
    assert box.holding(A[0]) == Holding(A[0], ())
    assert box.proposed() == {A: Ranges(2)}
    assert box.holding(A[0]) == Holding(A[0], ())
    box.committed(0)
    assert box.holding(A[0]) == Holding(A[0], ((A[1], Ranges(2)),))
    assert box.proposed() == {}


def test_a_restart_goes_on_from_the_journal() -> None:
    box = Inbox({A: Ranges(5, ((8, 9),))}, [A[0]])
    assert take(box, A, 5, 6, 8) == [Verdict.DUPLICATE, Verdict.FRESH, Verdict.DUPLICATE]
    assert box.accept(A, 9, digest(9, 1), lambda *_: {digest(9)}) is Verdict.CONFLICT
    assert box.accept(A, 9, digest(9, 1), lambda *_: {digest(9)}) is Verdict.DUPLICATE, "kept once"


def test_the_same_number_in_two_epochs_is_two_batches() -> None:
    box = Inbox({}, [A[0]])
    assert box.accept(A, 1, digest(1), nothing) is Verdict.FRESH
    assert box.accept((A[0], b"later" + bytes(11)), 1, digest(1), nothing) is Verdict.FRESH


def test_holes_are_limited_and_the_lowest_can_always_be_filled() -> None:
    many = tuple((2 * hole + 1, 2 * hole + 1) for hole in range(1, inbox.MAX_HOLES + 1))
    box = Inbox({A: Ranges(1, many)}, [A[0]])
    assert take(box, A, 10_000) == [Verdict.REFUSED]
    assert take(box, A, 2) == [Verdict.FRESH]
    assert box.proposed()[A].upto == 3


def test_a_number_that_was_not_checked_is_a_mistake_of_ours() -> None:
    for seq in (0, -1, 2**63):
        with pytest.raises(AssertionError):
            Inbox({}, []).accept(A, seq, b"", nothing)


# --- acknowledgements -----------------------------------------------------------------------------


def settled(now_ns: int = 0) -> Inbox:
    """Two gateways, acknowledged at `now_ns`."""
    box = Inbox({}, [A[0], B[0]])
    for gateway in (A[0], B[0]):
        box.sent(gateway, now_ns)
    return box


def test_every_gateway_is_greeted_at_the_start() -> None:
    assert Inbox({}, [A[0], B[0]]).due(0) == [A[0], B[0]]
    assert Inbox({}, []).next_due_ns() is None


def test_an_acknowledgement_is_owed_after_a_delay_or_many_batches() -> None:
    box = settled()
    take(box, A, 1)
    box.committed(1000)
    assert box.due(1000) == []
    assert box.next_due_ns() == 1000 + inbox.ACK_DELAY_NS
    assert box.due(1000 + inbox.ACK_DELAY_NS) == [A[0]]
    take(box, A, *range(2, inbox.ACK_BATCHES + 1))
    box.committed(2000)
    assert box.due(2000) == [A[0]]
    box.sent(A[0], 2000)
    assert box.due(2000 + inbox.ACK_DELAY_NS) == []


def test_an_acknowledgement_is_owed_at_once_when_asked_and_by_the_beacon() -> None:
    box = settled()
    box.hurry(B[0])
    assert box.due(0) == [B[0]]
    box.sent(B[0], 5)
    assert box.due(inbox.BEACON_NS) == [A[0]]
    assert box.due(inbox.BEACON_NS + 5) == [A[0], B[0]]


def test_an_acknowledgement_names_the_epochs_used_last_within_its_limits() -> None:
    old = {(A[0], bytes([n]) * 16): Ranges(n) for n in range(40)}
    box = Inbox(old, [A[0]])
    take(box, (A[0], bytes(16)), 1)
    box.committed(0)
    epochs = box.holding(A[0]).epochs
    assert [epoch[0] for epoch, _ in epochs] == [0, *range(39, 8, -1)]
    wide = Inbox({A: Ranges(0, tuple((2 * n, 2 * n) for n in range(1, 100)))}, [A[0]])
    assert wide.holding(A[0]).epochs[0][1].have == tuple((2 * n, 2 * n) for n in range(1, 33)), "the lowest"


def test_an_epoch_that_is_sent_again_is_named_again_however_many_came_after() -> None:
    epochs = [bytes([n]) for n in range(inbox.MAX_EPOCHS + 8)]
    box = Inbox({("gw", epoch): Ranges(1) for epoch in epochs}, ["gw"])
    assert epochs[0] not in dict(box.holding("gw").epochs)
    assert take(box, ("gw", epochs[0]), 1) == [Verdict.DUPLICATE]
    assert epochs[0] in dict(box.holding("gw").epochs)
    assert len(box.holding("gw").epochs) == inbox.MAX_EPOCHS


def test_what_came_in_is_named_however_many_holes_nobody_can_fill() -> None:
    odd = [*range(3, 2 * 100, 2)]
    box = Inbox({A: Ranges().add([1, *odd])}, [A[0]])

    def named() -> list[int]:
        ((_, ranges),) = box.holding(A[0]).epochs
        assert len(ranges.have) == inbox.MAX_RANGES
        box.sent(A[0], 0)
        return [first for first, _ in ranges.have]

    assert named() == odd[: inbox.MAX_RANGES]
    assert take(box, A, odd[-1]) == [Verdict.DUPLICATE]
    assert named() == [*odd[: inbox.MAX_RANGES - 1], odd[-1]]
    assert take(box, A, odd[-1] + 2) == [Verdict.FRESH]
    assert odd[-1] + 2 not in named(), "it is not committed"
    box.committed(0)
    assert odd[-1] + 2 in named()
    waiting = {*odd}
    while waiting:  # a gateway sends everything again that was not named
        take(box, A, *sorted(waiting))
        left = waiting - {*named()}
        assert left < waiting, "some of it is named each time"
        waiting = left


def test_credit_is_shared_and_nothing_while_the_journal_is_down() -> None:
    assert Inbox({}, ["g"]).credit(healthy=True) == 400
    assert Inbox({}, ["g", "h", "i", "j"]).credit(healthy=True) == 100
    assert Inbox({}, [str(n) for n in range(50)]).credit(healthy=True) == inbox.CREDIT_MIN
    assert Inbox({}, ["g"]).credit(healthy=False) == 0


def test_a_quota_refuses_what_is_too_much_and_forgets_after_its_period() -> None:
    quota = Quota(2, 100)
    assert [quota.take("a", now) for now in (0, 1, 2, 99)] == [True, True, False, False]
    assert quota.take("b", 2)
    assert [quota.take("a", now) for now in (100, 150, 160)] == [True, True, False]
