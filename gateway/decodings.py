"""Decodings: everything that some words of an instrument can mean, the most plausible first.

A manual that names no word order, or the wrong one, leaves type, order, scale, unit and often the address open. Each
combination is a hypothesis, and its score weighs what it explains against chance (Bayes):

    log odds = how often makers choose it
             + log( density of the expected quantity at the value * the step between two numbers that the type holds )
             - log( how often such words are found anyway: zeros and small numbers are common, the rest is not )
             + the same for how the value moves between readings, against how words move anyway

So a float in a usual range is strong evidence, for of all 2^32 patterns few are one; a small whole number is weak; a
float that is a round decimal is stronger still; and a wrong word order, which jumps over decades between two readings,
falls far behind. Words that other numbers explain better count against whoever tears these apart: a float64 across two
float32, a uint16 that is half of one (`explained`). To be some number or other is worth OWN_MAX at most, for it says
nothing of which. What is the same number in all readings (uint16 and int16 of a small one) is one decoding, with the
others beside it: the words cannot tell them apart. Where most of an instrument is of one type and order, the rest is
likely to be so, too (`prevailing`).

Pure and by column: `Samples`, readings of one run of registers, in; `Decoding`s out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from gateway.blocks import Block
from gateway.decoding_notes import notes
from gateway.decoding_odds import IMPOSSIBLE, any_of, chance, changes, fit, log_rounds, movement, prior, step_of
from gateway.forms import ALIKE, Form, raw_numbers, text_places
from gateway.measurement import Float64, UInt16
from gateway.plans import Index, ratio
from gateway.quantities import ANYTHING, Quantity
from gateway.words import TYPES

DOUBT = math.log(3.0)  # odds against a number being what is looked for
UNSEEN = 90.0  # highest score of what nobody has compared with a display
AGREED = 2.0  # what it is worth that most of the instrument is of one type and order
TEXT = -6.0  # a number among letters
LOST_MAX = 25.0  # that tearing one other number apart can cost
OWN_MAX = 2.0  # that it is worth to be a number at all, whatever it measures
LOOKED_AT = 24  # hypotheses for each one kept, for many are the same number, or another scale of it
PADDING = 3  # registers of 0 that are kept beside something: they may be the rest of a long number
STRETCH = 250  # registers that are weighed at once
RIVAL = 4.0  # odds between two scales of which neither can be ruled out
SMALLEST = 1e-250  # of a float64 in a wrong order; scaled, it would become an honest 0
OTHERS = 12  # scales and units of the same number that are named beside the best


@dataclass(frozen=True, slots=True)
class Samples:
    """Readings of a run of registers, one after the other. words: shape (readings, registers), newest last."""

    fc: int
    address: int
    words: UInt16

    @property
    def end(self) -> int:
        """The first address after them."""
        return self.address + int(self.words.shape[1])


@dataclass(frozen=True, slots=True)
class Case:
    """Another scale and unit of the same raw number, and what it would be then. [unit of the quantity]"""

    scale: float
    unit: str
    value: float
    odds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """One meaning of some words.

    value: newest, [unit of the quantity]; raw * scale is in `unit`, the instrument's own. values: of all readings.
    words: newest. shown: it was held against a display. odds: natural logarithm, for against against.
    same: other types and orders that give the same numbers so far. others: other scales and units of these numbers.
    notes: what speaks for and against, in words.
    """

    quantity: str
    fc: int
    address: int
    form: Form
    scale: float
    unit: str
    value: float
    values: tuple[float, ...]
    words: tuple[int, ...]
    odds: float
    shown: bool = False
    same: tuple[Form, ...] = ()
    others: tuple[Case, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def score(self) -> int:
        """How plausible it is, 0 to 100; without a display, which alone can decide, UNSEEN at most."""
        share = 100 / (1 + math.exp(-min(max(self.odds, -50.0), 50.0)))
        return round(share if self.shown else min(share, UNSEEN))

    @property
    def rivals(self) -> tuple[Case, ...]:
        """The other scales and units that are nearly as likely."""
        return tuple(case for case in self.others if case.odds > self.odds - RIVAL)

    @property
    def block(self) -> Block:
        """The registers it takes."""
        return Block(self.fc, self.address, self.form.width)


def ranked(
    runs: Iterable[Samples], expected: Quantity, *, most: int = 5, agreed: Mapping[Form, float] | None = None
) -> list[Decoding]:
    """The most plausible meanings of some readings, best first, as that of one quantity.

    agreed: what it is worth, for each form, that others of the instrument have it (`prevailing`).
    """
    tables = []
    for run in (part for whole in runs for part in stretches(whole)):
        others = explained(run)
        for alike in _fitting(run):
            lost = np.tile(_lost(others, alike[0].width, run.words.shape[1]), len(alike))
            tables.append(_best(_weighed(run, alike, expected, agreed or {}), lost, LOOKED_AT * most))
    kept = _grouped(tables, expected, most)
    return [replace(one, notes=notes(one.values, one.form.type, one.scale, expected)) for one in kept]


def stretches(run: Samples) -> list[Samples]:
    """The parts of a run where there is something: without long stretches of zeros, and short enough to weigh at once.

    Parts overlap, so that no number is cut in two.
    """
    somewhere = np.flatnonzero(run.words.any(axis=0))
    if not len(somewhere):
        return [run] if run.words.shape[1] <= PADDING else []
    gaps = np.flatnonzero(np.diff(somewhere) > 2 * PADDING)
    starts = [int(somewhere[0]), *(int(somewhere[n + 1]) for n in gaps)]
    ends = [*(int(somewhere[n]) + 1 for n in gaps), int(somewhere[-1]) + 1]
    found = []
    for start, end in zip(starts, ends, strict=True):
        start, end = max(start - PADDING, 0), min(end + PADDING, run.words.shape[1])
        for at in range(start, max(end - PADDING, start + 1), STRETCH):
            words = run.words[:, at : min(at + STRETCH + PADDING, end)]
            found.append(Samples(run.fc, run.address + at, words))
    return found


def prevailing(found: Iterable[Decoding]) -> dict[Form, float]:
    """What the best decodings of several quantities say of all others: form -> what it adds to their odds."""
    counts = Counter(one.form for one in found if one.odds > 0)
    total = sum(counts.values())
    return {form: AGREED * count / total for form, count in counts.items()} if total > 1 else {}


def assigned(best: Mapping[str, Sequence[Decoding]]) -> dict[str, Decoding]:
    """One decoding for each quantity, the surest first, so that no two share a register.

    best: the ranked decodings of each. What finds no place left, or none better than even odds, is left out.
    """
    taken: list[Block] = []
    result: dict[str, Decoding] = {}
    for one in sorted((d for found in best.values() for d in found if d.odds > 0), key=lambda d: -d.odds):
        if one.quantity not in result and not any(one.block.touches(block) for block in taken):
            result[one.quantity] = one
            taken.append(one.block)
    return {name: result[name] for name in best if name in result}


@dataclass(frozen=True, slots=True)
class _Table:
    """Hypotheses of some forms of one width in one run. Places are those of the first form, then of the next ..

    ways: scale, unit, multiplier, divisor and shift of each case. raw: (n, places).
    odds, place, case: of each hypothesis, (h,).
    """

    run: Samples
    forms: Sequence[Form]
    ways: Sequence[tuple[float, str, float, float, float]]
    raw: Float64
    odds: Float64
    place: Index
    case: Index

    def decoding(self, number: int, expected: Quantity) -> tuple[Decoding, tuple[float, ...]]:
        """One of the hypotheses, and its raw numbers."""
        place, (scale, unit, multiplier, divisor, shift) = int(self.place[number]), self.ways[int(self.case[number])]
        which, at = divmod(place, self.raw.shape[1] // len(self.forms))
        raw, form = self.raw[:, place], self.forms[which]
        with np.errstate(invalid="ignore", over="ignore"):
            values = (raw * multiplier / divisor + shift).tolist()
        one = Decoding(
            quantity=expected.name, fc=self.run.fc, address=self.run.address + at, form=form, scale=scale, unit=unit,
            value=values[-1], values=tuple(values), odds=float(self.odds[number]),
            words=tuple(self.run.words[-1, at : at + form.width].tolist()), shown=expected.shown is not None,
        )  # fmt: skip
        return one, tuple(raw.tolist())


def _fitting(run: Samples) -> list[tuple[Form, ...]]:
    return [alike for alike in ALIKE if alike[0].width <= run.words.shape[1]]


def _weighed(run: Samples, alike: tuple[Form, ...], expected: Quantity, agreed: Mapping[Form, float]) -> _Table:
    """What forms of one width, all whole numbers or all floats, say of every place of a run: all that is possible."""
    kind, letters = TYPES[alike[0].type], text_places(run.words)
    raw = np.concatenate([raw_numbers(run.words, form) for form in alike], axis=1)
    raw = np.where((raw != 0.0) & (np.abs(raw) < SMALLEST), np.nan, raw)
    base = np.concatenate([
        prior(form) + agreed.get(form, 0.0) - DOUBT - chance(run.words, form) + TEXT * any_of(letters, form.width)
        for form in alike
    ])  # fmt: skip
    scales = expected.whole if kind.whole else expected.floating
    ways = [
        (scale, unit, *ratio(scale * way.factor), way.shift)
        for scale in scales
        for unit, (way, _) in expected.units.items()
    ]
    likely = np.array([own + other for own in scales.values() for _, other in expected.units.values()])
    multiplier, divisor, shift = (np.array([way[n] for way in ways]) for n in (2, 3, 4))
    factor, rounds = np.abs(multiplier / divisor), log_rounds(raw, kind)
    with np.errstate(invalid="ignore", over="ignore"):
        newest = raw[-1][:, None] * multiplier / divisor + shift  # (places, cases)
        step = step_of(newest, kind, factor)
        fits = fit(newest, step, rounds[-1][:, None] + np.log(factor), expected)
        place, case = np.nonzero(fits > IMPOSSIBLE)
        value = raw[:, place] * multiplier[case] / divisor[case] + shift[case]  # (n, h)
    moves = movement(
        changes(run.words, alike, place), value, step[place, case], rounds[:, place] + np.log(factor[case]), expected
    )
    return _Table(run, alike, ways, raw, base[place] + likely[case] + fits[place, case] + moves, place, case)


def _best(found: _Table, lost: Float64, most: int) -> _Table:
    """The best of some hypotheses. lost: what each place leaves without an explanation, (places,)."""
    odds = found.odds - lost[found.place]
    best = np.argsort(-odds, kind="stable")[:most]
    return replace(found, odds=odds[best], place=found.place[best], case=found.case[best])


@dataclass(frozen=True, slots=True)
class Part:
    """Some registers that one number explains, whatever it is. gain: how much better than chance does."""

    start: int
    width: int
    gain: float


def explained(run: Samples) -> tuple[Part, ...]:
    """The numbers that together explain a run best, whatever they measure: each register in one of them at most."""
    return _explained(run.words.tobytes(), run.words.shape)


@lru_cache(maxsize=256)
def _explained(words: bytes, shape: tuple[int, int]) -> tuple[Part, ...]:
    """Cached: of every quantity that is looked for the same is asked."""
    run = Samples(3, 0, np.frombuffer(words, np.uint16).reshape(shape))
    m = shape[1]
    gains: dict[int, Float64] = {}
    for alike in _fitting(run):
        places = m - alike[0].width + 1
        found = _weighed(run, alike, ANYTHING, {})
        gain = gains.setdefault(alike[0].width, np.full(places, IMPOSSIBLE))
        np.maximum.at(gain, found.place % places, found.odds + DOUBT)
    return _cover(m, gains)


def _cover(m: int, gains: Mapping[int, Float64]) -> tuple[Part, ...]:
    """The numbers that gain most together. gains: of a number of each width at each place."""
    best: list[tuple[float, int]] = [(0.0, 0)]  # of the first registers: gain, and the width of the last number
    for end in range(1, m + 1):
        found = [(best[end - 1][0], 0)]
        found += [
            (best[end - width][0] + float(gain[end - width]), width) for width, gain in gains.items() if width <= end
        ]
        best.append(max(found))
    parts, end = [], m
    while end:
        width = best[end][1]
        if width:
            parts.append(Part(end - width, width, best[end][0] - best[end - width][0]))
        end -= max(width, 1)
    return tuple(parts[::-1])


def _lost(others: Sequence[Part], width: int, registers: int) -> Float64:
    """What a number at each place would leave unexplained that others explain, (k,)."""
    found = np.zeros(registers - width + 1)
    for part in others:
        found[max(part.start - width + 1, 0) : part.start + part.width] += min(part.gain, LOST_MAX)
        if part.width == width:
            found[part.start] += max(part.gain - OWN_MAX, 0.0) - min(part.gain, LOST_MAX)
    return found


def _grouped(tables: Sequence[_Table], expected: Quantity, most: int) -> list[Decoding]:
    """The best of all hypotheses; what cannot be told from a better one, and its other scales, stand beside it."""
    order = sorted(
        (-odds, number, n) for number, table in enumerate(tables) for n, odds in enumerate(table.odds.tolist())
    )
    groups: dict[tuple[object, ...], list[Decoding]] = {}
    for _, number, n in order:
        one, raw = tables[number].decoding(n, expected)
        key = (one.fc, one.address, one.form.width, raw)
        if key in groups:
            groups[key].append(one)
        elif len(groups) < most:
            groups[key] = [one]
    return [_with_others(group) for group in groups.values()]


def _with_others(group: Sequence[Decoding]) -> Decoding:
    first = group[0]
    scales: dict[float, Decoding] = {}
    for one in group:
        scales.setdefault(float(f"{one.value:.9g}"), one)
    others = tuple(Case(one.scale, one.unit, one.value, one.odds) for one in scales.values())[1 : OTHERS + 1]
    same = tuple(dict.fromkeys(one.form for one in group if one.form != first.form))
    return replace(first, same=same, others=others)
