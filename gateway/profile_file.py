"""The profile file read: a device profile in a TOML text, or all that is wrong with it.

Every key is described in docs/reference/profile-file.md. Pure: text in, profile and faults out; files are
read by `gateway.catalogue`, which also has the examples tried (`gateway.registers.example_faults`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.document import Fault, Table, parse_document
from gateway.measurement import Status
from gateway.parameters import Parameter, Parameters
from gateway.profiles import (
    ADDRESSES,
    BIT_FUNCTIONS,
    MAX_BITS,
    MAX_REGISTERS,
    STATUSES,
    Example,
    Profile,
    Register,
    StatusRule,
)
from gateway.settings import KINDS, label
from gateway.units import UNITS, conversion
from gateway.words import ORDERS, TYPES, raw_number


def parse_profile(text: str, file: str, parameters: Parameters) -> tuple[Profile | None, list[Fault]]:
    """The profile in a TOML text, or None and all its faults."""
    document, faults = parse_document(text, file)
    if faults:
        return None, faults
    with Table.root(document, faults) as root:
        head = root.table("profile", required=True, hint="a device profile starts with [profile]")
        kind = head.choice("kind", KINDS) or ""
        registers, names = _registers(root, parameters, kind)
        rules = tuple(filter(None, (_rule(table, names) for table in root.tables("status"))))
        examples = tuple(_example(table, names) for table in root.tables("example"))
        profile = _profile(head, kind, registers, rules, examples)
        if not examples:
            root.fault("example", "missing", "add [[example]]: words as read from an instrument, and what they mean")
    return (None if faults else profile), faults


def _profile(
    table: Table,
    kind: str,
    registers: tuple[Register, ...],
    rules: tuple[StatusRule, ...],
    examples: tuple[Example, ...],
) -> Profile:
    with table:
        name = table.identifier("name") or ""
        no_status = table.text("no_status", "")
        if not rules and not no_status and "status" not in table.document.tree:
            table.fault("no_status", "the profile has no status rule", 'add [[status]], or say why: no_status = "..."')
        if rules and no_status:
            table.fault("no_status", "the profile has status rules", "remove no_status")
        return Profile(
            name=name, title=label(table, "title", name), kind=kind,
            maker=table.text("maker") or "", model=table.text("model") or "",
            source=_said(table, "source", "whose word the register map is: a manual, a public driver"),
            manual=_said(table, "manual", "the document that the registers cite"),
            unverified=table.texts("unverified", []),
            max_registers=table.integer("max_registers", MAX_REGISTERS, low=4, high=MAX_REGISTERS) or MAX_REGISTERS,
            max_hole=table.integer("max_hole", 0, low=0, high=MAX_REGISTERS) or 0,
            max_hole_bits=table.integer("max_hole_bits", 0, low=0, high=MAX_BITS) or 0,
            no_status=no_status, registers=registers, status=rules, examples=examples, file=table.document.file,
        )  # fmt: skip


def _said(table: Table, key: str, hint: str) -> str:
    """A text that must not be empty: a citation."""
    text = table.text(key, hint=hint)
    if text is not None and not text.strip():
        table.fault(key, "empty", hint)
    return text or ""


def _registers(root: Table, parameters: Parameters, kind: str) -> tuple[tuple[Register, ...], tuple[str, ...]]:
    """The registers, and the parameters named there: those of faulty registers too, lest one fault looks like two."""
    found: list[Register] = []
    names: dict[str, None] = {}
    taken: dict[tuple[int, int], str] = {}
    for table in root.tables("register"):
        with table:
            register = _register(table, parameters, kind)
            names[str(table.values.get("parameter"))] = None
        if register is None:
            continue
        known = any(other.parameter == register.parameter for other in found)
        if known != register.added:
            what = f"{register.parameter} has a register already" if known else "there is no register to add to"
            table.fault("parameter", what, "only a further part of the same value says added = true")
        places = [(register.fc, register.address + n) for n in range(register.width)]
        if others := {taken[place] for place in places if place in taken}:
            table.fault("address", f"overlaps {', '.join(sorted(others))}", f"{register.type} takes {register.width}")
        taken.update(dict.fromkeys(places, table.path))
        found.append(register)
    if not found and "register" not in root:
        root.fault("register", "missing", "add [[register]] for each parameter")
    return tuple(found), tuple(names)


def _register(table: Table, parameters: Parameters, kind: str) -> Register | None:
    parameter = _parameter(table, parameters, kind)
    type = table.choice("type", TYPES) or ""
    width = TYPES[type].width if type else 1
    fc = table.integer("fc", low=3, high=4, hint="3 = holding registers, 4 = input registers")
    address = table.integer("address", low=0, high=ADDRESSES - width, hint="as on the wire, counted from 0")
    order = table.choice("order", ORDERS, "ABCD")
    scale = table.number("scale", 1.0)
    if scale == 0:
        table.fault("scale", "0 is not a scale", "value = raw * scale + offset")
    offset = table.number("offset", 0.0)
    unit = table.choice("unit", UNITS)
    sentinels = _sentinels(table, type)
    low, high = table.number("low"), table.number("high")
    added = table.boolean("added", False)
    manual = _said(table, "manual", "page, section or driver line where the register stands")
    if None in (parameter, fc, address, unit, low, high, scale, offset) or not type:
        return None
    assert parameter is not None
    way = conversion(unit, parameter.unit, parameter.molar_mass)
    if way is None:
        table.fault("unit", f"{unit!r} does not become {parameter.unit!r} of {parameter.code}", "see gateway/units.py")
        return None
    if low >= high:
        table.fault("low", f"{low:g} is not below high = {high:g}", "what the instrument can measure, in its own unit")
    ends = sorted((low * way.factor + way.shift, high * way.factor + way.shift))
    return Register(
        parameter=parameter.code, fc=fc, address=address, type=type, order=order, scale=scale, offset=offset,
        unit=unit, conversion=way, sentinels=sentinels, low=ends[0], high=ends[1], added=added, manual=manual,
    )  # fmt: skip


def _parameter(table: Table, parameters: Parameters, kind: str) -> Parameter | None:
    code = table.choice("parameter", parameters)
    parameter = parameters.get(code) if code else None
    if parameter and kind and kind not in parameter.media:
        table.fault(
            "parameter",
            f"{parameter.code} is not measured at a {kind} point",
            f"it belongs to: {', '.join(parameter.media)}",
        )
    return parameter


def _sentinels(table: Table, type: str) -> tuple[tuple[float, float], ...]:
    """Raw numbers, or pairs of lowest and highest; a whole number may be given as its bit pattern."""
    hint = "raw numbers, as [-9999], or ranges, as [[1e37, 9e37]]"
    given = table.raw("sentinels", [])
    found = []
    for item in given if isinstance(given, list) else [given]:
        pair = item if isinstance(item, list) else [item, item]
        if len(pair) != 2 or not all(map(_is_number, pair)):
            table.fault("sentinels", f"{item!r} is not a number or a range", hint)
            continue
        low, high = (raw_number(v, type) if type else v for v in pair)
        if type and not (TYPES[type].low <= low <= high <= TYPES[type].high):
            table.fault("sentinels", f"{item!r} is not a range of {type}", hint)
        found.append((low, high))
    return tuple(found)


def _is_number(value: object) -> bool:
    """Whether a value of a TOML file is a number that a float can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= TYPES["float64"].high


