"""Who is not listened to for a while: a gateway whose messages are not believed and come in floods.

To examine a message costs more than to send one, and the broker hands messages out in the order in which they came: so
one client that sends without end keeps all others waiting, whatever the collector thinks of its messages. The only
remedy is not to have them delivered. Rules of this file:

- it takes LIMIT messages within PERIOD_NS that are not believed; a gateway that is honest and wrongly set up sends its
  window again every few seconds and stays below. A batch that is sealed by its gateway and cannot be read is none of
  these: a gateway with a newer version may have thousands;
- the first exclusion takes MUTE_NS, each further one twice as long, up to MOST_NS; an hour of peace ends the count;
- all unknown gateways are one.

Pure: what messages are, and a monotonic clock, come in.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from collector.intake.events import What

SECOND_NS = 1_000_000_000
LIMIT, PERIOD_NS = 500, 10 * SECOND_NS
MUTE_NS, MOST_NS = 60 * SECOND_NS, 3600 * SECOND_NS
STRANGERS = ""


@dataclass(slots=True)
class _Record:
    """Of one gateway. since_ns, count: of the present period. until_ns: excluded until then. times: in a row."""

    since_ns: int = 0
    count: int = 0
    until_ns: int = 0
    times: int = 0


class Exclusion:
    """The gateways that are not listened to now."""

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}

    def note(self, gateway: str, what: What | None, known: Collection[str], now_ns: int) -> float:
        """A message came in; for how long its gateway is excluded from now on, 0 = it is not, or it was already. [s]"""
        if what is None or what is What.POISON:
            return 0
        record = self._records.setdefault(gateway if gateway in known else STRANGERS, _Record(now_ns))
        if now_ns - record.since_ns > PERIOD_NS:
            record.since_ns, record.count = now_ns, 0
        record.count += 1
        if record.count < LIMIT or now_ns < record.until_ns:
            return 0
        record.times = record.times + 1 if now_ns - record.until_ns < MOST_NS and record.until_ns else 1
        mute_ns = min(MUTE_NS << (record.times - 1), MOST_NS)
        record.until_ns, record.count = now_ns + mute_ns, 0
        return mute_ns / SECOND_NS

    def excluded(self, now_ns: int) -> Mapping[str, int]:
        """Who is excluded, and until when; STRANGERS = every gateway that is not known. [ns, monotonic]"""
        return {gateway: record.until_ns for gateway, record in self._records.items() if now_ns < record.until_ns}
