"""A first site file, from what a plant engineer knows: the plant, and a list of instruments.

The list is a table (CSV), one instrument a line; every line is looked at before anything is written, and what
is wrong is told with its line and column. The file that comes of it says beside each setting what it is, so that
it can be gone on with by hand. Pure: text in, text and faults out.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from gateway.document import IDENTIFIER, Fault
from gateway.links.address import LINK_HINT, parse_link
from gateway.profiles import Profile
from gateway.register_file import INTERVAL_S
from gateway.settings import KINDS

COLUMNS: Mapping[str, str] = {
    "sensor": "id of the instrument: letters, digits, dot, dash",
    "link": LINK_HINT,
    "profile": "device profile: `emitwatch profiles list`",
    "point": "id of the place it stands at; else the sensor's id",
    "name": "name of the place, for people",
    "interval_s": "seconds between two polls",
    "parameters": "codes to keep, with blanks between; else all of the profile",
}
NEEDED = ("sensor", "link", "profile")
INTERVALS_S = {"noise": 1.0, "stack": 5.0, "water": 10.0}  # where the list does not say
MOST = 10_000
STATUS_PORT = 8790


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantDraft:
    """What is known of the plant. industry, district: "" = not given."""

    id: str
    name: str
    timezone: str
    broker: str
    industry: str = ""
    district: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One line of the list. name: of its point, "" = none. parameters: () = all of the profile."""

    sensor: str
    point: str
    name: str
    link: str
    profile: str
    interval_s: float
    parameters: tuple[str, ...] = ()


def instruments(text: str, file: str, profiles: Mapping[str, Profile]) -> tuple[list[Instrument], list[Fault]]:
    """The instruments of a CSV text (comma, semicolon or tab between the columns), and all that is wrong in it."""
    text = text.removeprefix("\ufeff")
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    found: list[Instrument] = []
    faults: list[Fault] = []
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        if faults := _header(header, file):
            return [], faults
        for row in reader:
            line = _Line(file, reader.line_num, dict(zip(header, map(str.strip, row), strict=False)), faults)
            if len(row) > len(header) and any(row[len(header) :]):
                line.wrong("", ("more fields than the header", f"the header has {len(header)}"))
            elif any(line.values.values()):
                found.append(line.instrument(profiles))
    except csv.Error as error:
        faults.append(Fault(file, "", reader.line_num, f"not readable as CSV: {error}", "save it as CSV, in UTF-8"))
    if len(found) > MOST:
        faults = [Fault(file, "", None, f"more than {MOST} instruments", "one list for each plant")]
    if not found and not faults:
        faults.append(Fault(file, "", None, "no instrument in it", "one line for each, below the header"))
    return found, faults + repeated(found, file)


def _header(header: Sequence[str], file: str) -> list[Fault]:
    faults = [
        Fault(file, name, 1, "missing column", f"needed: {', '.join(NEEDED)}") for name in NEEDED if name not in header
    ]
    for name in header:
        if name not in COLUMNS:
            faults.append(Fault(file, name, 1, "unknown column", _near(name, COLUMNS)))
        elif header.count(name) > 1:
            faults.append(Fault(file, name, 1, "stands there twice", "each column once"))
    return faults


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of the list; what is wrong with it goes to `faults`."""

    file: str
    number: int
    values: Mapping[str, str]
    faults: list[Fault]

    def instrument(self, profiles: Mapping[str, Profile]) -> Instrument:
        values = self.values
        sensor, link, profile = (values.get(name, "") for name in NEEDED)
        point = values.get("point", "") or sensor
        for column, id in {"sensor": sensor, "point": point}.items():
            self.wrong(column, id_fault(id))
        self.wrong("link", link_fault(link))
        self.wrong("profile", profile_fault(profile, profiles))
        kind = profiles[profile].kind if profile in profiles else ""
        interval_s = INTERVALS_S.get(kind, 1.0)
        if said := values.get("interval_s", ""):
            interval_s = self._number(said.replace(",", ".")) or interval_s
        codes = tuple(values.get("parameters", "").replace(",", " ").replace(";", " ").split())
        for code in codes if profile in profiles else ():
            if code not in profiles[profile].parameters:
                hint = f"it gives {' '.join(profiles[profile].parameters)}"
                self.wrong("parameters", (f"{code!r} is not in the profile {profile}", hint))
        return Instrument(
            sensor=sensor, point=point, name=values.get("name", ""), link=link, profile=profile,
            interval_s=interval_s, parameters=codes,
        )  # fmt: skip

    def _number(self, text: str) -> float | None:
        why = interval_fault(text)
        self.wrong("interval_s", why)
        return None if why else float(text)

    def wrong(self, column: str, why: tuple[str, str] | None) -> None:
        if why:
            self.faults.append(Fault(self.file, column, self.number, *why))


def id_fault(id: str) -> tuple[str, str] | None:
    """What is wrong with an id, and a hint; None = nothing."""
    if IDENTIFIER.fullmatch(id):
        return None
    return f"{id!r} is not an id", "letters, digits, dot, dash and underscore, at most 64; begin with a letter or digit"


def link_fault(link: str) -> tuple[str, str] | None:
    """What is wrong with a link, and a hint; None = nothing."""
    try:
        parse_link(link)
    except ValueError as error:
        return str(error), LINK_HINT
    return None


def interval_fault(text: str) -> tuple[str, str] | None:
    """What is wrong with an interval, and a hint; None = nothing."""
    low, high = INTERVAL_S
    try:
        good = low <= float(text) <= high
    except ValueError:
        good = False
    return None if good else (f"{text!r} is not a number of seconds from {low:g} to {high:g}", "as 1 or 0.5")


def profile_fault(profile: str, profiles: Collection[str]) -> tuple[str, str] | None:
    """What is wrong with a profile's name, and a hint; None = nothing."""
    return None if profile in profiles else (f"there is no profile {profile!r}", _near(profile, profiles))


