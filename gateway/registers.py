"""Registers: which blocks to read from an instrument, and what their words mean.

`plan` is made once for a sensor; `decode` then turns the words of n polls at once into values and
statuses, and `encode` is its inverse, for the simulators. Rules:

- a block never splits a value, and reads across a gap only as wide as the profile allows;
- a number that is not finite, or that the profile names a sentinel, is no value: NaN, FAULT;
- a value outside what the instrument can measure is kept and marked OUT_OF_RANGE;
- what the instrument says of itself (status rules, first that applies) outranks both.

Pure and by column: nothing here loops over polls.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from gateway.document import Fault
from gateway.measurement import Float64, Status, UInt8, UInt16
from gateway.profiles import BIT_FUNCTIONS, MAX_BITS, TYPES, Example, Profile, Register, StatusRule

Index = npt.NDArray[np.intp]
_TENS = {1: 10.0 ** np.arange(3, -1, -1), 2: 10.0 ** np.arange(7, -1, -1)}
_NIBBLES = np.array([12, 8, 4, 0], np.uint16)


@dataclass(frozen=True, slots=True)
class Block:
    """One request: function code, first address on the wire, number of registers or bits."""

    fc: int
    address: int
    count: int


@dataclass(frozen=True, slots=True)
class Field:
    """A register and where its first word stands: which block of the plan, and how far into it."""

    register: Register
    block: int
    offset: int


@dataclass(frozen=True, slots=True)
class _Group:
    """Registers of one block that decode alike. words: places in the block, most significant first, (m, width)."""

    block: int
    type: str
    swapped: bool
    words: Index
    slots: Index


@dataclass(frozen=True, slots=True)
class _Watch:
    """A status rule and where its word stands. quiet, active: words under the mask that (do not) trigger it."""

    rule: StatusRule
    block: int
    offset: int
    columns: npt.NDArray[np.bool_]
    quiet: int
    active: int


@dataclass(frozen=True, slots=True)
class Plan:
    """How a sensor is read: blocks to request, and what their words mean. Made by `plan`.

    parameters: what comes out, in this order. fields: the registers read, in the order of parameters.
    """

    profile: Profile
    parameters: tuple[str, ...]
    blocks: tuple[Block, ...]
    fields: tuple[Field, ...]
    _groups: tuple[_Group, ...] = field(repr=False, compare=False)
    _watches: tuple[_Watch, ...] = field(repr=False, compare=False)
    _columns: tuple[int, ...] = field(repr=False, compare=False)
    _multiplier: Float64 = field(repr=False, compare=False)
    _divisor: Float64 = field(repr=False, compare=False)
    _shift: Float64 = field(repr=False, compare=False)
    _low: Float64 = field(repr=False, compare=False)
    _high: Float64 = field(repr=False, compare=False)

    def fields_of(self, parameter: str) -> tuple[Field, ...]:
        """Where a parameter comes from; several registers where its value is given in parts."""
        return tuple(f for f in self.fields if f.register.parameter == parameter)


def plan(profile: Profile, parameters: Sequence[str] = ()) -> Plan:
    """The fewest requests that read some parameters of an instrument and the status words about them.

    parameters: codes, in the order wanted; () = all of the profile. Raises KeyError for one it does not have.
    """
    names = tuple(parameters) or profile.parameters
    assert len(set(names)) == len(names), "a parameter is asked for twice"
    profile_order = {name: [r for r in profile.registers if r.parameter == name] for name in profile.parameters}
    # The first register of each parameter takes the slot of its column; further parts come behind.
    registers = [profile_order[name][0] for name in names]
    registers += [part for name in names for part in profile_order[name][1:]]
    rules = [rule for rule in profile.status if set(rule.parameters) & set(names)]
    blocks = _blocks(profile, registers, rules)
    fields = tuple(Field(r, *_place(blocks, r.fc, r.address)) for r in registers)
    ratios = [_ratio(r.factor) for r in registers]
    watches = []
    for rule in rules:
        place = _place(blocks, rule.fc, rule.address)
        watches.append(_Watch(rule, *place, np.array([n in rule.parameters for n in names]), *_words(rule)))
    return Plan(
        profile, names, blocks, fields, _groups(fields), tuple(watches),
        tuple(names.index(r.parameter) for r in registers),
        np.array([m for m, _ in ratios]), np.array([d for _, d in ratios]), np.array([r.shift for r in registers]),
        *_limits(names, registers),
    )  # fmt: skip


def _blocks(profile: Profile, registers: Sequence[Register], rules: Sequence[StatusRule]) -> tuple[Block, ...]:
    spans = {(r.fc, r.address, r.address + r.width) for r in registers}
    spans |= {(rule.fc, rule.address, rule.address + 1) for rule in rules}
    blocks: list[Block] = []
    for fc, start, end in sorted(spans):
        bits = fc in BIT_FUNCTIONS
        limit, hole = (MAX_BITS, profile.max_hole_bits) if bits else (profile.max_registers, profile.max_hole)
        last = blocks[-1] if blocks else Block(0, 0, 0)
        reach = last.address + last.count
        if last.fc == fc and start - reach <= hole and max(end, reach) - last.address <= limit:
            blocks[-1] = Block(fc, last.address, max(end, reach) - last.address)
        else:
            blocks.append(Block(fc, start, end - start))
    return tuple(blocks)


def _place(blocks: Sequence[Block], fc: int, address: int) -> tuple[int, int]:
    for number, block in enumerate(blocks):
        if block.fc == fc and block.address <= address < block.address + block.count:
            return number, address - block.address
    raise AssertionError(f"no block holds {fc}:{address}")


def _groups(fields: Sequence[Field]) -> tuple[_Group, ...]:
    alike: dict[tuple[int, str, str], list[int]] = {}
    for slot, f in enumerate(fields):
        alike.setdefault((f.block, f.register.type, f.register.order), []).append(slot)
    groups = []
    for (block, type, order), slots in alike.items():
        steps = np.arange(TYPES[type].width)
        steps = steps[::-1] if order in ("CDAB", "DCBA") else steps
        words = np.array([fields[slot].offset for slot in slots], np.intp)[:, None] + steps
        groups.append(_Group(block, type, order in ("BADC", "DCBA"), words, np.array(slots, np.intp)))
    return tuple(groups)


def _ratio(factor: float) -> tuple[float, float]:
    """A factor as a fraction of small whole numbers where it is one: 652 * 1 / 10 is 65.2, 652 * 0.1 need not be."""
    near = Fraction(factor).limit_denominator(100_000)
    if near and math.isclose(float(near), factor, rel_tol=1e-15, abs_tol=0.0):
        return float(near.numerator), float(near.denominator)
    return factor, 1.0


def _limits(names: Sequence[str], registers: Sequence[Register]) -> tuple[Float64, Float64]:
    """Range of each column; a value in parts has the range of its parts together."""
    low = np.zeros(len(names))
    high = np.zeros(len(names))
    for register in registers:
        column = names.index(register.parameter)
        low[column] += register.low
        high[column] += register.high
    # The last digit of a decoded float must not push a value at the limit over it.
    slack = 1e-9 * np.maximum(1.0, np.maximum(np.abs(low), np.abs(high)))
    return low - slack, high + slack


def _words(rule: StatusRule) -> tuple[int, int]:
    """A word under the mask that leaves a rule quiet, and one that triggers it."""
    inside = rule.values[0]
    outside = next(w for w in (0, rule.mask, *range(1, 0xFFFF)) if not w & ~rule.mask and w not in rule.values)
    return (inside, outside) if rule.negated else (outside, inside)


def decode(plan: Plan, words: Sequence[UInt16]) -> tuple[Float64, UInt8]:
    """What n polls of an instrument mean.

    words: for each block of the plan, shape (n, block.count); bits as 0 and 1.
    Returns value, shape (n, k), NaN = none [unit of each parameter], and status, shape (n, k), codes of Status.
    """
    assert len(words) == len(plan.blocks), "one array for each block"
    assert all(w.shape == (len(words[0]), b.count) for w, b in zip(words, plan.blocks, strict=True)), "short read"
    k = len(plan.parameters)
    raw = np.empty((len(words[0]), len(plan.fields)))
    # Signalling NaNs and infinities are expected here and handled below.
    with np.errstate(invalid="ignore", over="ignore"):
        for group in plan._groups:
            raw[:, group.slots] = _numbers(group, words[group.block])
        for slot, f in enumerate(plan.fields):
            for low, high in f.register.sentinels:
                column = raw[:, slot]
                column[(column >= low) & (column <= high)] = np.nan
        parts = raw * plan._multiplier / plan._divisor + plan._shift
        value = parts[:, :k]
        for slot in range(k, len(plan.fields)):
            value[:, plan._columns[slot]] += parts[:, slot]
        status = np.where((value < plan._low) | (value > plan._high), np.uint8(Status.OUT_OF_RANGE), np.uint8(0))
    missing = ~np.isfinite(value)
    value[missing] = np.nan
    status[missing] = Status.FAULT
    for watch in reversed(plan._watches):
        applies = _applies(watch.rule, words[watch.block][:, watch.offset])
        if applies.any():
            status[np.ix_(applies, watch.columns)] = watch.rule.status
    return np.ascontiguousarray(value), status


def _numbers(group: _Group, block: UInt16) -> Float64:
    """Raw numbers of the registers of a group, shape (n, m)."""
    words = block[:, group.words]
    if group.swapped:
        words = words.byteswap()
    dtype = TYPES[group.type].dtype
    if dtype:
        numbers: Float64 = words.astype(">u2", order="C").view(f">{dtype}")[:, :, 0].astype(np.float64)
        return numbers
    digits = (words[..., None] >> _NIBBLES & 15).reshape(*words.shape[:2], -1)
    decimal: Float64 = digits @ _TENS[TYPES[group.type].width]
    decimal[(digits > 9).any(axis=2)] = np.nan
    return decimal


def _applies(rule: StatusRule, words: UInt16) -> npt.NDArray[np.bool_]:
    masked = words & np.uint16(rule.mask)
    inside = masked == rule.values[0] if len(rule.values) == 1 else np.isin(masked, rule.values)
    return ~inside if rule.negated else inside


def encode(plan: Plan, value: Float64, status: UInt8) -> list[UInt16]:
    """The words an instrument would give for n polls: the inverse of `decode`, as far as its registers can say.

    value: shape (n, k), NaN = none. status: shape (n, k). Returns an array (n, block.count) for each block.
    Values are rounded and clipped to what the register holds. A missing value becomes the sentinel, else NaN in
    floats, else the far end of the whole numbers. A status for which the profile has no rule is not told.
    """
    n = len(value)
    assert value.shape == status.shape == (n, len(plan.parameters)), "values and statuses of the plan's parameters"
    words = [np.zeros((n, block.count), np.uint16) for block in plan.blocks]
    raw = _parts(plan, value)
    for group in plan._groups:
        words[group.block][:, group.words] = _packed(group, raw[:, group.slots])
    for watch in plan._watches:
        _write(words[watch.block][:, watch.offset], watch, watch.quiet, slice(None))
    for watch in reversed(plan._watches):
        applies = (status[:, watch.columns] == watch.rule.status).any(axis=1)
        if applies.any():
            _write(words[watch.block][:, watch.offset], watch, watch.active, applies)
    return words


def _write(word: UInt16, watch: _Watch, bits: int, rows: slice | npt.NDArray[np.bool_]) -> None:
    word[rows] = word[rows] & np.uint16(~watch.rule.mask & 0xFFFF) | np.uint16(bits)


def _parts(plan: Plan, value: Float64) -> Float64:
    """Raw numbers for all registers, shape (n, fields); of a value in parts each takes what the last left over."""
    raw = np.empty((len(value), len(plan.fields)))
    left = value.copy()
    last = {column: slot for slot, column in enumerate(plan._columns)}
    for slot, (f, column) in enumerate(zip(plan.fields, plan._columns, strict=True)):
        kind = TYPES[f.register.type]
        exact = (left[:, column] - plan._shift[slot]) * plan._divisor[slot] / plan._multiplier[slot]
        missing = np.isnan(exact)
        if not kind.dtype.startswith("f"):
            # A tiny push keeps 12.999999999 from losing one to the next part.
            exact = np.rint(exact) if last[column] == slot else np.trunc(exact + 1e-9)
        exact = np.clip(exact, kind.low, kind.high)
        left[:, column] -= exact * plan._multiplier[slot] / plan._divisor[slot] + plan._shift[slot]
        exact[missing] = _nothing(f.register)
        left[missing, column] = np.nan
        raw[:, slot] = exact
    return raw


def _nothing(register: Register) -> float:
    """The raw number that says there is no value."""
    if register.sentinels:
        return register.sentinels[0][0]
    kind = TYPES[register.type]
    if kind.dtype.startswith("f"):
        return math.nan
    return kind.low if kind.low < 0 else kind.high


def _packed(group: _Group, raw: Float64) -> UInt16:
    """The words of raw numbers, shape (n, m, width), in the order of group.words."""
    kind = TYPES[group.type]
    if kind.dtype:
        # 2^63 and 2^64 are no longer whole numbers of 64 bits, but the clipped limit rounds up to them.
        top = np.nextafter(2.0 ** (8 * int(kind.dtype[1])), 0) if kind.dtype == "u8" else None
        numbers = np.minimum(raw, top) if top else raw
        if kind.dtype == "i8":
            numbers = np.minimum(raw, np.nextafter(2.0**63, 0))
        words = numbers.astype(f">{kind.dtype}", order="C")[:, :, None].view(">u2").astype(np.uint16)
    else:
        digits = raw[:, :, None] // _TENS[kind.width] % 10
        nibbles = digits.astype(np.uint16).reshape(*raw.shape, kind.width, 4) << _NIBBLES
        words = nibbles.sum(axis=3, dtype=np.uint16)
    return words.byteswap() if group.swapped else words


def example_faults(profile: Profile) -> list[Fault]:
    """What the examples of a profile say that its registers do not."""
    return [fault for example in profile.examples for fault in _example_faults(profile, example)]


def _example_faults(profile: Profile, example: Example) -> list[Fault]:
    def fault(key: str, message: str, hint: str) -> Fault:
        return Fault(profile.file, f"{example.path}.{key}", example.line, message, hint)

    reading = plan(profile, tuple(example.expect))
    used = {(f.register.fc, f.register.address + n) for f in reading.fields for n in range(f.register.width)}
    used |= {(watch.rule.fc, watch.rule.address) for watch in reading._watches}
    if missing := sorted(used - set(example.words)):
        places = ", ".join(f"{fc}:{address}" for fc, address in missing)
        return [fault("read", f"words are missing: {places}", "give every word that the values and statuses need")]
    words = [
        np.array([[example.words.get((b.fc, b.address + n), 0) for n in range(b.count)]], np.uint16)
        for b in reading.blocks
    ]
    values, statuses = decode(reading, words)
    faults = []
    for name, value, status in zip(reading.parameters, values[0].tolist(), statuses[0].tolist(), strict=True):
        want = example.expect[name]
        same = math.isnan(value) if want is None else math.isclose(value, want, rel_tol=1e-6, abs_tol=1e-9)
        if not same:
            faults.append(fault(f"expect.{name}", f"the words mean {value:g}, not {want}", "mend register or example"))
        if status != example.status[name]:
            found, wanted = Status(status).name.lower(), example.status[name].name.lower()
            faults.append(
                fault(f"status.{name}", f"the words mean {found}, not {wanted}", "mend [[status]] or example")
            )
    return faults
