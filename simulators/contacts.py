"""Contacts that are not there: the words of a site's inputs, quiet until somebody turns the key.

Of each sensor all inputs hold, or none does (fault `key`). Pure: sensors in, pieces of memory out, by where they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import TypeAlias

import numpy as np

from gateway.conditions import Condition
from gateway.contacts import Place, place_of
from gateway.measurement import UInt16
from gateway.sensors import Sensor

Pieces: TypeAlias = list[tuple[int, int, UInt16]]  # function, address, words


def contacts(sensors: Iterable[tuple[Sensor, bool]]) -> dict[Place, Pieces]:
    """What the units have that inputs are read from. sensors: each with whether its key is turned."""
    words: dict[Place, dict[tuple[int, int], int]] = {}
    for sensor, turned in sensors:
        for item in sensor.settings.inputs:
            unit = words.setdefault(place_of(item.link or sensor.settings.link), {})
            condition = item.condition
            where = condition.fc, condition.address
            unit[where] = unit.get(where, 0) & ~condition.mask | word_of(condition, holds=turned)
    return {
        place: [(fc, address, np.array([word], np.uint16)) for (fc, address), word in sorted(unit.items())]
        for place, unit in words.items()
    }


def word_of(condition: Condition, *, holds: bool) -> int:
    """A word, under the mask of a condition, for which it holds, or does not."""
    if holds is not condition.negated:
        return condition.values[0]
    some = chain((0, condition.mask), range(0x10000))
    return next(word for word in some if not word & ~condition.mask and word not in condition.values)
