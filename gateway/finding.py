"""What a probe has found of an instrument so far, and what is made of it: for people, for scripts, for a profile draft.

A `Finding` fills up while the probe goes on, so that whoever ends it early still gets all there is by then. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from gateway.blocks import Block
from gateway.decoding_notes import movement
from gateway.decodings import Decoding, Samples, assigned, prevailing, ranked
from gateway.diagnosis import Diagnosis, Tally
from gateway.forms import Form, raw_numbers, text_places
from gateway.measurement import Float64, UInt16
from gateway.quantities import ANYTHING, Quantity
from gateway.survey import Survey, merged
from gateway.words import text

_TABLES = {1: "0", 2: "1", 3: "4", 4: "3"}  # how manuals number coils, inputs, holding and input registers
FOUR_DIGITS = 9999
SIDE_BY_SIDE = (
    Form(type="float32", order="ABCD"),
    Form(type="float32", order="CDAB"),
    Form(type="uint32", order="ABCD"),
)
_SANE = (1e-6, 1e9)  # floats outside it are no quantity that anybody measures


@dataclass(frozen=True, slots=True)
class Tried:
    """One way of speaking on a serial line, and what came of it."""

    baud: int
    parity: str
    answered: bool
    what: str


@dataclass(slots=True)
class Finding:
    """What is known so far.

    units: those that answered, and how. scanned: those that were asked for. lines: speeds that were tried.
    rounds: each reading of all blocks, the newest last. turnaround: what requests take, None = not measured.
    """

    link: str
    kind: str
    unit: int
    units: dict[int, str] = field(default_factory=dict)
    scanned: list[int] = field(default_factory=list)
    lines: list[Tried] = field(default_factory=list)
    survey: Survey | None = None
    rounds: list[dict[Block, UInt16]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    faults: dict[str, Diagnosis] = field(default_factory=dict)
    turnaround: dict[str, float] | None = None
    tid_zero: bool = False
    interrupted: bool = False

    @property
    def existing(self) -> tuple[Block, ...]:
        """The registers and bits that exist, as far as was looked."""
        return merged(self.survey.found) if self.survey else ()


@dataclass(frozen=True, slots=True)
class Place:
    """One register, and the number that begins there, in several readings side by side. texts: as it may be read."""

    fc: int
    address: int
    words: tuple[int, ...]
    whole: str
    signed: str
    long: tuple[str, ...]
    letters: str
    moves: str


def manual_number(fc: int, address: int) -> str:
    """How a manual may call a register, where it counts from 1.

    >>> manual_number(3, 0), manual_number(4, 137), manual_number(3, 20000)
    ('40001', '30138', '420001')
    """
    digits = 4 if address < FOUR_DIGITS else 5
    return f"{_TABLES[fc]}{address + 1:0{digits}d}"


def runs(finding: Finding) -> list[Samples]:
    """The registers that were read, each stretch of them with all its readings; what broke off is left out."""
    found = []
    for whole in merged({block for reading in finding.rounds for block in reading if not block.bits}):
        parts = sorted({block for reading in finding.rounds for block in reading if whole.holds(block)})
        complete = [reading for reading in finding.rounds if all(part in reading for part in parts)]
        if complete:
            rows = [np.concatenate([reading[part] for part in parts]) for reading in complete]
            found.append(Samples(whole.fc, whole.address, np.stack(rows)))
        else:
            for part in parts:
                rows = [reading[part] for reading in finding.rounds if part in reading]
                found.append(Samples(part.fc, part.address, np.stack(rows)))
    return found


def bits(finding: Finding) -> list[tuple[int, int, tuple[int, ...]]]:
    """Coils and inputs that are on or have changed: function, address, all readings."""
    found = []
    for block in sorted({block for reading in finding.rounds for block in reading if block.bits}):
        rows = np.stack([reading[block] for reading in finding.rounds if block in reading])
        places = np.flatnonzero(rows.any(axis=0))
        found += [(block.fc, block.address + int(n), tuple(rows[:, n].tolist())) for n in places]
    return found


def places(run: Samples) -> list[Place]:
    """Every register of a run that holds something, with all that may be read there."""
    raw = {form: raw_numbers(run.words, form) for form in SIDE_BY_SIDE if form.width <= run.words.shape[1]}
    letters, newest = text_places(run.words), run.words[-1]
    found = []
    for n in np.flatnonzero(run.words.any(axis=0)).tolist():
        column = run.words[:, n]
        signed = int(newest[n].astype(np.int16))
        long = tuple(_long(values[:, n], form) if n < values.shape[1] else "" for form, values in raw.items())
        found.append(
            Place(
                fc=run.fc, address=run.address + n, words=tuple(column.tolist()), whole=str(newest[n]),
                signed=str(signed) if signed < 0 else "", long=long,
                letters=text(newest[n : n + 1]) if letters[n] else "", moves=movement(column.astype(float).tolist()),
            )
        )  # fmt: skip
    return found


def _long(values: Float64, form: Form) -> str:
    newest = float(values[-1])
    if form.type == "uint32":
        return f"{newest:.0f}"
    return f"{newest:.6g}" if _SANE[0] <= abs(newest) <= _SANE[1] else ""


def best(finding: Finding, expected: Sequence[Quantity], most: int = 5) -> dict[str, list[Decoding]]:
    """For each quantity the most plausible decodings; what most of them agree on counts for all."""
    found = runs(finding)
    first = {one.name: ranked(found, one, most=most) for one in expected}
    agreed = prevailing(assigned(first).values())
    if not agreed:
        return first
    return {one.name: ranked(found, one, most=most, agreed=agreed) for one in expected}


def guesses(finding: Finding, most: int = 12) -> list[Decoding]:
    """Numbers that seem to be there where nobody says what is expected, each register in one of them."""
    read = runs(finding)
    first = _apart(ranked(read, ANYTHING, most=10 * most))
    found = _apart(ranked(read, ANYTHING, most=10 * most, agreed=prevailing(first)))
    return sorted(found[:most], key=lambda one: one.block)


def _apart(found: Iterable[Decoding]) -> list[Decoding]:
    """Those more likely than not, the best first, of which no two share a register."""
    kept: list[Decoding] = []
    for one in found:
        if one.odds > 0 and not any(one.block.touches(other.block) for other in kept):
            kept.append(one)
    return kept


def as_json(
    finding: Finding, expected: Sequence[Quantity], decodings: Mapping[str, Sequence[Decoding]]
) -> dict[str, Any]:
    """All of it, for scripts."""
    survey = finding.survey
    chosen = assigned(decodings)
    return {
        "link": finding.link, "unit": finding.unit, "interrupted": finding.interrupted,
        "units": {str(unit): how for unit, how in sorted(finding.units.items())}, "scanned": finding.scanned,
        "lines": [asdict(line) for line in finding.lines], "tid_zero_ok": finding.tid_zero,
        "registers": {
            "exist": _blocks(finding.existing), "unknown": _blocks(survey.unknown if survey else ()),
            "functions_refused": sorted(survey.functions) if survey else [],
            "answers_everywhere": sorted(survey.boundless) if survey else [],
            "longest_request": survey.longest if survey else None, "requests": survey.asked if survey else 0,
        },
        "words": [
            {"fc": run.fc, "address": run.address, "manual": manual_number(run.fc, run.address),
             "readings": run.words.tolist()}
            for run in runs(finding)
        ],
        "bits": [{"fc": fc, "address": address, "readings": list(values)} for fc, address, values in bits(finding)],
        "expected": [
            {"parameter": one.name, "unit": one.unit, "low": one.low, "high": one.high, "typical": list(one.typical),
             "shown": one.shown.value if one.shown else None,
             "chosen": _decoding(chosen[one.name]) if one.name in chosen else None,
             "decodings": [_decoding(decoding) for decoding in decodings.get(one.name, ())]}
            for one in expected
        ],
        "guesses": [_decoding(one) for one in (guesses(finding) if not expected else ())],
        "link_quality": {**finding.tally.summary(), "turnaround": finding.turnaround},
        "faults": [asdict(fault) for fault in finding.faults.values()],
    }  # fmt: skip


def _blocks(blocks: Iterable[Block]) -> list[dict[str, int]]:
    return [asdict(block) for block in blocks]


def _decoding(one: Decoding) -> dict[str, Any]:
    return {
        "fc": one.fc, "address": one.address, "manual": manual_number(one.fc, one.address), "type": one.form.type,
        "order": one.form.order, "mask": one.form.mask, "scale": one.scale, "unit": one.unit, "value": one.value,
        "values": [value if math.isfinite(value) else None for value in one.values], "words": list(one.words),
        "score": one.score, "odds": round(one.odds, 2), "same": [str(form) for form in one.same],
        "others": [asdict(case) for case in one.others], "notes": list(one.notes),
    }  # fmt: skip
