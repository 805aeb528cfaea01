"""Diagnosis: what is wrong with a link or a device, told from what came back instead of an answer, and what to do.

A frame that is no answer says a lot to who knows frames: the echo of an adapter, transaction 0, the other framing,
another unit or function, a wrong check sum. So does an exception by its code, and how long answers take. Pure: bytes,
codes and durations in, sentences out.
Source: MODBUS Application Protocol V1.1b3, 7; MODBUS Messaging on TCP/IP V1.0b, 3.1.3; MODBUS over Serial Line V1.02.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from gateway.blocks import Block
from gateway.links.frames import crc, rtu_question, tcp_question

_MBAP = struct.Struct(">HHHB")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong, and what to do about it. kind: one word for scripts."""

    kind: str
    what: str
    do: str


_WIRING = "check polarity (A/B), shield, termination (120 ohm at both ends) and the distance to motor cables"

_TRY_OTHER = "try the other one, --fc 3 or --fc 4: the manual's 4xxxx is 3, its 3xxxx is 4"
_ASK_FEWER = (
    "ask for fewer, or one address up or down: manuals count from 0 or from 1; "
    "registers it does not have belong into the profile's holes"
)
_SHORTER = "ask for fewer: max_registers of the profile; some give certain requests alone: its requests"
EXCEPTIONS: Mapping[int, tuple[str, str]] = MappingProxyType({
    1: ("it does not know this function", _TRY_OTHER),
    2: ("it has no register at one of these addresses", _ASK_FEWER),
    3: ("it does not answer for so many at once", _SHORTER),
    4: ("it has a fault of its own", "look at its display; until then its values are worth nothing"),
    5: ("it is busy with a long task", "nothing: the gateway asks again; if it stays so, poll less often"),
    6: ("it is busy", "nothing: the gateway asks again; if it stays so, poll less often, or end the other master"),
    8: ("its memory is damaged", "have it repaired: what it says cannot be relied on"),
    10: ("the converter has no way to this unit", "check the converter's table of units, or the unit of the link"),
    11: ("the converter hears nothing of this unit", "check unit number, wiring and baud rate behind the converter"),
})  # fmt: skip


def exception(code: int) -> Diagnosis:
    """What an exception means and what to do.

    >>> exception(11).kind, exception(77).what
    ('exception 11', 'it answers with exception 77, which no standard knows')
    """
    unknown = (f"it answers with exception {code}, which no standard knows", "look for the code in its manual")
    return Diagnosis(f"exception {code}", *EXCEPTIONS.get(code, unknown))


def another_model(profile: str, missing: int, parameters: int) -> Diagnosis:
    """Most of what a profile reads is not there.

    >>> another_model("acme-1", 3, 4).what
    'it has no registers for 3 of the 4 parameters of acme-1'
    """
    what = f"it has no registers for {missing} of the {parameters} parameters of {profile}"
    return Diagnosis("other model", what, "is it this model, at this unit? emitwatch probe LINK shows what it has")


def another_unit(wanted: int, found: int) -> Diagnosis:
    """The unit that was asked for is silent, and one that nobody asked for answers."""
    what = f"unit {wanted} does not answer; all of this is unit {found}, which does"
    return Diagnosis("another unit", what, f"write unit={found} in the link, if that is the instrument")


def wrong_answer(kind: str, unit: int, block: Block, heard: bytes) -> Diagnosis:
    """What came back instead of an answer. kind: of the link. heard: from the request on, as far as it was kept."""
    if kind == "tcp":
        return _wrong_tcp(unit, block, heard)
    request = rtu_question(unit, block).request
    if heard.startswith(request):
        do = "switch the adapter's local echo off (many RS-485 adapters hear themselves)"
        return Diagnosis("echo", "the request comes back before the answer", do)
    if len(heard) >= _MBAP.size + 2 and heard[2:4] == b"\0\0" and heard[6] == unit and heard[7] & 0x7F == block.fc:
        return Diagnosis("framing", "it answers in frames of Modbus TCP", "write tcp:// instead of rtu+tcp://")
    return _wrong_rtu(unit, block, heard)


def _wrong_tcp(unit: int, block: Block, heard: bytes) -> Diagnosis:
    if len(heard) >= 5 and heard[0] == unit and heard[1] & 0x7F == block.fc and _framed(heard):
        do = "write rtu+tcp:// instead of tcp://, or set the converter to Modbus TCP"
        return Diagnosis("framing", "it answers in RTU frames, as a serial server does that only passes bytes on", do)
    if len(heard) < _MBAP.size + 1 or heard[2:4] != b"\0\0":
        return Diagnosis("garbage", "what comes back is no Modbus TCP", "check the port: another service may be there")
    transaction, _, length, other, function = struct.unpack_from(">HHHBB", heard + b"\0")
    if heard[7:12] == tcp_question(unit, block, 0).request[7:12]:
        do = "switch the echo of the converter off; behind it, that of the RS-485 adapter"
        return Diagnosis("echo", "the request comes back before the answer", do)
    if other != unit:
        return _other_unit(unit, other)
    if function & 0x7F != block.fc:
        return _other_function(block.fc, function)
    right = tcp_question(unit, block, transaction).forms
    if any(heard.startswith(form.head) for form in right):
        return _other_transaction(transaction)
    return _other_length(block, heard[8] if len(heard) > 8 else 0, length - 3)


def _other_transaction(transaction: int) -> Diagnosis:
    if transaction == 0:
        do = "add tid_zero_ok=true to the link (or tid_zero_ok = true to the profile): it is then asked with more care"
        return Diagnosis("transaction 0", "it answers with transaction 0 instead of the number it was asked with", do)
    do = "end other masters at the same converter; if it stays so the device cannot be used over Modbus TCP"
    return Diagnosis("transaction", f"it answers with transaction {transaction}, which is that of another request", do)


