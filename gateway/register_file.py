"""The registers of a profile file read: `[[register]]`, `[[setting]]` and `[[identity]]`, or all that is wrong in them.

Every key is described in docs/reference/profile-file.md. Pure: tables in, values and faults out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from gateway.conditions import ADDRESSES, STATUSES
from gateway.document import Table
from gateway.measurement import Status
from gateway.parameters import Parameter, Parameters
from gateway.profiles import NO_CHECKS, Case, Checks, Chooser, Item, Register
from gateway.settings import label
from gateway.units import UNITS, Conversion, conversion
from gateway.words import ORDERS, TYPES, numbers_held, raw_number

ASCII = "ascii"
IDENTITIES = ("serial_number", "firmware", "hardware", "model")
INTERVAL_S = (0.1, 86400.0)
_HALVES = {"low": 0x00FF, "high": 0xFF00}
_LONGEST_TEXT = 64  # registers; the longest name a maker gives takes 16


def said(table: Table, key: str, hint: str) -> str:
    """A text that must not be empty: a citation."""
    text = table.text(key, hint=hint)
    if text is not None and not text.strip():
        table.fault(key, "empty", hint)
    return text or ""


def is_number(value: object) -> bool:
    """Whether a value of a TOML file is a number that a float can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= TYPES["float64"].high


def read_registers(root: Table, parameters: Parameters, kind: str) -> tuple[tuple[Register, ...], tuple[str, ...]]:
    """The registers, and the parameters named there: those of faulty registers too, lest one fault looks like two."""
    found: list[Register] = []
    names: dict[str, None] = {}
    taken: dict[tuple[int, int], list[tuple[int, str]]] = {}
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
        bits = register.mask or TYPES[register.type].mask
        places = [(register.fc, register.address + n) for n in range(register.width)]
        if others := {path for place in places for mask, path in taken.get(place, ()) if mask & bits}:
            table.fault("address", f"overlaps {', '.join(sorted(others))}", f"{register.type} takes {register.width}")
        for place in places:
            taken.setdefault(place, []).append((bits, table.path))
        found.append(register)
    if not found and "register" not in root:
        root.fault("register", "missing", "add [[register]] for each parameter")
    return tuple(found), tuple(names)


def _register(table: Table, parameters: Parameters, kind: str) -> Register | None:
    parameter = _parameter(table, parameters, kind)
    fc, address, type, _ = _place(table, TYPES)
    order, mask = table.choice("order", ORDERS, "ABCD"), _mask(table, type)
    scale, offset = _scale(table), table.number("offset", 0.0)
    unit = table.choice("unit", UNITS)
    sentinels, told = _sentinels(table, type, mask)
    low, high = table.number("low"), table.number("high")
    by = tuple(_chooser(part, parameter) for part in table.tables("by"))
    if sum(any(case.unit for case in chooser.cases) for chooser in by if chooser) > 1:
        table.fault("by", "two words choose the unit", "name the unit in the cases of one of them")
    added = table.boolean("added", False)
    interval_s = table.number("interval_s", None, low=INTERVAL_S[0], high=INTERVAL_S[1], hint="seconds")
    checks = _checks(table, low, high)
    if checks.rollover is not None and (offset or by):
        what = "a counter has no offset" if offset else "a counter has one scale and one unit"
        table.fault("rollover", what, "it begins again at 0, and what that is worth must be known")
    manual = said(table, "manual", "page, section or driver line where the register stands")
    if None in (parameter, fc, address, unit, low, high, scale, offset, *by) or not type:
        return None
    assert parameter is not None
    assert scale is not None
    way = _way(table, "unit", unit, parameter)
    if way is None:
        return None
    if low >= high:
        table.fault("low", f"{low:g} is not below high = {high:g}", "what the instrument can measure, in its own unit")
    ends = sorted((low * way.factor + way.shift, high * way.factor + way.shift))
    if added:
        _part(table)
    return Register(
        parameter=parameter.code, fc=fc, address=address, type=type, order=order, scale=scale, offset=offset,
        unit=unit, conversion=way, sentinels=sentinels, low=ends[0], high=ends[1], added=added, manual=manual,
        mask=mask, by=tuple(filter(None, by)), told=told, interval_s=interval_s, checks=_converted(checks, way, scale),
    )  # fmt: skip


def _part(table: Table) -> None:
    """What belongs to a whole value is said once, at its first register."""
    for key in ("interval_s", "soft_low", "soft_high", "rate_max", "resolution", "stuck_after", "rollover"):
        if key in table:
            table.fault(key, "is said of the whole value", "put it to the first register of the parameter")


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