def _rule(table: Table, names: Sequence[str]) -> StatusRule | None:
    with table:
        fc = table.integer("fc", low=1, high=4, hint="1 coils, 2 discrete inputs, 3 holding, 4 input registers")
        address = table.integer("address", low=0, high=ADDRESSES - 1, hint="as on the wire, counted from 0")
        status = table.choice("status", STATUSES)
        parameters = table.texts("parameters", [])
        for name in parameters:
            if name not in names:
                table.fault("parameters", f"{name!r} has no register here", f"some of: {', '.join(names)}")
        text = label(table, "text", "")
        manual = _said(table, "manual", "where the manual says so")
        mask, values, negated = _condition(table, bits=fc in BIT_FUNCTIONS)
        if fc is None or address is None or status is None:
            return None
        return StatusRule(
            fc=fc, address=address, mask=mask, values=values, negated=negated, status=STATUSES[status],
            parameters=parameters or tuple(names), text=text, manual=manual,
        )  # fmt: skip


def _condition(table: Table, *, bits: bool) -> tuple[int, tuple[int, ...], bool]:
    """mask, values and negation of a status rule."""
    given = table.integer("when", 1, low=0, high=1)
    when = 1 if given is None else given
    if bits:
        return 1, (when,), False
    if "bit" in table:
        bit = table.integer("bit", low=0, high=15, hint="0 = lowest bit of the word") or 0
        return 1 << bit, (when << bit,), False
    mask = table.integer("mask", 0xFFFF, low=1, high=0xFFFF) or 0xFFFF
    key = "equals" if "equals" in table else "unless"
    values = _numbers(table, key, hint="bit = 3, or equals = [1, 2], or unless = [0]")
    if any(value & ~mask for value in values):
        table.fault(key, f"{values} has bits outside the mask {mask:#06x}", "give the values as they are after masking")
    elif len(set(values)) == 2 ** mask.bit_count():
        table.fault(key, "holds for every word", "leave out the words that mean all is well")
    return mask, values, key == "unless"


