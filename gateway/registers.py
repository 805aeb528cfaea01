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
from itertools import chain

import numpy as np
import numpy.typing as npt

from gateway.document import Fault
from gateway.measurement import Float64, Status, UInt8, UInt16
from gateway.profiles import BIT_FUNCTIONS, MAX_BITS, Example, Profile, Register, StatusRule
from gateway.words import TYPES, nothing, pack, unpack

Bools = npt.NDArray[np.bool_]
Index = npt.NDArray[np.intp]


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
    """Fields of one block that decode alike.

    words: places in the block, most significant first, (m, width). slots: which fields of the plan, (m,).
    """

    block: int
    type: str
    bytes_swapped: bool
    words: Index
    slots: Index


@dataclass(frozen=True, slots=True)
class _Watch:
    """A status rule and where its word stands.

    columns: the plan's parameters it concerns, (k,). quiet, active: words under the mask that do not / do trigger it.
    """

    rule: StatusRule
    block: int
    offset: int
    columns: Bools
    quiet: int
    active: int


@dataclass(frozen=True, slots=True)
class _Scales:
    """What becomes of raw numbers; one entry a field, but low and high, which have one a parameter.

    column: the parameter of the field. value = raw * multiplier / divisor + shift.
    sentinels: field, lowest and highest raw number of each range that means no value.
    last: whether no further part of the value follows.
    raw_low, raw_high, whole, nothing: what the register can hold, and holds when there is no value.
    """

    column: Index
    multiplier: Float64
    divisor: Float64
    shift: Float64
    low: Float64
    high: Float64
    sentinels: tuple[Index, Float64, Float64]
    last: Bools
    raw_low: Float64
    raw_high: Float64
    whole: Bools
    nothing: Float64


@dataclass(frozen=True, slots=True)
class Plan:
    """How a sensor is read: blocks to request, and what their words mean. Made by `plan`.

    parameters: what comes out, in this order.
    fields: the registers read; first one of each parameter, in order, then the further parts of values in parts.
    """

    profile: Profile
    parameters: tuple[str, ...]
    blocks: tuple[Block, ...]
    fields: tuple[Field, ...]
    groups: tuple[_Group, ...] = field(repr=False, compare=False)
    watches: tuple[_Watch, ...] = field(repr=False, compare=False)
    scales: _Scales = field(repr=False, compare=False)


def plan(profile: Profile, parameters: Sequence[str] = ()) -> Plan:
    """The fewest requests that read some parameters of an instrument and the status words about them.

    parameters: codes, in the order wanted; () = all of the profile. Raises KeyError for one it does not have.
    """
    names = tuple(parameters) or profile.parameters
    assert len(set(names)) == len(names), "a parameter is asked for twice"
    first = [profile.register(name) for name in names]
    registers = [*first, *(r for r in profile.registers if r.parameter in names and r.added)]
    rules = [rule for rule in profile.status if set(rule.parameters) & set(names)]
    blocks = _blocks(profile, registers, rules)
    fields = tuple(Field(r, *_place(blocks, r.fc, r.address)) for r in registers)
    watches = tuple(
        _Watch(
            rule, *_place(blocks, rule.fc, rule.address), np.array([n in rule.parameters for n in names]), *_bits(rule)
        )
        for rule in rules
    )
    return Plan(profile, names, blocks, fields, _groups(fields), watches, _scales(names, registers))


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
    """The last block that holds an address, and how far into it (a word may stand in two, a value is whole in one)."""
    for number in range(len(blocks) - 1, -1, -1):
        block = blocks[number]
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


def _bits(rule: StatusRule) -> tuple[int, int]:
    """A word under the mask that leaves a rule quiet, and one that triggers it."""
    inside = rule.values[0]
    outside = next(w for w in chain((0, rule.mask), range(1, 0xFFFF)) if not w & ~rule.mask and w not in rule.values)
    return (inside, outside) if rule.negated else (outside, inside)


