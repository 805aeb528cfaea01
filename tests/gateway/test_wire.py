"""The wire format: what goes in comes out, and nothing that breaks a rule gets in."""

from __future__ import annotations

import zlib

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway import wire
from gateway.measurement import Series, Status, empty_columns
from tests.effort import examples
from tests.gateway.batches import EPOCH, ack, columns, equal, header, tables


@given(tables(), st.integers(2, 2**63 - 1), st.dictionaries(st.text(min_size=13, max_size=16), st.integers(0, 9)))
@settings(max_examples=examples(100))
def test_a_batch_comes_out_as_it_went_in(table, seq, fields):
    written = header(len(table), seq=seq)
    batch = wire.decode(wire.encode(written, table, fields))
    assert batch.header == written
    assert equal(batch.columns, table)
    assert batch.fields == fields


def test_the_bytes_are_those_of_the_protocol():
    packed = msgspec.msgpack.decode(zlib.decompress(wire.encode(header(2), columns(2))))
    assert packed == {
        "plant": "riverside", "gw": "riverside-gw", "ep": EPOCH, "seq": 2, "prev": bytes(32), "low": 1, "n": 2,
        "cfg": bytes(32), "mono_ns": 5, "wall_ns": 1_790_000_000_000_000_000,
        "clk": {"state": "synced", "err_ms": 3, "step_id": 0}, "kind": "data",
        "series": [["riverside", "stack-1", "cems-1", code, "mg/m3"] for code in ("SO2", "NOx", "CO")],
        "first_ns": 1_790_000_000_000_000_000, "series_index": b"\0\0\1\0", "time": bytes(16),
        "value": bytes(8) + b"\0\0\0\0\0\0\xc0\x3f", "status": b"\0\0",
    }  # fmt: skip


def test_a_hello_has_no_values_and_says_what_was_before():
    said = {"prev_ep": bytes(16), "prev_last_seq": 9, "prev_last_hash": bytes(32), "reason": "crash"}
    batch = wire.decode(wire.encode(header(0, seq=1, kind="hello"), empty_columns(), said))
    assert (len(batch.columns), batch.fields) == (0, said)


def test_a_day_of_the_reference_site_takes_few_bytes():
    rng = np.random.default_rng(1)
    series = tuple(Series("riverside", f"point-{i // 5}", f"sensor-{i // 3}", f"P{i}", "mg/m3") for i in range(45))
    table = replace(columns(500, series=series), value=np.round(rng.normal(50, 10, 500), 1))
    assert len(wire.encode(header(500), table)) < 5 * 500


def changed(**other: object) -> bytes:
    """A good batch with some keys of its map replaced."""
    packed = msgspec.msgpack.decode(zlib.decompress(wire.encode(header(3), columns(3))))
    packed.update(other)
    return zlib.compress(msgspec.msgpack.encode({k: v for k, v in packed.items() if v is not None}))


BAD = {
    "nothing": b"",
    "not compressed": b"hello",
    "cut short": wire.encode(header(3), columns(3))[:-3],
    "something behind": wire.encode(header(3), columns(3)) + b"x",
    "a bomb": zlib.compress(bytes(wire.MAX_INFLATED + 1)),
    "not msgpack": zlib.compress(b"\xc1"),
    "not a map": zlib.compress(msgspec.msgpack.encode([1, 2])),
    "a deep map": zlib.compress(b"\x81\xa1a" * 100_000),
    "keys that are no texts": zlib.compress(msgspec.msgpack.encode({1: 2})),
    "a key is missing": changed(plant=None),
    "no series": changed(series=[]),
    "a series of four": changed(series=[["a", "b", "c", "d"]] * 3),
    "an empty name": changed(plant=""),
    "a long name": changed(gw="x" * 65),
    "a short epoch": changed(ep=b"short"),
    "a short hash": changed(prev=b"short"),
    "seq 0": changed(seq=0),
    "seq beyond all": changed(seq=2**63),
    "a seq that is true": changed(seq=True),
    "low above seq": changed(low=3),
    "more values than columns": changed(n=4),
    "more values than allowed": changed(
        n=501, series_index=bytes(1002), time=bytes(4008), value=bytes(4008), status=bytes(501)
    ),
    "less than no values": changed(n=-1),
    "a half value": changed(value=bytes(23)),
    "a column of text": changed(value="x" * 24),
    "an unknown series": changed(series_index=b"\0\0\1\0\3\0"),
    "a time before the first": changed(time=(-1).to_bytes(8, "little", signed=True) * 3),
    "a time beyond all": changed(first_ns=2**63),
    "times that overflow": changed(first_ns=2**62 - 1, time=(2**62).to_bytes(8, "little") * 3),
    "an unknown status": changed(status=b"\0\0\x0a"),
    "an unknown kind": changed(kind="rumour"),
    "an unknown clock state": changed(clk={"state": "late", "err_ms": 0, "step_id": 0}),
    "hello in the middle": changed(kind="hello"),
    "no hello at the start": changed(seq=1, low=1),
}  # fmt: skip


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_a_body_that_breaks_a_rule_is_refused(body):
    with pytest.raises(wire.WireError):
        wire.decode(body)


