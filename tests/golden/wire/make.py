"""Makes the golden corpus of the present wire version: `python -m tests.golden.wire.make`.

Run once for each version, before it is released. What is there is never made again: bytes of a released
version lie in outboxes and journals, and every later version must read them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway import seal, wire
from gateway.measurement import SECOND_NS, Columns, Series, Status, empty_columns

HERE = Path(__file__).parent
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
START_NS = 1_793_500_000 * SECOND_NS
EPOCH, BEFORE = (n.to_bytes(8, "big") + b"golden" + bytes(2) for n in (8, 7))
SERIES = (
    Series("riverside", "fence-north", "slm-north", "LAeq", "dB(A)"),
    Series("riverside", "outfall-1", "water-1", "pH", ""),
    Series("riverside", "stack-1", "cems-1", "NOx", "mg/m³"),
)


def _columns(n: int) -> Columns:
    row = np.arange(n)
    value = np.where(row % 10 == 0, np.nan, 40.0 + row / 8)
    status = np.where(row % 10 == 0, Status.NO_COMM, row // 10 % len(Status)).astype(np.uint8)
    return Columns(SERIES, (row % 3).astype(np.uint16), START_NS + row // 3 * SECOND_NS, value, status)


def _batches() -> dict[str, bytes]:
    """Every kind of batch, one stream from its hello on."""
    hello = {
        "prev_ep": BEFORE, "prev_last_seq": 41, "prev_last_hash": bytes([7]) * 32, "reason": "power",
        "version": "0.1.0", "boot_id": "3f6f4c1e-golden",
    }  # fmt: skip
    gap = {
        "ep": BEFORE, "from_seq": 12, "to_seq": 40, "n": 12_345, "t_first": START_NS, "t_last": START_NS + SECOND_NS,
        "reason": "outbox_full",
    }  # fmt: skip
    clock = {
        "mono_ns": 10**12, "wall_before_ns": START_NS, "wall_after_ns": START_NS + 7 * SECOND_NS, "step_id": 1,
    }  # fmt: skip
    parts: list[tuple[str, str, Columns, dict[str, Any]]] = [
        ("hello", "hello", empty_columns(), hello), ("data", "data", _columns(90), {}),
        ("full", "data", _columns(wire.MAX_VALUES), {}), ("gap", "gap", empty_columns(), {"gap": gap}),
        ("clock", "clock", empty_columns(), {"clock": clock}),
        ("config", "config", empty_columns(), {"text": "[plant]"}),
        ("event", "event", empty_columns(), {"what": "disk_alarm"}),
        ("unknown_field", "data", _columns(3), {"later": {"nobody": ["knows", 1]}}),
    ]  # fmt: skip
    made: dict[str, bytes] = {}
    chain = seal.Chain(EPOCH, 0, bytes([7]) * 32)
    for name, kind, columns, fields in parts:
        header = wire.Header(
            plant="riverside", gw="riverside-gw", ep=EPOCH, seq=chain.seq + 1, prev=chain.hash, low=1, n=len(columns),
            cfg=wire.NO_HASH, mono_ns=10**12 + chain.seq, wall_ns=START_NS + chain.seq, clk=wire.Clk("holdover", 12, 1),
            kind=kind,
        )  # fmt: skip
        made[name] = seal.seal(wire.encode(header, columns, fields), KEY)
        chain = chain.then(made[name])
    return made


def _ack() -> bytes:
    epochs = (wire.EpochAck(EPOCH, 5, ((7, 8), (11, 40))), wire.EpochAck(BEFORE, 41))
    ack = wire.Ack(gw="riverside-gw", gen=(3, b"generate"), n=99, epochs=epochs, win=64, now=START_NS)
    return seal.seal_ack(wire.encode_ack(ack), KEY)


def told(batch: wire.Batch) -> dict[str, Any]:
    """A decoded batch as JSON holds it: every number exactly."""
    header, columns = batch.header, batch.columns
    return {
        "header": {name: plain(getattr(header, name)) for name in wire.Header.__struct_fields__},
        "fields": plain(dict(batch.fields)),
        "series": [[s.plant, s.point, s.sensor, s.parameter, s.unit] for s in columns.series],
        "series_index": columns.series_index.tolist(), "time_ns": columns.time_ns.tolist(),
        "value": [None if value != value else value for value in columns.value.tolist()],
        "status": columns.status.tolist(),
    }  # fmt: skip


def plain(value: Any) -> Any:
    """As JSON has it: bytes in hex."""
    match value:
        case bytes():
            return value.hex()
        case wire.Clk() | wire.Ack() | wire.EpochAck():
            return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        case dict():
            return {key: plain(inner) for key, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
    return value


def main() -> None:
    """Write the corpus of this version; refuses where there is one."""
    folder = HERE / f"v{wire.VERSION}"
    folder.mkdir()
    expected: dict[str, Any] = {}
    for name, payload in _batches().items():
        (folder / f"{name}.bin").write_bytes(payload)
        expected[name] = told(wire.decode(seal.verify(payload, KEY.public_key())))
    (folder / "ack.bin").write_bytes(_ack())
    expected["ack"] = plain(wire.decode_ack(seal.verify_ack(_ack(), KEY.public_key())))
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(said)}" for name, said in expected.items())
    (folder / "expected.json").write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    main()
