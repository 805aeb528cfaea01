"""What tamper evidence costs: sealing at the gateway, verifying and chaining at the collector.

At the gateway a batch is signed, and its hash becomes the next one's `prev`; at the collector the
signature is verified, and the hash is compared with what the next batch says of it. The figures are
CPU time of one core, of ordinary batches (a second of 100 series), decoding and disk left out. The collector
verifies with libsodium, as it does when it runs; what OpenSSL needs for the same stands beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.figure import Figure
from collector.sodium import SodiumKey
from gateway import seal, wire
from gateway.measurement import SECOND_NS, Columns, Series

BATCHES = 4000
VALUES = 100  # in a batch: a second of 100 points
RATE = 1000  # batches a second at the collector
LIMIT_SIGN_MS = 0.1
LIMIT_VERIFY_MS = 0.2
LIMIT_SHARE = 15.0  # of one core [%]
ROUNDS = 7  # the best one counts: the others were disturbed
START_NS = 1_793_500_000 * SECOND_NS
SERIES = tuple(Series("plant", f"point-{n}", f"sensor-{n}", "LAeq", "dB(A)") for n in range(VALUES))


def measure() -> list[Figure]:
    """Milliseconds for a batch, and the share of one core that 1,000 batches a second take."""
    key = Ed25519PrivateKey.generate()
    bodies = [_body(seq) for seq in range(1, BATCHES + 1)]
    payloads: list[bytes] = []
    sign_ms = _best(lambda: _sign(bodies, key, payloads))
    public = key.public_key()

    def verify(verifier: seal.Verifier) -> None:
        for payload in payloads:
            seal.verify(payload, verifier)

    def chain() -> None:
        # What a chain costs above the signature: the hash of each payload, beside the one before.
        before = wire.NO_HASH
        for payload in payloads:
            before = seal.digest(payload)
        assert before != wire.NO_HASH

    verify_ms, chain_ms = _best(lambda: verify(SodiumKey(public.public_bytes_raw()))), _best(chain)
    openssl_ms = _best(lambda: verify(public))
    share = (verify_ms + chain_ms) / 1000 * RATE * 100
    return [
        _limit("sign and chain a batch, gateway", sign_ms, "ms", LIMIT_SIGN_MS),
        _limit("verify a batch, collector", verify_ms, "ms", LIMIT_VERIFY_MS),
        _limit("the same with OpenSSL", openssl_ms, "ms", LIMIT_VERIFY_MS),
        _limit("chain a batch, collector", chain_ms, "ms", LIMIT_VERIFY_MS),
        _limit(f"verify and chain {RATE} batches a second", share, "% of one core", LIMIT_SHARE),
    ]


def _limit(name: str, value: float, unit: str, limit: float) -> Figure:
    return Figure(name=name, value=value, unit=unit, reference=limit, reference_name="the limit")


def _best(work: Callable[[], None]) -> float:
    """CPU time that a batch takes. [ms]"""
    took = []
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        took.append(time.process_time() - started)
    return min(took) / BATCHES * 1000


def _sign(bodies: Sequence[bytes], key: Ed25519PrivateKey, payloads: list[bytes]) -> None:
    payloads.clear()
    chain = seal.Chain(bytes(16))
    for body in bodies:
        payload = seal.seal(body, key)
        chain = chain.then(payload)
        payloads.append(payload)


def _body(seq: int) -> bytes:
    row = np.arange(VALUES)
    level_db = np.round(60 + 5 * np.sin(row * 0.7 + seq), 1)
    time_ns = np.full(VALUES, START_NS + seq * SECOND_NS)
    columns = Columns(SERIES, row.astype(np.uint16), time_ns, level_db, np.zeros(VALUES, np.uint8))
    header = wire.Header(
        plant="plant", gw="gw", ep=bytes(16), seq=seq, prev=wire.NO_HASH, low=1, n=VALUES, cfg=wire.NO_HASH, mono_ns=1,
        wall_ns=START_NS, clk=wire.Clk("synced", 1, 0), kind="data" if seq > 1 else "hello",
    )  # fmt: skip
    return wire.encode(header, columns)
