"""What stands between the outbox and the collector, as a state that an operator can act on.

The broker's answers to publishing (MQTT 5 reason codes) and the collector's silence become one word
and one hint. A broker may answer batch by batch differently, so a refusal ends only when nothing was
refused for a while, and each change is told once. Over MQTT 3.1.1 a broker cannot refuse: there,
silence is all that shows.

Pure. Source: MQTT 5.0, 2.4 (reason codes).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gateway.measurement import SECOND_NS

CALM_NS = 5 * SECOND_NS  # without a refusal, after which a success counts again
FAILURE = 0x80  # reason codes from here on are refusals


@dataclass(frozen=True, slots=True)
class Obstacle:
    """state: a word for machines. what, hint: for people."""

    state: str
    what: str
    hint: str


NONE = Obstacle("ok", "", "")
SILENT = Obstacle(
    "silent", "the collector acknowledges nothing", "see whether the collector runs and uses the same broker"
)
REASONS: Mapping[int, Obstacle] = MappingProxyType({
    0x10: Obstacle("no_subscriber", "no collector listens", "start the collector; let it subscribe to em/v1/+/up"),
    0x87: Obstacle("not_authorized", "the broker forbids publishing", "check the broker's access rules for this user"),
    0x95: Obstacle("packet_too_large", "the broker takes no batch of this size", "raise its max_packet_size to 256 kB"),
    0x97: Obstacle("quota_exceeded", "the broker's quota is used up", "raise its queue and message limits"),
})  # fmt: skip


def obstacle(code: int) -> Obstacle:
    """What a reason code of the broker means; NONE where it is no refusal."""
    if known := REASONS.get(code):
        return known
    return (
        Obstacle("refused", f"the broker refuses with reason 0x{code:02x}", "see the broker's log")
        if (code >= FAILURE)
        else NONE
    )


class Delivery:
    """How delivery stands. since_ns: when that began (monotonic). refused: answers that were refusals."""

    def __init__(self) -> None:
        self._refusal, self._silent = NONE, False
        self._refused_ns = 0
        self.since_ns = 0
        self.refused = 0

    @property
    def now(self) -> Obstacle:
        """What is in the way: the broker's refusal explains more than the silence it leads to."""
        return self._refusal if self._refusal is not NONE else SILENT if self._silent else NONE

    def answered(self, code: int, now_ns: int) -> Obstacle | None:
        """The broker has answered a publish, or ended the connection; the state, if it is another one now."""
        before, found = self.now, obstacle(code)
        if found is not NONE:
            self._refusal, self._refused_ns = found, now_ns
            self.refused += 1
        elif now_ns - self._refused_ns >= CALM_NS:
            self._refusal = NONE
        return self._change(before, now_ns)

    def heard(self, now_ns: int, *, progress: bool) -> Obstacle | None:
        """The collector has spoken; the state, if it is another one now. progress: it has taken batches."""
        before, self._silent = self.now, False
        if progress and now_ns - self._refused_ns >= CALM_NS:
            self._refusal = NONE
        return self._change(before, now_ns)

    def silence(self, now_ns: int) -> Obstacle | None:
        """The collector has not answered for too long; the state, if it is another one now."""
        before, self._silent = self.now, True
        return self._change(before, now_ns)

    def _change(self, before: Obstacle, now_ns: int) -> Obstacle | None:
        if self.now == before:
            return None
        self.since_ns = now_ns
        return self.now
