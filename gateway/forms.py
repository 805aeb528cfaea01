"""Forms: every way in which a number may lie in registers, and what words are as each of them.

A form is a type, an order and, of a number smaller than a word, which half. Pure and by column.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gateway.measurement import Float64, UInt16
from gateway.plans import Bools
from gateway.words import ORDERS, TYPES, unpack

HALVES = (0x00FF, 0xFF00)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a number may lie in registers. mask: half of a word, 0 = all of the type."""

    type: str
    order: str
    mask: int = 0

    @property
    def width(self) -> int:
        """How many registers it takes."""
        return TYPES[self.type].width

    def __str__(self) -> str:
        half = {0x00FF: " low half", 0xFF00: " high half"}.get(self.mask, "")
        return f"{self.type}{half}" if self.width == 1 and self.order == "ABCD" else f"{self.type}{half} {self.order}"


def forms() -> list[Form]:
    """Every way in which a number may lie in registers, once each."""
    found = []
    for type in TYPES:
        orders = ("ABCD", "BADC") if TYPES[type].width == 1 else ORDERS
        masks = HALVES if type in ("int8", "uint8") else (0,)
        found += [Form(type=type, order=o, mask=m) for o in orders for m in masks if not m or o == "ABCD"]
    return found


FORMS = tuple(forms())
# Those that can be weighed together: of one width, and all whole numbers or all floats.
ALIKE = tuple(
    tuple(form for form in FORMS if (form.width, TYPES[form.type].whole) == kind)
    for kind in ((1, True), (2, False), (2, True), (4, False), (4, True))
)


def windows(words: UInt16, form: Form) -> UInt16:
    """The words of every number of a form that a run may hold, most significant first: (n, m) -> (n, k, width)."""
    found = np.lib.stride_tricks.sliding_window_view(words, form.width, axis=1)
    return found[..., ::-1] if form.order in ("CDAB", "DCBA") else found


def raw_numbers(words: UInt16, form: Form) -> Float64:
    """The raw number at every place of a run, in every reading: (n, m) -> (n, k)."""
    swapped = form.order in ("BADC", "DCBA")
    return unpack(windows(words, form), form.type, bytes_swapped=swapped, mask=form.mask)


def text_places(words: UInt16) -> Bools:
    """Which registers hold letters: three or more in a row of two printable characters each, the same every time."""
    high, low = words[-1] >> 8, words[-1] & 0xFF
    alphabetic = (high >= 32) & (high < 127) & (low >= 32) & (low < 127) & (words == words[-1]).all(axis=0)
    padded = np.concatenate(([False, False], alphabetic, [False, False]))
    threes = padded[:-2] & padded[1:-1] & padded[2:]
    found: Bools = threes[:-2] | threes[1:-1] | threes[2:]
    return found
