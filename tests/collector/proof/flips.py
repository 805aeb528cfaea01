"""Flipped bits in a journal's files, and who tells: row 10 of docs/reliability.md.

    python -m tests.collector.proof.flips --files 2000

Each file is a journal as a crash leaves it, some of it in the file and some in the log, with one bit flipped somewhere
in either. The journal is then exported and the export verified, as anybody does who wants to know. A flip has to be
told by one of them, or be in nothing that an export tells of. What a person could still read of it is counted too.
"""

from __future__ import annotations

import contextlib
import io
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from api.cli import main as emitwatch
from collector.intake.journal import Journal, JournalError
from collector.intake.journal_files import JournalFiles
from collector.proof import verifier
from collector.proof.leaf_file import LeafFile
from collector.store import Entry
from tests.collector.proof.kit import House
from tests.gateway.flips import asked

HOURS, LOGGED = 24, 12  # in the journal, and of these, still in the log
END = 10_000
TOLD = ("found by verify", "export refused")


@dataclass(slots=True)
class Tally:
    """files: tried. unsaid: those that were exported otherwise than before, and verified all the same.

    crashed: those at which the export or the verifier ended with something else than a sentence. intact, kept: entries
    that the flip left whole, and of them, those that can be read afterwards, by file. places: what came of them.
    """

    files: int = 0
    unsaid: int = 0
    crashed: int = 0
    intact: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)

    @property
    def told(self) -> int:
        """How many were refused or found broken."""
        return sum(count for place, count in self.places.items() if place.endswith(TOLD))


@dataclass
class Original:
    """A collector's folder as a crash leaves it, and what it tells."""

    folder: Path
    house: House = field(init=False)
    entries: dict[int, Entry] = field(init=False)
    exported: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.house = House(self.folder, hours=HOURS - LOGGED)
        house = self.house
        with closing_all(house) as (journal, leaves):
            notary = house.notary(journal, leaves)
            for hour in range(HOURS - LOGGED, HOURS):
                journal.append(house.entries(hour))
            notary.take(journal.read(notary.position, END))
            shutil.copytree(house.collector, self.folder / "crash")
        self.restore()
        self.entries = {entry.position: entry for entry in JournalFiles(house.collector / "journal").read(0, END)}
        code, self.exported = self.export()
        assert code == 0, "the export of a whole journal verifies"
        self.restore()

    def restore(self) -> None:
        """Put the folder back to what the crash left."""
        shutil.rmtree(self.house.collector)
        shutil.copytree(self.folder / "crash", self.house.collector)

    def files(self) -> list[Path]:
        """The month's file and its log."""
        file = self.house.journal_file()
        return [file, file.with_name(f"{file.name}-wal")]

    def export(self) -> tuple[int, bytes]:
        """Export and verify: 0 = proven, 1 = told; and the export."""
        out = self.folder / "export.zip"
        out.unlink(missing_ok=True)
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = emitwatch(["export", str(self.house.sites), "--out", str(out)]) or verifier.main([str(out)])
        return code, out.read_bytes() if out.exists() else b""


@contextlib.contextmanager
def closing_all(house: House) -> Iterator[tuple[Journal, LeafFile]]:
    """The journal and the trees of a house."""
    with (
        contextlib.closing(Journal(house.collector / "journal")) as journal,
        contextlib.closing(LeafFile(house.tree)) as leaves,
    ):
        yield journal, leaves


def flip(original: Original, seed: int, tally: Tally) -> None:
    """Flip one bit, export and verify, and count what came of it."""
    rng = random.Random(seed)
    original.restore()
    target = rng.choice(original.files())
    data = bytearray(target.read_bytes())
    place = rng.randrange(100) if seed % 4 == 0 else rng.randrange(len(data))
    data[place] ^= 1 << rng.randrange(8)
    target.write_bytes(data)
    held = readable(original)
    try:
        code, exported = original.export()
        what = "harmless" if exported == original.exported else "unsaid"
        if what == "harmless" and any(entry != original.entries.get(n) for n, entry in held.items()):
            what = "tick altered"
        if code:
            what = TOLD[0] if exported else TOLD[1]
    except Exception as error:  # noqa: BLE001 - whatever it is, it is counted
        what = f"crashed: {error!r}"
    tally.files += 1
    tally.unsaid += what == "unsaid"
    tally.crashed += what.startswith("crashed")
    file, whole = target.suffix[1:], len(original.entries) - 1  # the flip may have hit one of them
    tally.places[f"{file}, {what}"] += 1
    tally.intact[file] += whole
    tally.kept[file] += min(whole, sum(entry == original.entries.get(position) for position, entry in held.items()))


def readable(original: Original) -> dict[int, Entry]:
    """The entries that can be read, by position, each asked for by itself where all together cannot."""
    try:
        files = JournalFiles(original.house.collector / "journal")
        with contextlib.suppress(JournalError):
            return {entry.position: entry for entry in files.read(0, END)}
    except JournalError:
        return {}
    found: dict[int, Entry] = {}
    for position in original.entries:
        with contextlib.suppress(JournalError):
            found |= {entry.position: entry for entry in files.read(position - 1, 1)}
    return found


def run(files: int, first: int = 0) -> Tally:
    """So many files, each with another flip; first: the seed of the first."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        original = Original(Path(folder))
        for seed in range(first, first + files):
            flip(original, seed, tally)
    return tally


def main() -> int:
    """Print the figures; 1 when a flip was not told, or ended something."""
    tally = run(*asked(__doc__))
    print(f"{tally.files} files: {tally.told} told, {tally.unsaid} not, {tally.crashed} ended something")
    for file, intact in tally.intact.items():
        print(f"{file}: {tally.kept[file] / intact:.3%} of the intact entries can be read")
    print(", ".join(f"{place}: {count}" for place, count in sorted(tally.places.items())))
    return 1 if tally.unsaid or tally.crashed else 0


if __name__ == "__main__":
    sys.exit(main())
