"""What the collector noticed and somebody has to know: an entry of the journal like any other.

Events stand in the journal, so they are append-only, have a position, and are followed by cursor.
Their payload is JSON, for people and for other programs. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from collector.shifts import REBASED
from collector.store import Entry, EntryKind


class What(StrEnum):
    """What was noticed."""

    GAP = "gap"
    CONFLICT = "conflict"
    CHAIN_BREAK = "chain_break"
    DISK_LOST = "disk_lost"
    DUPLICATE_IDENTITY = "duplicate_identity"
    REPLACED = "replaced"
    REBASED = REBASED
    GATEWAY = "gateway"  # what a gateway noticed of itself
    SETTINGS = "settings"  # how an instrument is set, when that was first read back
    SETTING_CHANGED = "setting_changed"
    OTHER_INSTRUMENT = "other_instrument"  # not the serial number of the site file
    CONFIG_CHANGED = "config_changed"
    CONFIG_UNSIGNED = "config_unsigned"
    COMMISSIONING = "commissioning"  # nobody is told of incidents at some points, or is again
    # The collector's own clock was set.
    CLOCK_BACK = "clock_back"
    CLOCK_AHEAD = "clock_ahead"
    # What was done with the journal.
    RESTORED = "restored"
    REPLAYED = "replayed"
    MONTH_SEALED = "month_sealed"
    MONTH_ARCHIVED = "month_archived"
    MONTH_ATTACHED = "month_attached"
    MONTH_EXPIRED = "month_expired"
    # Messages that are not believed, by the reason.
    OVERSIZE = "oversize"
    FLOOD = "flood"
    RETAINED = "retained"
    STRANGER = "stranger"
    KEYLESS = "keyless"
    REVOKED = "revoked"
    BAD_SIGNATURE = "bad_signature"
    NO_NUMBER = "no_number"
    POISON = "poison"


# All others are security events: they mean that somebody, or a disk, may have altered what was measured.
_HARMLESS = frozenset({
    What.GAP, What.REPLACED, What.REBASED, What.GATEWAY, What.SETTINGS, What.KEYLESS, What.CONFIG_CHANGED,
    What.COMMISSIONING, What.CLOCK_BACK, What.CLOCK_AHEAD, What.REPLAYED,
    What.MONTH_SEALED, What.MONTH_ARCHIVED, What.MONTH_ATTACHED, What.MONTH_EXPIRED,
})  # fmt: skip


class Event(msgspec.Struct, frozen=True):
    """One event. text: a sentence. detail: its figures, by kind. security: whether it may mean tampering."""

    what: str
    text: str
    security: bool = True
    detail: dict[str, Any] = {}


def entry(
    what: What, gateway: str, epoch: bytes, received_ns: int, text: str, detail: Mapping[str, Any] | None = None
) -> Entry:
    """The journal entry of an event."""
    event = Event(what, text, what not in _HARMLESS, dict(detail or {}))
    return Entry(0, received_ns, EntryKind.EVENT, gateway, epoch, payload=msgspec.json.encode(event))


_event = msgspec.json.Decoder(Event).decode


def event(entry: Entry) -> Event:
    """The event in a journal entry of that kind."""
    assert entry.kind is EntryKind.EVENT, f"entry {entry.position} is a {entry.kind}"
    return _event(entry.payload)
