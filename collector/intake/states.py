"""What gateways say of themselves, beside what they measured: the newest state of each.

A state is not signed and not journalled: the broker's access list alone says who may write it, so it is shown, and
nothing is judged by it. Rules:

- only of gateways that are known, only the newest, only as many bytes as an honest one sends;
- it is read when somebody asks for it, so that a flood of states costs next to nothing;
- of what it says only figures are passed on that are known here, and of sensors only those of the site file.

Pure. Source: docs/reference/wire.md, State.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gateway.measurement import SECOND_NS

MAX_BYTES = 1 << 16  # a hundred sensors with a problem each are some 40 kB
_TEXT = 200
_Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
_Number = Annotated[float, Meta(ge=-1e15, le=1e15)]


class _Sensors(msgspec.Struct, frozen=True):
    all: _Count | None = None
    answering: _Count | None = None
    silent: _Count | None = None
    oldest_good_s: _Number | None = None


class _Storage(msgspec.Struct, frozen=True):
    used_bytes: _Count | None = None
    waiting_bytes: _Count | None = None
    limit_bytes: _Count | None = None
    disk_free_bytes: _Count | None = None
    share: _Number | None = None
    hours_left: _Number | None = None
    alarm: _Count | None = None


class _Clock(msgspec.Struct, frozen=True):
    standing: str = ""
    steps: _Count | None = None
    off_s: _Number | None = None


class _State(msgspec.Struct, frozen=True):
    """The figures of a state that are passed on; None = it does not say."""

    state: str = ""
    time: str = ""
    sensors: _Sensors = _Sensors()
    good_s: dict[str, _Number] = {}
    storage: _Storage = _Storage()
    clock: _Clock = _Clock()
    polls_answered: _Count | None = None
    polls_failed: _Count | None = None
    ticks_unserved: _Count | None = None
    sealed_batches: _Count | None = None
    sealed_values: _Count | None = None
    acked_batches: _Count | None = None
    unacked_batches: _Count | None = None
    resent_batches: _Count | None = None
    refused_batches: _Count | None = None
    waiting_values: _Count | None = None
    dropped: _Count | None = None


class _Kept(msgspec.Struct, frozen=True):
    """A state as it came. at_ns: when, monotonic. retained: the broker had it from before."""

    payload: bytes
    at_ns: int
    retained: bool


_state = msgspec.json.Decoder(_State).decode


class States:
    """The newest state of each gateway. Safe to use from any thread."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def note(self, gateway: str, payload: bytes, now_ns: int, *, retained: bool) -> None:
        """A state of a known gateway has come. now_ns: monotonic. retained: the broker had it from before."""
        kept = self._kept.get(gateway)
        if retained and kept and kept.payload == payload[: MAX_BYTES + 1]:
            return  # it comes again at each connection, and is no younger
        self._kept[gateway] = _Kept(payload[: MAX_BYTES + 1], now_ns, retained)

    def told(self, gateway: str, sensors: Collection[str], now_ns: int) -> dict[str, Any]:
        """What a gateway says of itself, for `health`. sensors: ids of those that it polls by the site file.

        age_s: how long ago it came, null = none did; online: what it says; problem: why it cannot be read.
        good_s: how long ago the last good value of each sensor was, of those it names. [s]
        """
        kept = self._kept.get(gateway)
        if kept is None:
            return {"age_s": None, "online": None, "problem": ""}
        told: dict[str, Any] = {"age_s": round((now_ns - kept.at_ns) / SECOND_NS, 1), "retained": kept.retained}
        try:
            if len(kept.payload) > MAX_BYTES:
                return told | {"online": None, "problem": f"more than {MAX_BYTES} bytes"}
            found = _state(kept.payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return told | {"online": None, "problem": f"not a state: {error}"[:_TEXT]}
        figures = _figures(found, sensors)
        return told | {"online": found.state == "online", "problem": "", **figures}


def _figures(found: _State, sensors: Collection[str]) -> Mapping[str, Any]:
    told = {name: value for name, value in _plain(found).items() if name != "state"}
    told["good_s"] = {id: age_s for id, age_s in found.good_s.items() if id in sensors}
    return told


def _plain(struct: msgspec.Struct) -> dict[str, Any]:
    """What is said, by name; texts cut."""
    told = {}
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        if isinstance(value, msgspec.Struct):
            value = _plain(value)
        if value not in (None, "", {}):
            told[name] = value[:_TEXT] if isinstance(value, str) else value
    return told
