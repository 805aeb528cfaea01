"""HTML from Python: elements whose text always goes in as text, so that nothing a site, a device or a person
said can become markup. Pure.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from html import escape
from typing import TypeAlias

VOID = ("meta", "br")


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


# Text is escaped, Markup is not; None is left out; what is in a list is put one after the other.
Child: TypeAlias = "str | int | float | Iterable[Child] | None"


def tag(name: str, /, *children: Child, **attributes: str | int | float | None) -> Markup:
    """An element. Attributes that are None are left out; `_` before a name that is a word of Python, `__` is a hyphen.

    >>> tag("p", "a < b", tag("b", "!"), _class="x", title='"')
    '<p class="x" title="&quot;">a &lt; b<b>!</b></p>'
    """
    given = "".join(
        f' {key.removeprefix("_").replace("__", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = text(*children)
    return Markup(f"<{name}{given}>{inside}" if name in VOID else f"<{name}{given}>{inside}</{name}>")


def text(*children: Child) -> Markup:
    """Children one after the other, escaped.

    >>> text("<", None, ["a", Markup("<br>")], 5)
    '&lt;a<br>5'
    """
    return Markup("".join(_one(child) for child in children))


def _one(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str | int | float):
        return escape(str(child))
    return text(*child)


def facts(rows: Iterable[tuple[str, Child]]) -> Markup:
    """A list of names and what they come to; those of nothing are left out."""
    told = [(name, text(child)) for name, child in rows]
    return tag("dl", [[tag("dt", name), tag("dd", child)] for name, child in told if child])


def table(heads: Iterable[str], rows: Iterable[Iterable[Child]], caption: str | None = None) -> Markup:
    """A table whose first column names its row."""
    body = [
        tag("tr", [tag("th", cell, scope="row") if number == 0 else tag("td", cell) for number, cell in enumerate(row)])
        for row in rows
    ]
    head = tag("thead", tag("tr", [tag("th", name, scope="col") for name in heads]))
    above = tag("caption", caption) if caption else None
    return tag("div", tag("table", above, head, tag("tbody", body)), _class="table")


def style_hash(style: str) -> str:
    """What a content policy names an inline style by, so that no other one is taken."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'"
