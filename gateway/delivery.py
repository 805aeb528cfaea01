"""What stands between the outbox and the collector, as a state that an operator can act on.

The broker's answers to publishing (MQTT 5 reason codes) and the collector's silence become one word
and one hint. A broker may answer batch by batch differently, so a refusal ends only when nothing was
refused for a while, and each change is told once. Over MQTT 3.1.1 a broker cannot refuse: there,
silence is all that shows.

Pure. Source: MQTT 5.0, 2.4 (reason codes).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
SILENT, DEAF = "silent", "no_acknowledgements"
_UNHEARD = Obstacle(
    DEAF, "the broker hands out no acknowledgements", "let this user read em/v1/{gateway}/down in its access rules"
)
_WAITED = "not acknowledged for 60 s"
_LOOK = "see whether the collector runs and uses the same broker"
REASONS: Mapping[int, Obstacle] = MappingProxyType({
    0x10: Obstacle("no_subscriber", "no collector listens", "start the collector; let it subscribe to em/v1/+/up"),
    0x87: Obstacle("not_authorized", "the broker forbids publishing", "check the broker's access rules for this user"),
    0x95: Obstacle("packet_too_large", "the broker takes no batch of this size", "raise its max_packet_size to 256 kB"),
    0x97: Obstacle("quota_exceeded", "the broker's quota is used up", "raise its queue and message limits"),
})  # fmt: skip
_UNREACHED = "see whether a broker runs there and [broker] url names it"
_REFUSED_AT_ONCE: Mapping[int, str] = MappingProxyType({
    0x80: "see the broker's log; with certificates, whether this one is revoked or has expired",
    0x84: "set [broker] protocol to the version that the broker speaks",
    0x85: "the broker does not like the gateway's id as client id",
    0x86: "check [broker] user and password_file",
    0x87: "check [broker] user, and that the broker knows it; with certificates, that this one is not revoked",
    0x9F: "too many connections in a short time; the gateway tries again",
})  # fmt: skip


def hint(code: int) -> str:
    """What to do about a broker that refuses the connection with a reason code; 0 = it was not reached at all."""
    return _REFUSED_AT_ONCE.get(code, "" if code else _UNREACHED)


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

    def __init__(self, *, mute: bool = False) -> None:
        """mute: the broker refuses without a word (MQTT 3.1.1)."""
        self._mute, self._refusal = mute, NONE
        self._silent = self._deaf = False
        self._refused_ns = 0
        self.since_ns = 0
        self.refused = 0

    @property
    def now(self) -> Obstacle:
        """What is in the way: the broker's refusal explains more than the silence it leads to."""
        why = self._refusal if self._refusal is not NONE else _UNHEARD if self._deaf else NONE
        if not self._silent:
            return why
        if why is not NONE:
            return replace(why, what=f"{_WAITED}: {why.what}")
        also = "; a broker that forbids publishing does not say so over MQTT 3.1.1: check its access rules too"
        return Obstacle(SILENT, _WAITED, _LOOK + also * self._mute)

    def answered(self, code: int, now_ns: int) -> Obstacle | None:
        """The broker has answered a publish, or ended the connection; the state, if it is another one now."""
        found = obstacle(code)
        if found is NONE and self._refusal is NONE:
            return None
        before = self.now
        if found is not NONE:
            self._refusal, self._refused_ns = found, now_ns
            self.refused += 1
        elif now_ns - self._refused_ns >= CALM_NS:
            self._refusal = NONE
        return self._change(before, now_ns)

    def heard(self, now_ns: int, *, progress: bool) -> Obstacle | None:
        """The collector has spoken; the state, if it is another one now. progress: it has taken batches."""
        if self._refusal is NONE and not self._silent and not self._deaf:
            return None
        before = self.now
        self._silent = self._deaf = False
        if progress and now_ns - self._refused_ns >= CALM_NS:
            self._refusal = NONE
        return self._change(before, now_ns)

    def silence(self, now_ns: int) -> Obstacle | None:
        """The collector has not answered for too long; the state, if it is another one now."""
        before, self._silent = self.now, True
        return self._change(before, now_ns)

    def deaf(self, now_ns: int) -> Obstacle | None:
        """The broker refuses to hand out acknowledgements; the state, if it is another one now."""
        before, self._deaf = self.now, True
        return self._change(before, now_ns)

    def _change(self, before: Obstacle, now_ns: int) -> Obstacle | None:
        if self.now.state == before.state:
            return None
        self.since_ns = now_ns
        return self.now
