"""Whether the simulation finds the bugs that are planted into the product, and in which seed: a test of the test.

    python -m tests.simulators.planted [--seeds N] [--json F] [BUG ...]

plants each bug of `tests.simulators.bugs` alone, runs seed after seed until the oracle objects, and prints the first
seed and the clause that failed. Exit code 1 unless all were caught.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from time import process_time

import pytest

from simulators.world import run_seed
from tests.simulators.bugs import BUGS

SEEDS = 200  # within which every bug has to be caught


@dataclass(frozen=True, slots=True)
class Hunt:
    """How the hunt for a bug went. seed: the first that caught it, None = none did. clause, detail: what it broke."""

    bug: str
    what: str
    classic: bool
    seed: int | None
    clause: str
    detail: str
    cpu_s: float


def hunt(name: str, seeds: int = SEEDS) -> Hunt:
    """Plant a bug into this process, for as long as it takes to catch it."""
    bug = next(bug for bug in BUGS if bug.name == name)
    began_s = process_time()
    with pytest.MonkeyPatch.context() as patch:
        bug.plant(patch)
        for seed in range(1, seeds + 1):
            if found := run_seed(seed, stop_first=True).violations:
                spent_s = process_time() - began_s
                return Hunt(name, bug.what, bug.classic, seed, found[0].clause, found[0].detail, spent_s)
    return Hunt(name, bug.what, bug.classic, None, "", "", process_time() - began_s)


def hunts(names: Sequence[str], seeds: int = SEEDS) -> Iterator[Hunt]:
    """All of them in this order, in a process for each core: a bug is planted there and nowhere else."""
    with ProcessPoolExecutor(min(os.cpu_count() or 1, len(names))) as pool:
        yield from pool.map(partial(hunt, seeds=seeds), names)


def line(found: Hunt) -> str:
    """One line of the table."""
    seed = "not caught" if found.seed is None else str(found.seed)
    name = found.bug + ("*" if found.classic else "")
    return f"{name:22}{seed:>10}  {found.clause:16}{found.cpu_s:7.1f} s  {found.what}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulators.planted", description=__doc__.splitlines()[0])
    parser.add_argument("bugs", nargs="*", metavar="BUG", help="only these (default: all)")
    parser.add_argument("--seeds", type=int, default=SEEDS, metavar="N", help=f"at most so many seeds ({SEEDS})")
    parser.add_argument("--json", type=Path, metavar="F", help="write the table to this file, too")
    options = parser.parse_args(arguments)
    known = [bug.name for bug in BUGS]
    if unknown := set(options.bugs) - set(known):
        parser.error(f"there is no bug {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    found = []
    sys.stdout.write(f"{'bug (* classic)':22}{'first seed':>10}  {'clause':16}{'CPU':>9}\n")
    for one in hunts(options.bugs or known, options.seeds):
        found.append(one)
        sys.stdout.write(line(one) + "\n")
        sys.stdout.flush()
    caught = sum(one.seed is not None for one in found)
    sys.stdout.write(f"{caught} of {len(found)} caught within {options.seeds} seeds\n")
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n")
    return int(caught < len(found))


if __name__ == "__main__":
    raise SystemExit(main())
