"""Instants as people and scripts write them: RFC 3339 at the interface, nanoseconds inside. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import numpy as np

from gateway.measurement import SECOND_NS, Int64

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+ -]\d\d:\d\d)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What 64 bits of nanoseconds can hold; an instant outside is a slip of the pen.
_FIRST, _LAST = datetime(1678, 1, 1, tzinfo=UTC), datetime(2262, 1, 1, tzinfo=UTC)


def parse_time(text: str) -> int:
    """The instant of an RFC 3339 text, which must say its offset; ValueError says what is wrong. [ns since 1970 UTC]

    A blank before the offset is taken for the plus sign that an unquoted URL loses.
    >>> parse_time("1970-01-01T08:00:01.5+08:00")
    1500000000
    """
    found = _RFC3339.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is not an RFC 3339 time like 2026-11-21T08:00:00Z or 2026-11-21T16:00:00+08:00")
    day, clock, fraction, offset = found.groups()
    offset = "+00:00" if offset in "Zz" else offset.replace(" ", "+")
    try:
        instant = datetime.fromisoformat(f"{day}T{clock}{offset}")
    except ValueError as error:
        raise ValueError(f"{text!r} is not a time: {error}") from error
    if not _FIRST <= instant <= _LAST:
        raise ValueError(f"{text!r} is outside the years 1678 to 2262")
    whole = (instant - _EPOCH) // timedelta(seconds=1)
    return whole * SECOND_NS + int((fraction or "0").ljust(9, "0"))


def format_time(time_ns: int) -> str:
    """RFC 3339 in UTC, with as much of a fraction as there is.

    >>> format_time(1_500_000_000)
    '1970-01-01T00:00:01.5Z'
    """
    return format_times(np.array([time_ns], np.int64))[0]


def format_times(time_ns: Int64) -> list[str]:
    """RFC 3339 in UTC of many instants, shape (n,); the fraction is as short as each allows."""
    whole = bool(np.all(time_ns % SECOND_NS == 0))
    texts: list[str] = np.datetime_as_string(time_ns.view("datetime64[ns]"), unit="s" if whole else "ns").tolist()
    if whole:
        return [f"{text}Z" for text in texts]
    return [f"{text.rstrip('0').rstrip('.')}Z" for text in texts]
