"""What an instrument is to show instead of the plant's value, as a calibrator or a bottle of test gas makes it.

Written `SENSOR/PARAMETER=VALUE`, as `slm-north/LAeq=94`; without a value it shows the plant again. Pure.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

HINT = "write SENSOR/PARAMETER=VALUE, as slm-north/LAeq=94; nothing after the = shows the plant again"


@dataclass(frozen=True, slots=True)
class Shown:
    """value: in the parameter's unit; None = that of the plant."""

    sensor: str
    parameter: str
    value: float | None


def parse_shown(text: str, known: Mapping[str, Iterable[str]]) -> Shown:
    """What a text asks for; ValueError says what is wrong with it. known: sensor -> its parameters.

    >>> parse_shown("slm-north/LAeq=94", {"slm-north": ["LAeq"]})
    Shown(sensor='slm-north', parameter='LAeq', value=94.0)
    """
    name, equals, number = text.strip().partition("=")
    sensor, slash, parameter = name.strip().partition("/")
    if not (equals and slash):
        raise ValueError(f"{text.strip()!r} is not understood; {HINT}")
    _among(sensor, known, "sensor")
    _among(parameter, known[sensor], f"parameter of {sensor}")
    try:
        value = float(number) if number.strip() else None
    except ValueError as error:
        raise ValueError(f"{number.strip()!r} is not a number; {HINT}") from error
    if value is not None and not math.isfinite(value):
        raise ValueError(f"an instrument cannot be made to show {value}; the fault nan has it show none")
    return Shown(sensor, parameter, value)


def _among(name: str, known: Iterable[str], what: str) -> None:
    names = list(known)
    if name not in names:
        near = difflib.get_close_matches(name, names, 1)
        told = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(names)}"
        raise ValueError(f"{name!r} is no {what}; {told}")
