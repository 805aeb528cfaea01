"""The collector put together: intake, journal, store and verdicts of all plants, in one process.

    collector = Collector(sites)
    collector.start()
    ...
    collector.stop()

Opening takes everything the collector needs (key, journal, store, verdicts) or raises
CollectorError with the reason; nothing is left open then. `start` begins to receive.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from pathlib import Path
from queue import Queue
from typing import Any

import structlog

from collector.charts.charts import Charts
from collector.commissioning import change, in_commissioning
from collector.intake.cellar import Cellar
from collector.intake.custodian import Custodian
from collector.intake.disk import days_left
from collector.intake.events import What
from collector.intake.gate import Gate, Trusted
from collector.intake.journal import Journal, JournalError
from collector.intake.measuring import Measuring
from collector.intake.projector import Projector
from collector.intake.recorder import QUEUE_SIZE, Deliveries, Recorder
from collector.intake.sorter import Counts, Gaps
from collector.intake.states import States
from collector.intake.subscriber import Subscriber
from collector.proof.collector_key import current_key
from collector.proof.identities import Register, RegisterBroken
from collector.proof.leaf_file import LeafFile, ProofError
from collector.proof.mandates import authority
from collector.proof.notary import Notary
from collector.proof.register_file import FILE as REGISTER
from collector.proof.register_file import Watcher
from collector.registrar import Registrar
from collector.restored import tell_restored
from collector.settings import parse_collector
from collector.sodium import with_sodium
from collector.store import StoreError
from collector.stores.opening import open_store, store_name
from collector.trust import trusted_now
from collector.verdicts.book import Book, BookError
from collector.verdicts.evaluator import Evaluator
from gateway.connection import BrokerError
from gateway.document import FaultyFiles
from gateway.identity import IdentityError, public_hex
from gateway.settings import Broker, Site

# How long one thread may keep the others from computing. The default of 5 ms is as long as forty signatures take, and
# whoever has just checked one would wait for so long while verdicts are computed.
HANDOVER_S = 0.0005
_ALL = 2**62

log = structlog.get_logger(__name__)


class CollectorError(Exception):
    """The collector cannot start; the text says why and what to do."""


class Collector:
    """One collector, of all plants given. journal, store, verdicts: to read from, in any thread.

    registrar: takes marks in.
    """

    def __init__(self, sites: Sequence[Site], *, demo: bool = False) -> None:
        """Open everything; raises FaultyFiles for settings, CollectorError for what the machine refuses.

        demo: the broker may go without user and password, and keys are not told.
        """
        settings, faults = parse_collector(sites)
        if settings is None:
            raise FaultyFiles(faults)
        self._settings, self._demo, self._commissioning = settings, demo, in_commissioning(sites)
        self._broker, self._password = _broker(sites)
        if not (demo or self._broker.user or self._broker.cert):
            raise CollectorError(
                f"{sites[0].document.file}: [broker] user: missing\n"
                "    hint: the broker needs user and password_file, or [collector] cert and key; "
                "only `emitwatch demo` does without"
            )
        with ExitStack() as stack:
            try:
                self._open(sites, stack)
            except (
                IdentityError, RegisterBroken, JournalError, StoreError, BookError, ProofError, BrokerError, OSError,
            ) as error:  # fmt: skip
                raise CollectorError(str(error)) from error
            self._opened = stack.pop_all()

    def _open(self, sites: Sequence[Site], stack: ExitStack) -> None:
        folder = Path(self._settings.folder)
        key, created = current_key(folder)
        self.public_key = public_hex(key)
        self.journal = Journal(folder / "journal")
        stack.callback(self.journal.close)
        if self.journal.restored:
            tell_restored(self.journal, folder)
        self.store = open_store(self._settings)
        stack.callback(self.store.close)
        self.verdicts = Book(folder / "verdicts.db")
        stack.callback(self.verdicts.close)
        leaves = LeafFile(folder / "tree.db")
        stack.callback(leaves.close)
        for file, position in (
            (store_name(self._settings), self.store.cursor()), (folder / "verdicts.db", self.verdicts.cursor()),
            (leaves.path, leaves.position()),
        ):  # fmt: skip
            _require_followed(self.journal, file, position)
        self.evaluator = Evaluator(self.journal, self.verdicts, sites)
        self.projector = Projector(self.journal, self.store)
        self._watcher = Watcher(folder / REGISTER, self._trust)
        register = self._watcher.register
        self.notary = Notary(
            self.journal, leaves, folder / "checkpoints", key, register=lambda: self._watcher.register.anchor
        )
        self.custodian = Custodian(Cellar(self.journal, self._followed), self._settings.keep_months)
        self._authority = authority(register, key.public_key())
        believed = with_sodium(trusted_now(self._settings.trusted, register, self._authority))
        self._gate = Gate(believed, self.journal.attempts, approvers=self._authority)
        deliveries: Deliveries = Queue(QUEUE_SIZE)
        self.states, self._polled = States(), _polled(sites)
        self.charts = stack.enter_context(
            closing(Charts(self.store, self.verdicts, self.evaluator.rules, folder, self._gateways))
        )
        self.subscriber = Subscriber(
            self._broker, self._password, client_id=f"collector-{self.public_key[:16]}", gate=self._gate,
            deliveries=deliveries, states=self.states,
        )  # fmt: skip
        self.recorder = Recorder(
            journal=self.journal,
            deliveries=deliveries,
            link=self.subscriber,
            key=key,
            gateways=list(self._settings.trusted),
            handovers=register.handovers,
            space=self.journal.space,
        )
        self.registrar = Registrar(
            journal=self.journal,
            book=self.verdicts,
            authors=self._settings.authors,
            points={(site.plant.id, point.id) for site in sites for point in site.points},
            file=self.recorder.file,
        )
        self._keys = _key_problems(sites, self.public_key)
        if not self._demo:
            self._tell_key(sites, folder / "key" if created else None)

    def _tell_key(self, sites: Sequence[Site], created: Path | None) -> None:
        """A key that the site files do not know is told to whoever started this."""
        lines = [f"collector: made a new key, {created}"] if created else []
        lines += [
            f'enter in {site.document.file} under [collector]: public_key = "{self.public_key}"'
            for site in sites
            if site.collector_key != self.public_key
        ]
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()

    def start(self) -> None:
        """Begin to receive, to store and to judge."""
        sys.setswitchinterval(HANDOVER_S)
        for problem in () if self._demo else [*_distrusted(self._gate.trusted), *self._keys]:
            log.warning(problem)
        self._watcher.start()
        self._opened.callback(self._watcher.stop)
        self.evaluator.start()
        self._opened.callback(self.evaluator.stop)
        self.projector.start()
        self._opened.callback(self.projector.stop)
        self.charts.start()
        self._opened.callback(self.charts.stop)
        self.notary.start()
        self._opened.callback(self.notary.stop)
        self.custodian.start()
        self._opened.callback(self.custodian.stop)
        if told := change(self.journal.events(0, _ALL), self._commissioning):
            self.recorder.file(told)
        self.recorder.start()
        self.subscriber.start()
        self._opened.callback(self._stop_intake)

    def _followed(self) -> int:
        """The position up to which everything has followed the journal."""
        return min(self.store.cursor(), self.evaluator.cursor(), self.notary.position)

    def _trust(self, register: Register) -> None:
        """The register of identities has changed: believe whom it says from the next message on."""
        self._gate.trust(with_sodium(trusted_now(self._settings.trusted, register, self._authority)))

    def _stop_intake(self) -> None:
        """First the inflow, then what is on its way, then the connection that acknowledged it."""
        self.subscriber.stop_receiving()
        self.recorder.stop()
        self.journal.finish()
        self.subscriber.stop()

    def stop(self) -> None:
        """End everything in the direction in which data flow, and close the files."""
        self._opened.close()

    def health(self) -> dict[str, Any]:
        """How the collector is: `ok`, `problems` (sentences), and figures by part. Times in ns since 1970 UTC."""
        last = self.journal.last
        problems = self._problems()
        return {
            "ok": not problems,
            "problems": problems,
            "public_key": self.public_key,
            "broker": {
                "connected": self.subscriber.connected,
                "protocol": self._broker.protocol,
                "puback_reasons": self._broker.protocol == "5",
            },
            "journal": {
                "position": last,
                "restored": self.journal.restored,
                **self._disk(),
                "away": {m.name: m.state.value for m in self.journal.months.values() if not m.here},
            },
            "store": self._store(last),
            "tree": _follower(self.notary.position, last),
            "evaluator": {**_follower(self.evaluator.cursor(), last), "overdue": self.evaluator.overdue()},
            "gateways": self._gateways(),
            "quarantined_of_unknown": self.recorder.strangers.quarantined,
            "strangers": asdict(self.recorder.strangers),
            "security": asdict(self.recorder.security),
        }

    def _gateways(self) -> dict[str, dict[str, Any]]:
        """How each gateway is, by its id."""
        counts, gaps = self.recorder.counts, self.recorder.gaps
        return {
            id: {
                "plant": trusted.plant,
                "trusted": trusted.key is not None,
                "public_key": trusted.key.public_bytes_raw().hex() if trusted.key else "",
                **asdict(counts.get(id, Counts())),
                "gaps": asdict(gaps.get(id, Gaps())),
                "configuration": asdict(self.recorder.configurations.get(id, Measuring("", "it was not told", 0))),
                "state": self.states.told(id, self._polled.get(id, ()), time.monotonic_ns()),
            }
            for id, trusted in self._gate.trusted.items()
        }

    def _store(self, last: int) -> dict[str, Any]:
        """How the store is. last: position of the journal. why: what it does not take, and for what reason."""
        told = {
            "measurements": self.projector.trouble or self.projector.failed, "lines": self.store.problem,
            "charts": self.charts.trouble,
        }  # fmt: skip
        why = {part: text for part, text in told.items() if text}
        follows = _follower(self.store.cursor(), last)
        return {**follows, "expired": self.store.expired, "trouble": bool(why), "why": why}

    def _disk(self) -> dict[str, float | None]:
        """The journal's disk: what is free, and for how many days that will do."""
        try:
            space, (grown, span_ns) = self.journal.space(), self.journal.growth()
        except (OSError, JournalError):  # the recorder says what is wrong with it
            return {"free_bytes": None, "free_share": None, "days_left": None}
        days = days_left(space, grown, span_ns)
        return {"free_bytes": space.free, "free_share": round(space.share, 4), "days_left": days}

    def _problems(self) -> list[str]:
        problems = [
            ""
            if self.subscriber.connected
            else f"no connection to the broker at {self._broker.host}:{self._broker.port}",
            self.subscriber.refusal,
            self.recorder.trouble,
            self.recorder.failed,
            self.projector.trouble,
            self.projector.failed,
            self.store.problem,
            self.charts.trouble,
            self.evaluator.trouble,
            self.notary.trouble,
            self.notary.damage,
            self.custodian.trouble,
            self._watcher.trouble,
            self._outdated(),
            *_distrusted(self._gate.trusted),
            *_revoked(self.recorder.counts),
            *_wrong_clocks(self.recorder.counts),
            *self._keys,
        ]
        return [problem for problem in problems if problem]

    def _outdated(self) -> str:
        """Whether the register has another key for this collector by now, "" = it has not."""
        keys = self._watcher.register.collector_keys
        return (
            "" if not keys or keys[-1] == self.public_key else "the collector has a new key; start it again to use it"
        )


