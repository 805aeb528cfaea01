"""The store made anew from the journal, with the hash it had; with --prove the same journal exported and verified.

    python -m tests.system.rebuild --measurements 10000000 --json F
    python -m tests.system.rebuild --measurements 1200000 --values 12 --prove

The first store grows as a collector's does, part by part with restarts; the second is `emitwatch rebuild`'s. Exit
code 0 where the hashes are equal and the export is valid.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.fingerprint import fingerprint
from collector.intake.journal import Journal
from collector.intake.journal_files import JournalFiles
from collector.intake.projector import Projector
from collector.proof import verifier
from collector.proof.exporter import END_NS, Order, export
from collector.proof.leaf_file import LeafFile, read_kept
from collector.proof.notary import Notary
from collector.rebuild_command import rebuild_store
from collector.store import Entry, EntryKind
from collector.stores.duckdb import DuckdbStore
from gateway import seal, wire
from gateway.identity import public_hex
from gateway.measurement import SECOND_NS, Columns, Series, Status, empty_columns
from tests.collector.batches import START_NS

GROUP = 500
SERIES = tuple(Series("plant", f"point-{n % 7}", f"sensor-{n}", "LAeq", "dB(A)") for n in range(12))
EPOCH = bytes(range(16))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What was measured. before, after: hashes of the two stores. valid: of the export, None = none was made."""

    measurements: int
    stored: int
    batches: int
    before: str
    after: str
    project_s: float
    rebuild_s: float
    export_s: float = 0.0
    export_bytes: int = 0
    verify_s: float = 0.0
    verify_cpu_s: float = 0.0
    valid: bool | None = None
    memory_mb: float = 0.0


def measure(folder: Path, measurements: int, values: int, *, prove: bool) -> Rebuilt:
    """Fill a journal, store it, rebuild it, compare; prove: export and verify it too."""
    key, batches = Ed25519PrivateKey.generate(), -(-measurements // values)
    with closing(Journal(folder / "journal")) as journal:
        for entries in groups(batches, values, key):
            journal.append(entries)
        started = time.perf_counter()
        path = folder / "store.duckdb"
        for part in (3, 2, 1):  # three runs of a collector
            with closing(DuckdbStore(path)) as store:
                projector = Projector(journal, store)
                while store.cursor() < journal.last // part:
                    projector.project(journal.read(store.cursor(), GROUP))
        project_s = time.perf_counter() - started
        before = hashed(path)
        started = time.perf_counter()
        stored = rebuild_store(journal, folder / "anew.duckdb")
        rebuild_s = time.perf_counter() - started
        found = Rebuilt(measurements=batches * values, stored=stored, batches=batches, before=before,
                        after=hashed(folder / "anew.duckdb"), project_s=project_s, rebuild_s=rebuild_s)  # fmt: skip
        return proved(found, folder, journal, key) if prove else found


def hashed(path: Path) -> str:
    """The hash of everything in a store."""
    with closing(DuckdbStore(path)) as store:
        return fingerprint(store, path.with_name("no-verdicts"), from_ns=0, to_ns=END_NS)


def proved(found: Rebuilt, folder: Path, journal: Journal, key: Ed25519PrivateKey) -> Rebuilt:
    """The journal exported with the trees of a notary, and verified."""
    collector, out = Ed25519PrivateKey.generate(), folder / "export.zip"
    with closing(LeafFile(folder / "tree.db")) as leaves:
        notary = Notary(journal, leaves, folder / "checkpoints", collector)
        while entries := journal.read(notary.position, 1000):
            notary.take(entries)
    order = Order(plants=["plant"], gateways={"gw": ("plant", public_hex(key))})
    started = time.perf_counter()
    export(JournalFiles(folder / "journal"), read_kept(folder / "tree.db"), order, key=collector, out=out)
    exported, cpu_s = time.perf_counter(), time.process_time()
    valid = verifier.main([str(out), "--key", public_hex(collector)]) == 0
    return dataclasses.replace(
        found, export_s=exported - started, export_bytes=out.stat().st_size, valid=valid,
        verify_s=time.perf_counter() - exported, verify_cpu_s=time.process_time() - cpu_s,
        memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )  # fmt: skip


def groups(batches: int, values: int, key: Ed25519PrivateKey) -> Iterator[list[Entry]]:
    """A gateway's hello and its sealed batches, one a second, with a tick a group, in order."""
    prev, entries = wire.NO_HASH, list[Entry]()
    for seq in range(1, batches + 2):
        now_ns, n = START_NS + seq * SECOND_NS, values if seq > 1 else 0
        row = np.arange(n)
        time_ns = now_ns + row * 1000
        level_db = np.round(60 + 5 * np.sin(row * 0.7 + seq), 1)
        status = np.where(row % 97 == 96, int(Status.NO_COMM), int(Status.OK)).astype(np.uint8)
        level_db[status != int(Status.OK)] = np.nan
        columns = Columns(SERIES, (row % len(SERIES)).astype(np.uint16), time_ns, level_db, status)
        header = wire.Header(
            plant="plant", gw="gw", ep=EPOCH, seq=seq, prev=prev, low=1, n=n, cfg=wire.NO_HASH, mono_ns=seq,
            wall_ns=now_ns, clk=wire.Clk("synced", 1, 0), kind="data" if n else "hello",
        )  # fmt: skip
        payload = seal.seal(wire.encode(header, columns if n else empty_columns()), key)
        prev = seal.digest(payload)
        entries.append(
            Entry(0, now_ns, EntryKind.BATCH, "gw", EPOCH, seq, payload, *((now_ns, int(time_ns[-1])) if n else ()))
        )
        if len(entries) == GROUP or seq > batches:
            yield [*entries, Entry(0, now_ns, EntryKind.TICK)]
            entries.clear()


def main() -> int:
    """Measure what the command line asks for; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.rebuild", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--measurements", type=int, default=200_000)
    parser.add_argument("--values", type=int, default=wire.MAX_VALUES, help="in a batch")
    parser.add_argument("--prove", action="store_true", help="export and verify too")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), options.measurements, options.values, prove=options.prove)
    said = json.dumps(dataclasses.asdict(found), indent=1)
    if options.json:
        options.json.write_text(said + "\n", "utf-8")
    print(said)
    good = found.before == found.after and found.stored == found.measurements and found.valid is not False
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
