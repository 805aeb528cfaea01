"""Plans: how a sensor is read - which blocks to request, and where in them each value, choice and status stands.

    reading = plan(profile, ["SO2", "O2"], serial(9600))      once, at the start
    words = [await link.read(unit, block) for block in reading.blocks]
    value, status = decode(reading, words)                    gateway.registers
    reading = narrowed(reading, 2)                            block 2 was refused with exception 2; go on with this one
    why(reading)                                              parameter -> reason, for what cannot be read

A plan is a frozen value: what an instrument refuses is remembered by going on with the narrowed plan, for as long as
the process runs. `rates` divides a plan by the intervals that the registers of a profile ask for. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, product

import numpy as np
import numpy.typing as npt

from gateway.blocks import TCP, Block, Cost, Part, Span, divide, halves, joined
from gateway.measurement import Float64, UInt8
from gateway.profiles import Chooser, Profile, Register, StatusRule
from gateway.units import Conversion
from gateway.words import TYPES, nothing, numbers_held

Bools = npt.NDArray[np.bool_]
Index = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Field:
    """A register and where its first word stands: which block of the plan (-1: refused), and how far into it."""

    register: Register
    block: int
    offset: int


@dataclass(frozen=True, slots=True)
class Group:
    """Fields of one block that decode alike.

    words: places in the block, most significant first, (m, width). slots: which fields of the plan, (m,).
    """

    block: int
    type: str
    bytes_swapped: bool
    mask: int
    words: Index
    slots: Index


@dataclass(frozen=True, slots=True)
class Watch:
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
class Choice:
    """A field whose unit or scale other words choose.

    places: block, offset, mask and known words of each, in the order of its cases.
    multiplier, divisor, shift: for each combination of cases, and NaN for one that is not known.
    """

    slot: int
    places: tuple[tuple[int, int, int, tuple[int, ...]], ...]
    multiplier: Float64
    divisor: Float64
    shift: Float64


@dataclass(frozen=True, slots=True)
class Scales:
    """What becomes of raw numbers; one entry a field, but low and high, which have one a parameter.

    column: the parameter of the field. value = raw * multiplier / divisor + shift.
    sentinels: field, lowest and highest raw number of each range that means no value, and the status it tells.
    last: whether no further part of the value follows.
    raw_low, raw_high, whole, nothing: what the register can hold, and holds when there is no value.
    """

    column: Index
    multiplier: Float64
    divisor: Float64
    shift: Float64
    low: Float64
    high: Float64
    sentinels: tuple[Index, Float64, Float64, UInt8]
    last: Bools
    raw_low: Float64
    raw_high: Float64
    whole: Bools
    nothing: Float64


@dataclass(frozen=True, slots=True)
class Plan:
    """How a sensor is read: blocks to request, and what their words mean. Made by `plan` and `narrowed`.

    parameters: what comes out, in this order.
    fields: the registers read; first one of each parameter, in order, then the further parts of values in parts.
    cost: it was made for. refused: spans that the instrument does not answer for.
    parts: each block with the spans it is asked for.
    blind: parameters whose status words it refuses, (k,).
    """

    profile: Profile
    parameters: tuple[str, ...]
    blocks: tuple[Block, ...]
    fields: tuple[Field, ...]
    cost: Cost
    refused: tuple[Span, ...]
    parts: tuple[Part, ...] = field(repr=False, compare=False)
    groups: tuple[Group, ...] = field(repr=False, compare=False)
    watches: tuple[Watch, ...] = field(repr=False, compare=False)
    choices: tuple[Choice, ...] = field(repr=False, compare=False)
    scales: Scales = field(repr=False, compare=False)
    blind: Bools = field(repr=False, compare=False)

    @property
    def cost_s(self) -> float:
        """What reading it once takes, by the cost it was made for. [s]"""
        return sum(map(self.cost.of, self.blocks))


@dataclass(frozen=True, slots=True)
class Rate:
    """What is read of a sensor at one interval. columns: where its plan's parameters stand among the sensor's."""

    interval_ns: int
    plan: Plan
    columns: tuple[int, ...]


def plan(profile: Profile, parameters: Sequence[str] = (), cost: Cost = TCP) -> Plan:
    """The cheapest requests that read some parameters of an instrument and the status words about them.

    parameters: codes, in the order wanted; () = all of the profile. Raises KeyError for one it does not have.
    """
    names = tuple(parameters) or profile.parameters
    assert len(set(names)) == len(names), "a parameter is asked for twice"
    registers = _registers(profile, names)
    return _made(profile, names, cost, divide(_spans(profile, names, registers), profile.limits, cost), ())


def narrowed(reading: Plan, number: int) -> Plan:
    """The plan to go on with when an instrument refuses a block with exception 2: halved, or without what it held."""
    part = reading.parts[number]
    rest = halves(part, reading.profile.limits)
    refused = (*reading.refused, *(() if rest else part.spans))
    parts = (*reading.parts[:number], *rest, *reading.parts[number + 1 :])
    return _made(reading.profile, reading.parameters, reading.cost, parts, refused)


def rates(reading: Plan, interval_s: float) -> tuple[Rate, ...]:
    """A plan in one for each interval that its registers ask for, fastest first.

    interval_s: of those that ask for none. [s]
    """
    profile, names = reading.profile, reading.parameters
    groups: dict[int, list[int]] = {}
    for column, name in enumerate(names):
        own_s = profile.register(name).interval_s
        groups.setdefault(round((interval_s if own_s is None else own_s) * 1e9), []).append(column)
    if len(groups) == 1:
        return (Rate(next(iter(groups)), reading, tuple(range(len(names)))),)
    return tuple(
        Rate(interval_ns, plan(profile, [names[column] for column in columns], reading.cost), tuple(columns))
        for interval_ns, columns in sorted(groups.items())
    )


def why(reading: Plan) -> dict[str, str]:
    """For each parameter that the instrument refuses something of: what, for people."""
    reasons = {}
    for column, name in enumerate(reading.parameters):
        gone = [f.register for f in reading.fields if f.register.parameter == name and f.block < 0]
        gone_by = [by for r in reading.profile.parts(name) for by in r.by if not _at(reading.parts, by.fc, by.address)]
        if gone:
            reasons[name] = f"the instrument refuses register {gone[0].fc}:{gone[0].address} (illegal data address)"
        elif gone_by:
            reasons[name] = f"the instrument refuses register {gone_by[0].fc}:{gone_by[0].address}, which says the unit"
        elif reading.blind[column]:
            rules = [rule for rule in reading.profile.status if name in rule.parameters]
            rule = next(rule for rule in rules if not _at(reading.parts, rule.fc, rule.address))
            reasons[name] = f"the instrument refuses its status word {rule.fc}:{rule.address} (illegal data address)"
    return reasons


def _registers(profile: Profile, names: Sequence[str]) -> list[Register]:
    """The first register of each parameter, in order, then the further parts."""
    added = [register for register in profile.registers if register.parameter in names and register.added]
    return [*(profile.register(name) for name in names), *added]


def _rules(profile: Profile, names: Iterable[str]) -> list[StatusRule]:
    return [rule for rule in profile.status if set(rule.parameters) & set(names)]


def _spans(profile: Profile, names: Sequence[str], registers: Sequence[Register]) -> list[Span]:
    """The words of each value, in one span where it is in parts, of each status word and of what chooses a unit."""
    spans: list[Span] = []
    for name in names:
        own = [Block(r.fc, r.address, r.width) for r in registers if r.parameter == name]
        spans += joined(own, profile.limits) if len({r.fc for r in own}) == 1 else own
    spans += [Block(rule.fc, rule.address, 1) for rule in _rules(profile, names)]
    spans += [Block(by.fc, by.address, 1) for r in registers for by in r.by]
    return spans


def _made(
    profile: Profile, names: tuple[str, ...], cost: Cost, parts: tuple[Part, ...], refused: tuple[Span, ...]
) -> Plan:
    registers = _registers(profile, names)
    fields = tuple(Field(r, *(_at(parts, r.fc, r.address, r.width) or (-1, 0))) for r in registers)
    watches, blind = [], np.zeros(len(names), np.bool_)
    for rule in _rules(profile, names):
        columns, place = np.array([name in rule.parameters for name in names]), _at(parts, rule.fc, rule.address)
        if place is None:
            blind |= columns
        else:
            watches.append(Watch(rule, *place, columns, *_bits(rule)))
    choices = tuple(_choice(slot, f.register, parts) for slot, f in enumerate(fields) if f.register.by)
    return Plan(
        profile, names, tuple(part.block for part in parts), fields, cost, refused, parts,
        _groups(fields), tuple(watches), choices, _scales(names, registers), blind,
    )  # fmt: skip


def _at(parts: Sequence[Part], fc: int, address: int, count: int = 1) -> tuple[int, int] | None:
    """The block that was asked for some words, and how far into it they stand; None where none is."""
    wanted = Block(fc, address, count)
    for number, part in enumerate(parts):
        if part.block.holds(wanted) and any(span.holds(wanted) for span in part.spans):
            return number, address - part.block.address
    return None


def _groups(fields: Sequence[Field]) -> tuple[Group, ...]:
    alike: dict[tuple[int, str, str, int], list[int]] = {}
    for slot, f in enumerate(fields):
        if f.block >= 0:
            alike.setdefault((f.block, f.register.type, f.register.order, f.register.mask), []).append(slot)
    groups = []
    for (block, type, order, mask), slots in alike.items():
        steps = np.arange(TYPES[type].width)
        steps = steps[::-1] if order in ("CDAB", "DCBA") else steps
        words = np.array([fields[slot].offset for slot in slots], np.intp)[:, None] + steps
        groups.append(Group(block, type, order in ("BADC", "DCBA"), mask, words, np.array(slots, np.intp)))
    return tuple(groups)


def _bits(rule: StatusRule) -> tuple[int, int]:
    """A word under the mask that leaves a rule quiet, and one that triggers it."""
    inside = rule.values[0]
    outside = next(w for w in chain((0, rule.mask), range(1, 0xFFFF)) if not w & ~rule.mask and w not in rule.values)
    return (inside, outside) if rule.negated else (outside, inside)


def _choice(slot: int, register: Register, parts: Sequence[Part]) -> Choice:
    places = []
    for by in register.by:
        block, offset = _at(parts, by.fc, by.address) or (-1, 0)
        places.append((block, offset, by.mask, tuple(case.word for case in by.cases)))
    affine = [_affine(register, cases) for cases in product(*(_known(by) for by in register.by))]
    table = np.array([*affine, (math.nan, 1.0, math.nan)])
    return Choice(slot, tuple(places), table[:, 0], table[:, 1], table[:, 2])


def _known(by: Chooser) -> list[tuple[float, Conversion | None]]:
    return [(case.scale, case.conversion) for case in by.cases]


def _affine(register: Register, cases: Iterable[tuple[float, Conversion | None]]) -> tuple[float, float, float]:
    """multiplier, divisor and shift of a register in some cases."""
    scale, way = register.scale, register.conversion
    for further, conversion in cases:
        scale, way = scale * further, conversion or way
    return *ratio(scale * way.factor), register.offset * way.factor + way.shift


def _scales(names: Sequence[str], registers: Sequence[Register]) -> Scales:
    low, high = np.zeros(len(names)), np.zeros(len(names))
    for register in registers:
        # The last digit of a decoded float must not push a value at the limit over it.
        slack = (1e-6 if register.type == "float32" else 1e-9) * max(abs(register.low), abs(register.high))
        low[names.index(register.parameter)] += register.low - slack
        high[names.index(register.parameter)] += register.high + slack
    ratios = np.array([ratio(r.factor) for r in registers])
    held = np.array([numbers_held(r.type, r.mask) for r in registers])
    return Scales(
        column=np.array([names.index(r.parameter) for r in registers], np.intp),
        multiplier=ratios[:, 0], divisor=ratios[:, 1], shift=np.array([r.shift for r in registers]),
        low=low, high=high, sentinels=_sentinels(registers),
        last=np.array([all(r.parameter != o.parameter for o in registers[n + 1 :]) for n, r in enumerate(registers)]),
        raw_low=held[:, 0], raw_high=held[:, 1], whole=np.array([TYPES[r.type].whole for r in registers]),
        nothing=np.array([r.sentinels[0][0] if r.sentinels else nothing(r.type, r.mask) for r in registers]),
    )  # fmt: skip


def _sentinels(registers: Sequence[Register]) -> tuple[Index, Float64, Float64, UInt8]:
    found = [(slot, low, high, 0) for slot, r in enumerate(registers) for low, high in r.sentinels]
    found += [(slot, low, high, int(status)) for slot, r in enumerate(registers) for low, high, status in r.told]
    return (
        np.array([slot for slot, _, _, _ in found], np.intp), np.array([lowest for _, lowest, _, _ in found]),
        np.array([highest for _, _, highest, _ in found]), np.array([status for *_, status in found], np.uint8),
    )  # fmt: skip


def ratio(factor: float) -> tuple[float, float]:
    """A factor as a fraction of small whole numbers where it is one: 701 * 0.1 is not 70.1, and 701 * 1 / 10 is."""
    near = Fraction(factor).limit_denominator(100_000)
    if near and math.isclose(float(near), factor, rel_tol=1e-15, abs_tol=0.0):
        return float(near.numerator), float(near.denominator)
    return factor, 1.0
