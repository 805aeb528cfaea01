"""What leaves the outbox without acknowledgement is declared, all of it and nothing else."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import retention
from gateway.retention import Gap, Held
from tests.effort import examples

EPOCHS = tuple(bytes([number]) * 16 for number in range(1, 4))


@st.composite
def rows(draw: st.DrawFn) -> list[Held]:
    """Some rows of a few epochs, records (n = 0) among them, in the order of the stream."""
    keys = sorted(draw(st.sets(st.tuples(st.sampled_from(EPOCHS), st.integers(1, 60)), max_size=60)))
    counts = draw(st.lists(st.integers(0, 500), min_size=len(keys), max_size=len(keys)))
    sizes = draw(st.lists(st.integers(200, 9000), min_size=len(keys), max_size=len(keys)))
    return [
        Held(epoch, seq, n, seq * 10 if n else 0, seq * 10 + n if n else 0, size)
        for (epoch, seq), n, size in zip(keys, counts, sizes, strict=True)
    ]


@given(rows())
@settings(max_examples=examples(100, 5000))
def test_gap_records_cover_the_rows_and_nothing_else(held):
    found = retention.gaps(held, "corrupt")
    covered = [(gap.ep, seq) for gap in found for seq in range(gap.from_seq, gap.to_seq + 1)]
    assert covered == sorted(row.key for row in held)
    assert sum(gap.n for gap in found) == sum(row.n for row in held)
    for gap in found:
        inside = [r for r in held if r.epoch == gap.ep and gap.from_seq <= r.seq <= gap.to_seq and r.n]
        assert gap.t_first == min((r.first_ns for r in inside), default=0)
        assert gap.t_last == max((r.last_ns for r in inside), default=0)
    for one, other in pairwise(found):
        assert (one.ep, one.to_seq + 1) < (other.ep, other.from_seq), "neighbours are one record"


@given(rows(), rows(), st.integers(-1, 200_000))
@settings(max_examples=examples(100, 5000))
def test_evidence_goes_before_anything_that_was_not_acknowledged(acked, unacked, wanted):
    room = retention.make_room(wanted, acked, unacked)
    assert list(room.free) == acked[: len(room.free)], "the oldest"
    data = [row for row in unacked if row.n]
    assert list(room.given_up) == data[: len(room.given_up)], "the oldest, and never a record"
    if wanted <= 0:
        assert room == retention.Room()
        return
    assert not room.given_up or not acked
    gone = [*room.free, *room.given_up]
    assert sum(row.size for row in gone[:-1]) < wanted, "no more than it takes"
    assert sum(row.size for row in gone) >= wanted or len(gone) == len(acked or data)


def test_room_is_made_down_to_the_low_water_mark():
    assert retention.excess(100, 100) == 0
    assert retention.excess(101, 100) == 3
    assert retention.excess(99, 100, over=True) == 1
    assert retention.excess(98, 100, over=True) == 0


def test_a_gap_record_names_itself_apart_from_its_header():
    gap = Gap(EPOCHS[0], 3, 9, 12, 5, 6, "operator")
    assert gap.fields() == {
        "gap": {"ep": EPOCHS[0], "from_seq": 3, "to_seq": 9, "n": 12, "t_first": 5, "t_last": 6, "reason": "operator"}
    }