def _follower(position: int, last: int) -> dict[str, Any]:
    """How far one that follows a journal, which ends at `last`, has read it."""
    return {"position": position, "behind": max(0, last - position)}


def _require_followed(journal: Journal, file: str | Path, position: int) -> None:
    """Raise CollectorError for a file that is ahead of the journal: what the journal takes in next would be missed."""
    if position > journal.last:
        raise CollectorError(
            f"{file}: it holds what the journal had up to position {position}, but the journal ends at {journal.last}: "
            "it follows another journal; put that one back, or move it away to have it made from this one. Was this "
            "one put back from a backup? Then first say so: `emitwatch journal restored SITE`"
        )


def _broker(sites: Sequence[Site]) -> tuple[Broker, str | None]:
    """The broker with its files where they are, and the password: as the collector's own user, if it has one.

    All site files of a collector name the same broker, and one of them its user there.
    """
    site = next((site for site in sites if site.collector_access), sites[0])
    table, access = ("collector", site.collector_access) if site.collector_access else ("broker", site.broker)
    files = {"ca": site.broker.ca, "cert": access.cert, "key": access.key}
    found: dict[str, Any] = {name: site.path(path) if path else "" for name, path in files.items()}
    password = _password(site, table, access.password_file) if access.password_file else None
    return replace(site.broker, user=access.user, password_file=access.password_file, **found), password


