"""What can be wrong with an instrument, on demand.

A fault is written `[SENSOR:]KIND[=ARGUMENT]`, as `silent`, `cems-1:exception=4` or `slm-north:late=2.5`;
without a sensor it befalls all of them. Some faults change what the instrument measures (`instant`,
`disguise`), the others what it puts on the wire (`replies`). FAULTS says what each one does.
Pure: the server asks, this module decides.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import numpy as np

from gateway.measurement import Float64, Status, UInt8
from simulators.modbus import HEADER, frame, refusal

# kind -> (what it does, what the argument says, its default; None = takes no argument)
FAULTS: dict[str, tuple[str, str, float | None]] = {
    "silent": ("never answers", "", None),
    "hangup": ("closes the connection at every request", "", None),
    "exception": ("answers every request with an exception", "code", 4),
    "short": ("answers with fewer registers than asked for", "registers missing", 1),
    "function": ("answers with another function", "function", 6),
    "unit": ("answers in the name of another unit", "unit", 99),
    "transaction": ("answers with another transaction number (not in RTU frames, which have none)", "how far off", 1),
    "crc": ("answers with a wrong check sum, or a wrong length where there is none", "", None),
    "half": ("sends only the beginning of its answer", "bytes of it", 4),
    "noise": ("sends other bytes before its answer", "how many", 3),
    "twice": ("sends every answer twice", "", None),
    "echo": ("sends back the request before its answer, as an adapter that hears itself", "", None),
    "late": ("answers late", "delay [s]", 3),
    "stuck": ("repeats its first value for ever", "", None),
    "nan": ("has no value: the register holds NaN or what the maker writes instead", "", None),
    "key": ("its inputs hold, as if somebody had turned the key", "", None),
    "status": ("reports a status other than ok", "code of the status", Status.FAULT.value),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one sensor. sensor: "" = of all. argument: see FAULTS."""

    sensor: str
    kind: str
    argument: float

    def befalls(self, sensor: str) -> bool:
        """Whether a sensor has it."""
        return self.sensor in ("", sensor)


def parse_fault(text: str) -> Fault:
    """The fault a text names; ValueError says what is wrong with it.

    >>> parse_fault("cems-1:exception=2")
    Fault(sensor='cems-1', kind='exception', argument=2.0)
    """
    sensor, _, rest = text.rpartition(":")
    kind, _, argument = rest.partition("=")
    if kind not in FAULTS:
        near = difflib.get_close_matches(kind, FAULTS, 1)
        raise ValueError(f"fault {kind!r} is not known; " + (f"did you mean {near[0]!r}?" if near else known()))
    default = FAULTS[kind][2]
    if default is None:
        if argument:
            raise ValueError(f"fault {kind!r} takes no argument")
        return Fault(sensor, kind, 0.0)
    try:
        number = float(argument) if argument else float(default)
    except ValueError as error:
        raise ValueError(f"fault {text!r}: {argument!r} is not a number") from error
    if not 0 <= number <= 65535:
        raise ValueError(f"fault {text!r}: {argument} is outside 0 to 65535")
    return Fault(sensor, kind, number)


def known() -> str:
    """All kinds of faults in one line."""
    return "faults: " + ", ".join(FAULTS)


def instant(fault: Fault | None, now_ns: int, started_ns: int) -> int:
    """The instant whose values the instrument shows."""
    return started_ns if fault and fault.kind == "stuck" else now_ns


def disguise(fault: Fault | None, value: Float64, status: UInt8) -> tuple[Float64, UInt8]:
    """Values and statuses as the faulty instrument has them."""
    if fault and fault.kind == "nan":
        return np.full_like(value, np.nan), status
    if fault and fault.kind == "status":
        return value, np.full_like(status, int(fault.argument))
    return value, status


def delay_s(fault: Fault | None) -> float:
    """How long the instrument waits before it answers. [s]"""
    return fault.argument if fault and fault.kind == "late" else 0.0


def replies(fault: Fault | None, transaction: int | None, unit: int, pdu: bytes, request: bytes = b"") -> bytes | None:
    """The bytes on the wire for a reply PDU; empty = nothing is sent, None = the connection is closed.

    transaction: None = RTU frames. request: the PDU that is answered.
    """
    right = frame(transaction, unit, pdu)
    if fault is None:
        return right
    number = int(fault.argument)
    match fault.kind:
        case "silent":
            return b""
        case "hangup":
            return None
        case "exception":
            return frame(transaction, unit, refusal(pdu[0] & 0x7F, number & 0xFF))
        case "short":
            data = pdu[2 : len(pdu) - 2 * number]
            return frame(transaction, unit, bytes((pdu[0], len(data))) + data)
        case "function":
            return frame(transaction, unit, bytes((number & 0xFF,)) + pdu[1:])
        case "unit":
            return frame(transaction, number & 0xFF, pdu)
        case "transaction" if transaction is not None:
            return frame((transaction + number) & 0xFFFF, unit, pdu)
        case "crc":
            wrong = bytearray(right)
            wrong[-1 if transaction is None else HEADER.size - 2] ^= 1
            return bytes(wrong)
        case "half":
            return right[:number]
        case "noise":
            return bytes((0x55 + 7 * n) & 0xFF for n in range(number)) + right
        case "twice":
            return right + right
        case "echo":
            return frame(transaction, unit, request) + right
    return right
