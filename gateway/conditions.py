"""Conditions: what a word or a bit of an instrument must be for a status to hold, read from a file.

A profile's status rules and a sensor's inputs (`[[status]]` of a profile, `[[sensor.input]]` of a site file) say it
with the same keys: `bit` and `when`, or `mask` with `equals` or `unless`. Pure: a table in, a condition out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from gateway.document import Table
from gateway.measurement import Status

BIT_FUNCTIONS = (1, 2)
ADDRESSES = 65536

# What an instrument can know about its own values; the other statuses are found out by the gateway.
STATUSES: Mapping[str, Status] = MappingProxyType({
    "maintenance": Status.MAINTENANCE,
    "calibration": Status.CALIBRATION,
    "fault": Status.FAULT,
    "out_of_range": Status.OUT_OF_RANGE,
    "stopped": Status.STOPPED,
    "manual": Status.MANUAL,
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Holds where the word under the mask is one of the values; negated: where it is none of them. Bits are 0 and 1."""

    fc: int
    address: int
    mask: int
    values: tuple[int, ...]
    negated: bool


def read_condition(table: Table) -> Condition | None:
    """The condition in a table; None where its place is wrong."""
    fc = table.integer("fc", low=1, high=4, hint="1 coils, 2 discrete inputs, 3 holding, 4 input registers")
    address = table.integer("address", low=0, high=ADDRESSES - 1, hint="as on the wire, counted from 0")
    if fc is None:
        table.skip("bit", "when", "mask", "equals", "unless")  # what they mean hangs on the function
        return None
    mask, values, negated = _word(table, bits=fc in BIT_FUNCTIONS)
    if address is None:
        return None
    return Condition(fc=fc, address=address, mask=mask, values=values, negated=negated)


def _word(table: Table, *, bits: bool) -> tuple[int, tuple[int, ...], bool]:
    """mask, values and negation."""
    given = table.integer("when", 1, low=0, high=1)
    when = 1 if given is None else given
    if bits:
        return 1, (when,), False
    if "bit" in table:
        bit = table.integer("bit", low=0, high=15, hint="0 = lowest bit of the word") or 0
        return 1 << bit, (when << bit,), False
    mask = table.integer("mask", 0xFFFF, low=1, high=0xFFFF) or 0xFFFF
    key = "equals" if "equals" in table else "unless"
    values = read_words(table, key, hint="bit = 3, or equals = [1, 2], or unless = [0]")
    if any(value & ~mask for value in values):
        table.fault(key, f"{values} has bits outside the mask {mask:#06x}", "give the values as they are after masking")
    elif len(set(values)) == 2 ** mask.bit_count():
        table.fault(key, "holds for every word", "leave out the words that mean all is well")
    return mask, values, key == "unless"


def read_words(table: Table, key: str, *, hint: str) -> tuple[int, ...]:
    """Words, as a list or one alone."""
    value: Any = table.raw(key, hint=hint)
    values = value if isinstance(value, list) else [value]
    good = all(isinstance(v, int) and not isinstance(v, bool) and 0 <= v <= 0xFFFF for v in values)
    if value is not None and (not good or not values):
        table.fault(key, f"{value!r} is not a list of words (0 to 65535)", hint)
    return tuple(values) if good else ()
