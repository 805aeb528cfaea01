"""Registers: what the words of an instrument mean.

A plan (`gateway.plans`) is made once for a sensor; `decode` then turns the words of n polls at once into values and
statuses, and `encode` is its inverse, for the simulators. Rules:

- a number that is not finite, or that the profile names a sentinel, is no value: NaN, FAULT - or the status that
  the sentinel tells;
- where another word chooses unit or scale, a word that the profile does not know means no value;
- a value outside what the instrument can measure is kept and marked OUT_OF_RANGE;
- what the instrument says of itself (status rules, first that applies) outranks these;
- a register that the instrument refuses is no value (NaN, FAULT), and a value whose status word it refuses is FAULT:
  nobody knows what it is worth.

Pure and by column: nothing here loops over polls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from gateway.blocks import Block as Block
from gateway.document import Fault
from gateway.measurement import Float64, Status, UInt8, UInt16
from gateway.plans import Bools, Choice, Index, Watch
from gateway.plans import Plan as Plan
from gateway.plans import plan as plan
from gateway.profiles import Example, Profile, StatusRule
from gateway.readback import contradictions, read_items, same, words_of
from gateway.words import pack, unpack


def decode(plan: Plan, words: Sequence[UInt16]) -> tuple[Float64, UInt8]:
    """What n polls of an instrument mean.

    words: for each block of the plan, shape (n, block.count); bits as 0 and 1.
    Returns value, shape (n, k), NaN = none [unit of each parameter], and status, shape (n, k), codes of Status.
    """
    assert len(words) == len(plan.blocks), "one array for each block"
    n = len(words[0]) if words else 1
    assert all(w.shape == (n, b.count) for w, b in zip(words, plan.blocks, strict=True)), "short read"
    scales = plan.scales
    raw = np.full((n, len(plan.fields)), np.nan)
    for group in plan.groups:
        block = words[group.block]
        raw[:, group.slots] = unpack(
            block[:, group.words], group.type, bytes_swapped=group.bytes_swapped, mask=group.mask
        )
    told = _struck(plan, raw)
    # Infinities are expected here and become "no value" below.
    with np.errstate(invalid="ignore", over="ignore"):
        parts = raw * scales.multiplier / scales.divisor + scales.shift
        for choice in plan.choices:
            case = _case(choice, words, n)
            chosen = raw[:, choice.slot] * choice.multiplier[case] / choice.divisor[case] + choice.shift[case]
            parts[:, choice.slot] = chosen
        value = _joined(plan, parts)
        outside = (value < scales.low) | (value > scales.high)
    status = np.where(outside, np.uint8(Status.OUT_OF_RANGE), np.uint8(Status.OK))
    missing = ~np.isfinite(value)
    value[missing] = np.nan
    status[missing] = Status.FAULT
    for rows, column, said in told:
        status[rows, column] = said
    for watch in reversed(plan.watches):
        applies = _applies(watch.rule, words[watch.block][:, watch.offset])
        if applies.any():
            status[np.ix_(applies, watch.columns)] = watch.rule.status
    if plan.refused:
        status[:, plan.blind] = np.where(status[:, plan.blind] == Status.OK, Status.FAULT, status[:, plan.blind])
    return value, status


def _struck(plan: Plan, raw: Float64) -> list[tuple[Index, Index, UInt8]]:
    """Takes the sentinels out of raw numbers; returns which rows and columns have which status because of one."""
    slots, lowest, highest, status = plan.scales.sentinels
    if not len(slots):
        return []
    rows, hits = np.nonzero((raw[:, slots] >= lowest) & (raw[:, slots] <= highest))
    raw[rows, slots[hits]] = np.nan
    said = status[hits] > 0
    return [(rows[said], plan.scales.column[slots[hits[said]]], status[hits[said]])] if said.any() else []


def _case(choice: Choice, words: Sequence[UInt16], n: int) -> Index:
    """Which combination of cases holds at each poll; the last = one that nobody knows."""
    case, known = np.zeros(n, np.intp), np.ones(n, np.bool_)
    for block, offset, mask, cases in choice.places:
        if block < 0:
            known[:] = False
            continue
        same = (words[block][:, offset] & np.uint16(mask))[:, None] == np.array(cases, np.uint16)
        known &= same.any(axis=1)
        case = case * len(cases) + same.argmax(axis=1)
    return np.where(known, case, len(choice.multiplier) - 1)


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
    Values are rounded and clipped to what the register holds. A missing value becomes the first sentinel (that of its
    status, where one tells it), else NaN in floats, else the far end of the whole numbers. Where other words choose
    unit or scale, the first case of each is written. A status for which the profile has no rule is not told.
    """
    n = len(value)
    assert value.shape == status.shape == (n, len(plan.parameters)), "values and statuses of the plan's parameters"
    words = [np.zeros((n, block.count), np.uint16) for block in plan.blocks]
    for choice in plan.choices:
        for block, offset, mask, cases in choice.places:
            if block >= 0:
                words[block][:, offset] = words[block][:, offset] & np.uint16(~mask & 0xFFFF) | np.uint16(cases[0])
    raw = _raw(plan, value, status, words)
    for group in plan.groups:
        packed = pack(raw[:, group.slots], group.type, bytes_swapped=group.bytes_swapped, mask=group.mask)
        words[group.block][:, group.words] |= packed
    for watch in plan.watches:
        _write(words, watch, watch.quiet, slice(None))
    told = _told(plan, value, status)
    for watch, applies in reversed(list(zip(plan.watches, told, strict=True))):
        if applies.any():
            _write(words, watch, watch.active, applies)
    return words


