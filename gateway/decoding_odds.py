"""What makes a decoding likely: how common its form is, how well its numbers fit, how they move, and what chance does.

All in natural logarithms, which add up; `gateway.decodings` says what the sum means. Pure and by column.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from gateway.forms import Form
from gateway.measurement import Float64, UInt16
from gateway.plans import Bools, Index
from gateway.quantities import NEVER, POSSIBLE, Quantity, log_density
from gateway.words import WordType, lowest_bit

# Natural logarithms of how often makers choose them, by the profiles of this product.
_TYPES: Mapping[str, float] = {
    "float32": 0.0, "uint16": -0.7, "int16": -0.9, "uint32": -1.5, "int32": -1.5, "float64": -2.5, "bcd16": -3.0,
    "bcd32": -3.0, "uint64": -3.0, "int64": -3.0, "int16_sign": -4.0, "int32_sign": -4.0, "bcd64": -4.5, "uint8": -4.0,
    "int8": -4.5, "bcd16_sign": -5.0, "bcd32_sign": -5.0, "bcd16_f": -5.0, "bcd32_f": -5.0,
}  # fmt: skip
_ORDERS = {"ABCD": 0.0, "CDAB": -0.3, "DCBA": -2.0, "BADC": -2.5}
_FLOAT_BITS = {"f4": 23, "f8": 52}
TINY = 1e-9  # of what is usual: floats below it are denormals and wrong orders, not small values
CONSTANT = -0.5
COUNTER = -3.0
NOTHING = -700.0
IMPOSSIBLE = -1e6
_DIGITS = 5  # of a decimal that counts as round
_SMALL = 8  # a word that moves by no more has moved a little
_MOVES_A_LITTLE, _MOVES, _STAYS = math.log(0.3 / (2 * _SMALL)), math.log(0.7 / 65536), math.log(0.9)
_JUMPS = math.log(0.01)  # what a quantity that jumps is worth beside one that just moves
_PAIRS_MAX = 2.0  # movements between readings that count; more of them only repeat what these said


def _log_words() -> Float64:
    """How often a word is found anywhere in an instrument."""
    word = np.arange(1, 65536)
    share = 0.25 / 65536 + 0.12 / (11.1 * word) + 0.02 / (11.1 * word[::-1])
    share = np.concatenate(([0.6], share))
    share[0xFFFF] = 0.02
    return np.log(share)


_LOG_WORD = _log_words()
_LOG_BYTE = np.log(np.concatenate(([0.35], np.full(255, 0.65 / 255))))


def prior(form: Form) -> float:
    """How often makers choose a form."""
    return _TYPES[form.type] + _ORDERS[form.order]


def any_of(flags: Bools, width: int) -> Bools:
    """Whether any register of each place has a flag, (.., registers) -> (.., k)."""
    k = flags.shape[-1] - width + 1
    found = flags[..., :k]
    for n in range(1, width):
        found = found | flags[..., n : n + k]
    return found


def _sum_of(logs: Float64, width: int) -> Float64:
    k = logs.shape[-1] - width + 1
    found = logs[..., :k]
    for n in range(1, width):
        found = found + logs[..., n : n + k]
    return found


def chance(words: UInt16, form: Form) -> Float64:
    """How likely the newest words are in any place, (k,)."""
    if form.mask:
        return np.asarray(_LOG_BYTE[words[-1] >> 8 if form.mask == 0xFF00 else words[-1] & 0xFF])
    logs = _LOG_WORD[words[-1].byteswap() if form.width == 1 and form.order == "BADC" else words[-1]]
    return _sum_of(logs, form.width)


def step_of(value: Float64, kind: WordType, factor: Float64) -> Float64:
    """Between a number of a type and the next one that it holds, (places, cases)."""
    bits = _FLOAT_BITS.get(kind.dtype)
    if bits is None:
        return np.broadcast_to(factor, value.shape)
    with np.errstate(invalid="ignore"):
        return np.maximum(np.abs(value) * 2.0**-bits, 1e-300)


def fit(value: Float64, step: Float64, rounds: Float64, expected: Quantity) -> Float64:
    """How well the newest numbers fit the quantity, (places, cases); IMPOSSIBLE = not at all.

    rounds: of a float that is a round decimal the step between such numbers, else next to nothing: `log_rounds`.
    """
    density = log_density(expected, value)
    density = np.where((value != 0.0) & (np.abs(value) < TINY * expected.typical[1]), NEVER, density)
    with np.errstate(invalid="ignore", divide="ignore"):
        steps = np.logaddexp(np.log(step), rounds)
        found = np.where(value == 0.0, density, density + steps)
    return np.where(np.isfinite(value) & (density > POSSIBLE), found, IMPOSSIBLE)


def log_rounds(raw: Float64, kind: WordType) -> Float64:
    """Of floats that are round decimals the step between two of these; NOTHING of all other numbers. Any shape."""
    if kind.whole:
        return np.full(raw.shape, NOTHING)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        place = 10.0 ** (np.floor(np.log10(np.abs(raw))) - (_DIGITS - 1))
        nearest = np.round(raw / place) * place
        # As an instrument would have it: the decimal in the float's own width.
        tight = np.abs(nearest.astype(kind.dtype).astype(np.float64) - raw) <= np.abs(raw) * 2.0**-50
        return np.where(tight & np.isfinite(raw) & (raw != 0.0), np.log(place), NOTHING)


def changes(words: UInt16, alike: Sequence[Form], place: Index) -> tuple[Bools, Float64]:
    """Whether the words at some places changed from reading to reading, and how likely so anyway, (n - 1, h).

    place: of the first form, then of the next ..
    """
    looks = {(form.mask, form.width == 1 and form.order == "BADC"): form for form in alike}
    known = {look: _changes(words, form) for look, form in looks.items()}
    found = [known[form.mask, form.width == 1 and form.order == "BADC"] for form in alike]
    changed = np.concatenate([one for one, _ in found], axis=1)[:, place]
    return changed, np.concatenate([anyway for _, anyway in found], axis=1)[:, place]


def movement(
    changed: tuple[Bools, Float64], value: Float64, step: Float64, rounds: Float64, expected: Quantity
) -> Float64:
    """What the changes from reading to reading say of some hypotheses, (h,).

    changed: of their words, see `changes`. value, rounds: in all readings, (n, h). step: of the newest, (h,).
    """
    if len(value) < 2:
        return np.zeros(value.shape[1:])
    moved, anyway = changed
    spread = expected.typical[1] - expected.typical[0]
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        size = np.abs(np.diff(value, axis=0))
        usual = np.maximum(0.02 * np.abs(value[-1]), 0.0 if expected.wide else 0.002 * spread)
        usual = np.maximum(usual, step)
        steps = np.logaddexp(np.log(step), np.minimum(rounds[1:], rounds[:-1]))
        likely = np.minimum(steps - np.log(2 * usual), 0.0) - size / usual
        gain = np.where(np.isnan(likely), _JUMPS, np.logaddexp(likely - anyway, _JUMPS))
    count = moved.sum(axis=0)
    mean = np.where(moved, gain, 0.0).sum(axis=0) / np.maximum(count, 1)
    found = mean * np.minimum(count, _PAIRS_MAX) + np.where(count == 0, CONSTANT, 0.0)
    return np.asarray(found if expected.counts else found + COUNTER * rising(value))


def _changes(words: UInt16, form: Form) -> tuple[Bools, Float64]:
    """Whether the words of each place changed from reading to reading, and how likely so anyway, (n - 1, k)."""
    some = words & np.uint16(form.mask or 0xFFFF)
    if form.width == 1 and form.order == "BADC":
        some = some.byteswap()
    delta = np.abs(np.diff((some >> np.uint16(lowest_bit(form.mask or 0xFFFF))).astype(np.int64), axis=0))
    anything = math.log(0.7 / 256) if form.mask else _MOVES
    logs = np.where(delta > 0, np.where(delta <= _SMALL, _MOVES_A_LITTLE, anything), _STAYS)
    return any_of(delta > 0, form.width), _sum_of(logs, form.width)


def rising(value: Float64) -> Bools:
    """Which numbers rise from each reading to the next by about as much, as a clock does: (n, ...) -> (...)."""
    if len(value) < 4:
        return np.zeros(value.shape[1:], np.bool_)
    with np.errstate(invalid="ignore", over="ignore"):
        steps = np.diff(value, axis=0)
        found: Bools = (steps > 0).all(axis=0) & (steps.max(axis=0) <= 2.0 * steps.min(axis=0))
    return found
