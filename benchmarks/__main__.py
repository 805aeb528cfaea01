"""`python -m benchmarks NAME [--json FILE]`: run one benchmark; `--list` names them all.

Each benchmark is a module with a function `measure() -> list[Figure]`. Figures are printed, never
asserted: a machine with other work to do is slow, and that is no fault of the product.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import pkgutil
import sys
from pathlib import Path

import benchmarks

NO_BENCHMARK = {"__main__", "figure", "demonstration"}


def main() -> int:
    """Run what the command line names; the exit code."""
    names = sorted(m.name for m in pkgutil.iter_modules(benchmarks.__path__) if m.name not in NO_BENCHMARK)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure one figure of the product.")
    parser.add_argument("name", nargs="?", choices=names, help="which benchmark")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--list", action="store_true", help="name the benchmarks")
    options = parser.parse_args()
    if options.list or options.name is None:
        print("\n".join(names))
        return 0 if options.list else 2
    figures = importlib.import_module(f"benchmarks.{options.name}").measure()
    for figure in figures:
        print(figure)
    if options.json:
        rows = [dataclasses.asdict(figure) | {"ratio": figure.ratio} for figure in figures]
        options.json.write_text(json.dumps({"benchmark": options.name, "figures": rows}, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
