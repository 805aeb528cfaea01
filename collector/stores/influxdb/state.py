"""How far the store is, kept in the server beside the measurements.

    emitwatch_state,id=0,part=cursor text="{...}" <time>

One point a thing: the cursor with the position in the journal, every stream (gateway and epoch) with its batches
that are in the store and its moves, every series. Rules of this file:

- it is written in one request after the measurements it speaks of were acknowledged, the cursor last: what it does
  not name counts as not there, whatever a crash has left;
- points of one hour overwrite one another, and in each new hour everything is written again: so it is as young as
  the newest measurements, and no retention policy takes it before them.

Pure: text in, text out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import msgspec

from collector.shifts import Shifts
from collector.store import Shift, StoreError
from collector.stores.influxdb.lines import line
from collector.stores.influxdb.ranges import Ranges
from gateway.measurement import SECOND_NS, Series

STATE = "emitwatch_state"
LAYOUT = 1
SLOT_NS = 3600 * SECOND_NS
_CURSOR, _STREAM, _SERIES = "cursor", "stream", "series"


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream: who sent it, and which of its batches are in the store."""

    gateway: str
    epoch: bytes
    batches: Ranges = field(default_factory=Ranges.of)

    @property
    def number(self) -> int:
        """How measurements name it: a part of a hash, so that it is the same in every rebuild. Below 2^48."""
        return stream_number(self.gateway, self.epoch)


def stream_number(gateway: str, epoch: bytes) -> int:
    """The number of a stream, exact in a float."""
    return int.from_bytes(hashlib.sha256(gateway.encode() + b"\0" + epoch).digest()[:6])


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is in the store. position: of the journal. received_ns: the last receipt. slot_ns: time of its points.

    writer: who wrote it last.
    """

    position: int = 0
    received_ns: int = 0
    slot_ns: int = -(2**62)
    writer: str = ""
    streams: dict[int, Stream] = field(default_factory=dict)
    series: tuple[Series, ...] = ()
    shifts: tuple[Shift, ...] = ()

    def moves(self) -> Shifts:
        """The moves that are known."""
        return Shifts(self.shifts)


class _Text(msgspec.Struct, omit_defaults=True):
    """A point's text, whatever it is of."""

    part: str
    layout: int = 0
    position: int = 0
    received_ns: int = 0
    writer: str = ""
    gateway: str = ""
    epoch: str = ""
    batches: list[tuple[int, int]] = []
    shifts: list[tuple[int, int, int, int]] = []
    series: tuple[str, str, str, str, str] = ("", "", "", "", "")


_decode = msgspec.json.Decoder(_Text).decode
_encode = msgspec.json.Encoder().encode


def read(texts: Iterable[tuple[int, str]]) -> State:
    """The state that its points tell: (time, text) each; raises StoreError for what another version wrote."""
    state, streams, series, shifts = State(), {}, [], []
    for time_ns, text in texts:
        try:
            told = _decode(text)
        except msgspec.DecodeError as error:
            raise StoreError(f"{STATE}: not what emitwatch writes there: {error}; run `emitwatch rebuild`") from error
        if told.part == _CURSOR:
            if told.layout != LAYOUT:
                raise StoreError(f"{STATE}: layout {told.layout} is of another version; run `emitwatch rebuild`")
            state = State(
                position=told.position, received_ns=told.received_ns, writer=told.writer, slot_ns=time_ns
            )  # fmt: skip
        elif told.part == _STREAM:
            one = Stream(told.gateway, bytes.fromhex(told.epoch), Ranges.of(told.batches))
            streams[one.number] = one
            shifts += [Shift(one.gateway, one.epoch, *shift) for shift in told.shifts]
        else:
            series.append(Series(*told.series))
    if not state.position:  # without a cursor nothing else is believed
        return State()
    return replace(state, streams=streams, series=tuple(sorted(series)), shifts=tuple(sorted(shifts)))


def lines(state: State, before: State) -> list[str]:
    """What has to be written where `state` follows `before`; the cursor last."""
    anew = state.slot_ns != before.slot_ns
    moved = set(state.shifts) != set(before.shifts)
    written = []
    for number, stream in state.streams.items():
        if anew or moved or before.streams.get(number) is not stream:
            shifts = [
                (s.from_seq, s.to_seq, s.shift_ns, s.told_in)
                for s in state.shifts if (s.gateway, s.epoch) == (stream.gateway, stream.epoch)
            ]  # fmt: skip
            text = _Text(
                _STREAM, gateway=stream.gateway, epoch=stream.epoch.hex(), batches=stream.batches.pairs(), shifts=shifts
            )
            written.append(_line(_STREAM, str(number), text, state.slot_ns))
    known = set() if anew else set(before.series)
    for one in state.series:
        if one not in known:
            named = (one.plant, one.point, one.sensor, one.parameter, one.unit)
            name = hashlib.sha256("\0".join(named).encode()).hexdigest()[:16]
            written.append(_line(_SERIES, name, _Text(_SERIES, series=named), state.slot_ns))
    cursor = _Text(_CURSOR, layout=LAYOUT, position=state.position, received_ns=state.received_ns, writer=state.writer)
    return [*written, _line(_CURSOR, "0", cursor, state.slot_ns)]


def slot(before: State, now_ns: int) -> int:
    """The time of a state's points: the hour, which never goes back."""
    return max(before.slot_ns, now_ns // SLOT_NS * SLOT_NS)


def _line(part: str, id: str, text: _Text, time_ns: int) -> str:
    return line(STATE, {"part": part, "id": id}, {"text": _encode(text).decode()}, time_ns)
