"""The gateway's half of the conversation, over a real outbox."""

from __future__ import annotations

import contextlib
from pathlib import Path

from gateway import wire
from gateway.exchange import Exchange
from gateway.measurement import SECOND_NS
from gateway.shelves import SpoolFull
from gateway.spooler import Spooler
from tests.gateway.batches import COLLECTOR_KEY, KEY, ack, columns, sealed_ack


def opened(folder: Path) -> Spooler:
    return Spooler(folder, "riverside", "riverside-gw", KEY)


def talking(outbox: Spooler) -> Exchange:
    """A conversation on a new connection, everything sent."""
    exchange = Exchange("riverside-gw", outbox, COLLECTOR_KEY.public_key())
    exchange.connected(0)
    while exchange.turn(400, 0):
        pass
    return exchange


def sent(exchange: Exchange) -> int:
    """How many batches go out now."""
    count = 0
    while rows := exchange.turn(400, SECOND_NS):
        count += len(rows)
    return count


def restored(outbox: Spooler, epoch: bytes) -> bytes:
    """A journal put back from a backup: it holds the first batch of an epoch, and this one's hello."""
    epochs = (wire.EpochAck(epoch, 1), wire.EpochAck(outbox.epoch, 1))
    return sealed_ack(ack(b"", 0, gen=(2, b"restored"), epochs=epochs))


def test_a_journal_restored_while_the_gateway_starts_is_filled_at_once(tmp_path):
    with contextlib.closing(opened(tmp_path)) as outbox:
        outbox.put(columns(20_000))
        outbox.flush()
        assert outbox.acked(ack(outbox.epoch, 99)) == 41
        epoch = outbox.epoch
    with contextlib.closing(opened(tmp_path)) as outbox:
        exchange = talking(outbox)
        heard = exchange.heard(restored(outbox, epoch), SECOND_NS)
        assert (heard.counted, heard.refilled) == (True, 40)
        assert sent(exchange) == 40


def test_a_full_disk_only_delays_the_filling_of_a_restored_journal(tmp_path, monkeypatch):
    with contextlib.closing(opened(tmp_path)) as outbox:
        outbox.put(columns(20_000))
        outbox.flush()
        exchange, epoch = talking(outbox), outbox.epoch
        exchange.heard(sealed_ack(ack(epoch, 99)), SECOND_NS)
        with monkeypatch.context() as patch:
            patch.setattr(outbox._keeper._shelves, "mark", full)
            assert exchange.heard(restored(outbox, epoch), SECOND_NS).unnoted
        assert sent(exchange) == 0
        assert exchange.heard(restored(outbox, epoch), SECOND_NS).refilled == 40
        assert sent(exchange) == 40


def test_what_a_full_disk_could_not_note_as_received_goes_again_to_a_journal_that_lost_it(tmp_path, monkeypatch):
    with contextlib.closing(opened(tmp_path)) as outbox:
        outbox.put(columns(20_000))
        outbox.flush()
        exchange, epoch = talking(outbox), outbox.epoch
        with monkeypatch.context() as patch:
            patch.setattr(outbox._keeper._shelves, "mark", full)
            for n in (1, 2):  # more went out when the first one said how much it takes
                assert exchange.heard(sealed_ack(ack(epoch, 99, n=n)), SECOND_NS).unnoted
                sent(exchange)
        assert sent(exchange) == 0, "all has arrived"
        assert exchange.heard(restored(outbox, epoch), SECOND_NS).refilled == 0, "nothing was marked"
        assert sent(exchange) == 40


def full(*_: object, **__: object) -> None:
    raise SpoolFull("no room")