def _wrong_rtu(unit: int, block: Block, heard: bytes) -> Diagnosis:
    size = block.count if not block.bits else 0
    if heard and set(heard) <= {0x00, 0xFF}:
        return Diagnosis("speed", "only zeros and ones come back, at no moment a frame", "try baud rates: --bauds all")
    if len(heard) >= 5 and _framed(heard):
        if heard[0] != unit:
            return _other_unit(unit, heard[0])
        if heard[1] & 0x7F != block.fc:
            return _other_function(block.fc, heard[1])
        return _other_length(block, heard[2], len(heard) - 5)
    if len(heard) >= 3 and heard[0] == unit and heard[1] == block.fc:
        if size and heard[2] != 2 * size:
            return _other_length(block, heard[2], len(heard) - 5)
        return Diagnosis("check sum", "the answer's check sum is wrong: bits were lost on the way", _WIRING)
    do = f"try baud rates and parity: --bauds all; {_WIRING}"
    return Diagnosis("garbage", "what comes back is no frame that anybody could mean", do)


def _framed(heard: bytes) -> bool:
    return crc(heard[:-2]) == heard[-2:]


def _other_unit(unit: int, other: int) -> Diagnosis:
    do = f"write unit={other} if it is the only one there; else two devices may have one number"
    return Diagnosis("unit", f"unit {other} answers when unit {unit} is asked", do)


def _other_function(fc: int, function: int) -> Diagnosis:
    do = "it is no Modbus server, or another master talks to it meanwhile"
    return Diagnosis("function", f"function {function} comes back when {fc} was asked", do)


def _other_length(block: Block, said: int, came: int) -> Diagnosis:
    do = "ask for one register alone; if it stays so the device is not usable, and its maker wants to know"
    what = f"{block.count} {'bits' if block.bits else 'registers'} were asked for; its answer says {said} bytes"
    return Diagnosis("length", what + ("" if came == said else f", and has {max(came, 0)}"), do)


def no_answer(kind: str, unit: int, *, heard: bool) -> Diagnosis:
    """Silence. heard: some bytes came, but not a whole answer."""
    if heard:
        do = "raise the time-out; if it stays so: " + (
            _WIRING if kind == "rtu" else "check the line behind the converter"
        )
        return Diagnosis("half", "it begins to answer and does not go on", do)
    do = {
        "tcp": "check the unit (1 and 255 are usual; --units 1-247 looks for others), and that no other master has "
        "taken its only connection",
        "rtu+tcp": "check the unit (--units 1-247), and baud rate and parity in the serial server",
    }.get(kind, "check the unit (--units 1-247), baud rate and parity (--bauds all), A/B wires, and that it has power")
    return Diagnosis("silence", f"unit {unit} does not answer", do)


def hung_up(kind: str) -> Diagnosis:
    """The connection is closed instead of an answer."""
    other = "rtu+tcp://" if kind == "tcp" else "tcp://"
    do = f"it may speak the other framing ({other}), not know this unit, or have too many masters already"
    return Diagnosis("hang-up", "it closes the connection instead of answering", do)


def no_link(kind: str, text: str) -> Diagnosis:
    """No connection at all. text: what the system says."""
    low = text.lower()
    if kind == "rtu":
        if "permission" in low:
            do = "sudo usermod -aG dialout $USER, and log in again"
        elif "no such file" in low:
            do = "ls /dev/ttyUSB* /dev/ttyACM* /dev/serial/by-id/ shows the ports there are"
        else:
            do = "another program may have the port open: fuser -v DEVICE"
        return Diagnosis("no line", text, do)
    if "refused" in low or "111" in low:
        do = "nothing listens on this port: 502 is usual; the converter's web page names it"
    else:
        do = "check address, cable and network mask: ping HOST; a firewall may be in between"
    return Diagnosis("no connection", text, do)


@dataclass(slots=True)
class Tally:
    """What became of the requests so far. took_s: of those answered. [s] carried: bytes of requests and answers."""

    took_s: list[float] = field(default_factory=list)
    asked: int = 0
    refused: dict[int, int] = field(default_factory=dict)
    silent: int = 0
    bad: int = 0
    carried: int = 0
    busy_s: float = 0.0

    def summary(self) -> dict[str, float | int | dict[str, int] | None]:
        """All of it in numbers. [ms], [bytes/s]; None where nothing was answered."""
        took = np.array(self.took_s) * 1000
        known = len(took) > 0
        minimum, median, p99, highest = np.percentile(took, (0, 50, 99, 100)).round(3).tolist() if known else [None] * 4
        return {
            "requests": self.asked, "answers": len(self.took_s), "refusals": sum(self.refused.values()),
            "exceptions": {str(code): count for code, count in sorted(self.refused.items())},
            "time_outs": self.silent, "bad_frames": self.bad, "min_ms": minimum, "median_ms": median, "p99_ms": p99,
            "max_ms": highest, "bytes_a_second": round(self.carried / self.busy_s) if self.busy_s else 0,
        }  # fmt: skip


def frame_bytes(kind: str, block: Block) -> int:
    """What a request and its answer take on the wire."""
    data = (block.count + 7) // 8 if block.bits else 2 * block.count
    return data + (21 if kind == "tcp" else 13)


def cost(short: Sequence[float], long: Sequence[float], registers: int) -> tuple[float, float]:
    """What a request takes, and each register more, from how long one of 1 and one of so many take. [s]

    >>> cost([0.010, 0.011, 0.010], [0.020, 0.030, 0.020], 101)
    (0.01, 0.0001)
    """
    request, longer = float(np.median(short)), float(np.median(long))
    return round(request, 6), round(max(longer - request, 0.0) / max(registers - 1, 1), 9)
