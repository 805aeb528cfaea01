"""Sealed batches as a gateway sends them, for the tests of the collector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.store import Entry, EntryKind
from gateway import seal, wire
from gateway.measurement import SECOND_NS, Columns, Series, Status, empty_columns

START_NS = 1_793_500_000 * SECOND_NS  # 2026-11
SERIES = tuple(
    Series("riverside", point, sensor, parameter, unit)
    for point, sensor, parameter, unit in (
        ("fence-north", "slm-north", "LAeq", "dB(A)"),
        ("stack-1", "cems-1", "NOx", "mg/m3"),
        ("outfall-1", "water-1", "pH", ""),
    )
)


def columns(n: int, *, from_ns: int = START_NS, series: tuple[Series, ...] = SERIES) -> Columns:
    """n measurements, one of each series every second; some are missing."""
    row = np.arange(n)
    value = 50.0 + row % 17
    status = np.zeros(n, np.uint8)
    value[row % 11 == 10] = np.nan
    status[row % 11 == 10] = Status.NO_COMM
    time_ns = from_ns + (row // len(series)).astype(np.int64) * SECOND_NS
    return Columns(series, (row % len(series)).astype(np.uint16), time_ns, value, status)


@dataclass(slots=True)
class FakeGateway:
    """Seals batches of one stream, the first one a hello."""

    id: str = "riverside-gw"
    plant: str = "riverside"
    epoch: bytes = bytes(7) + b"\x01" + b"randomly"
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    seq: int = 0
    last: bytes = wire.NO_HASH
    hashes: list[bytes] = field(default_factory=list)
    claims: dict[str, Any] = field(default_factory=dict)

    def header(self, n: int, **changes: Any) -> wire.Header:
        """The header of batch number `seq`."""
        said: dict[str, Any] = {
            "plant": self.plant, "gw": self.id, "ep": self.epoch, "seq": self.seq, "prev": self.last, "low": 1,
            "n": n, "cfg": wire.NO_HASH, "mono_ns": 1, "wall_ns": START_NS, "clk": wire.Clk("synced", 1, 0),
            "kind": "hello" if self.seq == 1 else "data",
        }  # fmt: skip
        return wire.Header(**{**said, **changes})

    def sealed(self, values: Columns | None = None, fields: Mapping[str, Any] | None = None, **changes: Any) -> bytes:
        """The next payload; the first is a hello without values if none are given."""
        self.seq += 1
        if values is None:
            fields = self.claims if self.seq == 1 else fields
            values = empty_columns() if self.seq == 1 else columns(6, from_ns=START_NS + self.seq * SECOND_NS)
        payload = seal.seal(wire.encode(self.header(len(values), **changes), values, fields), self.key)
        self.last = seal.digest(payload)
        self.hashes.append(self.last)
        return payload

    def restarted(self, *, reason: str = "crash", lied: int = 0, twin: int = 0) -> FakeGateway:
        """The gateway's next process, whose first batch is a hello. lied: so many batches its disk has forgotten.

        twin: tells the epochs of two restarts from one state apart.
        """
        assert not lied or self.hashes[-1] == self.last
        epoch = (int.from_bytes(self.epoch[:8]) + 1).to_bytes(8) + bytes([twin]) * 8
        later = FakeGateway(self.id, self.plant, epoch, self.key)
        later.last = self.hashes[-1 - lied]
        later.claims = {
            "prev_ep": self.epoch, "prev_last_seq": self.seq - lied, "prev_last_hash": later.last, "reason": reason,
        }  # fmt: skip
        return later

    def gap(self, first: int, last: int, *, ep: bytes = b"", n: int = 0, **changes: Any) -> bytes:
        """The next payload: a record that batches first to last are lost."""
        gap = {
            "ep": ep or self.epoch, "from_seq": first, "to_seq": last, "n": n, "t_first": START_NS,
            "t_last": START_NS + SECOND_NS, "reason": "outbox_full", **changes,
        }  # fmt: skip
        return self.sealed(empty_columns(), {"gap": gap}, kind="gap")

    def entry(self, payload: bytes, received_ns: int = START_NS) -> Entry:
        """A payload of this gateway as the journal takes it."""
        batch = wire.decode(seal.verify(payload, self.key.public_key()))
        time_ns = batch.columns.time_ns
        first_ns, last_ns = (int(time_ns.min()), int(time_ns.max())) if len(time_ns) else (0, 0)
        return Entry(0, received_ns, EntryKind.BATCH, self.id, self.epoch, batch.header.seq, payload, first_ns, last_ns)
