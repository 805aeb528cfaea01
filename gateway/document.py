"""A TOML document read with a finger on the line: every fault is found, none stops the reading.

Site files, device profiles and rule packs are written by people on site, so a reader here never
raises on content. It takes what it can, notes a `Fault` for what it cannot (file, path to the
field, line where it can be told, what is wrong, what to do) and goes on. A document with a fault
is refused as a whole by its reader, after all faults are known.

    doc, faults = parse_document(text, "site.toml")
    with Table.root(doc, faults) as root:
        with root.table("plant") as plant:
            name = plant.text("name")

`None` from a reading method means: absent and not required, or faulty and noted. Leaving the
`with` block notes every key that nobody asked for. Pure: text in, values and faults out.
"""

from __future__ import annotations

import difflib
import math
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?")
_KEY = re.compile(r"""^\s*("[^"]+"|'[^']+'|[A-Za-z0-9_-]+)\s*=""")
DEEPEST = 40  # tables and lists within each other; what is written by people needs five
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong in a file, and what to do about it.

    path: the field, as `sensor[3].profile` (counted from 0); empty = the file as a whole.
    line: counted from 1; None where it cannot be told.
    """

    file: str
    path: str
    line: int | None
    message: str
    hint: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file and self.line else self.file
        said = ": ".join(part for part in (place, self.path, self.message) if part)
        return f"{said}\n    hint: {self.hint}" if self.hint else said


class FaultyFiles(Exception):
    """Files that cannot be used; `faults` says all that is wrong in them."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed TOML file. lines: path of a field or table -> its line, where it could be told."""

    file: str
    tree: Mapping[str, Any]
    lines: Mapping[str, int]

    def line(self, path: str) -> int | None:
        """The line of a field, or of the nearest thing around it that has one."""
        while path:
            if line := self.lines.get(path):
                return line
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return None

    def fault(self, path: str, message: str, hint: str) -> Fault:
        """What is wrong with a field of this document."""
        return Fault(self.file, path, self.line(path), message, hint)


def parse_document(text: str, file: str) -> tuple[Document, list[Fault]]:
    """The document in a TOML text; on a syntax error an empty document and the fault.

    A byte order mark at the start, as some editors write it, is passed over.
    """
    text = text.removeprefix("\ufeff")
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found.group(1)) if found else None
        hint = "TOML needs quotes around text and one key a line"
        return Document(file, {}, {}), [Fault(file, "", line, f"not readable as TOML: {error}", hint)]
    except RecursionError:
        return Document(file, {}, {}), [_too_deep(file)]
    except ValueError:  # Python reads no whole number of more than 4300 digits
        message = "not readable as TOML: a number has thousands of digits"
        return Document(file, {}, {}), [Fault(file, "", None, message, "write a number that a machine can hold")]
    if _deeper(tree, DEEPEST):
        return Document(file, {}, {}), [_too_deep(file)]
    return Document(file, tree, _lines(text)), []


def _too_deep(file: str) -> Fault:
    return Fault(file, "", None, f"tables or lists are nested more than {DEEPEST} deep", "no file needs that")


def _deeper(tree: Mapping[str, Any], limit: int) -> bool:
    """Whether tables and lists are nested deeper than a limit; level by level, as recursion could end the process."""
    level: list[Any] = [tree]
    for _ in range(limit):
        nested = [value.values() if isinstance(value, Mapping) else value for value in level]
        level = [value for values in nested for value in values if isinstance(value, Mapping | list)]
    return bool(level)


def _lines(text: str) -> dict[str, int]:
    """Where each table and each key of a TOML text stands, by path."""
    lines: dict[str, int] = {}
    arrays: dict[str, int] = {}
    prefix = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            prefix = _table_path(header.group(2), arrays, new=header.group(1) == "[[")
            lines.setdefault(prefix, number)
        elif key := _KEY.match(line):
            path = f"{prefix}.{key.group(1).strip(chr(34) + chr(39))}".lstrip(".")
            lines.setdefault(path, number)
    return lines


def _table_path(name: str, arrays: dict[str, int], *, new: bool) -> str:
    """`[[sensor]]` -> sensor[0], sensor[1], ..; `[sensor.x]` -> below the last of them."""
    parts = [part.strip().strip("\"'") for part in name.split(".")]
    path = ""
    for depth, part in enumerate(parts):
        path = f"{path}.{part}".lstrip(".")
        if new and depth == len(parts) - 1:
            arrays[path] = arrays.get(path, -1) + 1
        if path in arrays:
            path = f"{path}[{arrays[path]}]"
    return path


REQUIRED: Any = object()
_LARGEST = sys.float_info.max  # what a float can hold; TOML's whole numbers have no end


