"""The address of an instrument, as a site file writes it: which way, which unit, and what is odd about it.

    tcp://HOST:PORT?unit=1&tid_zero_ok=true            Modbus TCP
    rtu+tcp://HOST:PORT?unit=1&pause_ms=5              RTU frames over TCP, as a serial server passes them on
    rtu:///dev/ttyUSB0?baud=9600&parity=N&stopbits=1   RTU on a serial line

Pure: text in, a `Link` out, or a ValueError that says what is wrong with it.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

LINK_HINT = "tcp://HOST:PORT?unit=1, rtu+tcp://HOST:PORT?unit=1 or rtu:///dev/ttyUSB0?baud=9600&parity=N&unit=1"
BAUDS = (300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400)
PAUSE_MS_MAX = 1000.0
_UNITS = {"tcp": (*range(248), 255), "rtu+tcp": range(1, 248), "rtu": range(1, 248)}
_OPTIONS = {
    "tcp": ("unit", "tid_zero_ok", "pause_ms"),
    "rtu+tcp": ("unit", "pause_ms"),
    "rtu": ("unit", "baud", "parity", "stopbits", "pause_ms"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """What one device does that it should not. pause_s: silence it needs before a request. [s]

    tid_zero_ok: its answers carry transaction 0 instead of that of the request (Modbus TCP).
    """

    tid_zero_ok: bool = False
    pause_s: float = 0.0


PLAIN = Quirks()


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """How bytes travel on a serial line: 8 bits each. baud [1/s]. parity: N, E or O."""

    baud: int = 9600
    parity: str = "N"
    stopbits: int = 1

    @property
    def byte_s(self) -> float:
        """How long one byte takes. [s]"""
        return (1 + 8 + (self.parity != "N") + self.stopbits) / self.baud

    @property
    def silence_s(self) -> float:
        """What parts two frames: 3.5 characters, at least 1.75 ms. [s]

        Source: MODBUS over Serial Line V1.02, 2.5.1.1.
        """
        return max(3.5 * self.byte_s, 0.00175)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The way to an instrument. kind: tcp, rtu+tcp or rtu. address: host, or the serial device. port: 0 with rtu."""

    kind: str
    address: str
    port: int
    unit: int
    line: Line = Line()
    quirks: Quirks = PLAIN

    @property
    def bus(self) -> tuple[str, str, int]:
        """What all units behind one connection, or on one serial line, have in common."""
        return self.kind, self.address, self.port

    @property
    def numbered(self) -> bool:
        """Whether an answer says which request it belongs to."""
        return self.kind == "tcp" and not self.quirks.tid_zero_ok

    @property
    def options(self) -> dict[str, str]:
        """What else the address says, by name: the line of a serial link, and what is odd about the device."""
        line = self.line
        found = {"baud": str(line.baud), "parity": line.parity, "stopbits": str(line.stopbits)}
        found = found if self.kind == "rtu" else {}
        if self.quirks.tid_zero_ok:
            found["tid_zero_ok"] = "true"
        if self.quirks.pause_s:
            found["pause_ms"] = f"{self.quirks.pause_s * 1000:g}"
        return found


NO_LINK = Link(kind="", address="", port=0, unit=0)


def parse_link(text: str) -> Link:
    """The way to an instrument in a link address; ValueError says what is wrong with it.

    >>> parse_link("rtu:///dev/ttyS1?baud=19200&unit=7").line
    Line(baud=19200, parity='N', stopbits=1)
    """
    parts = urlsplit(text)
    kind = parts.scheme
    if kind not in _OPTIONS:
        raise ValueError(f"{text!r} is not a link address")
    if kind == "rtu":
        good = parts.path.startswith("/") and not parts.netloc
    else:
        good = bool(parts.hostname) and parts.port != 0 and not parts.path.strip("/") and parts.username is None
    if not good or parts.fragment:
        raise ValueError(f"{text!r} is not a link address")
    options = _options(kind, parts.query)
    address, port = (parts.path, 0) if kind == "rtu" else (parts.hostname or "", parts.port or 502)
    return Link(
        kind=kind, address=address, port=port, unit=_unit(kind, options.get("unit", "1")),
        line=_line(options), quirks=_quirks(options),
    )  # fmt: skip


def _options(kind: str, query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in _OPTIONS[kind]:
            near = difflib.get_close_matches(name, _OPTIONS[kind], 1)
            raise ValueError(
                f"{name!r} is no option of {kind}://; "
                + (f"did you mean {near[0]!r}?" if near else f"options: {', '.join(_OPTIONS[kind])}")
            )
        if name in options:
            raise ValueError(f"{name!r} stands there twice")
        options[name] = value
    return options


def _unit(kind: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) in _UNITS[kind]):
        known = "0 and 247, and not 255" if kind == "tcp" else "1 and 247 (0 is a broadcast, which nobody answers)"
        raise ValueError(f"unit {text!r} is not between {known}")
    return int(text)


def _line(options: dict[str, str]) -> Line:
    return Line(
        baud=int(_one_of(options, "baud", [str(baud) for baud in BAUDS], "9600")),
        parity=_one_of(options, "parity", ["N", "E", "O"], "N"),
        stopbits=int(_one_of(options, "stopbits", ["1", "2"], "1")),
    )


def _quirks(options: dict[str, str]) -> Quirks:
    text = options.get("pause_ms", "0")
    try:
        pause_ms = float(text)
    except ValueError:
        pause_ms = -1.0
    if not 0 <= pause_ms <= PAUSE_MS_MAX:
        raise ValueError(f"pause_ms {text!r} is not between 0 and {PAUSE_MS_MAX:g}")
    zero_ok = _one_of(options, "tid_zero_ok", ["true", "false"], "false") == "true"
    return Quirks(tid_zero_ok=zero_ok, pause_s=pause_ms / 1000)


def _one_of(options: dict[str, str], name: str, known: list[str], default: str) -> str:
    value = options.get(name, default)
    if value not in known:
        raise ValueError(f"{name} {value!r} is not one of {', '.join(known)}")
    return value