def _numbers(table: Table, key: str, *, hint: str) -> tuple[int, ...]:
    value = table.raw(key, hint=hint)
    values = value if isinstance(value, list) else [value]
    good = all(isinstance(v, int) and not isinstance(v, bool) and 0 <= v <= 0xFFFF for v in values)
    if value is not None and (not good or not values):
        table.fault(key, f"{value!r} is not a list of words (0 to 65535)", hint)
    return tuple(values) if good else ()


def _example(table: Table, names: Sequence[str]) -> Example:
    with table:
        words: dict[tuple[int, int], int] = {}
        for part in table.tables("read"):
            with part:
                fc = part.integer("fc", low=1, high=4) or 0
                address = part.integer("address", low=0, high=ADDRESSES - 1) or 0
                numbers = _numbers(part, "words", hint="words = [0x42C8, 0x0000]")
                words.update({(fc, address + n): word for n, word in enumerate(numbers)})
        if "read" not in table:
            table.fault("read", "missing", "read = [{ fc = 3, address = 0, words = [..] }]")
        expect = table.mapping("expect", hint='expect = { SO2 = 12.3 }, "none" where there is no value')
        status = table.mapping("status", {})
        return Example(
            title=table.text("title", ""), words=words, expect=_expected(table, expect, names),
            status=_statuses(table, status, expect),
            source=_said(table, "source", "where the words come from"),
            path=table.path, line=table.document.lines.get(table.path),
        )  # fmt: skip


def _expected(table: Table, given: Mapping[str, Any], names: Sequence[str]) -> dict[str, float | None]:
    expect: dict[str, float | None] = {}
    for name, value in given.items():
        if name not in names:
            table.fault(f"expect.{name}", "has no register here", f"some of: {', '.join(names)}")
        elif value == "none":
            expect[name] = None
        elif _is_number(value):
            expect[name] = float(value)
        else:
            table.fault(f"expect.{name}", f"{value!r} is not a number", 'a number, or "none"')
    return expect


def _statuses(table: Table, given: Mapping[str, Any], expect: Mapping[str, Any]) -> dict[str, Status]:
    status = dict.fromkeys(expect, Status.OK)
    for name, value in given.items():
        if name not in expect or not isinstance(value, str) or value not in (*STATUSES, "ok"):
            table.fault(f"status.{name}", f"{value!r} is not the status of a parameter in expect", ", ".join(STATUSES))
        else:
            status[name] = Status[value.upper()]
    return status