def _near(text: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(text, known, 1)
    return f"did you mean {near[0]!r}?" if near else f"one of: {', '.join(known)}"


def repeated(found: Sequence[Instrument], file: str) -> list[Fault]:
    """Sensors that are named twice."""
    names = [one.sensor for one in found]
    twice = {name for name in names if names.count(name) > 1}
    return [Fault(file, "sensor", None, f"{name!r} is there twice", "every id is unique") for name in sorted(twice)]


def draft(
    plant: PlantDraft, found: Sequence[Instrument], profiles: Mapping[str, Profile], folders: Sequence[str] = ()
) -> str:
    """The site file of a plant and its instruments, whose links and profiles are good.

    folders: with further profiles, as seen from the site file.
    """
    lines = [
        f"# Site file of the plant {plant.id}; docs/reference/site-file.md has every setting.",
        "# After each change: emitwatch check, with this file's name.",
        "",
        "[plant]",
        f"id = {_text(plant.id)}",
        f"name = {_text(plant.name)}",
        f"industry = {_text(plant.industry)}{'' if plant.industry else '    # GB/T 4754, where the law asks for it'}",
        f"district = {_text(plant.district)}{'' if plant.district else '    # GB/T 2260'}",
        f"timezone = {_text(plant.timezone)}",
        "",
        "[broker]",
        f"url = {_text(plant.broker)}    # mqtts:// with a certificate: emitwatch enroll",
        f"user = {_text(plant.id)}",
        'password_file = "broker.password"    # beside this file, for its owner alone',
        "",
        "[[gateway]]",
        f"id = {_text(plant.id + '-gw')}",
        f"status_port = {STATUS_PORT}    # its own page: http://127.0.0.1:{STATUS_PORT}/; also: emitwatch status",
    ]
    if folders:
        lines += ["", "[folders]", f"profiles = [{', '.join(map(_text, folders))}]"]
    for kind in KINDS:
        of_kind = [one for one in found if profiles[one.profile].kind == kind]
        if of_kind:
            lines += ["", f"# --- {kind} ---"]
        for point in dict.fromkeys(one.point for one in of_kind):
            lines += _point(point, kind, [one for one in of_kind if one.point == point], profiles)
    return "\n".join(lines) + "\n"


def _point(id: str, kind: str, here: Sequence[Instrument], profiles: Mapping[str, Profile]) -> list[str]:
    name = next((one.name for one in here if one.name), id)
    lines = [
        "",
        "[[point]]",
        f"id = {_text(id)}",
        f"kind = {_text(kind)}",
        f"name = {_text(name)}",
        "rules = []    # what it is judged by: emitwatch rules list",
    ]
    for one in here:
        profile = profiles[one.profile]
        lines += [
            "",
            "[[sensor]]",
            f"id = {_text(one.sensor)}",
            f"point = {_text(id)}",
            f"link = {_text(one.link)}",
            f"profile = {_text(one.profile)}    # {profile.title.en}",
            f"interval_s = {one.interval_s:g}",
        ]
        if one.parameters:
            lines.append(f"parameters = [{', '.join(map(_text, one.parameters))}]")
    return lines


def _text(value: str) -> str:
    """A TOML text; JSON's are such, but for the characters that TOML wants escaped and JSON lets stand."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
