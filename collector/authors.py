"""The `[[author]]` tables of the site files: who may mark measurements, and by which key they are known.

An author belongs to the plant in whose file he stands; one who serves several plants stands in each. He stays in the
file as long as marks of his are to be proved: `retired = true` says that no new ones are taken. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gateway.document import Fault, Table
from gateway.settings import KEY_HINT, PUBLIC_KEY, Label, Site, label

ROLES = ("plant", "admin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who may mark measurements of a plant. public_key: Ed25519, hex. retired: no new marks are taken."""

    id: str
    name: Label
    role: str
    public_key: str
    retired: bool = False


Authors: TypeAlias = Mapping[tuple[str, str], Author]


def parse_authors(sites: Sequence[Site]) -> tuple[dict[tuple[str, str], Author], list[Fault]]:
    """The authors of all plants by plant and id, and what is wrong with them."""
    faults: list[Fault] = []
    found: dict[tuple[str, str], Author] = {}
    for site in sites:
        for table in Table.root(site.document, faults).tables("author"):
            author = _author(table)
            if author.id and (site.plant.id, author.id) in found:
                table.fault("id", f"{author.id!r} is used twice", "a new key is a new author, with an id of its own")
            found.setdefault((site.plant.id, author.id), author)
    return found, faults


def _author(table: Table) -> Author:
    with table:
        id = table.identifier("id") or ""
        return Author(
            id=id,
            name=label(table, "name", id),
            role=table.choice("role", ROLES) or "",
            public_key=table.text("public_key", pattern=PUBLIC_KEY, hint=KEY_HINT) or "",
            retired=table.boolean("retired", False, hint="true: his marks are proved, new ones are refused"),
        )