def _place(table: Table, types: Collection[str]) -> tuple[Any, Any, str, int]:
    """Function, address, type and width of a register."""
    type = table.choice("type", types) or ""
    width = TYPES[type].width if type in TYPES else 1
    if type == ASCII:
        hint = "registers the text takes, two characters each"
        width = table.integer("count", low=1, high=_LONGEST_TEXT, hint=hint) or 1
    fc = table.integer("fc", low=3, high=4, hint="3 = holding registers, 4 = input registers")
    address = table.integer("address", low=0, high=ADDRESSES - width, hint="as on the wire, counted from 0")
    return fc, address, type, width


def _scale(table: Table) -> float | None:
    scale: float | None = table.number("scale", 1.0)
    if scale == 0:
        table.fault("scale", "0 is not a scale", "value = raw * scale + offset")
    return scale


def _mask(table: Table, type: str) -> int:
    """The bits of the word that the number is in, 0 = all that the type has."""
    half = table.choice("half", _HALVES, None)
    if half and type and type not in ("int8", "uint8"):
        table.fault("half", f"{type} is not half a word", "int8 or uint8; for other bits of a word give a mask")
    given = table.integer("mask", None, low=1, high=0xFFFF, hint="as mask = 0x0FF0")
    if given is None:
        return _HALVES[half] if half else 0
    lowest = given & -given
    if type and type not in ("int16", "uint16"):
        table.fault("mask", f"{type} has no mask", "a field of bits is an int16 or uint16")
    elif (given + lowest) & given:
        table.fault("mask", f"{given:#06x} has a gap between its bits", "the bits of a number stand side by side")
    return int(given) if given != 0xFFFF else 0


def _sentinels(
    table: Table, type: str, mask: int
) -> tuple[tuple[tuple[float, float], ...], tuple[tuple[float, float, Status], ...]]:
    """Raw numbers, or pairs of lowest and highest; those that say why there is no value apart.

    A whole number may be given as its bit pattern.
    """
    hint = 'raw numbers, as [-9999], ranges, as [[1e37, 9e37]], or { from = 1e37, to = 1e37, status = "out_of_range" }'
    given = table.raw("sentinels", [])
    plain, told = [], []
    held = numbers_held(type, mask) if type else (0.0, 0.0)
    for item in given if isinstance(given, list) else [given]:
        pair, status = _range(item)
        if len(pair) != 2 or not all(map(is_number, pair)) or (status is not None and status not in STATUSES):
            table.fault("sentinels", f"{item!r} is not a number or a range", hint)
            continue
        low, high = (raw_number(v, type, mask) if type else v for v in pair)
        if type and not (held[0] <= low <= high <= held[1]):
            table.fault("sentinels", f"{item!r} is not a range of {type}", hint)
        if status is None:
            plain.append((low, high))
        else:
            told.append((low, high, STATUSES[status]))
    return tuple(plain), tuple(told)


def _range(item: object) -> tuple[list[Any], Any]:
    """Both ends of a sentinel and the name of its status, None = it says none."""
    if isinstance(item, dict):
        known = set(item) == {"from", "to", "status"} and isinstance(item["status"], str)
        return ([item["from"], item["to"]], item["status"]) if known else ([], None)
    return (item if isinstance(item, list) else [item, item]), None


def _way(table: Table, key: str, unit: str, parameter: Parameter) -> Conversion | None:
    way = conversion(unit, parameter.unit, parameter.molar_mass)
    if way is None:
        message = f"{unit!r} does not become {parameter.unit!r} of {parameter.code}"
        table.fault(key, message, "see gateway/units.py")
    return way


def _chooser(table: Table, parameter: Parameter | None) -> Chooser | None:
    """A word that chooses unit or scale."""
    with table:
        fc = table.integer("fc", low=3, high=4, hint="3 = holding registers, 4 = input registers")
        address = table.integer("address", low=0, high=ADDRESSES - 1, hint="as on the wire, counted from 0")
        mask = table.integer("mask", 0xFFFF, low=1, high=0xFFFF) or 0xFFFF
        cases = [_case(part, mask, parameter) for part in table.tables("cases")]
        words = [case.word for case in cases if case]
        if not cases:
            table.fault("cases", "missing", 'cases = [{ is = 0, unit = "mg/m3" }, { is = 1, unit = "ppm" }]')
        if len(set(words)) < len(words):
            table.fault("cases", "two cases are about the same word", "one case for each word")
        manual = said(table, "manual", "where the manual says what the word chooses")
        if None in (fc, address, *cases) or not cases:
            return None
        return Chooser(fc=fc, address=address, mask=mask, cases=tuple(filter(None, cases)), manual=manual)


