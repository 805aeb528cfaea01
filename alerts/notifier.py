"""The alerts stage at work: follows the book of verdicts, keeps incidents, sends notices.

One thread follows exceedances by cursor, lets `incidents.advance` decide, and commits the outcome with
all notices it wants to the ledger. One thread a channel sends them, so that a mail server that hangs
keeps nobody from the console. What was certainly not taken is tried again after the delays of
RETRY_S, then every RETRY_LAST_S, for a day; see ledger.py for what a crash in between means.

Whether an incident is over is read from the hourly averages of its parameter, or the daily ones of an
instrument too slow for hours: valid ones only, so that silence never closes anything. Exceedances
derived more than a day ago are told as late ones: they are found when a ledger is lost or the process
was long down, and nobody is woken for history. A book that was made anew is read from its start: what
the ledger knows already changes nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import structlog

from alerts import messages
from alerts.channels.build import Sender, build
from alerts.commissioning import WHY, called, hold, release, silent
from alerts.egress import NotSent, Unclear
from alerts.incidents import advance
from alerts.ledger import Ledger
from alerts.names import of_sites
from alerts.records import Call, Event, Incident, Member, Notice, NoticeState, Reason, Step, Wanted, Watch
from alerts.routes import routes
from alerts.settings import AlertSettings, parse_alerts
from collector.catalogue import rule_packs
from collector.commissioning import in_commissioning
from collector.verdicts.book import END_NS, Book, ExceedanceRow
from collector.verdicts.records import Exceedance
from gateway.catalogue import parameters
from gateway.document import FaultyFiles
from gateway.settings import Site

BATCH = 500  # exceedances in one step: enough for a back-fill, small enough to hold in one transaction
IDLE_S = 0.5  # how often commands are looked for when nothing else happens
CHECK_S = 10.0  # how often it is asked whether incidents are over
HISTORY_NS = 24 * 3600 * 1_000_000_000
HOUR_NS = 3600 * 1_000_000_000
WATCHED_NS = {"1h": HOUR_NS, "24h": 24 * HOUR_NS}  # averages that show whether it is over; the first kind there is
RETRY_S = (5, 15, 60, 300)  # a restart of the other side takes seconds to minutes
RETRY_LAST_S = 900
GIVE_UP_NS = 24 * 3600 * 1_000_000_000  # after a day the page tells more than a notice
SUPERVISOR_S = 5.0  # pause after an unforeseen error, so that a lasting one does not fill the log
STOP_S = 6.0  # a webhook in flight ends within 5 s

log = structlog.get_logger(__name__)


class Alerts:
    """Incidents and notices of all sites. Raises FaultyFiles, LedgerBusy or LedgerError when it cannot start.

    commissioning: the points of which nobody is told, (plant, point).

    folder: where ledger.db and commands.db stand. link: the page's address, where the site files do not say it.
    senders: channels by id, instead of those the site files describe.
    """

    def __init__(
        self, sites: Sequence[Site], book: Book, folder: str | Path, *, link: str = "",
        senders: Mapping[str, Sender] | None = None, now_ns: Callable[[], int] = time.time_ns,
    ) -> None:  # fmt: skip
        settings, faults = parse_alerts(sites)
        if settings is None:
            raise FaultyFiles(faults)
        self.settings: AlertSettings = settings
        self._link = link.rstrip("/") if link and not settings.link_named else settings.link
        self._book = book
        folders = sorted({site.path(folder) for site in sites for folder in site.folders.rules})
        self._names = of_sites(sites, rule_packs(folders), parameters())
        self.commissioning = in_commissioning(sites)
        self._senders = dict(senders) if senders is not None else build(settings.channels)
        self._now_ns = now_ns
        self.ledger = Ledger(folder)
        self._stop = threading.Event()
        self._wake = {channel: threading.Event() for channel in settings.channels}
        self._stepping = threading.Lock()
        self._judged: dict[Watch, int] = {}
        self._checked = 0.0
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Take the ledger and begin."""
        for notice in self.ledger.own(self._now_ns()):
            log.error("a notice may or may not have arrived: the process ended while it was sent", **_fields(notice))
        for notice in self.ledger.abandon(list(self._senders), self._now_ns()):
            log.error("a notice cannot be sent: its channel is no longer in the site file", **_fields(notice))
        for notice in self.ledger.suppress(self.commissioning, WHY, self._now_ns()):
            log.warning("a notice is not sent: its point is in commissioning", **_fields(notice))
        exceedance, command = self.ledger.cursors()
        if exceedance > self._book.latest_id():
            log.warning("the book of verdicts was made anew and is read from its start", known_upto=exceedance)
            self.ledger.commit(
                Step(cases=(), events=(), calls=()), [], exceedance=0, command=command, now_ns=self._now_ns()
            )
        for plant, point in sorted(self.commissioning):
            log.warning("a point is in commissioning: nobody is told of its incidents", plant=plant, point=point)
        self._release()
        self._threads = [threading.Thread(target=self._supervised, args=(self._follow,), name="alerts", daemon=True)]
        for channel in self._senders:
            name = f"alerts-{channel}"
            self._threads.append(
                threading.Thread(target=self._supervised, args=(self._send, channel), name=name, daemon=True)
            )
        for thread in self._threads:
            thread.start()

    def _release(self) -> None:
        """Tell, once, what is still open of points whose commissioning is over."""
        now_ns, (exceedance, command) = self._now_ns(), self.ledger.cursors()
        step = release(self.ledger.held(), self.commissioning, now_ns)
        if step.calls:
            wanted = [one for call in step.calls for one in self._wanted(call)]
            self.ledger.commit(step, wanted, exceedance=exceedance, command=command, now_ns=now_ns)

    def stop(self) -> None:
        """End the threads and release the ledger; what was not sent is sent after the next start."""
        self._stop.set()
        for wake in self._wake.values():
            wake.set()
        deadline = time.monotonic() + STOP_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if not any(thread.is_alive() for thread in self._threads):
            self.ledger.close()

    # --- for the api ------------------------------------------------------------------------------

    def incidents(
        self, *, after: int | None = None, state: str = "", limit: int = 100, plant: str = "", point: str = ""
    ) -> list[Incident]:
        """Incidents with id < after, newest first. state: open, acknowledged or closed; "" = all."""
        return self.ledger.incidents(limit=limit, after=after, state=state, plant=plant, point=point)

    def incident(self, id: int) -> Incident | None:
        """The newest version of an incident; None where there is none."""
        return self.ledger.incident(id)

    def incident_of(self, exceedance: Exceedance) -> Incident | None:
        """The incident that gathers an exceedance; None where there is none."""
        return self.ledger.incident_of(exceedance)

    def members(self, incident: int) -> list[Member]:
        """The exceedances an incident gathers, by time, those withdrawn since included."""
        return self.ledger.members(incident)

    def events(self, incident: int) -> list[Event]:
        """The history of an incident, oldest first."""
        return self.ledger.events(incident)

    def notices(self, incident: int | None = None, *, after: int | None = None, limit: int = 1000) -> list[Notice]:
        """Notices with id < after, newest first, of one incident or (None) of all."""
        return self.ledger.notices(incident, after=after, limit=limit)

    def acknowledge(self, incident: int, who: str, note: str = "", now_ns: int | None = None) -> int:
        """Write down that a person takes care of an incident, and apply it at once; gives the command's number.

        Raises UnknownIncident.
        """
        number = self.ledger.acknowledge(incident, who, note, self._now_ns() if now_ns is None else now_ns)
        self.step()
        return number

    def health(self) -> dict[str, int | bool]:
        """Notices by state, open incidents, exceedances not looked at yet, and whether all threads live."""
        behind = self._book.latest_id() - self.ledger.cursors()[0]
        running = bool(self._threads) and all(thread.is_alive() for thread in self._threads)
        return {**self.ledger.counts(), "behind": behind, "running": running}

    # --- following --------------------------------------------------------------------------------

    def _follow(self) -> None:
        while not self._stop.is_set():
            exceedance, command = self.ledger.cursors()
            news = self._book.latest_id() > exceedance or bool(self.ledger.commands(command, 1))
            if news or time.monotonic() - self._checked >= CHECK_S:
                self.step()
                self._checked = time.monotonic()
            else:
                self._book.wait(exceedance, IDLE_S)

    def step(self) -> Step:
        """Apply what came since the last step, and commit it with the notices it wants."""
        with self._stepping:
            now_ns = self._now_ns()
            last, last_command = self.ledger.cursors()
            rows = self._book.exceedances(after_id=last, limit=BATCH)
            commands = self.ledger.commands(last_command, BATCH)
            exceedances = [(row.id, _dated(row, now_ns).exceedance) for row in rows]
            cases = self.ledger.cases(
                [e for _, e in exceedances], [c.incident for c in commands], span_ns=self.settings.quiet_ns
            )
            watches = {case.incident.watch: case.incident.from_ns for case in cases}
            for _, e in exceedances:
                watches.setdefault((e.plant, e.point, e.parameter), e.from_ns)
            judged = self._judged_upto(watches)
            reached = rows[-1].id if rows else last
            if self._book.latest_id() > reached:
                judged = {}  # More waits that may belong to what looks over.
            step = advance(
                cases, exceedances, commands, judged=judged, next_id=self.ledger.next_id(), now_ns=now_ns,
                quiet_ns=self.settings.quiet_ns,
            )  # fmt: skip
            step = hold(step, self.commissioning, now_ns)
            if rows or commands or step.cases:
                reached_command = commands[-1].id if commands else last_command
                wanted = [one for call in step.calls for one in self._wanted(call)]
                self.ledger.commit(step, wanted, exceedance=reached, command=reached_command, now_ns=now_ns)
                for one in wanted:
                    self._wake[one.channel].set()
            return step

    def _judged_upto(self, watches: Mapping[Watch, int]) -> dict[Watch, int]:
        """The end of the newest valid hour (or day, see WATCHED_NS) of each parameter and point. [ns]"""
        for watch, from_ns in watches.items():
            plant, point, parameter = watch
            begin = max(from_ns, self._judged.get(watch, 0))
            for window, length_ns in WATCHED_NS.items():
                curve = self._book.curve(plant, point, parameter=parameter, window=window, from_ns=begin, to_ns=END_NS)
                good = curve.from_ns[curve.valid & np.isfinite(curve.value)]
                if len(good):
                    self._judged[watch] = int(good[-1]) + length_ns
                    break
        return dict(self._judged)

    def _wanted(self, call: Call) -> list[Wanted]:
        incident, reason = call.incident, call.reason
        found, quiet = routes(incident, reason, self.settings), silent(incident, self.commissioning)
        told = called(self.ledger.notices(incident.id), reason) if quiet else frozenset()
        if quiet and not told:
            log.info("nobody is told: the point is in commissioning", incident=incident.id, plant=incident.plant,
                     point=incident.point, reason=reason.value)  # fmt: skip
        elif not found and reason in (Reason.OPENED, Reason.LIVE) and not incident.late:
            log.warning("nobody is told about an incident: no recipient's settings match", incident=incident.id,
                        plant=incident.plant, clause=incident.key)  # fmt: skip
        wanted = []
        for recipient, channel in found:
            digest = messages.digest(incident, reason, recipient.id, channel.id)
            message = messages.render(
                incident, reason, self._names, language=recipient.language, link=self._link, notice=digest
            )
            wanted.append(
                Wanted(
                    incident=incident, reason=reason, recipient=recipient.id, channel=channel.id, digest=digest,
                    message=message, suppressed=WHY if quiet and recipient.id not in told else "",
                )
            )  # fmt: skip
        return wanted

    # --- sending ----------------------------------------------------------------------------------

    def _send(self, channel: str) -> None:
        wake = self._wake[channel]
        while not self._stop.is_set():
            wake.clear()
            if self._stop.is_set():  # It may have been set, and `wake` with it, just before the clearing.
                return
            notice = self.ledger.begin(channel, self._now_ns())
            if notice is not None:
                self._attempt(notice, self._senders[channel])
                continue
            due_ns = self.ledger.next_due(channel)
            wake.wait(None if due_ns is None else max(0.05, (due_ns - self._now_ns()) / 1e9))

    def _attempt(self, notice: Notice, sender: Sender) -> None:
        recipient = self.settings.recipients.get(notice.recipient)
        ended = False
        try:
            if recipient is None:
                raise NotSent("the recipient is no longer in the site file", again=False)
            detail = sender.send(notice, recipient)
            ended = True
            self.ledger.end(notice, NoticeState.SENT, self._now_ns(), detail)
        except NotSent as error:
            ended = True
            self._not_sent(notice, str(error), again=error.again)
        except Unclear as error:
            ended = True
            self.ledger.end(notice, NoticeState.UNKNOWN, self._now_ns(), str(error))
            log.error("a notice may or may not have arrived; it is not sent again", why=str(error), **_fields(notice))
        finally:
            if not ended:  # An error nobody foresaw goes on to the supervisor; nobody knows how far this one got.
                self.ledger.end(notice, NoticeState.UNKNOWN, self._now_ns(), "an unforeseen error ended the sending")

    def _not_sent(self, notice: Notice, why: str, *, again: bool) -> None:
        now_ns = self._now_ns()
        if not again or now_ns - notice.wanted_ns > GIVE_UP_NS:
            self.ledger.end(notice, NoticeState.FAILED, now_ns, why)
            log.error("a notice could not be sent", why=why, **_fields(notice))
            return
        delay_s = RETRY_S[notice.attempts - 1] if notice.attempts <= len(RETRY_S) else RETRY_LAST_S
        self.ledger.end(notice, NoticeState.WANTED, now_ns, why, due_ns=now_ns + delay_s * 1_000_000_000)
        if notice.attempts == 1:
            log.warning("a notice was not taken and is tried again", why=why, **_fields(notice))

    def _supervised(self, work: Callable[..., None], *arguments: str) -> None:
        """Keep a thread at work: an unforeseen error is logged, and work goes on from what is committed."""
        while not self._stop.is_set():
            try:
                work(*arguments)
            except Exception:
                log.exception("alerts met an error nobody foresaw and go on", part=arguments[0] if arguments else "")
                self._stop.wait(SUPERVISOR_S)


def _dated(row: ExceedanceRow, now_ns: int) -> ExceedanceRow:
    """An exceedance that was derived long ago counts as late."""
    if now_ns - row.derived_ns <= HISTORY_NS:
        return row
    return replace(row, exceedance=replace(row.exceedance, late=True))


def _fields(notice: Notice) -> dict[str, str | int]:
    return {"notice": notice.id, "incident": notice.incident, "recipient": notice.recipient, "channel": notice.channel}
