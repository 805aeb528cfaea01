"""The trial of a profile on a live instrument: what it reads, and whether that is what the instrument shows.

What a person reads off the display is compared with the decoded value. Where the two differ, the words themselves are
looked at: another word order, type, scale, unit or the register before or after may give what is shown, and then that
is most likely what the profile has wrong. Pure: words and readings in, findings out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gateway.blocks import Block
from gateway.decodings import Decoding, Samples, ranked
from gateway.measurement import Status, UInt16
from gateway.plans import Plan, why
from gateway.profiles import Profile, Register
from gateway.quantities import Quantity, Shown, fits
from gateway.readback import Change
from gateway.registers import decode

ASIDE = 4  # registers before and after the profile's own that are looked at
MOST = 3  # explanations of one difference
TOLERANCE = 2.0  # percent


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One parameter as a profile reads it. value: None = none. words: by address. why: it cannot be read."""

    parameter: str
    unit: str
    value: float | None
    status: Status
    words: Mapping[int, int]
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A reading held against the display. shown: None = nobody read it off. fits: None = not compared.

    explained: what would give what is shown, in words, the likeliest first.
    """

    reading: Reading
    shown: Shown | None = None
    fits: bool | None = None
    explained: tuple[str, ...] = ()


def read(plan: Plan, words: Mapping[Block, UInt16], units: Mapping[str, str]) -> list[Reading]:
    """What one round of a plan's blocks means. words: of those that were answered; units: of each parameter."""
    arrays = [words.get(block, np.zeros(block.count, np.uint16))[None, :] for block in plan.blocks]
    values, statuses = decode(plan, arrays)
    lost = why(plan)
    found = []
    for column, name in enumerate(plan.parameters):
        fields = [f for f in plan.fields if f.register.parameter == name]
        missing = [f for f in fields if f.block >= 0 and plan.blocks[f.block] not in words]
        value, gone = float(values[0, column]), bool(missing) or name in lost
        found.append(
            Reading(
                parameter=name, unit=units[name], value=None if missing or np.isnan(value) else value,
                status=Status.NO_COMM if missing else Status(int(statuses[0, column])),
                words={} if gone else _own_words(fields, plan, words),
                why=lost.get(name, "it was not answered" if missing else ""),
            )
        )  # fmt: skip
    return found


def _own_words(fields: Sequence[Any], plan: Plan, words: Mapping[Block, UInt16]) -> dict[int, int]:
    found = {}
    for one in fields:
        block = words[plan.blocks[one.block]]
        for n in range(one.register.width):
            found[one.register.address + n] = int(block[one.offset + n])
    return found


def judge(readings: Sequence[Reading], shown: Shown | None, tolerance: float) -> Verdict:
    """The newest of some readings of one parameter, held against the display.

    readings: before and after somebody looked at it, for it moves. tolerance: in percent.
    """
    newest = readings[-1]
    if shown is None:
        return Verdict(reading=newest)
    good = any(one.value is not None and fits(shown, one.value, tolerance / 100) for one in readings)
    return Verdict(reading=newest, shown=shown, fits=good)


def window(register: Register) -> Block:
    """The registers that are looked at where a value does not fit."""
    start = max(register.address - ASIDE, 0)
    return Block(register.fc, start, min(register.address + register.width + ASIDE, 65536) - start)


def side_by_side(fc: int, words: Sequence[tuple[int, int]]) -> list[Samples]:
    """Registers that were read one by one, in order of address: those beside one another in one run."""
    groups: list[list[tuple[int, int]]] = []
    for address, word in words:
        if groups and groups[-1][-1][0] + 1 == address:
            groups[-1].append((address, word))
        else:
            groups.append([(address, word)])
    return [Samples(fc, group[0][0], np.array([[word for _, word in group]], np.uint16)) for group in groups]


def explain(register: Register, expected: Quantity, runs: Sequence[Samples]) -> tuple[str, ...]:
    """What would give what is shown, for each a sentence. expected: with it; runs: words around the register."""
    assert expected.shown is not None, "there is something to explain"
    found = [one for one in ranked(runs, expected, most=30) if one.odds > 0 and fits(expected.shown, one.value, 0.02)]
    # What differs in the fewest ways is the likeliest slip of a manual.
    found.sort(key=lambda one: (len(_differences(register, one)), -one.odds))
    told = (_sentence(register, one, expected) for one in found if _differences(register, one))
    return tuple(dict.fromkeys(told))[:MOST]


def _sentence(register: Register, one: Decoding, expected: Quantity) -> str:
    return f"{', '.join(_differences(register, one))} would give {one.value:.6g} {expected.unit}".rstrip()


def _differences(register: Register, one: Decoding) -> list[str]:
    """In what a decoding is another than the profile's register."""
    told = []
    off = one.address - register.address
    if off:
        told.append(f"address {one.address} instead of {register.address}" + _base(off))
    forms = (one.form, *one.same)
    if all(form.type != register.type for form in forms):
        told.append(f"{one.form.type} instead of {register.type}")
    elif all(form.order != register.order for form in forms if form.type == register.type):
        told.append(f"order {one.form.order} instead of {register.order}")
    if not np.isclose(one.scale, register.scale):
        told.append(f"scale {one.scale:g} instead of {register.scale:g}")
    if one.unit != register.unit:
        told.append(f"unit {one.unit} instead of {register.unit}")
    return told


def _base(off: int) -> str:
    if abs(off) == 1:
        return " (one register off: the manual counts from the other base)"
    return ""


def as_json(
    profile: Profile, link: str, verdicts: Sequence[Verdict], said: Mapping[str, float | str | None],
    wrong: Sequence[Change], tolerance: float,
) -> dict[str, Any]:  # fmt: skip
    """All of it, for scripts."""
    return {
        "profile": profile.name, "link": link, "tolerance_percent": tolerance, "fits": not problems(verdicts, wrong),
        "parameters": [
            {"parameter": v.reading.parameter, "value": v.reading.value, "unit": v.reading.unit,
             "status": v.reading.status.name.lower(), "why": v.reading.why,
             "words": {str(address): word for address, word in v.reading.words.items()},
             "shown": v.shown.value if v.shown else None, "fits": v.fits, "explained": list(v.explained)}
            for v in verdicts
        ],
        "items": dict(said), "contradictions": [asdict(change) for change in wrong],
    }  # fmt: skip


def problems(verdicts: Sequence[Verdict], wrong: Sequence[Change]) -> int:
    """How much of it is wrong: what does not fit, what cannot be read, what contradicts the profile."""
    return sum(v.fits is False or bool(v.reading.why) for v in verdicts) + len(wrong)
