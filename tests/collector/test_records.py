"""What a batch says beside its measurements."""

from __future__ import annotations

from typing import Any

import pytest

from collector.intake.records import Gap, Hello, said, said_in
from gateway import seal, wire
from gateway.measurement import empty_columns
from tests.collector.batches import START_NS, FakeGateway

GAP = {
    "ep": b"e" * 16, "from_seq": 3, "to_seq": 9, "n": 40, "t_first": START_NS, "t_last": START_NS + 5,
    "reason": "corrupt",
}  # fmt: skip


def batch(kind: str, fields: dict[str, Any], seq: int = 20) -> wire.Batch:
    gateway = FakeGateway(seq=seq)
    return wire.Batch(gateway.header(0, kind=kind), empty_columns(), fields)


def test_a_hello_says_what_came_before_and_may_say_nothing() -> None:
    fields = {"prev_ep": b"p" * 16, "prev_last_seq": 7, "prev_last_hash": b"h" * 32, "reason": "power", "version": "1"}
    assert said(batch("hello", fields, 1)).hello == Hello(b"p" * 16, 7, b"h" * 32, "power")
    assert said(batch("hello", {}, 1)).hello == Hello()
    assert said(batch("data", fields)).hello is None


def test_a_gap_says_what_is_lost() -> None:
    expected = Gap(b"e" * 16, 3, 9, 40, START_NS, START_NS + 5, "corrupt")
    assert said(batch("gap", {"gap": GAP})).gap == expected
    assert said(batch("data", {"gap": GAP})).gap is None
    for nothing in ({}, {"gap": None}, {"gap": {}}):
        with pytest.raises(wire.WireError):
            said(batch("gap", nothing))


@pytest.mark.parametrize(
    "wrong",
    [
        {"to_seq": 2}, {"from_seq": 0}, {"ep": b"short"}, {"reason": "boredom"}, {"n": -1}, {"to_seq": 2**63},
        {"ep": FakeGateway().epoch, "to_seq": 20},
    ],
)  # fmt: skip
def test_a_gap_that_cannot_be_acted_upon_is_no_batch(wrong: dict[str, Any]) -> None:
    with pytest.raises(wire.WireError):
        said(batch("gap", {"gap": GAP | wrong}))


def test_a_journalled_payload_says_the_same_again() -> None:
    gateway = FakeGateway()
    hello, gap = gateway.sealed(), gateway.gap(1, 1)
    assert said_in(gap) == said(wire.decode(seal.verify(gap, gateway.key.public_key())))
    assert said_in(hello) is not None
    assert said_in(b"noise") is None
