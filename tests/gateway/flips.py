"""Flipped bits in an outbox's files, and what becomes of its rows: row 10 of docs/reliability.md.

    python -m tests.gateway.flips --files 2000

Each file is an outbox as a crash leaves it, some of it in the file and some in the log, with one bit flipped
somewhere in either. Every row then has to be there unaltered, or declared: its absence said by a gap record, or,
beyond what the outbox still knows of, by a hello that says `corrupt`.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from gateway import seal, wire
from gateway.outbox_files import read_gaps
from gateway.spooler import Spooler
from tests.gateway.batches import KEY, columns
from tests.gateway.files import newest

FILES = ("000001.db", "000001.db-wal")
FLUSHES = 300


@dataclass(slots=True)
class Tally:
    """files: tried; changed: of them, those in which a row was missing or that were salvaged.

    intact, kept: rows that the flip left whole, and of them, those that were there afterwards. unsaid: rows that
    were missing without a word; altered: rows that were there and not as they had been.
    """

    files: int = 0
    changed: int = 0
    intact: int = 0
    kept: int = 0
    worst: float = 1.0
    unsaid: int = 0
    altered: int = 0
    places: Counter[str] = field(default_factory=Counter)


def whole(folder: Path) -> dict[int, bytes]:
    """Make an outbox of batches of all sizes, half of them still in its log; its rows as they were committed."""
    made = Spooler(folder / "made", "riverside", "riverside-gw", KEY)
    rng = random.Random(1)
    for turn in range(FLUSHES):
        made.put(columns(rng.choice((1, 5, 40, 200, 500))))
        made.flush()
        if turn == FLUSHES // 2:
            newest(made).execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (folder / "outbox").mkdir()
    for name in FILES:
        shutil.copy(folder / "made" / "outbox" / name, folder / "outbox" / name)
    rows = {row.seq: row.payload for row in made.pending(FLUSHES + 1)}
    made.close()
    shutil.rmtree(folder / "made")
    return rows


def flip(whole: Path, rows: dict[int, bytes], folder: Path, seed: int, tally: Tally) -> None:
    """Flip one bit of a copy, start a gateway's outbox on it, and count what came of it."""
    rng = random.Random(seed)
    shutil.copytree(whole / "outbox", folder / "outbox")
    target = folder / "outbox" / rng.choice(FILES)
    data = bytearray(target.read_bytes())
    place = rng.randrange(100) if seed % 4 == 0 else rng.randrange(len(data))
    data[place] ^= 1 << rng.randrange(8)
    target.write_bytes(data)
    with contextlib.closing(Spooler(folder, "riverside", "riverside-gw", KEY)) as found:
        waiting = found.pending(10 * FLUSHES)
        held = {row.seq: row.payload for row in waiting if row.epoch != found.epoch}
        hello = next(row.payload for row in waiting if row.key == (found.epoch, 1))
        said = wire.decode(seal.verify(hello, KEY.public_key())).fields
        epoch = said["prev_ep"]
    gaps = {seq for gap in read_gaps(folder) if gap.ep == epoch for seq in range(gap.from_seq, gap.to_seq + 1)}
    missing = set(rows) - set(held)
    corrupt = said["reason"] == "corrupt"
    tally.files += 1
    tally.changed += bool(missing) or corrupt
    tally.places[f"{target.suffix[1:]}, {'salvaged' if corrupt else 'a row' if missing else 'harmless'}"] += 1
    tally.intact += len(rows) - 1  # the flip may have hit one of them
    tally.kept += min(len(held), len(rows) - 1)
    tally.worst = min(tally.worst, len(held) / (len(rows) - 1))
    tally.unsaid += len([seq for seq in missing if seq not in gaps and not (corrupt and seq > said["prev_last_seq"])])
    tally.altered += sum(payload != rows.get(seq) for seq, payload in held.items())


def run(files: int, first: int = 0) -> Tally:
    """So many files, each with another flip; first: the seed of the first."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        rows = whole(Path(folder))
        for seed in range(first, first + files):
            copy = Path(folder) / str(seed)
            flip(Path(folder), rows, copy, seed, tally)
            shutil.rmtree(copy)
    return tally


def asked(about: str) -> tuple[int, int]:
    """How many files the command line asks for, and the seed of the first."""
    parser = argparse.ArgumentParser(description=about.split("\n")[0])
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--first", type=int, default=0, help="the seed of the first, to go on from an earlier run")
    given = parser.parse_args()
    return given.files, given.first


def main() -> int:
    """Print the figures; 1 when a row was altered or missing without a word."""
    tally = run(*asked(__doc__))
    print(
        f"{tally.files} files, {tally.changed} changed by the flip: {tally.unsaid} rows missing without a word, ",
        end="",
    )
    print(
        f"{tally.altered} altered; {tally.kept / tally.intact:.3%} of the intact rows kept, {tally.worst:.2%} at worst"
    )
    print(", ".join(f"{place}: {count}" for place, count in sorted(tally.places.items())))
    return 1 if tally.unsaid or tally.altered else 0


if __name__ == "__main__":
    sys.exit(main())
