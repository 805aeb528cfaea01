"""InfluxDB's line protocol: text that servers parse, made by column.

    measurement,again=1,parameter=LAeq,plant=riverside,... value=60.1,status=0,... 1793500000000000000

Rules of this file:

- times are nanoseconds, numbers are floats: other precisions are misread by some servers, and a field
  that is an integer first refuses every float after it;
- a value that is missing is no field at all, since no server takes NaN; its status is always there;
- an empty tag is left out, since servers refuse it; it reads back as "".

Pure. Source: the InfluxDB line protocol reference; escapes as in influxdb's `models` package.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import chain, repeat
from math import inf
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from gateway.measurement import Float64, Int64, Series, UInt8

Value: TypeAlias = float | bool | int | str
MEASUREMENT = "measurement"
TAGS = ("parameter", "plant", "point", "sensor", "unit")
AGAIN = "again"
FIELDS = ("value", "status", "stream", "seq", "index", "moved_s", "moved_ns")
SECOND_NS = 1_000_000_000

_NAME = str.maketrans({",": "\\,", " ": "\\ "})
_TAG = str.maketrans({",": "\\,", " ": "\\ ", "=": "\\="})
_STRING = str.maketrans({"\\": "\\\\", '"': '\\"'})
# What no tag can hold: it would end the line, or escape what follows it.
_WILD = re.compile("[\x00-\x1f\x7f\\\\␛]")
_TAMED = re.compile("␛([0-9a-f]+);")


def line(name: str, tags: Mapping[str, str], fields: Mapping[str, Value], time_ns: int) -> str:
    """One point. Empty tags are left out; raises ValueError where no field has a value."""
    head = "".join(f",{key.translate(_TAG)}={tags[key].translate(_TAG)}" for key in sorted(tags) if tags[key])
    kept = [f"{key.translate(_TAG)}={text}" for key, value in fields.items() if (text := _field(value))]
    if not kept:
        raise ValueError(f"{name} at {time_ns}: no field has a value")
    return f"{name.translate(_NAME)}{head} {','.join(kept)} {time_ns}"


def _field(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}i"
    if isinstance(value, str):
        return f'"{value.translate(_STRING)}"'
    return repr(value).removesuffix(".0") if -inf < value < inf else ""


def tame(text: str) -> str:
    """A name as a tag can hold it; `wild` gives it back."""
    return _WILD.sub(lambda found: f"␛{ord(found[0]):x};", text)


def wild(text: str) -> str:
    """The name that a tag stands for.

    >>> wild(tame("a\\n")) == "a\\n", tame("mg/m3")
    (True, 'mg/m3')
    """
    return _TAMED.sub(lambda found: chr(int(found[1], 16)), text)


def tags(series: Series, again: int = 0) -> dict[str, str]:
    """The tags of a series. again: how many were there before at the same instant."""
    named = {key: tame(getattr(series, key)) for key in TAGS}
    return {**named, AGAIN: str(again)} if again else named


def encode(
    heads: Sequence[str], head: npt.NDArray[np.intp], time_ns: Int64, value: Float64, status: UInt8,
    key: tuple[Int64, npt.NDArray[np.uint64], npt.NDArray[np.uint16]], moved_ns: Int64 | None = None,
) -> list[str]:  # fmt: skip
    """The lines of some measurements, without line ends.

    heads: text up to the fields, of `head_of`. head: which of them row i has, shape (n,).
    time_ns, value, status: shape (n,), NaN or infinite = missing. key: stream number, batch number and place in
    the batch, each of shape (n,), below 2^53. moved_ns: by how much times were moved, shape (n,); None = not.
    """
    stream, seq, index = key
    if not len(seq):
        return []
    turn = np.ones(len(seq), np.bool_)
    turn[1:] = (seq[1:] != seq[:-1]) | (stream[1:] != stream[:-1])
    first = np.flatnonzero(turn)
    counts = np.diff(np.append(first, len(seq))).tolist()
    batch = [f",stream={a},seq={b},index=" for a, b in zip(stream[first].tolist(), seq[first].tolist(), strict=True)]
    keys = chain.from_iterable(map(repeat, batch, counts))
    table = [f"status={code}" for code in range(256)]
    numbers = list(map(repr, value.tolist()))
    for missing in np.flatnonzero(~np.isfinite(value)).tolist():
        numbers[missing] = ""
    return [
        f"{heads[h]}value={v},{table[s]}{k}{i} {t}" if v else f"{heads[h]}{table[s]}{k}{i} {t}"
        for h, v, s, k, i, t in zip(
            head.tolist(), numbers, status.tolist(), keys, _places(index, moved_ns), time_ns.tolist(), strict=True
        )
    ]


def _places(index: npt.NDArray[np.uint16], moved_ns: Int64 | None) -> Sequence[object]:
    """The end of each row's fields: its place, and the move where there is one."""
    places: list[int] = index.tolist()
    if moved_ns is None or not moved_ns.any():
        return places
    # Two floats hold what one float cannot hold exactly.
    seconds, rest = np.divmod(moved_ns, SECOND_NS)
    told = zip(places, seconds.tolist(), rest.tolist(), strict=True)
    return [f"{place},moved_s={s},moved_ns={ns}" if s or ns else place for place, s, ns in told]


def head_of(series: Series, again: int = 0) -> str:
    """The text before the fields of a series' lines."""
    named = tags(series, again)
    return f"{MEASUREMENT}{''.join(f',{k}={named[k].translate(_TAG)}' for k in sorted(named) if named[k])} "
