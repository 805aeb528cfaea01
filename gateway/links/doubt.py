"""When a device may be asked again, and whether its next answer can be believed.

An RTU frame does not say which request it answers. Once an answer has not come in time, or was not
what it should have been, or nobody waited for it any longer, it may still come, and would fit the
next request of the same shape. So a request without its answer is owed one, and:

- nobody on the bus is asked before the line has been silent for 3.5 characters and the longest
  latency that the device has shown; what comes meanwhile starts the silence anew;
- the device itself is not asked for WAIT_TIMEOUTS time-outs more, within WAIT_S, unless the very
  answer that is owed comes in: then nothing is owed any more, and its latency has been learned;
- where it does not come, the next answer of the device only proves that it is alive: it is thrown
  away, the line has to fall silent again, and the device is asked once more. A device answers in the
  order in which it was asked, so whatever was owed has come before this last answer.

The longest latency is forgotten slowly, so that one bad day does not slow down a device for ever.
Modbus TCP has its transaction numbers and needs this for devices alone that send 0 instead.
Pure: `now_s` is monotonic. [s]
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.links.frames import Question
from gateway.links.link import BadAnswer, Refused

WAIT_TIMEOUTS = 4.0
WAIT_S = (0.25, 1.0)  # a device that comes back gives its first value within a poll and a second
LATENCY_MAX_S = 1.0  # no device makes a bus wait for longer
MARGIN_S = 0.01  # how much later than it comes a busy gateway may hear something
FORGET = 0.998  # of the longest latency, with each answer


@dataclass(slots=True)
class _Device:
    """One unit. longest_s: latency. owed: answers that may still come; question: the last of these, asked when."""

    longest_s: float = 0.0
    owed: int = 0
    question: Question | None = None
    asked_s: float = 0.0
    until_s: float = 0.0

    @property
    def window_s(self) -> float:
        """Silence after which it may be taken to have no more to say."""
        return min(self.longest_s, LATENCY_MAX_S) + MARGIN_S


@dataclass(slots=True)
class Doubt:
    """What is known of the devices on one bus. silence_s: what parts two frames on it."""

    silence_s: float
    window_s: float = 0.0  # of silence, besides, until the bus is calm again
    stirred_s: float = 0.0  # when it was last disturbed
    devices: dict[int, _Device] = field(default_factory=dict)

    def owes(self, unit: int) -> bool:
        """Whether an answer of a unit may be that to an earlier request."""
        return self._of(unit).owed > 0

    def answered(self, unit: int, latency_s: float) -> None:
        """A unit has answered in time."""
        device = self._of(unit)
        device.longest_s = max(latency_s, device.longest_s * FORGET)
        self.window_s = 0.0

    def missed(self, question: Question, asked_s: float, timeout_s: float, now_s: float) -> None:
        """The answer has not come, or was none: it may still come."""
        device = self._of(question.unit)
        device.owed, device.question, device.asked_s = device.owed + 1, question, asked_s
        device.until_s = now_s + min(max(WAIT_TIMEOUTS * timeout_s, WAIT_S[0]), WAIT_S[1])
        self._stir(device, now_s)

    def disturbed(self, unit: int, now_s: float) -> None:
        """Something came that nobody had asked for, so what comes next of this unit may be as old."""
        device = self._of(unit)
        device.owed, device.question = device.owed + 1, None
        self._stir(device, now_s)

    def settles(self, heard: bytes, heard_s: float) -> bool:
        """Whether what was heard since the last request is the one answer that is owed: then nothing is any more."""
        for device in self.devices.values():
            if device.owed == 1 and device.question is not None and _is_answer(device.question, heard):
                device.longest_s = max(device.longest_s, heard_s - device.asked_s)
                device.owed, device.until_s, self.window_s = 0, 0.0, 0.0
                return True
        return False

    def proved(self, unit: int) -> None:
        """A unit that owes has answered: once the line is silent, nothing is owed any more."""
        device = self._of(unit)
        device.owed, device.until_s, self.window_s = 0, 0.0, device.window_s

    def due_s(self, unit: int, heard_s: float, pause_s: float) -> float:
        """When a unit may be asked. heard_s: when the last byte came, or the connection was opened."""
        silence_s = max(self.silence_s, pause_s)
        due_s = heard_s + silence_s
        if self.window_s:
            due_s = max(heard_s, self.stirred_s) + silence_s + self.window_s
        return max(due_s, self._of(unit).until_s)

    def _of(self, unit: int) -> _Device:
        return self.devices.setdefault(unit, _Device())

    def _stir(self, device: _Device, now_s: float) -> None:
        self.stirred_s, self.window_s = now_s, max(self.window_s, device.window_s)


def _is_answer(question: Question, heard: bytes) -> bool:
    try:
        return question.answer(heard) is not None
    except Refused:
        return True
    except BadAnswer:
        return False
