"""A first device profile from what a probe has found: a file to go on with by hand, and it says what of it is a guess.

`emitwatch profiles check` reads it as it stands. Every register says what to look up in the manual, everything nobody
has read there stands under `unverified`, and the example is made of the very words that were read. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from gateway.blocks import MAX_REGISTERS
from gateway.decodings import Decoding
from gateway.finding import Finding, manual_number
from gateway.parameters import Parameters
from gateway.quantities import Quantity
from gateway.settings import KINDS
from gateway.words import TYPES

CITE = "not cited yet: page and table of the manual"
_SURE = 95  # a score from which on a decoding is worth no doubt of its own


def draft(
    name: str, finding: Finding, chosen: Mapping[str, Decoding], expected: Sequence[Quantity], known: Parameters,
    kind: str = "",
) -> str:  # fmt: skip
    """The profile file. chosen: by parameter, at least one. kind: of the points; "" = as the parameters have it."""
    kind = kind or of_kind(chosen, known)
    looked = {one.name: one for one in expected}
    lines = [
        "# A draft made by `emitwatch probe`: what it guesses is marked so. Look each register up in the manual, put",
        "# its page into `manual`, take out of `unverified` what is certain by then, and compare with the display:",
        f"#     emitwatch profiles check FILE; emitwatch profiles try FILE '{finding.link}'",
        "", "[profile]",
        f"name = {_text(name)}", f"title = {_text(name)}",
        'maker = "unknown"    # TODO', 'model = "unknown"    # TODO', f"kind = {_text(kind)}",
        'source = "emitwatch probe: guessed from the words of one instrument, not from a manual"    # TODO',
        'manual = "none yet"    # TODO: title, edition and date of the register list',
        *_unverified(chosen), *_quirks(finding),
        'no_status = "not known yet: look for a status word or alarm bits in the manual"    # TODO',
    ]  # fmt: skip
    for one in chosen.values():
        lines += _register(one, looked[one.quantity])
    lines += _example(finding, chosen)
    return "\n".join(lines) + "\n"


def of_kind(parameters: Mapping[str, object] | Sequence[str], known: Parameters) -> str:
    """The kind of point where all of some parameters are measured; the most of them where there is none."""
    return max(KINDS, key=lambda kind: sum(kind in known[code].media for code in parameters))


def _unverified(chosen: Mapping[str, Decoding]) -> list[str]:
    texts = ["register addresses, types, orders, scales and units are guessed from the words alone"]
    for one in chosen.values():
        if one.score < _SURE:
            texts.append(f"{one.quantity}: plausibility {one.score} of 100")
        if one.same:
            texts.append(f"{one.quantity}: {', '.join(map(str, one.same[:4]))} would give the same numbers so far")
        if one.rivals:
            also = ", ".join(
                f"{case.value:.4g} with scale {case.scale:g} {case.unit}".rstrip() for case in one.rivals[:3]
            )
            texts.append(f"{one.quantity}: the scale is not certain; it would be {also}")
    texts.append("range (low, high): that of any instrument, not of this one")
    return ["unverified = [", *(f"    {_text(text)}," for text in texts), "]"]


def _quirks(finding: Finding) -> list[str]:
    lines = []
    if finding.tid_zero:
        lines.append("tid_zero_ok = true    # seen: it answers with transaction 0")
    if finding.survey and finding.survey.longest < MAX_REGISTERS:
        lines.append(f"max_registers = {max(finding.survey.longest, 4)}    # seen: it refuses more (exception 3)")
    return lines


def _register(one: Decoding, looked: Quantity) -> list[str]:
    way = looked.units[one.unit][0]
    ends = [(end - way.shift) / way.factor for end in (looked.low, looked.high)]
    own = (one.value - way.shift) / way.factor
    beyond = 0.01 * abs(own)  # what was read is within, whatever the last digit of the limits is rounded to
    low, high = min(*ends, own - beyond), max(*ends, own + beyond)
    order = one.form.order if one.form.width > 1 or one.form.order != "ABCD" else ""
    half = {0x00FF: "low", 0xFF00: "high"}.get(one.form.mask, "")
    number = manual_number(one.fc, one.address)
    return [
        "",
        "[[register]]",
        f"parameter = {_text(one.quantity)}",
        f"fc = {one.fc}",
        f"address = {one.address}    # {number} where the manual counts from 1",
        f"type = {_text(one.form.type)}    # guessed",
        *([f"half = {_text(half)}    # guessed"] if half else []),
        *([f"order = {_text(order)}    # guessed"] if order else []),
        *([f"scale = {one.scale!r}    # guessed"] if one.scale != 1 else []),
        f"unit = {_text(one.unit)}    # guessed",
        f"low = {float(f'{low:.6g}')!r}    # TODO: what this instrument can measure",
        f"high = {float(f'{high:.6g}')!r}",
        f"manual = {_text(CITE)}    # TODO",
    ]


def _example(finding: Finding, chosen: Mapping[str, Decoding]) -> list[str]:
    words = {one.block: ", ".join(f"0x{word:04X}" for word in one.words) for one in chosen.values()}
    reads = [f"    {{ fc = {b.fc}, address = {b.address}, words = [{text}] }}," for b, text in sorted(words.items())]
    expect = ", ".join(f"{_key(one.quantity)} = {_number(one)}" for one in chosen.values())
    return [
        "",
        "[[example]]",
        'title = "as it was read"',
        "read = [",
        *reads,
        "]",
        f"expect = {{ {expect} }}    # TODO: what the display showed meanwhile",
        f"source = {_text(f'read from the instrument at {finding.link}, unit {finding.unit}; the values are guessed')}",
    ]


def _number(one: Decoding) -> str:
    """A value with the digits it has: those of a float32 are seven."""
    return repr(float(f"{one.value:.9g}") if TYPES[one.form.type].dtype == "f4" else one.value)


def _key(code: str) -> str:
    return code if code.replace("_", "").replace("-", "").isalnum() else _text(code)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
