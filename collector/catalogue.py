"""The rule packs on disk: those that come with the product, and those in a site's folders.

One of the two modules that read packaged TOML (the other is `gateway.catalogue`). A pack is loaded
when it has no fault, and its own examples agree with it; what it says is told by `verdicts.limits`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

from collector.sound_checks import SoundChecks, parse_sound_checks
from collector.verdicts.audit import GradeRule, parse_grades
from collector.verdicts.examples import example_faults
from collector.verdicts.pack import RulePack
from collector.verdicts.pack_file import parse_rules
from gateway import catalogue
from gateway.document import Fault, FaultyFiles, parse_document
from gateway.parameters import Parameter


def rule_packs(folders: Sequence[str] = ()) -> dict[str, RulePack]:
    """Every rule pack by id: packaged ones, then those of the folders, which may replace them. Raises FaultyFiles."""
    found, faults = scan_rule_packs(folders)
    if faults:
        raise FaultyFiles(faults)
    return found


def scan_rule_packs(folders: Sequence[str] = ()) -> tuple[dict[str, RulePack], list[Fault]]:
    """The rule packs that can be read, and all faults of the others."""
    found = dict(_packaged())
    faults: list[Fault] = []
    for folder in folders:
        if not Path(folder).is_dir():
            faults.append(Fault(folder, "", None, "no such folder", "[folders] rules names folders of *.toml"))
        for path in sorted(Path(folder).glob("*.toml")):
            pack, wrong = check_pack(str(path))
            faults += wrong
            if pack:
                found[pack.id] = pack
    return found, faults


def check_pack(path: str) -> tuple[RulePack | None, list[Fault]]:
    """The pack of a file, or None and all its faults; a file that cannot be read is one."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return None, [Fault(path, "", None, f"not readable: {error}", "a rule pack is a TOML file in UTF-8")]
    return _checked(text, path, catalogue.parameters())


def _checked(text: str, file: str, parameters: Mapping[str, Parameter]) -> tuple[RulePack | None, list[Fault]]:
    pack, faults = parse_rules(text, file, parameters)
    if pack is None:
        return None, faults
    faults = example_faults(pack)
    if not faults:
        return pack, []
    document, _ = parse_document(text, file)  # once more, for the lines
    return None, [document.fault(fault.path, fault.message, fault.hint) for fault in faults]


@cache
def sound_checks() -> SoundChecks:
    """What a sound check goes by; a fault in it is ours, and stops the command."""
    name = "sound_checks.toml"
    found, faults = parse_sound_checks((files("collector") / name).read_text(encoding="utf-8"), name)
    if found is None:
        raise FaultyFiles(faults)
    return found


@cache
def grade_rules() -> tuple[GradeRule, ...]:
    """What the levels of cleaner production ask; a fault in it is ours, and stops the command."""
    name = "grades.toml"
    found, faults = parse_grades((files("collector") / name).read_text(encoding="utf-8"), name)
    if faults:
        raise FaultyFiles(faults)
    return found


@cache
def _packaged() -> tuple[tuple[str, RulePack], ...]:
    """The packs of the product; a fault in one is ours, and stops everything."""
    parameters = catalogue.parameters()
    found: list[tuple[str, RulePack]] = []
    faults: list[Fault] = []
    folder = files("collector.verdicts.rules")
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".toml"):
            pack, wrong = _checked(entry.read_text(encoding="utf-8"), entry.name, parameters)
            faults += wrong
            if pack:
                found.append((pack.id, pack))
    if faults:
        raise FaultyFiles(faults)
    return tuple(found)
