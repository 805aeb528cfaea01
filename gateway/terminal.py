"""What commands print for people: tables and text that fit a terminal, and that a pipe does not cut."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer
from rich.console import Console
from rich.table import Table

AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Language: TypeAlias = Annotated[str, typer.Option("--language", help="en or zh.")]
_PIPE_WIDTH = 240


def console() -> Console:
    """A console whose tables are not cut where the output is a pipe, and that prints "[ppm]" as it stands."""
    found = Console(highlight=False, markup=False)
    return found if found.is_terminal else Console(highlight=False, markup=False, width=_PIPE_WIDTH)


def table(*columns: str) -> Table:
    """A table without lines."""
    return Table(*columns, box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
