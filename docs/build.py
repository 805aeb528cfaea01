"""Writes the reference pages that are made from the product itself: commands, parameters, profiles.

    python docs/build.py            writes them
    python docs/build.py --check    exit 1 and the names of those that are not up to date

Run by `make docs`; `tests/test_docs.py` checks that nobody forgot.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"
MADE = "<!-- made by docs/build.py: change the product, then `make docs` -->\n\n"


def commands() -> str:
    """What every command says of itself."""
    from api.cli import COMMANDS

    words = [[]] + [[name] for name, command in COMMANDS.items() if command.target]
    words += [["profiles", name] for name in ("list", "show", "check", "try")]
    words += [["rules", name] for name in ("list", "show", "check")] + [["run", name] for name in ("gateway", "all")]
    sections = [f"## emitwatch {' '.join(w)}".rstrip() + f"\n\n```text\n{_help(w)}\n```\n" for w in words]
    return "# Commands\n\n" + "\n".join(sections)


def _help(words: list[str]) -> str:
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", "TERMINAL_WIDTH": "100"}
    program = [sys.executable, "-m", "api.cli", *words, "--help"]
    done = subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return "\n".join(line.rstrip() for line in (done.stdout or done.stderr).strip().splitlines())


def parameters() -> str:
    """Every parameter with its unit, codes and source."""
    from gateway.catalogue import parameters as catalogue

    head = _head("code", "English", "中文", "unit", "HJ 212", "average", "source")
    rows = [
        _row(f"`{p.code}`", p.name.en, p.name.zh, p.unit, p.hj212, p.average.replace("_", "-"), p.source)
        for p in catalogue().values()
    ]
    return (
        "# Parameters\n\nFrom `gateway/parameters.toml`. The code is found in any case, and by its HJ 212 code.\n\n"
        + (head + "\n".join(rows) + "\n")
    )


def profiles() -> str:
    """Every device profile with its citation and registers."""
    from gateway.catalogue import profiles as catalogue

    sections = []
    for profile in catalogue().values():
        head = _head("parameter", "function", "address", "type", "order", "scale", "unit", "manual")
        rows = [
            _row(r.parameter, r.fc, r.address, r.type, r.order, f"{r.scale:g}", r.unit, r.manual)
            for r in profile.registers
        ]
        table = head + "\n".join(rows)
        sections.append(
            f"## {profile.name}\n\n{profile.title.en} ({profile.kind}). Source: {profile.source}\n\n{table}\n"
        )
    return (
        "# Device profiles\n\nOne file each in `gateway/profiles/`; addresses as on the wire, from 0. "
        "`emitwatch profiles show NAME` adds the blocks they are read in.\n\n" + "\n".join(sections)
    )


def _row(*cells: object) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def _head(*names: str) -> str:
    return f"{_row(*names)}\n|{'---|' * len(names)}\n"


PAGES: dict[str, Callable[[], str]] = {"commands.md": commands, "parameters.md": parameters, "profiles.md": profiles}


def stale() -> list[str]:
    """The pages that differ from what the product says now."""
    return [name for name, page in PAGES.items() if _read(REFERENCE / name) != MADE + page()]


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def main() -> int:
    """Write or check the pages."""
    sys.path.insert(0, str(ROOT))
    if "--check" in sys.argv:
        old = stale()
        for name in old:
            sys.stderr.write(f"docs/reference/{name} is not up to date: run `make docs`\n")
        return 1 if old else 0
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(MADE + page())
        sys.stdout.write(f"docs/reference/{name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
