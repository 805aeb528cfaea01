"""`emitwatch run`: one part of the product as a process of its own.

Plain argparse instead of Typer: the gateway runs through this command for months on a small
computer, and Typer would add 20 MB to its memory. What is run is imported when it is chosen.
"""

from __future__ import annotations

import argparse
import importlib
import sys

from gateway.log_stream import log_to

APART = ("collector", "alerts", "api")


def main(arguments: list[str]) -> int:
    """Run a part until it is stopped; the exit code."""
    options = _parser().parse_args(arguments)
    if options.part in APART:
        sys.stderr.write(
            f"emitwatch run {options.part}: collector, alerts and api do not run apart; they share the files of one "
            "data folder\n"
            f"    hint: `emitwatch run all {options.site}` runs them in one process\n"
        )
        return 2
    log_to()
    if options.part == "gateway":
        # By name: the part is chosen at run time, and the gateway must not load the server's libraries.
        run = importlib.import_module("gateway.__main__").run
        return int(run(options.site, id=options.id, demo=options.demo) or 0)
    run_all = importlib.import_module("api.__main__").run_all
    return int(run_all(options.site, demo=options.demo) or 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="emitwatch run", description="Run one part until it is stopped.")
    parser.add_argument("part", choices=("gateway", "all", *APART), help="all = collector, alerts and api")
    parser.add_argument("site", metavar="SITE", help="a site file, or a folder of them, one plant each")
    parser.add_argument("--id", help="which gateway of the site, where it has several")
    # The demo starts its processes with this; it opens doors, so the help does not offer it.
    parser.add_argument("--demo", action="store_true", help=argparse.SUPPRESS)
    return parser