@dataclass(slots=True)
class Table:
    """One table of a document while it is read; a context manager that notes unknown keys at its end."""

    document: Document
    path: str
    values: Mapping[str, Any]
    faults: list[Fault]
    asked: set[str] = field(default_factory=set)

    @classmethod
    def root(cls, document: Document, faults: list[Fault]) -> Table:
        """The whole document as a table; faults found are added to the list given."""
        return cls(document, "", document.tree, faults)

    def __enter__(self) -> Table:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is None:
            for key in self.values:
                if key not in self.asked:
                    near = difflib.get_close_matches(key, self.asked, 1)
                    known = ", ".join(sorted(self.asked)) or "none"
                    hint = f"did you mean {near[0]!r}?" if near else f"known keys here: {known}"
                    self.fault(key, "unknown key", hint)

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def place(self, key: str = "") -> str:
        """The path of a key of this table, as faults name it."""
        return f"{self.path}.{key}".strip(".")

    def fault(self, key: str, message: str, hint: str = "") -> None:
        """Note what is wrong with a key (empty: with the table itself)."""
        self.faults.append(self.document.fault(self.place(key), message, hint))

    def skip(self, *keys: str) -> None:
        """Keys that somebody else reads."""
        self.asked.update(keys)

    def raw(self, key: str, default: Any = REQUIRED, hint: str = "") -> Any:
        """The value as TOML gives it; a missing required key is noted."""
        self.asked.add(key)
        if key in self.values:
            return self.values[key]
        if default is REQUIRED:
            self.fault(key, "missing", hint or f"add {key} = ...")
            return None
        return default

    def _typed(self, key: str, kinds: tuple[type, ...], want: str, default: Any, hint: str) -> Any:
        value = self.raw(key, default, hint)
        if key not in self.values:
            return value
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            self.fault(key, f"{value!r} is not {want}", hint)
            return None if default is REQUIRED else default
        return value

    def text(self, key: str, default: Any = REQUIRED, *, hint: str = "", pattern: re.Pattern[str] | None = None) -> Any:
        """A text, of a pattern if one is given."""
        value = self._typed(key, (str,), "a text", default, hint)
        if key in self.values and isinstance(value, str) and pattern and not pattern.fullmatch(value):
            self.fault(key, f"{value!r} has a form that is not allowed", hint)
        return value

    def identifier(self, key: str, default: Any = REQUIRED) -> Any:
        """A name made of letters, digits, `_`, `.` and `-`, at most 64 long; "" where it has another form."""
        value = self.text(
            key,
            default,
            pattern=IDENTIFIER,
            hint="letters, digits, '_', '.' and '-', at most 64, starting with a letter or digit",
        )
        return value if not isinstance(value, str) or value == default or IDENTIFIER.fullmatch(value) else ""

    def choice(self, key: str, choices: Iterable[str], default: Any = REQUIRED) -> Any:
        """One of a few texts."""
        names = list(choices)
        value = self._typed(key, (str,), "a text", default, f"one of: {', '.join(names)}")
        if key in self.values and isinstance(value, str) and value not in names:
            near = difflib.get_close_matches(value, names, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"one of: {', '.join(names)}"
            self.fault(key, f"{value!r} is not known", hint)
            return None if default is REQUIRED else default
        return value

    def number(
        self, key: str, default: Any = REQUIRED, *, low: float = -math.inf, high: float = math.inf, hint: str = ""
    ) -> Any:
        """A finite number between two bounds, both allowed; returned as float."""
        value = self._bounded(key, self._typed(key, (int, float), "a number", default, hint), low, high, hint)
        return value if value is None else float(value)

    def integer(
        self, key: str, default: Any = REQUIRED, *, low: int = -(2**63), high: int = 2**63, hint: str = ""
    ) -> Any:
        """A whole number between two bounds, both allowed."""
        return self._bounded(key, self._typed(key, (int,), "a whole number", default, hint), low, high, hint)

    def _bounded(self, key: str, value: Any, low: float, high: float, hint: str) -> Any:
        if key not in self.values or value is None or (low <= value <= high and abs(value) <= _LARGEST):
            return value
        shown = f"{value!r}" if len(repr(value)) <= 40 else f"{repr(value)[:40]}.."
        self.fault(key, f"{shown} is outside {low:g} to {high:g}", hint)
        return None

    def boolean(self, key: str, default: Any = REQUIRED, *, hint: str = "") -> Any:
        """true or false."""
        return self._typed(key, (bool,), "true or false", default, hint)

    def texts(self, key: str, default: Any = REQUIRED, *, hint: str = "") -> tuple[str, ...]:
        """A list of texts; one text counts as a list of one."""
        value = self._typed(key, (list, str), "a list of texts", default, hint)
        values = [value] if isinstance(value, str) else list(value or ())
        for number, item in enumerate(values):
            if not isinstance(item, str):
                self.fault(f"{key}[{number}]", f"{item!r} is not a text", hint)
        return tuple(item for item in values if isinstance(item, str))

    def mapping(self, key: str, default: Any = REQUIRED, *, hint: str = "") -> dict[str, Any]:
        """A free table, whose keys the caller knows nothing about."""
        return dict(self._typed(key, (dict,), "a table", default, hint) or {})

    def table(self, key: str, *, required: bool = False, hint: str = "") -> Table:
        """The table under a key; an empty one where it is absent."""
        value = self._typed(key, (dict,), "a table", REQUIRED if required else {}, hint or f"add [{self.place(key)}]")
        # Of a table that is not there, its absence is the one fault, and not that of each key too.
        there = isinstance(self.values.get(key), dict) or not (required or key in self)
        return Table(self.document, self.place(key), value or {}, self.faults if there else [])

    def tables(self, key: str) -> Iterator[Table]:
        """Each table of an array of tables `[[key]]`."""
        value = self._typed(key, (list,), "an array of tables", [], f"write [[{self.place(key)}]]")
        for number, item in enumerate(value):
            path = self.place(f"{key}[{number}]")
            if isinstance(item, dict):
                yield Table(self.document, path, item, self.faults)
            else:
                self.fault(f"{key}[{number}]", f"{item!r} is not a table", f"write [[{self.place(key)}]]")

    def convert(self, key: str, function: Callable[[str], T], default: Any = REQUIRED, *, hint: str = "") -> T | None:
        """A text put through a function that raises ValueError on what it refuses."""
        value = self.text(key, default, hint=hint)
        if key not in self.values or not isinstance(value, str):
            return None if value is REQUIRED else value
        try:
            return function(value)
        except ValueError as error:
            self.fault(key, str(error), hint)
            return None
