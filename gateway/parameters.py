"""Parameters: the quantities that are measured, with unit, names and HJ 212 code.

The list itself is data, `gateway/parameters.toml`, and every package uses its codes. People write
codes in many ways ("so2", "a21026", "NH3N"), so `Parameters.find` is lenient, while everything
inside the product carries the one code of the list. Pure: text in, parameters and faults out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.document import Fault, Table, parse_document
from gateway.settings import KINDS, Label, label
from gateway.units import UNITS

AVERAGES = ("energy", "mean", "median", "flow_weighted", "maximum", "sum")
DERIVED = (
    "mass",
    "mass_flow",
    "mass_substituted",
    "dry_gas_flow",
    "dry_gas_volume",
    "volume",
    "composite",
    "rating",
    "specific",
)
CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,31}")
_NOISE = re.compile(r"[\s_.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A measured quantity.

    unit: that all values inside the product have; "" = a bare number (pH).
    hj212: its code in HJ 212-2017 and -2025; "" = none.
    media: kinds of point where it is measured.
    average: how values become an average: energy, mean, median, flow_weighted, maximum or sum.
    molar_mass: of a gas, for readings in ppm; None = not a gas. [g/mol]
    range, typical: what any instrument can show and what most plants do, for guesses alone; None = not told. [unit]
    derived: how emitwatch makes it of others, one of DERIVED; "" = it is measured. of: code of what it is made of,
    "" = no single one.
    """

    code: str
    name: Label
    unit: str
    hj212: str
    media: tuple[str, ...]
    average: str
    aliases: tuple[str, ...]
    source: str
    molar_mass: float | None
    range: tuple[float, float] | None = None
    typical: tuple[float, float] | None = None
    derived: str = ""
    of: str = ""


class Parameters(Mapping[str, Parameter]):
    """All parameters by code, in the order of the file."""

    def __init__(self, parameters: Mapping[str, Parameter]) -> None:
        self._by_code = dict(parameters)
        self._by_name = {name: p for p in self._by_code.values() for name in _names(p)}

    def __getitem__(self, code: str) -> Parameter:
        return self._by_code[code]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_code)

    def __len__(self) -> int:
        return len(self._by_code)

    def find(self, text: str) -> Parameter | None:
        """The parameter of a code, HJ 212 code or alias, however it is capitalised; None where there is none."""
        return self._by_code.get(text) or self._by_name.get(_plain(text))


def _plain(text: str) -> str:
    """A name as it compares: `NH3-N`, `NH3N` and `nh3_n` are one."""
    return _NOISE.sub("", text).casefold()


def _names(parameter: Parameter) -> Iterator[str]:
    for text in (parameter.code, parameter.hj212, *parameter.aliases):
        if text:
            yield _plain(text)


def parse_parameters(text: str, file: str) -> tuple[Parameters, list[Fault]]:
    """The parameters in a TOML text, and all its faults."""
    document, faults = parse_document(text, file)
    found: dict[str, Parameter] = {}
    owners: dict[str, str] = {}

    def take(parameter: Parameter, table: Table) -> None:
        for name in dict.fromkeys(_names(parameter)):
            if name in owners:
                table.fault("code", f"the name {name!r} belongs to {owners[name]} already", "names are unique")
            owners[name] = parameter.code
        found[parameter.code] = parameter

    with Table.root(document, faults) as root:
        for table in root.tables("parameter"):
            with table:
                take(_parameter(table), table)
        for table in root.tables("derived"):
            with table:
                for parameter in _made(table, list(found.values())):
                    take(parameter, table)
    return Parameters(found), faults


def _made(table: Table, known: Sequence[Parameter]) -> list[Parameter]:
    """What a row of `[[derived]]` makes of the parameters it speaks of."""
    code = table.text("code", hint='code = "{code}_mass"') or ""
    name, unit = label(table, "name", code), table.choice("unit", UNITS) or ""
    hj212, average = table.text("hj212", ""), table.choice("average", AVERAGES, "mean")
    source = table.text("source", hint="where it is defined") or ""
    derived, media = table.choice("derived", DERIVED) or "", table.choice("media", KINDS)
    like = table.choice("of", UNITS), table.choice("of_average", AVERAGES)
    return [
        Parameter(
            code=code.replace("{code}", p.code), unit=unit, average=average, source=source, derived=derived, of=p.code,
            name=Label(name.en.replace("{en}", p.name.en), name.zh.replace("{zh}", p.name.zh)),
            hj212=hj212.replace("{hj212}", p.hj212) if p.hj212 else "", media=(media or "",), aliases=(),
            molar_mass=None,
        )
        for p in known if (p.unit, p.average) == like and media in p.media and not p.derived
    ]  # fmt: skip


def _parameter(table: Table) -> Parameter:
    code = table.text("code", pattern=CODE, hint="letters, digits, '_', '.' and '-'") or ""
    media = table.texts("media", hint=f"some of: {', '.join(KINDS)}")
    for kind in media:
        if kind not in KINDS:
            table.fault("media", f"{kind!r} is not a kind of point", f"some of: {', '.join(KINDS)}")
    return Parameter(
        code=code,
        name=label(table, "name", code),
        unit=table.choice("unit", UNITS) or "",
        hj212=table.text("hj212", ""),
        media=media,
        average=table.choice("average", AVERAGES, "mean"),
        aliases=table.texts("aliases", []),
        source=table.text("source", hint="where the name, unit and code come from") or "",
        molar_mass=table.number("molar_mass", None, low=1.0, high=1000.0, hint="g/mol"),
        range=_ends(table, "range"),
        typical=_ends(table, "typical"),
        derived=table.choice("derived", DERIVED, ""),
    )


def _ends(table: Table, key: str) -> tuple[float, float] | None:
    """Two numbers, the lower first."""
    value = table.raw(key, None)
    if value is None:
        return None
    good = isinstance(value, list) and len(value) == 2 and all(type(end) in (int, float) for end in value)
    if not good or not value[0] < value[1]:
        table.fault(key, f"{value!r} is not two numbers, the lower first", "as [0, 300]")
        return None
    return float(value[0]), float(value[1])