def _raw(plan: Plan, value: Float64, status: UInt8, words: Sequence[UInt16]) -> Float64:
    """Raw numbers for all fields, (n, fields); of a value in parts each takes what the one before left over."""
    scales, k = plan.scales, len(plan.parameters)
    factors = (scales.multiplier, scales.divisor, scales.shift)
    multiplier, divisor, shift = (np.tile(factor, (len(value), 1)) for factor in factors)
    for choice in plan.choices:
        case = _case(choice, words, len(value))
        for array, table in ((multiplier, choice.multiplier), (divisor, choice.divisor), (shift, choice.shift)):
            array[:, choice.slot] = table[case]
    left = value[:, scales.column]
    exact = np.empty_like(left)
    steps = [slice(0, k), *(slice(slot, slot + 1) for slot in range(k, len(plan.fields)))]
    for step in steps:
        raw = (left[:, step] - shift[:, step]) * divisor[:, step] / multiplier[:, step]
        last = scales.last[step]
        # A tiny push keeps 12.999999999 from losing one to the next part.
        raw = np.where(~scales.whole[step], raw, np.where(last, np.rint(raw), np.trunc(raw + 1e-9)))
        exact[:, step] = np.clip(raw, scales.raw_low[step], scales.raw_high[step])
        taken = exact[:, step] * multiplier[:, step] / divisor[:, step] + shift[:, step]
        for slot in range(step.stop, len(plan.fields)):
            owner = np.nonzero(scales.column[step] == scales.column[slot])[0]
            left[:, slot] -= taken[:, owner].sum(axis=1)
    return np.where(np.isnan(exact), _nothing(plan, status), exact)


def _nothing(plan: Plan, status: UInt8) -> Float64:
    """What each field holds where there is no value: a sentinel that tells the status, if there is one."""
    raw = np.tile(plan.scales.nothing, (len(status), 1))
    for slot, lowest, _, said in zip(*plan.scales.sentinels, strict=True):
        if said:
            raw[status[:, plan.scales.column[slot]] == said, slot] = lowest
    return raw


def _told(plan: Plan, value: Float64, status: UInt8) -> list[Bools]:
    """For each status rule the rows where it has to apply, so that all statuses that can be told are.

    A rule that concerns just the parameters that have its status is preferred; what no such rule explains, and
    what the value does not say for itself, is told by the first rule of that status.
    """
    plain = (status == Status.FAULT) & np.isnan(value)
    plain |= (status == Status.OUT_OF_RANGE) & ((value < plan.scales.low) | (value > plan.scales.high))
    for slot, _, _, said in zip(*plan.scales.sentinels, strict=True):
        column = plan.scales.column[slot]
        plain[:, column] |= bool(said) & (status[:, column] == said) & np.isnan(value[:, column])
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


def _write(words: Sequence[UInt16], watch: Watch, bits: int, rows: slice | Bools) -> None:
    word = words[watch.block][:, watch.offset]
    word[rows] = word[rows] & np.uint16(~watch.rule.mask & 0xFFFF) | np.uint16(bits)


def example_faults(profile: Profile) -> list[Fault]:
    """What the examples of a profile say that its registers do not."""
    return [fault for example in profile.examples for fault in _example_faults(profile, example)]


def _example_faults(profile: Profile, example: Example) -> list[Fault]:
    def fault(key: str, message: str, hint: str) -> Fault:
        return Fault(profile.file, f"{example.path}.{key}", example.line, message, hint)

    if not example.expect and not example.items:
        return [fault("expect", "expects nothing", "expect = { SO2 = 12.3 }")]
    faults = []
    told = read_items(profile, words_of(profile, example.words))
    for name, want in example.items.items():
        if name not in told:
            faults.append(fault("read", f"words of {name} are missing", "give every word that it takes"))
        elif not same(told[name], want):
            faults.append(fault(f"items.{name}", f"the words mean {told[name]!r}, not {want!r}", "mend it or example"))
    for change in contradictions(profile, told):
        message = f"{change.name} is {change.after!r} here and always {change.before!r}"
        faults.append(fault("read", message, "mend constant or example"))
    return faults + (_value_faults(profile, example, fault) if example.expect else [])


def _value_faults(profile: Profile, example: Example, fault: Callable[[str, str, str], Fault]) -> list[Fault]:
    reading = plan(profile, tuple(example.expect))
    used = {(f.register.fc, f.register.address + n) for f in reading.fields for n in range(f.register.width)}
    used |= {(watch.rule.fc, watch.rule.address) for watch in reading.watches}
    used |= {(by.fc, by.address) for f in reading.fields for by in f.register.by}
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
        if not same(None if math.isnan(value) else value, want):
            faults.append(fault(f"expect.{name}", f"the words mean {value:g}, not {want}", "mend register or example"))
        if status != example.status[name]:
            found, wanted = Status(status).name.lower(), example.status[name].name.lower()
            hint = "mend [[status]] or example"
            faults.append(fault(f"status.{name}", f"the words mean {found}, not {wanted}", hint))
    return faults
