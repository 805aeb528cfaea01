"""The profile file read: a device profile in a TOML text, or all that is wrong with it.

Every key is described in docs/reference/profile-file.md. Pure: text in, profile and faults out; files are
read by `gateway.catalogue`, which also has the examples tried (`gateway.registers.example_faults`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.blocks import Block
from gateway.conditions import read_condition, read_words
from gateway.document import REQUIRED, Fault, Table, parse_document
from gateway.measurement import Status
from gateway.parameters import Parameters
from gateway.profiles import (
    ADDRESSES,
    MAX_BITS,
    MAX_REGISTERS,
    STATUSES,
    Example,
    Item,
    Profile,
    Register,
    StatusRule,
)
from gateway.register_file import expected_items, is_number, read_items, read_registers, said
from gateway.settings import KINDS, label

PAUSE_S = 5.0  # longest silence that an instrument may need before a request


def parse_profile(text: str, file: str, parameters: Parameters) -> tuple[Profile | None, list[Fault]]:
    """The profile in a TOML text, or None and all its faults."""
    document, faults = parse_document(text, file)
    if faults:
        return None, faults
    with Table.root(document, faults) as root:
        head = root.table("profile", required=True, hint="a device profile starts with [profile]")
        kind = head.choice("kind", KINDS) or ""
        registers, names = read_registers(root, parameters, kind)
        rules = tuple(filter(None, (_rule(table, names) for table in root.tables("status"))))
        settings, identity = read_items(root, "setting"), read_items(root, "identity")
        items = {item.name: item for item in (*settings, *identity)}
        examples = tuple(_example(table, names, items) for table in root.tables("example"))
        profile = _profile(head, kind, registers, rules, examples, settings, identity)
        if not examples:
            root.fault("example", "missing", "add [[example]]: words as read from an instrument, and what they mean")
        _unreachable(root, profile)
    return (None if faults else profile), faults


def _profile(
    table: Table,
    kind: str,
    registers: tuple[Register, ...],
    rules: tuple[StatusRule, ...],
    examples: tuple[Example, ...],
    settings: tuple[Item, ...],
    identity: tuple[Item, ...],
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
            source=said(table, "source", "whose word the register map is: a manual, a public driver"),
            manual=said(table, "manual", "the document that the registers cite"),
            unverified=table.texts("unverified", []),
            max_registers=table.integer("max_registers", MAX_REGISTERS, low=4, high=MAX_REGISTERS) or MAX_REGISTERS,
            max_bits=table.integer("max_bits", MAX_BITS, low=1, high=MAX_BITS) or MAX_BITS,
            max_hole=table.integer("max_hole", 0, low=0, high=MAX_REGISTERS) or 0,
            max_hole_bits=table.integer("max_hole_bits", 0, low=0, high=MAX_BITS) or 0,
            holes=tuple(_blocks(table, "holes")), requests=tuple(_blocks(table, "requests")),
            tid_zero_ok=table.boolean("tid_zero_ok", False, hint="true: it answers with transaction 0") or False,
            pause_s=table.number("pause_s", 0.0, low=0.0, high=PAUSE_S, hint="silence before a request") or 0.0,
            no_status=no_status, registers=registers, status=rules, examples=examples, file=table.document.file,
            settings=settings, identity=identity,
        )  # fmt: skip


def _blocks(table: Table, key: str) -> list[Block]:
    """Ranges of registers or bits."""
    found = []
    for part in table.tables(key):
        with part:
            fc = part.integer("fc", low=1, high=4)
            address = part.integer("address", low=0, high=ADDRESSES - 1, hint="as on the wire, counted from 0")
            longest = ADDRESSES if key == "holes" else MAX_BITS if fc in (1, 2) else MAX_REGISTERS
            count = part.integer("count", low=1, high=longest, hint="how many registers or bits from there")
            if None not in (fc, address, count):
                found.append(Block(fc, address, count))
    return found


def _unreachable(root: Table, profile: Profile) -> None:
    """Words that are wanted and stand in a hole, or in none of the requests that the instrument answers."""
    places = {f"register[{n}]": Block(r.fc, r.address, r.width) for n, r in enumerate(profile.registers)}
    places |= {f"status[{n}]": Block(rule.fc, rule.address, 1) for n, rule in enumerate(profile.status)}
    places |= {
        f"register[{n}].by[{m}]": Block(by.fc, by.address, 1)
        for n, r in enumerate(profile.registers)
        for m, by in enumerate(r.by)
    }
    places |= {f"setting[{n}]": Block(item.fc, item.address, item.count) for n, item in enumerate(profile.settings)}
    places |= {f"identity[{n}]": Block(item.fc, item.address, item.count) for n, item in enumerate(profile.identity)}
    for path, block in places.items():
        if any(block.touches(hole) for hole in profile.holes):
            root.fault(f"{path}.address", "stands in a hole that no request may touch", "mend the address, or holes")
        own = [request for request in profile.requests if request.fc == block.fc]
        if own and not any(request.holds(block) for request in own):
            root.fault(f"{path}.address", "no request of the profile brings it", "mend the address, or requests")


def _rule(table: Table, names: Sequence[str]) -> StatusRule | None:
    with table:
        condition = read_condition(table)
        status = table.choice("status", STATUSES)
        parameters = table.texts("parameters", [])
        for name in parameters:
            if name not in names:
                table.fault("parameters", f"{name!r} has no register here", f"some of: {', '.join(names)}")
        text = label(table, "text", "")
        manual = said(table, "manual", "where the manual says so")
        if condition is None or status is None:
            return None
        return StatusRule(
            fc=condition.fc, address=condition.address, mask=condition.mask, values=condition.values,
            negated=condition.negated, status=STATUSES[status], parameters=parameters or tuple(names), text=text,
            manual=manual,
        )  # fmt: skip


def _example(table: Table, names: Sequence[str], items: Mapping[str, Item]) -> Example:
    with table:
        words: dict[tuple[int, int], int] = {}
        for part in table.tables("read"):
            with part:
                fc = part.integer("fc", low=1, high=4) or 0
                address = part.integer("address", low=0, high=ADDRESSES - 1) or 0
                numbers = read_words(part, "words", hint="words = [0x42C8, 0x0000]")
                words.update({(fc, address + n): word for n, word in enumerate(numbers)})
        if "read" not in table:
            table.fault("read", "missing", "read = [{ fc = 3, address = 0, words = [..] }]")
        told = expected_items(table, items)
        default = {} if told else REQUIRED
        expect = table.mapping("expect", default, hint='expect = { SO2 = 12.3 }, "none" where there is no value')
        status = table.mapping("status", {})
        return Example(
            title=table.text("title", ""), words=words, expect=_expected(table, expect, names),
            status=_statuses(table, status, expect),
            source=said(table, "source", "where the words come from"),
            path=table.path, line=table.document.lines.get(table.path), items=told,
        )  # fmt: skip


def _expected(table: Table, given: Mapping[str, Any], names: Sequence[str]) -> dict[str, float | None]:
    expect: dict[str, float | None] = {}
    for name, value in given.items():
        if name not in names:
            table.fault(f"expect.{name}", "has no register here", f"some of: {', '.join(names)}")
        elif value == "none":
            expect[name] = None
        elif is_number(value):
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
