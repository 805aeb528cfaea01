"""Batches that were read last: which of them are remembered, and how many."""

from __future__ import annotations

import threading

import pytest

from collector.reading import Reader
from gateway import wire
from tests.gateway.test_wire import columns, header


def bodies(count: int) -> list[bytes]:
    return [wire.encode(header(2, seq=seq), columns(2)) for seq in range(2, 2 + count)]


def test_a_batch_that_was_just_read_is_not_read_again() -> None:
    reader, (body,) = Reader(), bodies(1)
    assert reader.decoded(body) is reader.decoded(body)
    assert reader.decoded(body).header == wire.decode(body).header
    with pytest.raises(wire.WireError):
        reader.decoded(b"none")


def test_what_a_batch_adds_is_not_kept_in_memory() -> None:
    """A gateway that seals a million empty maps under a key nobody knows must not fill its collector's memory."""
    reader, odd = Reader(), wire.encode(header(2), columns(2), {"x": [{}] * 1000})
    assert reader.decoded(odd) is not reader.decoded(odd)
    assert reader.decoded(odd).fields == {"x": [{}] * 1000}
    assert reader.bytes == 0


def test_what_was_read_long_ago_is_forgotten() -> None:
    one, two, three, four = bodies(4)
    size = Reader()
    size.decoded(one)
    reader = Reader(size.bytes * 3)  # each half holds one
    first, second = reader.decoded(one), reader.decoded(two)
    assert reader.decoded(one) is first
    third = reader.decoded(three)
    assert reader.decoded(three) is third
    assert reader.decoded(two) is second
    assert reader.decoded(one) is not first
    reader.decoded(four)
    assert reader.bytes <= size.bytes * 3 // 2


def test_threads_may_read_at_once() -> None:
    reader, all_of_them = Reader(50_000), bodies(60)
    threads = [threading.Thread(target=lambda: [reader.decoded(body) for body in all_of_them * 5]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 < reader.bytes <= 50_000
