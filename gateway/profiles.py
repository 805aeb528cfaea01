"""Device profiles: what an instrument's registers mean, as data with a citation.

One instrument model is one file `gateway/profiles/<name>.toml`; folders of a plant's own profiles can be
named in the site file. Rules of a profile, which `gateway.profile_file` enforces when it reads one:

- addresses are those on the wire, counted from 0 (a manual's 40001 or "register 1" is address 0);
- every register and every status rule says where in the manual (or driver) it stands;
- the profile says whose word it is (`source`), what of it nobody has verified yet (`unverified`), how
  the instrument tells its status - or why it cannot (`no_status`) - and gives worked examples;
- status rules stand in order of precedence: the first that applies decides.

`gateway.registers` turns words into values by a profile. Pure: values only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.measurement import Status
from gateway.settings import Label
from gateway.units import Conversion
from gateway.words import TYPES

# Modbus Application Protocol V1.1b3, 6.1 to 6.4: most that one request may ask for.
MAX_REGISTERS = 125
MAX_BITS = 2000
ADDRESSES = 65536

BIT_FUNCTIONS = (1, 2)
WORD_FUNCTIONS = (3, 4)

# What an instrument can know about its own values; the other statuses are found out by the gateway.
STATUSES: Mapping[str, Status] = MappingProxyType({
    "maintenance": Status.MAINTENANCE,
    "calibration": Status.CALIBRATION,
    "fault": Status.FAULT,
    "out_of_range": Status.OUT_OF_RANGE,
    "stopped": Status.STOPPED,
    "manual": Status.MANUAL,
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """Where and how an instrument gives a parameter.

    value = raw * scale + offset in `unit`, the instrument's own; `conversion` then gives the parameter's unit.
    sentinels: ranges of raw numbers that mean "no value".
    low, high: what the instrument can measure; outside is out_of_range. [parameter's unit]
    added: its value adds to the register of the same parameter before it (a counter in two parts).
    manual: where it stands in the manual.
    """

    parameter: str
    fc: int
    address: int
    type: str
    order: str
    scale: float
    offset: float
    unit: str
    conversion: Conversion
    sentinels: tuple[tuple[float, float], ...]
    low: float
    high: float
    added: bool
    manual: str

    @property
    def width(self) -> int:
        """How many registers it takes."""
        return TYPES[self.type].width

    @property
    def factor(self) -> float:
        """value [parameter's unit] = raw * factor + shift."""
        return self.scale * self.conversion.factor

    @property
    def shift(self) -> float:
        """value = raw * factor + shift. [parameter's unit]"""
        return self.offset * self.conversion.factor + self.conversion.shift


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusRule:
    """When a bit or word of the instrument means that values are not plainly good.

    It applies when ((word & mask) in values) is not `negated`; a discrete input or coil is a word of 0 or 1.
    parameters: whose values it concerns, in full. text: what the manual says it means.
    """

    fc: int
    address: int
    mask: int
    values: tuple[int, ...]
    negated: bool
    status: Status
    parameters: tuple[str, ...]
    text: Label
    manual: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A worked example: words as read, and what they mean.

    words: (function code, address) -> word. expect: parameter -> value, None = no value. status: of each.
    path, line: where it stands in its file.
    """

    title: str
    words: Mapping[tuple[int, int], int]
    expect: Mapping[str, float | None]
    status: Mapping[str, Status]
    source: str
    path: str
    line: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """An instrument model.

    kind: of the points it belongs to. source: whose word the register map is. manual: the document that
    registers cite. unverified: what nobody has checked against a manual or an instrument.
    max_registers, max_hole, max_hole_bits: the longest request, and the widest gap a request may read across.
    no_status: why the profile has no status rule; "" = it has.
    """

    name: str
    title: Label
    maker: str
    model: str
    kind: str
    source: str
    manual: str
    unverified: tuple[str, ...]
    max_registers: int
    max_hole: int
    max_hole_bits: int
    no_status: str
    registers: tuple[Register, ...]
    status: tuple[StatusRule, ...]
    examples: tuple[Example, ...]
    file: str

    @property
    def parameters(self) -> tuple[str, ...]:
        """Every parameter it gives, in the order of its registers."""
        return tuple(dict.fromkeys(register.parameter for register in self.registers))

    def register(self, parameter: str) -> Register:
        """The (first) register of a parameter; KeyError where there is none."""
        for register in self.registers:
            if register.parameter == parameter:
                return register
        raise KeyError(parameter)
