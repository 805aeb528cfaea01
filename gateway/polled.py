"""One reading while it is polled: what is asked for now, and what is wrong, said once, and once that it is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from gateway.harvest import Reading
from gateway.links.address import Link
from gateway.links.link import LinkError, Refused, Remedy, policy
from gateway.measurement import Status
from gateway.plans import Plan, why

Note = Callable[[str, str, Mapping[str, Any]], None]  # takes what is to be recorded

_log = structlog.get_logger("gateway.poller")


@dataclass(slots=True)
class Poll:
    """A reading while it is polled. number: its place among all, -1 = it is polled no more. job: of its bus.

    ticket: of its last values, None = they are not put yet. problem: "" = it answers. alarmed: that it asks for what
    does not exist was told. plan: what is asked for now. narrowed_ns: since when that is less than all, 0 = it is all.
    lost: parameters of which something is refused, told already.
    """

    reading: Reading
    plan: Plan
    link: Link
    number: int
    job: int = -1
    ticket: int | None = 0
    problem: str = ""
    alarmed: bool = False
    narrowed_ns: int = 0
    lost: frozenset[str] = frozenset()
    answered: int = 0
    failed: int = 0
    unserved: int = 0

    def fails(self, error: LinkError, note: Note) -> Status:
        """It gave no values; the status of those that did not come."""
        self.failed += 1
        settings, text = self.reading.sensor.settings, str(error)
        remedy = policy(error.code).remedy if isinstance(error, Refused) else Remedy.AWAY
        if not self.problem:
            _log.warning(
                "An instrument gives no values; it is polled on, the others are not touched",
                sensor=settings.id, point=settings.point, profile=settings.profile, problem=text,
            )  # fmt: skip
        if remedy is Remedy.NONE and not self.alarmed:
            self.alarmed = True
            say = f"{settings.id} refuses what profile {settings.profile} asks for: {text}"
            note("configuration", say, {"sensor": settings.id, "profile": settings.profile, "problem": text})
        self.problem = text
        return Status.FAULT if remedy is Remedy.FAULT else Status.NO_COMM

    def say_lost(self, note: Note) -> None:
        """Tell, once each, what an instrument that gives the rest does not have."""
        settings = self.reading.sensor.settings
        for name, reason in why(self.plan).items() if self.plan.refused else ():
            if name not in self.lost:
                self.lost |= {name}
                detail = {"sensor": settings.id, "profile": settings.profile, "parameter": name, "problem": reason}
                note("configuration", f"{name} of {settings.id} cannot be read: {reason}", detail)

    def works(self) -> None:
        """It gave its values."""
        self.answered += 1
        self.alarmed = False
        if self.problem:
            self.problem = ""
            settings = self.reading.sensor.settings
            _log.info("An instrument gives values again", sensor=settings.id, point=settings.point)
