"""Settings and identity read back: how an instrument is set and which one it is, beside what it measures.

A span or a unit that somebody changes at the instrument changes every value that follows, so the registers that
`[[setting]]` and `[[identity]]` of a profile name are read now and then and compared with the last time. Rules:

- a number that is not finite and a text that is empty are nothing said: None;
- what could not be read is left out, and is no change.

Pure: words in, values out; who reads them and when is the poller's affair.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gateway.blocks import TCP, Block, Cost, divide
from gateway.measurement import UInt16
from gateway.plans import ratio
from gateway.profiles import Item, Profile
from gateway.words import TYPES, numbers_held, pack, text, text_words, unpack

Said = Mapping[str, float | str | None]


@dataclass(frozen=True, slots=True)
class Change:
    """A setting or an identity that is another than before."""

    name: str
    before: float | str | None
    after: float | str | None


def item_blocks(profile: Profile, cost: Cost = TCP) -> tuple[Block, ...]:
    """The requests that bring all settings and the identity of an instrument; () where the profile names none."""
    spans = [Block(item.fc, item.address, item.count) for item in (*profile.settings, *profile.identity)]
    return tuple(part.block for part in divide(spans, profile.limits, cost))


def read_items(profile: Profile, answers: Mapping[Block, UInt16]) -> dict[str, float | str | None]:
    """What an instrument says of itself. answers: words of the blocks that could be read, shape (count,)."""
    found = {}
    for item in (*profile.settings, *profile.identity):
        wanted = Block(item.fc, item.address, item.count)
        for block, words in answers.items():
            if block.holds(wanted):
                start = item.address - block.address
                found[item.name] = _meaning(item, words[start : start + item.count])
                break
    return found


def _meaning(item: Item, words: UInt16) -> float | str | None:
    swapped = item.order in ("BADC", "DCBA")
    ordered = words[::-1] if item.order in ("CDAB", "DCBA") else words
    if item.type not in TYPES:
        return text(ordered, bytes_swapped=swapped) or None
    raw = float(unpack(ordered[None, None, :], item.type, bytes_swapped=swapped, mask=item.mask)[0, 0])
    multiplier, divisor = ratio(item.scale)
    value = raw * multiplier / divisor + item.offset
    return value if math.isfinite(value) else None


def item_words(profile: Profile, told: Said) -> dict[Block, UInt16]:
    """The words in which an instrument says something of itself: the inverse of `read_items`, for the simulators.

    told: by name; what is missing is the item's constant, or nothing at all.
    """
    return {
        Block(item.fc, item.address, item.count): _words(item, told.get(item.name, item.constant))
        for item in (*profile.settings, *profile.identity)
    }


def _words(item: Item, said: float | str | None) -> UInt16:
    swapped = item.order in ("BADC", "DCBA")
    if item.type not in TYPES:
        words = text_words(str(said or ""), item.count, bytes_swapped=swapped)
    else:
        multiplier, divisor = ratio(item.scale)
        raw = (float(said or 0.0) - item.offset) * divisor / multiplier
        raw = np.clip(round(raw) if TYPES[item.type].whole else raw, *numbers_held(item.type, item.mask))
        words = pack(np.array([[raw]]), item.type, bytes_swapped=swapped, mask=item.mask)[0, 0]
    return words[::-1] if item.order in ("CDAB", "DCBA") else words


def contradictions(profile: Profile, told: Said) -> Sequence[Change]:
    """What is said of a constant and is not so: the word order is another, or it is another instrument."""
    items = (item for item in (*profile.settings, *profile.identity) if item.constant is not None)
    return [
        Change(item.name, item.constant, told[item.name])
        for item in items
        if item.name in told and not same(told[item.name], item.constant)
    ]


def same(value: float | str | None, want: float | str | None) -> bool:
    """Whether two things said are the same, but for the last digits of a float."""
    if isinstance(value, float) and isinstance(want, float):
        return math.isclose(value, want, rel_tol=1e-6, abs_tol=1e-9)
    return value == want


def changes(before: Said, after: Said) -> Sequence[Change]:
    """What is another than before, by name; what is missing on one side is not compared.

    >>> changes({"span": 500.0}, {"span": 250.0, "firmware": "1.2"})
    [Change(name='span', before=500.0, after=250.0)]
    """
    return [Change(name, before[name], after[name]) for name in after if name in before and before[name] != after[name]]


def words_of(profile: Profile, words: Mapping[tuple[int, int], int]) -> dict[Block, UInt16]:
    """The words of settings and identity as far as an example gives them: answers for `read_items`."""
    answers = {}
    for item in (*profile.settings, *profile.identity):
        places = [(item.fc, item.address + n) for n in range(item.count)]
        if all(place in words for place in places):
            block = Block(item.fc, item.address, item.count)
            answers[block] = np.array([words[place] for place in places], np.uint16)
    return answers
