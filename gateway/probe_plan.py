"""What a probe is asked to do: the words of its command line, read into numbers and quantities.

Pure: text in, values out, or a ValueError that says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.blocks import Block
from gateway.links.address import BAUDS, Line, Link
from gateway.parameters import Parameters
from gateway.profiles import Profile
from gateway.quantities import Quantity, quantity, read_shown
from gateway.survey import Survey, everything

UNITS = range(256)
QUICK_UNITS = {"tcp": (1, 255, 0, *range(2, 17))}  # tried where the link's own unit is silent and nobody says which
QUICK = tuple(range(1, 17))
PARITIES = ("N", "E", "O")
COMMON_BAUDS = (9600, 19200, 38400, 115200, 4800, 2400, 57600, 1200)


def numbers(text: str, what: str, allowed: Sequence[int]) -> list[int]:
    """Numbers and ranges of them, as `1,3,10-20`, in this order and each once.

    >>> numbers("3,1-2,2", "unit", range(10))
    [3, 1, 2]
    """
    found: dict[int, None] = {}
    for part in text.replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if not (first.isascii() and first.isdigit() and (not dash or last.isdigit())):
            raise ValueError(f"{text!r} is not a list of {what}s, as 1,3 or 1-247")
        ends = int(first), int(last or first)
        if ends[0] > ends[1] or ends[0] not in allowed or ends[1] not in allowed:
            raise ValueError(f"{part!r}: a {what} is between {min(allowed)} and {max(allowed)}")
        found |= dict.fromkeys(number for number in range(ends[0], ends[1] + 1) if number in allowed)
    return list(found)


def lines(bauds: str, parities: str, own: Line) -> list[Line]:
    """The ways of speaking on a serial line to try, the likeliest first. bauds: `all`, or a list."""
    speeds = list(COMMON_BAUDS) if bauds == "all" else numbers(bauds, "baud rate", BAUDS)
    kinds = [kind.strip().upper() for kind in parities.split(",")]
    if wrong := [kind for kind in kinds if kind not in PARITIES]:
        raise ValueError(f"parity {wrong[0]!r} is not one of {', '.join(PARITIES)}")
    return [Line(baud=baud, parity=kind, stopbits=own.stopbits) for kind in kinds for baud in speeds]


def quick_units(link: Link) -> list[int]:
    """Units that are likely where that of the link does not answer."""
    return [unit for unit in QUICK_UNITS.get(link.kind, QUICK) if unit != link.unit]


def expected(text: str, profile: Profile | None, known: Parameters) -> list[Quantity]:
    """What is expected: `SO2,O2=8.1`, with what the display shows; the range is that of the profile where it has one.

    Without a text it is everything the profile has.
    """
    found: list[Quantity] = []
    for part in (
        filter(None, (part.strip() for part in text.split(","))) if text else (profile.parameters if profile else ())
    ):
        name, equals, shown = part.partition("=")
        parameter = known.find(name.strip())
        if parameter is None:
            raise ValueError(f"{name.strip()!r} is no parameter; as {', '.join(list(known)[:6])} ..")
        low = high = None
        if profile and parameter.code in profile.parameters:
            own = profile.register(parameter.code)
            low, high = own.low, own.high
        one = quantity(parameter, low, high)
        if any(other.name == one.name for other in found):
            raise ValueError(f"{one.name} is expected twice")
        found.append(one.shows(read_shown(shown, parameter)) if equals else one)
    return found


def survey(address: int | None, count: int, functions: Sequence[int], most: int) -> Survey:
    """Which registers are looked for: those named, or wherever registers usually are."""
    if address is None:
        return everything(functions, most=most)
    return Survey([Block(fc, address, count) for fc in functions], most=most)
