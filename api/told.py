"""How the page to print says things: the words of the app in one language, local times, numbers, units. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from api.times import parse_time
from gateway.measurement import SECOND_NS

LANGUAGES = ("en", "zh")
_WORD = re.compile(r'^\s+"?([\w ]+)"?: \[\s*"((?:[^"\\]|\\.)*)",\s*"((?:[^"\\]|\\.)*)",?\s*\],', re.MULTILINE)
_PRETTY = {"degC": "°C", "mg/m3": "mg/m³", "m3/h": "m³/h", "m3": "m³", "ug/m3": "µg/m³"}
_PLACES = 4  # decimals shown; the JSON has all


def parse_words(script: str) -> dict[str, tuple[str, str]]:
    """The words of the app, English and Chinese, from the script that holds them.

    >>> parse_words('export const WORDS = {\\n  ok: ["OK", "达标"],\\n};')
    {'ok': ('OK', '达标')}
    """
    return {name: (en, zh) for name, en, zh in _WORD.findall(script)}


def preferred(wanted: str, accepted: str) -> str:
    """The language to speak: the one that was asked for, else the first that a browser accepts and the app knows.

    >>> preferred("", "de, zh-CN;q=0.8, en"), preferred("en", "zh"), preferred("", "")
    ('zh', 'en', 'en')
    """
    asked = [wanted, *(part.split(";")[0].strip()[:2].lower() for part in accepted.split(","))]
    return next((language for language in asked if language in LANGUAGES), "en")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One language and one place. words: as `parse_words` gives them. timezone: IANA name."""

    words: Mapping[str, tuple[str, str]]
    language: str
    timezone: str

    def t(self, key: str, *values: object) -> str:
        """A word; {0}, {1} are filled in. An unknown one is shown as it is."""
        pair = self.words.get(key, (key, key))
        said = pair[LANGUAGES.index(self.language)]
        return re.sub(r"\{(\d)\}", lambda found: str(values[int(found[1])]), said)

    def label(self, name: Any) -> str:  # noqa: ANN401 - evidence of other versions may hold anything
        """A name in the language, else in English."""
        if not isinstance(name, Mapping):
            return str(name or "")
        return str(name.get(self.language) or name.get("en") or "")

    def when(self, time: str) -> str:
        """A UTC time as the clock at the point showed it, with what there is of a fraction of a second."""
        time_ns = parse_time(time)
        local = datetime.fromtimestamp(time_ns // SECOND_NS, ZoneInfo(self.timezone))
        fraction = f"{time_ns % SECOND_NS / SECOND_NS:.3f}"[1:].rstrip("0").rstrip(".")
        return f"{local:%Y-%m-%d %H:%M:%S}{fraction}"

    def span(self, begin: str, end: str) -> str:
        """Two local times with the offset of the first."""
        local = datetime.fromtimestamp(parse_time(begin) // SECOND_NS, ZoneInfo(self.timezone))
        return f"{self.when(begin)} – {self.when(end)} ({self.timezone}, UTC{local:%z})"

    def number(self, value: float | None) -> str:
        """A number with no more decimals than a reader can use; – where there is none."""
        if value is None or isinstance(value, bool):
            return "–" if value is None else self.t("yes" if value else "no")
        return f"{round(value, _PLACES) + 0.0:.15g}"

    def figure(self, value: float | None, unit: str) -> str:
        """A number with its unit."""
        return f"{self.number(value)} {self.unit(unit)}".strip() if value is not None else "–"

    def unit(self, text: str) -> str:
        """A unit as people write it."""
        return _PRETTY.get(text, text)

    def statuses(self, counts: Mapping[str, int]) -> str:
        """How many values of each status."""
        return ", ".join(f"{self.status(name)} {count}" for name, count in counts.items())

    def status(self, name: str) -> str:
        """A status in words; one that the words do not have is shown as it is."""
        key = f"status_{name}"
        return self.t(key) if key in self.words else name
