"""Invented instruments, and hypothesis strategies for them."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from gateway.measurement import Status
from gateway.profiles import Case, Chooser, Profile, Register, StatusRule
from gateway.settings import Label
from gateway.units import Conversion
from gateway.words import ORDERS, TYPES, numbers_held

CODES = ("SO2", "NOx", "NO", "NO2", "CO", "HCl", "HF", "NH3", "O2", "dust", "temperature", "moisture")


def register(parameter: str = "SO2", address: int = 0, **changes: object) -> Register:
    given: dict[str, object] = {
        "parameter": parameter, "fc": 3, "address": address, "type": "float32", "order": "ABCD", "scale": 1.0,
        "offset": 0.0, "unit": "mg/m3", "conversion": Conversion(1.0, 0.0), "sentinels": (), "low": -1e9, "high": 1e9,
        "added": False, "manual": "page 1",
    }  # fmt: skip
    return Register(**{**given, **changes})  # type: ignore[arg-type]


def chooser(address: int, *scales: float, **changes: object) -> Chooser:
    """A word that chooses a scale: 0 the first, 1 the second .."""
    cases = tuple(Case(word=n, scale=scale, unit="", conversion=None) for n, scale in enumerate(scales))
    given: dict[str, object] = {"fc": 3, "address": address, "mask": 0xFFFF, "cases": cases, "manual": "page 3"}
    return Chooser(**{**given, **changes})  # type: ignore[arg-type]


def rule(address: int, parameters: Sequence[str], **changes: object) -> StatusRule:
    given: dict[str, object] = {
        "fc": 3, "address": address, "mask": 1, "values": (1,), "negated": False, "status": Status.FAULT,
        "parameters": tuple(parameters), "text": Label("fault", "fault"), "manual": "page 2",
    }  # fmt: skip
    return StatusRule(**{**given, **changes})  # type: ignore[arg-type]


def profile(registers: Sequence[Register], status: Sequence[StatusRule] = (), **changes: object) -> Profile:
    given: dict[str, object] = {
        "name": "invented", "title": Label("invented", "invented"), "maker": "nobody", "model": "none",
        "kind": "stack", "source": "tests", "manual": "tests", "unverified": (), "max_registers": 125, "max_hole": 0,
        "max_hole_bits": 0, "no_status": "", "registers": tuple(registers), "status": tuple(status), "examples": (),
        "file": "invented.toml",
    }  # fmt: skip
    return Profile(**{**given, **changes})  # type: ignore[arg-type]


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    """Registers of all types in both tables, in any order, with holes; status words and bits among them."""
    names = draw(st.lists(st.sampled_from(CODES), min_size=1, max_size=6, unique=True))
    registers: list[Register] = []
    rules: list[StatusRule] = []
    places = {1: 0, 2: 0, 3: 0, 4: 0}

    def place(fc: int, width: int) -> int:
        address = places[fc] + draw(st.one_of(st.integers(0, 12), st.just(0)))
        places[fc] = address + width
        return address

    for name in names:
        type = draw(st.sampled_from(sorted(TYPES)))
        fc = draw(st.sampled_from((3, 4)))
        scale = draw(st.sampled_from((1.0, 0.1, 0.01, 2.0)))
        kind, mask = TYPES[type], 0
        if type in ("int16", "uint16") and draw(st.booleans()):
            mask = ((1 << draw(st.integers(2, 16))) - 1) << draw(st.integers(0, 10)) & 0xFFFF
        raw_low, raw_high = numbers_held(type, mask)
        low, high = max(raw_low, -2e6) * scale, min(raw_high, 2e6) * scale
        address = place(fc, kind.width)
        by = (chooser(place(3, 1), 1.0, 0.1),) if draw(st.integers(0, 4)) == 0 else ()
        registers.append(
            register(name, address, fc=fc, type=type, order=draw(st.sampled_from(ORDERS)), scale=scale,
                     low=low, high=high, mask=mask, by=by)
        )  # fmt: skip
        if draw(st.booleans()):
            fc = draw(st.sampled_from((1, 2, 3, 4)))
            bits = fc in (1, 2)
            bit = 0 if bits else draw(st.integers(0, 15))
            status = draw(st.sampled_from((Status.FAULT, Status.CALIBRATION, Status.MAINTENANCE, Status.STOPPED)))
            rules.append(
                rule(place(fc, 1), [name], fc=fc, mask=1 << bit, values=(draw(st.sampled_from((0, 1))) << bit,),
                     status=status)
            )  # fmt: skip
    return profile(
        draw(st.permutations(registers)), draw(st.permutations(rules)), max_registers=draw(st.integers(4, 125)),
        max_hole=draw(st.integers(0, 20)), max_hole_bits=draw(st.integers(0, 20)),
    )  # fmt: skip
