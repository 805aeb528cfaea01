"""Bundles: what is put in comes out, in order, in messages that are small enough; what is cut is refused whole."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.bundles import MARK, MAX_BATCHES, bundled, pack, unpack
from gateway.lanes import Row
from gateway.wire import WireError
from tests.effort import examples

PAYLOADS = st.lists(st.binary(min_size=1, max_size=300).map(lambda data: b"\x01" + data), min_size=1, max_size=40)


@settings(max_examples=examples(200))
@given(payloads=PAYLOADS, max_bytes=st.integers(0, 2000))
def test_batches_travel_in_order_in_messages_that_are_small_enough(payloads: list[bytes], max_bytes: int) -> None:
    rows = [Row(b"e", seq, 1, payload) for seq, payload in enumerate(payloads)]
    parts = list(bundled(rows, max_bytes))
    messages = [pack([row.payload for row in part]) for part in parts]
    assert [payload for message in messages for payload in unpack(message)] == payloads
    assert all(len(message) <= max_bytes or len(part) == 1 for message, part in zip(messages, parts, strict=True))


@settings(max_examples=examples(200))
@given(payloads=PAYLOADS.filter(lambda found: len(found) > 1), data=st.data())
def test_a_bundle_that_is_cut_is_none(payloads: list[bytes], data: st.DataObject) -> None:
    whole = pack(payloads)
    ends = {1 + sum(4 + len(payload) for payload in payloads[:n]) for n in range(len(payloads) + 1)}
    cut = data.draw(st.integers(1, len(whole) - 1))
    if cut in ends - {1}:
        assert unpack(whole[:cut]) == payloads[: sorted(ends).index(cut)]
    else:
        with pytest.raises(WireError, match="not a bundle"):
            unpack(whole[:cut])


@settings(max_examples=examples(300))
@given(noise=st.binary(max_size=400))
def test_any_bytes_are_batches_or_a_fault(noise: bytes) -> None:
    assert unpack(b"\x01" + noise) == [b"\x01" + noise]
    try:
        found = unpack(bytes([MARK]) + noise)
    except WireError:
        return
    assert sum(4 + len(payload) for payload in found) == len(noise)


def test_a_bundle_of_too_many_is_refused_and_never_made() -> None:
    assert [len(part) for part in bundled([Row(b"e", n, 1, b"x") for n in range(600)], 1 << 20)] == [256, 256, 88]
    with pytest.raises(WireError):
        unpack(bytes([MARK]) + bytes(4) * (MAX_BATCHES + 1))