def _password(site: Site, table: str, file: str) -> str:
    path = Path(site.path(file))
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        hint = "write the broker user's password there, readable by its owner alone"
        raise CollectorError(f"{path}: [{table}] password_file cannot be read: {error}; {hint}") from error


def _distrusted(trusted: Mapping[str, Trusted]) -> list[str]:
    unknown = "its [[gateway]] public_key is not in the site file"
    return [
        f"nothing of gateway {id} is accepted: {gateway.refused or unknown}"
        for id, gateway in trusted.items()
        if gateway.key is None
    ]


def _revoked(counts: Mapping[str, Counts]) -> list[str]:
    return [
        f"gateway {id} sends batches sealed by a revoked key, {refused} so far, and none is accepted: stop it, or find "
        "out who has its key"
        for id, one in counts.items()
        if (refused := one.faults.get(What.REVOKED, 0))
    ]


def _wrong_clocks(counts: Mapping[str, Counts]) -> list[str]:
    return [
        f"the clock of gateway {id} is wrong: what it measures is kept, flagged unsynced and not judged until it is set"
        for id, one in counts.items()
        if one.clock_wrong
    ]


def _polled(sites: Sequence[Site]) -> dict[str, set[str]]:
    """The sensors of each gateway, by the site files."""
    found: dict[str, set[str]] = {}
    for sensor in (sensor for site in sites for sensor in site.sensors):
        found.setdefault(sensor.gateway, set()).add(sensor.id)
    return found


def _key_problems(sites: Sequence[Site], public_key: str) -> list[str]:
    problems = []
    for site in sites:
        if site.collector_key != public_key:
            said = "has another key" if site.collector_key else "has no key"
            problems.append(
                f"gateways of plant {site.plant.id} do not believe this collector: its site file {said}; "
                f'set [collector] public_key = "{public_key}"'
            )
    return problems
