"""The words of dashboards and alerts in one language; they stand in `words.toml`."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from gateway.settings import Label

LANGUAGES = ("en", "zh")


class Words:
    """language: en or zh. KeyError for what nobody has written down."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.other = next(one for one in LANGUAGES if one != language)

    def word(self, name: str) -> str:
        """A single word."""
        return str(_all()["word"][name][self.language])

    def board(self, name: str) -> str:
        """What a dashboard is called."""
        return str(_all()["board"][name][self.language])

    def panel(self, panel: str, **filled: str) -> tuple[str, str]:
        """Title and description of a panel; "" where it has no description of its own."""
        told = _all()["panel"][panel]
        about = told.get("about", {self.language: ""})
        return told["title"][self.language].format(**filled), about[self.language].format(**filled)

    def alert(self, alert: str) -> tuple[str, str]:
        """Title and description of an alert, names of labels in braces."""
        told = _all()["alert"][alert]
        return told["title"][self.language], told["about"][self.language]

    def label(self, label: Label) -> str:
        """A label of the product."""
        return label.zh if self.language == "zh" and label.zh else label.en


@cache
def _all() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "words.toml").read_text())
