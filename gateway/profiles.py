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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.blocks import MAX_BITS as MAX_BITS
from gateway.blocks import MAX_REGISTERS as MAX_REGISTERS
from gateway.blocks import Block, Limits
from gateway.conditions import ADDRESSES as ADDRESSES
from gateway.conditions import STATUSES as STATUSES
from gateway.measurement import Status
from gateway.settings import Label
from gateway.units import Conversion
from gateway.words import TYPES


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What one value of a chooser's word says: a further scale, and the unit of the number, "" = the register's own."""

    word: int
    scale: float
    unit: str
    conversion: Conversion | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chooser:
    """A word that says in which unit or with how many decimals another register is.

    mask: the bits of it that count. cases: by word after masking; for any other word there is no value.
    """

    fc: int
    address: int
    mask: int
    cases: tuple[Case, ...]
    manual: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """What a parameter can plausibly do, in its own unit; None and 0 = not checked.

    soft_low, soft_high: beyond it somebody is told, and the value stays good.
    rate_max: most it can change in a second; for a counter what tells a new beginning from a reset.
    resolution, stuck_after: so many values in a row that differ by less than the resolution are stuck.
    rollover: what a counter is worth when it begins again at 0.
    """

    soft_low: float | None = None
    soft_high: float | None = None
    rate_max: float | None = None
    resolution: float = 0.0
    stuck_after: int = 0
    rollover: float | None = None


NO_CHECKS = Checks()


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """Where and how an instrument gives a parameter.

    value = raw * scale + offset in `unit`, the instrument's own; `conversion` then gives the parameter's unit.
    mask: bits of a single word that the number is in, 0 = those of the type.
    by: words that choose unit or scale; `scale` and `unit` are what holds where they say nothing else.
    sentinels: ranges of raw numbers that mean "no value"; told: those that say why.
    interval_s: time between two readings, None = the sensor's. [s]
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
    mask: int = 0
    by: tuple[Chooser, ...] = ()
    told: tuple[tuple[float, float, Status], ...] = ()
    interval_s: float | None = None
    checks: Checks = NO_CHECKS

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
class Item:
    """A register that is no measurement but says how the instrument is set (`[[setting]]`) or which one it is.

    type: of gateway.words, or "ascii". count: registers it takes. unit: for people.
    constant: what it always says, None = that differs; something else shows a wrong word order or a wrong instrument.
    """

    name: str
    title: Label
    fc: int
    address: int
    type: str
    count: int
    order: str
    mask: int
    scale: float
    offset: float
    unit: str
    manual: str
    constant: float | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A worked example: words as read, and what they mean.

    words: (function code, address) -> word. expect: parameter -> value, None = no value. status: of each.
    items: setting or identity -> what it says.
    path, line: where it stands in its file.
    """

    title: str
    words: Mapping[tuple[int, int], int]
    expect: Mapping[str, float | None]
    status: Mapping[str, Status]
    source: str
    path: str
    line: int | None
    items: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """An instrument model.

    kind: of the points it belongs to. source: whose word the register map is. manual: the document that
    registers cite. unverified: what nobody has checked against a manual or an instrument.
    max_registers, max_hole, max_hole_bits: the longest request, and the widest gap a request may read across.
    max_bits: the longest request for bits. holes: what no request may touch. requests: the only ones it answers.
    tid_zero_ok: it answers with transaction 0. pause_s: silence it needs before a request. [s]
    settings, identity: what is read back now and then; how it is set, which one it is.
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
    max_bits: int = MAX_BITS
    holes: tuple[Block, ...] = ()
    requests: tuple[Block, ...] = ()
    tid_zero_ok: bool = False
    pause_s: float = 0.0
    settings: tuple[Item, ...] = ()
    identity: tuple[Item, ...] = ()

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

    def parts(self, parameter: str) -> Sequence[Register]:
        """All registers of a parameter: the first, then what adds to it."""
        return [register for register in self.registers if register.parameter == parameter]

    @property
    def limits(self) -> Limits:
        """What requests the instrument allows."""
        return Limits(
            registers=self.max_registers, bits=self.max_bits, hole=self.max_hole, hole_bits=self.max_hole_bits,
            holes=self.holes, requests=self.requests,
        )  # fmt: skip
