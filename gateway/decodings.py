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

import numpy as np

from gateway.blocks import Block
from gateway.decoding_notes import notes
from gateway.decoding_odds import IMPOSSIBLE, any_of, chance, fit, log_rounds, movement, prior, step_of
from gateway.forms import ALIKE, Form, raw_numbers, text_places
from gateway.measurement import Float64, UInt16
from gateway.plans import Index, ratio
from gateway.quantities import ANYTHING, Quantity
from gateway.words import TYPES

DOUBT = math.log(3.0)  # odds against a number being what is looked for
AGREED = 2.0  # what it is worth that most of the instrument is of one type and order
TEXT = -6.0  # a number among letters
LOST_MAX = 25.0  # that tearing one other number apart can cost
OWN_MAX = 2.0  # that it is worth to be a number at all, whatever it measures
LOOKED_AT = 24  # hypotheses for each one kept, for many are the same number, or another scale of it
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
    odds: natural logarithm, for against against. score: the same as 0 to 100. words: newest.
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
    same: tuple[Form, ...] = ()
    others: tuple[Case, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def score(self) -> int:
        """How plausible it is, 0 to 100."""
        return round(100 / (1 + math.exp(-min(max(self.odds, -50.0), 50.0))))

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
    for run in runs:
        others = explained(run)
        for alike in _fitting(run):
            weighed = _weighed(run, alike, expected, agreed or {})
            lost = np.tile(_lost(others, alike[0].width, run.words.shape[1]), len(alike))
            tables.append(_best(run, weighed, lost, expected, LOOKED_AT * most))
    kept = _grouped(tables, expected, most)
    return [replace(one, notes=notes(one.values, one.form.type, one.scale, expected)) for one in kept]


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
    """The best hypotheses of some forms of one width in one run; all places of the first form, then of the next ..

    odds, place, case: of each hypothesis, (h,). raw: (n, places). value: (n, places, cases).
    """

    run: Samples
    forms: Sequence[Form]
    cases: Sequence[tuple[float, str]]
    raw: Float64
    value: Float64
    odds: Float64
    place: Index
    case: Index

    def decoding(self, number: int, expected: Quantity) -> tuple[Decoding, tuple[float, ...]]:
        """One of the hypotheses, and its raw numbers."""
        place, case = int(self.place[number]), int(self.case[number])
        which, at = divmod(place, self.raw.shape[1] // len(self.forms))
        values, form = self.value[:, place, case].tolist(), self.forms[which]
        one = Decoding(
            quantity=expected.name, fc=self.run.fc, address=self.run.address + at, form=form,
            scale=self.cases[case][0], unit=self.cases[case][1], value=values[-1], values=tuple(values),
            odds=float(self.odds[number]), words=tuple(self.run.words[-1, at : at + form.width].tolist()),
        )  # fmt: skip
        return one, tuple(self.raw[:, place].tolist())


@dataclass(frozen=True, slots=True)
class _Weighed:
    """Every hypothesis of some forms in one run; as in `_Table`. odds: (places, cases)."""

    forms: Sequence[Form]
    raw: Float64
    value: Float64
    odds: Float64


def _fitting(run: Samples) -> list[tuple[Form, ...]]:
    return [alike for alike in ALIKE if alike[0].width <= run.words.shape[1]]


def _weighed(run: Samples, alike: tuple[Form, ...], expected: Quantity, agreed: Mapping[Form, float]) -> _Weighed:
    """What forms of one width, all whole numbers or all floats, say of every place of a run."""
    kind, letters = TYPES[alike[0].type], text_places(run.words)
    raw = np.concatenate([raw_numbers(run.words, form) for form in alike], axis=1)
    raw = np.where((raw != 0.0) & (np.abs(raw) < SMALLEST), np.nan, raw)
    base = np.concatenate([
        prior(form) + agreed.get(form, 0.0) - DOUBT - chance(run.words, form)
        + TEXT * any_of(letters, form.width)
        for form in alike
    ])  # fmt: skip
    scales = expected.whole if kind.whole else expected.floating
    ways = [(*ratio(scale * way.factor), way.shift) for scale in scales for way, _ in expected.units.values()]
    likely = np.array([own + other for own in scales.values() for _, other in expected.units.values()])
    multiplier, divisor, shift = np.array(ways).T
    with np.errstate(invalid="ignore", over="ignore"):
        value = raw[..., None] * multiplier / divisor + shift  # (n, places, cases)
    factor = np.abs(multiplier / divisor)
    step, rounds = step_of(value[-1], kind, factor), log_rounds(raw, kind)[..., None] + np.log(factor)
    fits = fit(value[-1], step, rounds[-1], expected)
    odds = base[:, None] + likely + fits + movement(run.words, alike, value, step, rounds, expected)
    return _Weighed(alike, raw, value, np.where(fits > IMPOSSIBLE, odds, IMPOSSIBLE))


def _best(run: Samples, found: _Weighed, lost: Float64, expected: Quantity, most: int) -> _Table:
    """The best of some hypotheses. lost: what each place leaves without an explanation, (places,)."""
    scales = expected.whole if TYPES[found.forms[0].type].whole else expected.floating
    odds = found.odds - lost[:, None]
    best = np.argsort(-odds, axis=None, kind="stable")[:most]
    place, case = np.unravel_index(best, odds.shape)
    cases = [(scale, unit) for scale in scales for unit in expected.units]
    return _Table(run, found.forms, cases, found.raw, found.value, odds[place, case], place, case)


@dataclass(frozen=True, slots=True)
class Part:
    """Some registers that one number explains, whatever it is. gain: how much better than chance does."""

    start: int
    width: int
    gain: float


def explained(run: Samples) -> list[Part]:
    """The numbers that together explain a run best, whatever they measure: each register in one of them at most."""
    m = run.words.shape[1]
    gains: dict[int, Float64] = {}
    for alike in _fitting(run):
        width = alike[0].width
        odds = _weighed(run, alike, ANYTHING, {}).odds.reshape(len(alike), m - width + 1, -1).max(axis=(0, 2)) + DOUBT
        gains[width] = np.maximum(gains.get(width, odds), odds)
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
    return parts[::-1]


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
        (-odds, number, n)
        for number, table in enumerate(tables)
        for n, odds in enumerate(table.odds.tolist())
        if odds > IMPOSSIBLE / 2
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