def _scales(names: Sequence[str], registers: Sequence[Register]) -> _Scales:
    low, high = np.zeros(len(names)), np.zeros(len(names))
    for register in registers:
        # The last digit of a decoded float must not push a value at the limit over it.
        slack = (1e-6 if register.type == "float32" else 1e-9) * max(abs(register.low), abs(register.high))
        low[names.index(register.parameter)] += register.low - slack
        high[names.index(register.parameter)] += register.high + slack
    ratios = np.array([_ratio(r.factor) for r in registers])
    sentinels = [(slot, *ends) for slot, r in enumerate(registers) for ends in r.sentinels]
    return _Scales(
        column=np.array([names.index(r.parameter) for r in registers], np.intp),
        multiplier=ratios[:, 0], divisor=ratios[:, 1], shift=np.array([r.shift for r in registers]),
        low=low, high=high,
        sentinels=(
            np.array([slot for slot, _, _ in sentinels], np.intp),
            np.array([lowest for _, lowest, _ in sentinels]),
            np.array([highest for _, _, highest in sentinels]),
        ),
        last=np.array([all(r.parameter != o.parameter for o in registers[n + 1 :]) for n, r in enumerate(registers)]),
        raw_low=np.array([TYPES[r.type].low for r in registers]),
        raw_high=np.array([TYPES[r.type].high for r in registers]),
        whole=np.array([TYPES[r.type].whole for r in registers]),
        nothing=np.array([r.sentinels[0][0] if r.sentinels else nothing(r.type) for r in registers]),
    )  # fmt: skip


def _ratio(factor: float) -> tuple[float, float]:
    """A factor as a fraction of small whole numbers where it is one: 701 * 0.1 is not 70.1, and 701 * 1 / 10 is."""
    near = Fraction(factor).limit_denominator(100_000)
    if near and math.isclose(float(near), factor, rel_tol=1e-15, abs_tol=0.0):
        return float(near.numerator), float(near.denominator)
    return factor, 1.0


def decode(plan: Plan, words: Sequence[UInt16]) -> tuple[Float64, UInt8]:
    """What n polls of an instrument mean.

    words: for each block of the plan, shape (n, block.count); bits as 0 and 1.
    Returns value, shape (n, k), NaN = none [unit of each parameter], and status, shape (n, k), codes of Status.
    """
    assert len(words) == len(plan.blocks), "one array for each block"
    assert all(w.shape == (len(words[0]), b.count) for w, b in zip(words, plan.blocks, strict=True)), "short read"
    scales = plan.scales
    raw = np.empty((len(words[0]), len(plan.fields)))
    for group in plan.groups:
        block = words[group.block]
        raw[:, group.slots] = unpack(block[:, group.words], group.type, bytes_swapped=group.bytes_swapped)
    slots, lowest, highest = scales.sentinels
    if len(slots):
        rows, hits = np.nonzero((raw[:, slots] >= lowest) & (raw[:, slots] <= highest))
        raw[rows, slots[hits]] = np.nan
    # Infinities are expected here and become "no value" below.
    with np.errstate(invalid="ignore", over="ignore"):
        value = _joined(plan, raw * scales.multiplier / scales.divisor + scales.shift)
        outside = (value < scales.low) | (value > scales.high)
    status = np.where(outside, np.uint8(Status.OUT_OF_RANGE), np.uint8(Status.OK))
    missing = ~np.isfinite(value)
    value[missing] = np.nan
    status[missing] = Status.FAULT
    for watch in reversed(plan.watches):
        applies = _applies(watch.rule, words[watch.block][:, watch.offset])
        if applies.any():
            status[np.ix_(applies, watch.columns)] = watch.rule.status
    return value, status


def _joined(plan: Plan, parts: Float64) -> Float64:
    """The value of each parameter, (n, k), from that of each field: the parts of a value add up."""
    k = len(plan.parameters)
    if len(plan.fields) == k:
        return parts
    value = parts[:, :k].copy()
    for slot in range(k, len(plan.fields)):
        value[:, plan.scales.column[slot]] += parts[:, slot]
    return value


def _applies(rule: StatusRule, words: UInt16) -> Bools:
    masked = words & np.uint16(rule.mask)
    inside: Bools = masked == rule.values[0]
    for other in rule.values[1:]:
        inside |= masked == other
    return ~inside if rule.negated else inside


def encode(plan: Plan, value: Float64, status: UInt8) -> list[UInt16]:
    """The words an instrument would give for n polls: the inverse of `decode`, as far as its registers can say.

    value: shape (n, k), NaN = none. status: shape (n, k). Returns an array (n, block.count) for each block.
    Values are rounded and clipped to what the register holds. A missing value becomes the first sentinel, else NaN in
    floats, else the far end of the whole numbers. A status for which the profile has no rule is not told.
    """
    n = len(value)
    assert value.shape == status.shape == (n, len(plan.parameters)), "values and statuses of the plan's parameters"
    words = [np.zeros((n, block.count), np.uint16) for block in plan.blocks]
    raw = _raw(plan, value)
    for group in plan.groups:
        packed = pack(raw[:, group.slots], group.type, bytes_swapped=group.bytes_swapped)
        words[group.block][:, group.words] = packed
    for watch in plan.watches:
        _write(words, watch, watch.quiet, slice(None))
    told = _told(plan, value, status)
    for watch, applies in reversed(list(zip(plan.watches, told, strict=True))):
        if applies.any():
            _write(words, watch, watch.active, applies)
    return words