def _case(table: Table, mask: int, parameter: Parameter | None) -> Case | None:
    with table:
        word = table.integer("is", low=0, high=0xFFFF, hint="the word, as it is after masking")
        scale = _scale(table)
        unit = table.choice("unit", UNITS, None)
        if word is not None and word & ~mask:
            table.fault("is", f"{word} has bits outside the mask {mask:#06x}", "give the word as it is after masking")
        if "scale" not in table and "unit" not in table:
            table.fault("", "chooses nothing", "give scale, unit or both")
        way = _way(table, "unit", unit, parameter) if unit is not None and parameter else None
        if word is None or scale is None or (unit is not None and way is None):
            return None
        return Case(word=word, scale=scale, unit=unit or "", conversion=way)


def _checks(table: Table, low: float | None, high: float | None) -> Checks:
    """What is plausible, still in the instrument's unit; rollover as the raw number."""
    checks = Checks(
        soft_low=table.number("soft_low", None), soft_high=table.number("soft_high", None),
        rate_max=table.number("rate_max", None, low=0.0, hint="most it can change in a second, in `unit`"),
        resolution=table.number("resolution", 0.0, low=0.0, hint="smallest step it shows, in `unit`") or 0.0,
        stuck_after=table.integer("stuck_after", 0, low=3, high=1_000_000, hint="values in a row") or 0,
        rollover=table.number("rollover", None, low=1.0, hint="raw number at which it begins again, as 1000000"),
    )  # fmt: skip
    if checks.rate_max == 0:
        table.fault("rate_max", "0 is no rate", "most it can change in a second, in `unit`")
    if checks.rollover is not None and checks.rate_max is None:
        table.fault("rate_max", "missing", "a new beginning is told from a reset by the most it can count in a second")
    inner = [end for end in (low, checks.soft_low, checks.soft_high, high) if end is not None]
    if inner != sorted(inner):
        key = "soft_low" if checks.soft_low is not None else "soft_high"
        table.fault(key, "does not lie between low and high", "low <= soft_low <= soft_high <= high")
    return checks


def _converted(checks: Checks, way: Conversion, scale: float) -> Checks:
    """Checks in the parameter's unit."""
    if checks == NO_CHECKS:
        return NO_CHECKS
    size = abs(way.factor)
    low, high = (None if v is None else v * way.factor + way.shift for v in (checks.soft_low, checks.soft_high))
    return Checks(
        soft_low=low, soft_high=high, rate_max=None if checks.rate_max is None else checks.rate_max * size,
        resolution=checks.resolution * size, stuck_after=checks.stuck_after,
        rollover=None if checks.rollover is None else checks.rollover * abs(scale) * size,
    )  # fmt: skip


def read_items(root: Table, key: str) -> tuple[Item, ...]:
    """The settings or identity registers of a profile."""
    found: list[Item] = []
    for table in root.tables(key):
        with table:
            names = IDENTITIES if key == "identity" else ()
            name = (table.choice("name", names) if names else table.identifier("name")) or ""
            fc, address, type, count = _place(table, (*TYPES, ASCII))
            item = Item(
                name=name, title=label(table, "title", name), fc=fc or 0, address=address or 0, type=type, count=count,
                order=table.choice("order", ORDERS, "ABCD"), mask=_mask(table, type), scale=_scale(table) or 1.0,
                offset=table.number("offset", 0.0) or 0.0, unit=table.text("unit", ""),
                manual=said(table, "manual", "page, section or driver line where the register stands"),
                constant=_constant(table, type),
            )  # fmt: skip
            if type == ASCII and {"scale", "offset", "unit"} & set(table.values):
                table.fault("type", "a text has no scale, offset or unit", "leave them out")
            if any(other.name == name for other in found):
                table.fault("name", f"{name!r} stands there twice", "name each once")
            found.append(item)
    return tuple(found)


def _constant(table: Table, type: str) -> float | str | None:
    """What a register always says, None = that differs."""
    value = table.raw("constant", None)
    if value is not None and not (isinstance(value, str) if type == ASCII else is_number(value)):
        table.fault("constant", f"{value!r} is not a {'text' if type == ASCII else 'number'}", "what it always says")
        return None
    return float(value) if is_number(value) else value


def expected_items(table: Table, items: Mapping[str, Item]) -> dict[str, float | str]:
    """What an example says of settings and identity."""
    expect: dict[str, float | str] = {}
    for name, value in table.mapping("items", {}).items():
        text = name in items and items[name].type == ASCII
        if name not in items:
            table.fault(f"items.{name}", "is no setting or identity here", f"some of: {', '.join(items) or 'none'}")
        elif not (isinstance(value, str) if text else is_number(value)):
            table.fault(f"items.{name}", f"{value!r} is not a {'text' if text else 'number'}", "what the words mean")
        else:
            expect[name] = value if isinstance(value, str) else float(value)
    return expect
