"""Writes the reference pages that are made from the product itself: commands, parameters, profiles, rule packs.

    python docs/build.py            writes them
    python docs/build.py --check    exit 1 and the names of those that are not up to date

Run by `make docs`; `tests/test_docs.py` checks that nobody forgot.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.profiles import Profile, Register

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

    head = _head("code", "English", "中文", "unit", "HJ 212", "average", "can be", "usually", "source")
    rows = [
        _row(f"`{p.code}`", p.name.en, p.name.zh, p.unit, p.hj212, p.average.replace("_", "-"), _ends(p.range),
             _ends(p.typical), p.source)
        for p in catalogue().values()
    ]  # fmt: skip
    return (
        "# Parameters\n\nFrom `gateway/parameters.toml`. The code is found in any case, and by its HJ 212 code.\n"
        "*can be* and *usually* are what `emitwatch probe` expects of an instrument; "
        "nothing measured is judged by them.\n\n" + (head + "\n".join(rows) + "\n")
    )


def _ends(ends: tuple[float, float] | None) -> str:
    return f"{ends[0]:g} to {ends[1]:g}" if ends else ""


def profiles() -> str:
    """Every device profile: first all of them in a table, then each with its citation and registers."""
    from gateway.catalogue import profiles as catalogue

    found = list(catalogue().values())
    rows = [_instrument(profile) for profile in found]
    head = _head("profile", "maker", "model", "gives", "map from", "status", "open points")
    return (
        "# Device profiles\n\nOne file each in `gateway/profiles/`; addresses as on the wire, from 0. "
        "`emitwatch profiles show NAME` adds the blocks they are read in.\n\n"
        "*map from*: the maker's manual or register table, or a public driver that reads the instrument; below it is "
        "cited in full. *open points*: what nobody has checked yet, listed there too. None was recorded from an "
        "instrument: compare with its display (`emitwatch profiles try`) before you rely on one.\n\n"
        + (head + "\n".join(rows) + "\n\n" + "\n".join(map(_section, found)))
    )


def _instrument(profile: Profile) -> str:
    """A device profile in one line."""
    told = "yes" if profile.status else "no"
    return _row(
        f"[{profile.name}](#{profile.name})", profile.maker, profile.model, " ".join(profile.parameters),
        _origin(profile.source), told, len(profile.unverified),
    )  # fmt: skip


def _origin(source: str) -> str:
    """Whose word a register map is, in two words."""
    if source.startswith("public register map"):
        return "public driver"
    return "its simulator" if source.startswith("emitwatch") else "manual"


def _unit(register: Register) -> str:
    """The unit of a register, or those that another word chooses from."""
    units = [case.unit for chooser in register.by for case in chooser.cases if case.unit]
    return " or ".join(units) or register.unit


def _section(profile: Profile) -> str:
    """A device profile with its citation, open points and registers."""
    head = _head("parameter", "function", "address", "type", "order", "scale", "unit", "manual")
    rows = [
        _row(r.parameter, r.fc, r.address, r.type, r.order, f"{r.scale:g}", _unit(r), r.manual)
        for r in profile.registers
    ]
    texts = [f"{profile.title.en} ({profile.kind}). Source: {profile.source}"]
    if profile.unverified:
        texts.append("Open points:\n\n" + "\n".join(f"- {text}" for text in profile.unverified))
    if profile.no_status:
        texts.append(f"No status: {profile.no_status}.")
    if said := [item.name for item in (*profile.settings, *profile.identity)]:
        texts.append(f"Read back: {', '.join(said)}.")
    return "\n\n".join([f"## {profile.name}", *texts, head + "\n".join(rows)]) + "\n"


def _row(*cells: object) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def _head(*names: str) -> str:
    return f"{_row(*names)}\n|{'---|' * len(names)}\n"


def rules() -> dict[str, str]:
    """A page for every rule pack of the product, and their index."""
    from collector.catalogue import rule_packs
    from collector.verdicts.pack_page import index, page
    from gateway.catalogue import parameters as catalogue

    packs = rule_packs()
    found = {f"{RULES}/index.md": index(packs.values())}
    return found | {f"{RULES}/{pack.id}.md": page(pack, catalogue()) for pack in packs.values()}


PAGES: dict[str, Callable[[], str]] = {"commands.md": commands, "parameters.md": parameters, "profiles.md": profiles}
RULES = "rules"  # the folder of the rule packs' pages, which holds nothing else


def pages() -> dict[str, str]:
    """Every page as it is to be, by its path below docs/reference."""
    return {name: MADE + text for name, text in ({name: page() for name, page in PAGES.items()} | rules()).items()}


def stale() -> list[str]:
    """The pages that differ from what the product says now, and those of packs that are no more."""
    made = pages()
    return [name for name, text in made.items() if _read(REFERENCE / name) != text] + gone(made)


def gone(made: Iterable[str]) -> list[str]:
    """Pages of rule packs that are there, and are not made any more."""
    there = {f"{RULES}/{path.name}" for path in (REFERENCE / RULES).glob("*.md")}
    return sorted(there - set(made))


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
    made = pages()
    (REFERENCE / RULES).mkdir(exist_ok=True)
    for name, text in made.items():
        (REFERENCE / name).write_text(text)
        sys.stdout.write(f"docs/reference/{name}\n")
    for name in gone(made):
        (REFERENCE / name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
