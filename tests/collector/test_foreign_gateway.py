"""Batches that a gateway of another make has sealed: a number that nothing can mean costs itself alone."""

from __future__ import annotations

import zlib
from pathlib import Path

import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from collector.intake.gate import Gate, Trusted
from collector.intake.projector import rows
from collector.reading import decoded
from collector.store import EntryKind
from collector.verdicts.book import Book
from gateway import seal
from gateway.measurement import SECOND_NS, Status
from tests.collector.verdicts.lines import HOUR_NS, MINUTE_NS, MemoryJournal, newest, run

KEY = Ed25519PrivateKey.from_private_bytes(b"f" * 32)
START_NS = 1_793_500_000 * SECOND_NS // HOUR_NS * HOUR_NS
N = 480  # ten seconds each: an hour and twenty minutes


def sealed(values: np.ndarray, status: bytes) -> bytes:
    """A batch of levels as docs/reference/wire.md has it, put together by hand."""
    times = np.arange(len(values), dtype="<i8") * 10 * SECOND_NS
    body = {
        "plant": "mill", "gw": "gw", "ep": bytes([1] * 16), "seq": 2, "prev": bytes(32), "low": 1, "n": len(values),
        "cfg": bytes(32), "mono_ns": 0, "wall_ns": 0, "clk": {"state": "synced", "err_ms": 0, "step_id": 0},
        "kind": "data", "series": [["mill", "fence", "slm", "LAeq", "dB(A)"]], "first_ns": START_NS,
        "series_index": bytes(2 * len(values)), "time": times.tobytes(), "value": values.astype("<f8").tobytes(),
        "status": status,
    }  # fmt: skip
    return seal.seal(zlib.compress(msgspec.msgpack.encode(body)), KEY)


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
def test_what_was_measured_beside_it_is_stored_and_judged(number: float, tmp_path: Path) -> None:
    values = np.full(N, 70.0)
    values[7] = values[100] = number
    status = bytearray(N)
    status[100] = Status.CALIBRATION
    received_ns = START_NS + 2 * HOUR_NS
    payload = sealed(values, bytes(status))
    gate = Gate({"gw": Trusted("mill", KEY.public_key())})
    examined = gate.examine("gw", payload, received_ns=received_ns, now_ns=0)
    assert examined.entry is not None
    assert (examined.entry.kind, examined.fault, examined.entry.payload) == (EntryKind.BATCH, "", payload)

    stored = rows([(examined.entry, decoded(payload[1 + seal.SIGNATURE_BYTES :]))]).columns
    assert np.flatnonzero(np.isnan(stored.value)).tolist() == [7, 100]
    assert stored.status[[6, 7, 100]].tolist() == [Status.OK, Status.FAULT, Status.CALIBRATION]

    journal = MemoryJournal()
    journal.add(replace(examined.entry, position=1))
    journal.ticks(received_ns + MINUTE_NS, received_ns + MINUTE_NS + SECOND_NS)
    book = Book(tmp_path / "verdicts.db")
    run(journal, book)
    hour = newest(book)["fence", "LAeq", "1h", START_NS]
    assert (hour.value, hour.valid) == (70.0, True)
    assert hour.inputs["counts"] == {"ok": 358, "fault": 1, "calibration": 1}
    minute = newest(book)["fence", "LAeq", "1m", START_NS + MINUTE_NS]
    assert (minute.value, minute.inputs["counts"]) == (70.0, {"ok": 5, "fault": 1})
    book.close()