@given(st.lists(st.tuples(st.floats() | st.sampled_from([np.inf, -np.inf, np.nan]), st.integers(0, max(Status))),
                min_size=1, max_size=120))  # fmt: skip
@settings(max_examples=examples(100))
def test_a_number_that_no_instrument_can_mean_is_a_fault_without_a_value(rows):
    """The others stay to the bit, the status of what was bad before too."""
    value, status = np.array([v for v, _ in rows]), np.array([s for _, s in rows], np.uint8)
    table = replace(columns(len(rows)), value=value, status=status)
    found = wire.decode(wire.encode(header(len(rows)), table)).columns
    good = np.isfinite(value)
    assert found.value[good].tobytes() == value[good].tobytes()
    assert np.isnan(found.value[~good]).all()
    assert found.status[~good].tolist() == [s or Status.FAULT for s in status[~good].tolist()]
    assert (found.status[good] == status[good]).all()
    assert np.array_equal(found.time_ns, table.time_ns)


@given(st.binary(max_size=300), st.booleans())
@settings(max_examples=examples(300))
def test_any_bytes_decode_or_are_refused(noise, compressed):
    with pytest.raises(wire.WireError):
        wire.decode(zlib.compress(noise) if compressed else noise)


@given(st.data())
@settings(max_examples=examples(300))
def test_damage_never_raises_anything_else(data):
    packed = bytearray(zlib.decompress(wire.encode(header(5), columns(5))))
    for _ in range(data.draw(st.integers(1, 4))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    try:
        batch = wire.decode(zlib.compress(bytes(packed)))
    except wire.WireError:
        return
    assert len(batch.columns) == batch.header.n


def test_batches_of_a_plant_share_their_table_of_series():
    body = wire.encode(header(3), columns(3))
    assert wire.decode(body).columns.series is wire.decode(body).columns.series


def test_what_fits_can_be_encoded():
    longest = tuple(Series("p" * 64, "q" * 64, "s" * 64, f"{i:064}", "u" * 64) for i in range(500))
    assert not wire.fits(columns(500, series=longest))
    assert not wire.fits(columns(501))
    most = next(n for n in range(500, 0, -1) if wire.fits(columns(n, series=longest[:n])))
    wire.encode(header(most, plant="p" * 64, gw="g" * 64), columns(most, series=longest[:most]))


def test_an_acknowledgement_comes_out_as_it_went_in():
    said = ack(EPOCH, 7, n=3, have=((9, 12), (20, 20)))
    assert wire.decode_ack(wire.encode_ack(said)) == said
    assert msgspec.msgpack.decode(wire.encode_ack(said)) == {
        "gw": "riverside-gw", "gen": [1, bytes(8)], "n": 3, "win": 400, "now": said.now,
        "epochs": [{"ep": EPOCH, "upto": 7, "have": [[9, 12], [20, 20]]}],
    }  # fmt: skip


@pytest.mark.parametrize(
    "rest",
    [
        b"", b"\xc1", b"x" * 70_000,
        wire.encode_ack(ack(EPOCH, 7, have=((5, 4),))),
        wire.encode_ack(ack(EPOCH, 7, have=((9, 9),) * 33)),
        wire.encode_ack(ack(b"short", 7)),
        wire.encode_ack(ack(EPOCH, 7, gen=(1, b""))),
        wire.encode_ack(ack(EPOCH, -1)),
    ],
)  # fmt: skip
def test_an_acknowledgement_that_breaks_a_rule_is_refused(rest):
    with pytest.raises(wire.WireError):
        wire.decode_ack(rest)


def test_topics():
    assert [topic("gw-1") for topic in (wire.up_topic, wire.down_topic, wire.state_topic)] == [
        "em/v1/gw-1/up",
        "em/v1/gw-1/down",
        "em/v1/gw-1/state",
    ]
