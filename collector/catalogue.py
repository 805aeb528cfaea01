"""The rule packs on disk: those that come with the product, and those in a site's folders; and certificate files.

One of the two modules that read packaged TOML (the other is `gateway.catalogue`). A pack is loaded
when it has no fault, and its own examples agree with it; what it says is told by `verdicts.limits`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

from collector.sound_checks import SoundChecks, parse_sound_checks
from collector.verdicts.assurance import Assurance, Law, assurance, law
from collector.verdicts.audit import GradeRule, parse_grades
from collector.verdicts.certificate_file import parse_certificates
from collector.verdicts.certificates import Certificates
from collector.verdicts.examples import example_faults
from collector.verdicts.pack import RulePack
from collector.verdicts.pack_file import parse_rules
from gateway import catalogue
from gateway.document import Fault, FaultyFiles, parse_document
from gateway.parameters import Parameter
from gateway.settings import Site


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


def certificate_files(paths: Sequence[str], packs: Mapping[str, RulePack]) -> list[tuple[Certificates, Law]]:
    """The certificate files of these paths (folders: every *.toml in them), with the rules they name.

    Raises FaultyFiles.
    """
    found, faults = scan_certificates(paths, packs)
    if faults:
        raise FaultyFiles(faults)
    return found


def scan_certificates(
    paths: Sequence[str], packs: Mapping[str, RulePack]
) -> tuple[list[tuple[Certificates, Law]], list[Fault]]:
    """The certificate files that can be read, and all faults of the others."""
    found: list[tuple[Certificates, Law]] = []
    faults: list[Fault] = []
    for path in (Path(path) for path in paths):
        for file in sorted(path.glob("*.toml")) if path.is_dir() else [path]:
            try:
                text = file.read_text(encoding="utf-8")
            except (OSError, ValueError) as error:
                faults.append(
                    Fault(str(file), "", None, f"not readable: {error}", "a certificate file is TOML in UTF-8")
                )
                continue
            certificates, wrong = parse_certificates(text, str(file), catalogue.parameters())
            faults += wrong
            if certificates is not None:
                rules, wrong = law(certificates, packs)
                faults += wrong
                found += [] if wrong else [(certificates, rules)]
    return found, faults


def site_certificates(site: Site, packs: Mapping[str, RulePack]) -> tuple[dict[str, Assurance], list[str], list[Fault]]:
    """What the certificates that a site names come to, by point; which are not used, for people; and all faults.

    Of a folder those of the point are taken; a file that is named has to be the point's.
    """
    found: dict[str, Assurance] = {}
    notes: list[str] = []
    faults: list[Fault] = []
    for number, point in enumerate(site.points):
        own: list[tuple[Certificates, Law]] = []
        for name in point.certificates:
            path = site.path(name)
            files, wrong = scan_certificates([path], packs)
            faults += wrong
            mine = [one for one in files if (one[0].plant, one[0].point) == (site.plant.id, point.id)]
            if not mine and not wrong:
                message = f"{path} has no certificate of {site.plant.id}/{point.id}"
                hint = "a certificate file says plant and point at its head"
                faults.append(site.document.fault(f"point[{number}].certificates", message, hint))
            own += mine
        if own:
            found[point.id], said = assurance(own, site.plant.timezone)
            notes += said
    return found, notes, faults


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