def _raw(plan: Plan, value: Float64) -> Float64:
    """Raw numbers for all fields, (n, fields); of a value in parts each takes what the one before left over."""
    scales, k = plan.scales, len(plan.parameters)
    left = value[:, scales.column]
    exact = np.empty_like(left)
    steps = [slice(0, k), *(slice(slot, slot + 1) for slot in range(k, len(plan.fields)))]
    for step in steps:
        raw = (left[:, step] - scales.shift[step]) * scales.divisor[step] / scales.multiplier[step]
        last = scales.last[step]
        # A tiny push keeps 12.999999999 from losing one to the next part.
        raw = np.where(~scales.whole[step], raw, np.where(last, np.rint(raw), np.trunc(raw + 1e-9)))
        exact[:, step] = np.clip(raw, scales.raw_low[step], scales.raw_high[step])
        taken = exact[:, step] * scales.multiplier[step] / scales.divisor[step] + scales.shift[step]
        for slot in range(step.stop, len(plan.fields)):
            owner = np.nonzero(scales.column[step] == scales.column[slot])[0]
            left[:, slot] -= taken[:, owner].sum(axis=1)
    return np.where(np.isnan(value[:, scales.column]), scales.nothing, exact)


def _told(plan: Plan, value: Float64, status: UInt8) -> list[Bools]:
    """For each status rule the rows where it has to apply, so that all statuses that can be told are.

    A rule that concerns just the parameters that have its status is preferred; what no such rule explains, and
    what the value does not say for itself, is told by the first rule of that status.
    """
    plain = (status == Status.FAULT) & np.isnan(value)
    plain |= (status == Status.OUT_OF_RANGE) & ((value < plan.scales.low) | (value > plan.scales.high))
    open_ = (status != Status.OK) & ~plain
    told = [np.zeros(len(value), np.bool_) for _ in plan.watches]
    if not (open_.any() or plain.any()):
        return told
    for whole in (True, False):
        for watch, applies in zip(plan.watches, told, strict=True):
            same = status[:, watch.columns] == watch.rule.status
            rows = open_[:, watch.columns].any(axis=1) & (same.all(axis=1) if whole else same.any(axis=1))
            rows &= (open_[:, watch.columns] & same).any(axis=1)
            applies |= rows
            open_[np.ix_(rows, watch.columns)] &= status[np.ix_(rows, watch.columns)] != watch.rule.status
    return told


def _write(words: Sequence[UInt16], watch: _Watch, bits: int, rows: slice | Bools) -> None:
    word = words[watch.block][:, watch.offset]
    word[rows] = word[rows] & np.uint16(~watch.rule.mask & 0xFFFF) | np.uint16(bits)


def example_faults(profile: Profile) -> list[Fault]:
    """What the examples of a profile say that its registers do not."""
    return [fault for example in profile.examples for fault in _example_faults(profile, example)]


def _example_faults(profile: Profile, example: Example) -> list[Fault]:
    def fault(key: str, message: str, hint: str) -> Fault:
        return Fault(profile.file, f"{example.path}.{key}", example.line, message, hint)

    if not example.expect:
        return [fault("expect", "expects nothing", "expect = { SO2 = 12.3 }")]
    reading = plan(profile, tuple(example.expect))
    used = {(f.register.fc, f.register.address + n) for f in reading.fields for n in range(f.register.width)}
    used |= {(watch.rule.fc, watch.rule.address) for watch in reading.watches}
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
        if not (math.isnan(value) if want is None else math.isclose(value, want, rel_tol=1e-6, abs_tol=1e-9)):
            faults.append(fault(f"expect.{name}", f"the words mean {value:g}, not {want}", "mend register or example"))
        if status != example.status[name]:
            found, wanted = Status(status).name.lower(), example.status[name].name.lower()
            hint = "mend [[status]] or example"
            faults.append(fault(f"status.{name}", f"the words mean {found}, not {wanted}", hint))
    return faults
