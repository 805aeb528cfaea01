"""Reads the site file again while the gateway runs, and goes on with what it says - or says why not.

    SIGHUP -> read site, profiles and approval -> what needs a restart? -> poller and outbox change at one instant

A file with a fault, or one that a restart is needed for, changes nothing. What was measured before the change is sealed
under the old hash, what comes after it under the new one, with a record between them. Killed at any moment the gateway
starts with the file as it is then.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

import structlog

from gateway import papers
from gateway.assignment import Assignment, needing_restart
from gateway.assignment_files import CannotStart
from gateway.configuration import Configuration, canonical
from gateway.document import Fault, FaultyFiles
from gateway.identity import IdentityError
from gateway.known import Outlook
from gateway.poller import MAX_TEXT, Poller
from gateway.spooler import Spooler, SpoolError
from gateway.status import Latest

RECORD_S = 5.0  # that a reload waits for its record; where the disk is full it is written later
LOOK_S = 0.05
SWITCH_S = 0.0005  # between two threads of Python
NAMED = 200  # letters of a detail

_log = structlog.get_logger("gateway")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a reload. time: RFC 3339. faults: how many kept it from being taken over, hint: what to do."""

    time: str
    result: Literal["applied", "unchanged", "refused"]
    text: str
    faults: int = 0
    hint: str = ""


class Reloader:
    """Goes on with another site file. read: the assignment as it stands there now.

    assignment, configuration: what is in force.
    """

    def __init__(
        self,
        read: Callable[[], Assignment],
        assignment: Assignment,
        configuration: Configuration,
        *,
        poller: Poller,
        spooler: Spooler,
        latest: Latest,
    ) -> None:
        self._read, self.assignment, self.configuration = read, assignment, configuration
        self._poller, self._spooler, self._latest = poller, spooler, latest
        self._last: Outcome | None = None
        self._done = 0
        self._busy = asyncio.Lock()  # one reads the files, or writes down what was told of them
        self._late = False  # the last change was not recorded in time

    def state(self) -> dict[str, Any]:
        """What is in force, and what became of the last reload, for the gateway's state."""
        told = asdict(self._last) if self._last else None
        found = papers.state_of(self.configuration) | {"recorded": self._spooler.recorded}
        return {"configuration": found, "reloads": self._done} | ({"reload": told} if told else {})

    async def reload(self) -> None:
        """Read the files and go on with them, if they are good."""
        async with self._busy:
            await self._reload()
        self._done += 1

    async def catch_up(self) -> None:
        """To be called after a flush: note what there was no room for when it was taken over."""
        if self._late and not self._busy.locked():
            async with self._busy:
                self._late = not await asyncio.to_thread(self.keep)

    async def _reload(self) -> None:
        try:
            with _lighter():
                found, configuration = await asyncio.to_thread(self._found)
        except FaultyFiles as error:
            await self._refuse(error.faults)
        except (CannotStart, IdentityError, OSError) as error:
            await self._refuse([Fault("", "", None, str(error), "")])
        else:
            with _lighter():
                outlook = await self._poller.prepare(found.sensors)
            changed = self._go_on(found, configuration, outlook)
            await self._say_applied()
            if changed:
                self._late = not await self._keep()

    def _found(self) -> tuple[Assignment, Configuration]:
        """What the files say now, good for the running gateway; raises FaultyFiles, CannotStart and others."""
        found, folder = self._read(), self._spooler.folder
        if faults := needing_restart(self.assignment, found):
            raise FaultyFiles(faults)
        trust = papers.load_trust(folder, found.site.collector_key)
        text = canonical(found.site, found.gateway, found.sensors)
        configuration = papers.load_configuration(folder, found.gateway, text, trust)
        return found, replace(configuration, before=self.configuration.text)

    def _go_on(self, found: Assignment, configuration: Configuration, outlook: Outlook) -> bool:
        """The change, at one instant; whether there is something to record."""
        revision = self._poller.reconfigure(outlook)
        changed = _meant(configuration) != _meant(self.configuration)
        said = str(revision)
        if changed:
            self._spooler.change(configuration)
            said += "; the approval is another" * (configuration.text == self.configuration.text)
        self._latest.keep([series for sensor in found.sensors for series in sensor.series])
        self.assignment, self.configuration = found, configuration
        result: Literal["applied", "unchanged"] = (
            "applied" if changed or revision.ended or revision.begun else "unchanged"
        )
        self._last = Outcome(_now(), result, said)
        _log.info("The site file was read again", result=result, sensors=said, hash=configuration.hash.hex())
        return changed

    async def _say_applied(self) -> None:
        last = self._last
        if last and last.result == "applied":
            detail = {"sensors": last.text[:NAMED], "hash": self.configuration.hash.hex()}
            await self._tell(f"the site file was read again: {last.text}", detail)

    def keep(self) -> bool:
        """Note what the journal has been told, if it has; whether it has."""
        recorded = self._spooler.recorded
        if recorded:
            papers.keep_configuration(self._spooler.folder, self.configuration)
        return recorded

    async def _keep(self) -> bool:
        for _ in range(round(RECORD_S / LOOK_S)):
            if await asyncio.to_thread(self.keep):
                return True
            await asyncio.sleep(LOOK_S)
        return False

    async def _refuse(self, faults: Sequence[Fault]) -> None:
        for fault in faults:
            _log.error(
                "The site file is not taken over; the gateway goes on with what it had",
                file=fault.file, line=fault.line, path=fault.path, problem=fault.message, hint=fault.hint,
            )  # fmt: skip
        first = ": ".join(part for part in (faults[0].file, faults[0].path, faults[0].message) if part)
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        self._last = Outcome(_now(), "refused", first + more, len(faults), faults[0].hint)
        await self._tell(
            f"the site file was not taken over: {first}{more}", {"faults": len(faults), "path": faults[0].path}
        )

    async def _tell(self, text: str, detail: dict[str, Any]) -> None:
        assert self._last, "it has come to something"
        said = "reload", text[:MAX_TEXT], {"result": self._last.result, **detail}
        try:
            await asyncio.to_thread(self._spooler.tell, *said)
        except SpoolError:
            self._poller.note(*said)  # again and again; the next flush says what is wrong with the disk


@contextlib.contextmanager
def _lighter() -> Iterator[None]:
    """While files are read beside the polling, which then has its turn at once and not after some milliseconds."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _meant(configuration: Configuration) -> tuple[str, bytes, str]:
    """What a record of it would say."""
    return configuration.text, configuration.approval, configuration.problem


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
