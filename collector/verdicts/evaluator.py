"""The evaluator: follows the journal, derives what is due at each tick, and writes it into the book.

A thread around four pure parts: the agenda (which windows, when), the recent measurements, the marks laid
over them, and `judgement` (what they come to); months and years are made of the book's days (`long_line`).
What one tick derives is committed together with the agenda and the journal position of the tick, so a process
that dies goes on exactly where it was: entries since that tick are read again, and lead to the same results.

A tick that derives nothing is committed only once in a while; nothing depends on which. While a backlog pours in,
the evaluator steps back: what is in the journal waits safely, what is at the gateways does not.

Times that a wrong clock gave are moved (`collector.shifts`) before anything is derived from them. When
the journal tells a move of batches that came before, what they touched where they were and where
they belong is derived anew.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import structlog

from collector.catalogue import rule_packs, site_certificates
from collector.marks import PLANT_STATES, Filed, MarkError, filed
from collector.reading import decoded
from collector.shifts import Moved, moved, told_by
from collector.store import Entry, EntryKind, JournalReader, NotHere, Shift
from collector.verdicts.agenda import Agenda, PointKey, Task
from collector.verdicts.assurance import UNCERTIFIED, Assurance, changed_from
from collector.verdicts.book import Book
from collector.verdicts.certificate_watch import CertificateWatch
from collector.verdicts.evidence import sensor_source
from collector.verdicts.excuses import moved as moved_excuses
from collector.verdicts.excuses import outside, told_in
from collector.verdicts.judgement import Derived, derive, settle
from collector.verdicts.long_line import LongLine
from collector.verdicts.marks import SILENT, Layer
from collector.verdicts.points import PointRules, point_rules
from collector.verdicts.recent import Recent, of_plant
from collector.verdicts.states import State
from collector.verdicts.year_counts import of_days
from gateway import catalogue
from gateway.document import Fault, FaultyFiles
from gateway.measurement import Columns
from gateway.seal import SIGNATURE_BYTES
from gateway.sensors import Sensor, resolve
from gateway.settings import Site
from gateway.wire import WireError

log = structlog.get_logger(__name__)

READ = 500  # entries a read: a few hundred thousand measurements, some megabytes
COMMIT_AFTER = 500  # entries without a result until the cursor is moved all the same
WAIT_S = 1.0
RETRY_S = 5.0
SHARE = 0.15  # of the time, which judging takes while more comes in than it can take
REST_S = 3.0  # at most, at once
Intervals = Mapping[tuple[str, str, str], int]


class Evaluator:
    """Judges what the journal has. Owns a thread; the book's only writer."""

    def __init__(self, journal: JournalReader, book: Book, sites: Sequence[Site]) -> None:
        """Read rules and profiles of all sites; raises FaultyFiles where they do not fit together."""
        rules, intervals = site_rules(sites)
        history = {gateway.id for site in sites for gateway in site.gateways if gateway.history}
        self._line = Line(journal, book, rules, intervals, history=history)
        self.rules = rules  # of every point, (plant, point)
        self._journal, self._book = journal, book
        self._certificates = CertificateWatch(sites)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="evaluator", daemon=True)
        self.trouble = ""  # what keeps it from judging right now, for people; "" = nothing

    def start(self) -> None:
        """Begin to follow the journal."""
        self._thread.start()

    def stop(self) -> None:
        """End after the entry at hand. What was derived is in the book; the rest is derived at the next start."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def cursor(self) -> int:
        """The journal position up to which entries were looked at."""
        return self._line.position

    def overdue(self) -> int:
        """How many windows have ended, by the journal's time, and wait to be derived."""
        return self._line.overdue

    def _run(self) -> None:
        again = False
        while not self._stopping.is_set():
            try:
                if again:
                    self._line.resume()
                again = True
                self._follow()
            except NotHere as error:
                self.trouble = f"verdicts cannot go on: {error}"
                log.error("Verdicts cannot go on.", reason=str(error))
                self._stopping.wait(RETRY_S)
            except (sqlite3.Error, OSError) as error:
                # Disk full, book locked: nothing is lost, the journal has it all.
                self.trouble = f"verdicts cannot be written: {error}"
                log.error("Verdicts cannot be written; trying again.", error=str(error), retry_s=RETRY_S)
                self._stopping.wait(RETRY_S)
            except Exception:
                self.trouble = "the evaluator failed; see the log"
                log.exception("The evaluator failed; it starts again from its last commit.", position=self.cursor())
                self._stopping.wait(RETRY_S)

    def _follow(self) -> None:
        while not self._stopping.is_set():
            began_s, before = time.monotonic(), self._last()
            entries = self._journal.read(self._line.position, READ)
            self._line.certify(self._certificates.changed())
            if not entries:
                more = self._book.fold()  # of a book that an earlier version made
                self._journal.wait(self._line.position, 0.0 if more else WAIT_S)
            for entry in entries:
                if self._stopping.is_set():
                    return
                self._line.take(entry)
            self.trouble = ""
            self._stopping.wait(rest_s(len(entries), time.monotonic() - began_s, self._last() - before))

    def _last(self) -> int:
        """The end of the journal."""
        return self._journal.wait(self._line.position, 0.0)


def rest_s(read: int, took_s: float, grown: int) -> float:
    """How long to step back after a read. took_s: to judge what it brought. grown: entries that came meanwhile. [s]

    Whoever keeps up does not step back, so that what it is behind after a while it makes good.
    """
    pouring = grown > read == READ
    return min(took_s * (1 / SHARE - 1), REST_S) if pouring else 0.0


class Line:
    """The way from journal entries to the book, entry by entry; no thread of its own."""

    def __init__(
        self, journal: JournalReader, book: Book, rules: Mapping[PointKey, PointRules], intervals: Intervals,
        *, history: Collection[str] = (),
    ) -> None:  # fmt: skip
        self._history = history
        self._journal = journal
        self._book = book
        self._rules = dict(rules)
        self._certified, self._dirtied = list[tuple[PointKey, int]](), list[tuple[PointKey, int]]()
        self._intervals = intervals
        self.resume()

    def resume(self) -> None:
        """Take up the state of the last commit."""
        self.position, dumped = self._book.state()
        self._committed = self.position
        self._agenda = Agenda(self._rules, self._intervals, dumped, history=self._history)
        self._recent = Recent(self._intervals, virgin=self.position == 0)
        self._layer, self._marks = Layer(self._book.marks()), list[Filed]()
        self._certified = [*self._dirtied, *self._certified]  # what no commit has kept
        self._dirtied = []
        self.overdue = 0

    def take(self, entry: Entry) -> None:
        """One entry of the journal, the next after `position`."""
        assert entry.position == self.position + 1, "entries are taken in order, without a gap"
        if entry.kind is EntryKind.BATCH:
            columns = self._placed(entry)
            if columns is not None:
                self._agenda.arrive(f"{entry.gateway}:{entry.epoch.hex()}", entry.received_ns, columns)
                self._recent.add(columns)
        elif entry.kind is EntryKind.MARK:
            self._mark(entry)
        elif entry.kind is EntryKind.TICK:
            self._tick(entry)
        elif (shift := told_by(entry)) is not None:
            self._move(shift, entry.position)
        self.position = entry.position

    def certify(self, found: Mapping[PointKey, Assurance]) -> None:
        """Certificates of points have changed: what they make of another value is judged anew from the next tick on."""
        for key, new in found.items():
            since_ns = changed_from(self._rules[key].assurance, new)
            if since_ns is not None:
                self._rules[key] = replace(self._rules[key], assurance=new)
                self._certified.append((key, since_ns))

    def _mark(self, entry: Entry) -> None:
        """Take in a mark: what it speaks of is judged anew from the next tick on."""
        try:
            found = filed(entry)
        except MarkError as error:
            log.warning("A mark cannot be read and changes nothing.", position=entry.position, error=str(error))
            return
        mark, point = found.mark, (found.mark.plant, found.mark.point)
        before = self._said(point, mark.from_ns, mark.to_ns)
        self._layer.add(found)
        self._marks.append(found)
        if mark.kind in SILENT:
            return
        spans = [(mark.from_ns, mark.to_ns)]
        if mark.kind not in PLANT_STATES:  # what values say of a longer time changes with them
            spans = [self._agenda.reaches.touched(point, *spans[0])]
        if rules := self._rules.get(point):  # hours of an allowance that are spent here are missing elsewhere
            after = self._said(point, mark.from_ns, mark.to_ns)
            limited = [allowance for pack in rules.packs for allowance in pack.allowances]
            spans += outside(spans[0], moved_excuses(limited, before, after, rules.timezone))
        for from_ns, to_ns in spans:  # what is still to come is judged when it comes
            self._agenda.mark(point, from_ns, min(to_ns, entry.received_ns))

    def _said(self, point: PointKey, from_ns: int, to_ns: int) -> list[State]:
        """What was said of the state of a plant at a point; where hours of a state are limited, in the whole years."""
        rules = self._rules.get(point)
        span = (from_ns, to_ns) if rules is None else told_in(rules, from_ns, to_ns)
        return self._layer.states(*point, *span)

    def _placed(self, entry: Entry) -> Columns | None:
        """The measurements of a batch where they belong."""
        columns = measurements(entry)
        return None if columns is None else self._agenda.shifts.columns(entry, columns)

    def _move(self, shift: Shift, position: int) -> None:
        """Batches were dated by a wrong clock: what was derived from those before this position is not right."""
        for change in self._agenda.shifts.add(shift):
            first = change.from_seq
            while found := self._journal.batches(change.gateway, change.epoch, (first, change.to_seq), READ):
                self._touch(change, [entry for entry in found if entry.position < position])
                first = found[-1].seq + 1

    def _touch(self, change: Moved, entries: Sequence[Entry]) -> None:
        for columns in (columns for entry in entries if (columns := measurements(entry)) is not None):
            for there in (moved(columns, change.old_ns), moved(columns, change.new_ns)):
                self._agenda.touch(f"{change.gateway}:{change.epoch.hex()}", there)
                self._recent.forget(there)

    def _overlapping(self, from_ns: int, to_ns: int, upto: int) -> list[Columns]:
        """The measurements of all batches that touch a span, where they belong, in the order of the journal."""
        found = {entry.position: entry for entry in self._journal.overlapping(from_ns, to_ns, upto)}
        for shift_ns in sorted({shift.shift_ns for shift in self._agenda.shifts.all()}):
            found |= {e.position: e for e in self._journal.overlapping(from_ns - shift_ns, to_ns - shift_ns, upto)}
        placed = [self._placed(entry) for _, entry in sorted(found.items())]
        return [columns for columns in placed if columns is not None]

    def _tick(self, tick: Entry) -> None:
        """Derive what is due at a tick, and commit."""
        for key, since_ns in self._certified:
            self._agenda.mark(key, since_ns, tick.received_ns)
        self._dirtied += self._certified
        self._certified.clear()
        tasks = self._agenda.tick(tick.received_ns)
        results = [self._derived(task, tick) for task in tasks if not task.long]
        results += LongLine(self._book, self._rules, self._layer, tick.received_ns).derived(tasks, results)
        averages = [average for derived in results for average in derived.averages]
        exceedances = [exceedance for derived in results for exceedance in derived.exceedances]
        if results or self._marks or tick.position - self._committed >= COMMIT_AFTER:
            self._book.commit(
                averages, exceedances, derived_ns=tick.received_ns, state=self._agenda.dump(), position=tick.position,
                marks=self._marks,
            )  # fmt: skip
            self._committed = tick.position
            self._marks.clear()
            self._dirtied.clear()
        self._recent.trim()
        self.overdue = self._agenda.overdue(tick.received_ns)

    def _derived(self, task: Task, tick: Entry) -> Derived:
        """What is new in the windows of a task; nothing where the journal has not all of their measurements here.

        From a part of them another value would come, and take the place of the one that was derived from all.
        """
        try:
            return self._derive(task, tick)
        except NotHere as error:
            log.error("Windows that got late measurements are not judged again.", point=task.point, reason=str(error))
            return Derived([], [])

    def _derive(self, task: Task, tick: Entry) -> Derived:
        """What is new in the windows of a task."""
        point, span, reaches = (task.plant, task.point), (task.from_ns, task.to_ns), self._agenda.reaches
        around_ns = reaches.around(point, *span)
        for from_ns, to_ns in self._recent.absent(*around_ns):
            self._recent.load(from_ns, to_ns, self._overlapping(from_ns, to_ns, tick.position))
        signals = self._recent.signals(*point, *span)
        around = self._recent.signals(*point, *around_ns, lambda series: reaches.heard(series, *span))
        rules, said = self._rules[point], self._said(point, *span)
        derived = derive(
            rules, self._layer.over(*point, signals), task.windows, said=said, sums=True,
            around=self._layer.over(*point, around),
        )  # fmt: skip
        derived = self._layer.told(Derived(derived.averages, [*derived.exceedances, *of_days(rules, derived.averages)]))
        known = self._book.known(task.plant, task.point, task.windows, derived.exceedances)
        return self._layer.explained(settle(derived, *known, now_ns=tick.received_ns, past=task.past))


def measurements(entry: Entry) -> Columns | None:
    """The measurements of a journalled batch, None where it has none. Its seal was verified before it was journalled.

    A batch that cannot be decoded was written by a newer version, and is judged when that reads it.
    """
    if entry.kind is not EntryKind.BATCH or not entry.last_ns:
        return None
    try:
        batch = decoded(entry.payload[1 + SIGNATURE_BYTES :])
    except WireError as error:
        log.warning("A batch cannot be read and is not judged.", position=entry.position, error=str(error))
        return None
    return of_plant(batch.columns, batch.header.plant) if len(batch.columns) else None


def site_rules(sites: Sequence[Site]) -> tuple[dict[PointKey, PointRules], dict[tuple[str, str, str], int]]:
    """The rules of every point, and the interval of every sensor's parameters, of all plants. Raises FaultyFiles."""
    parameters = catalogue.parameters()
    rules: dict[PointKey, PointRules] = {}
    intervals: dict[tuple[str, str, str], int] = {}
    faults: list[Fault] = []
    for site in sites:
        packs = rule_packs([site.path(folder) for folder in site.folders.rules])
        profiles = catalogue.profiles([site.path(folder) for folder in site.folders.profiles])
        sensors, wrong = resolve(site, profiles, parameters)
        faults += wrong
        assured, notes, wrong = site_certificates(site, packs)
        faults += wrong
        for note in notes:
            log.warning("A certificate is not used.", reason=note)
        for s in sensors:
            intervals.update({(site.plant.id, s.settings.id, name): ns for name, ns in s.intervals_ns.items()})
        for number, point in enumerate(site.points):
            path = f"point[{number}]"
            for id in point.rules:
                if id not in packs:
                    line = site.document.lines.get(f"{path}.rules")
                    hint = f"known packs: {', '.join(sorted(packs))}"
                    faults.append(Fault(site.document.file, f"{path}.rules", line, f"no rule pack {id!r}", hint))
            made, wrong = point_rules(
                site.plant.id, point.id, point.kind, timezone=site.plant.timezone,
                packs=[packs[id] for id in point.rules if id in packs], settings=point.settings,
                parameters=parameters, sources=_sources(sensors, point.id), document=site.document,
                path=f"{path}.settings",
            )  # fmt: skip
            rules[site.plant.id, point.id] = replace(made, assurance=assured.get(point.id, UNCERTIFIED))
            faults += wrong
    if faults:
        raise FaultyFiles(faults)
    return rules, intervals


def _sources(sensors: Sequence[Sensor], point: str) -> dict[str, Mapping[str, object]]:
    return {sensor.settings.id: sensor_source(sensor) for sensor in sensors if sensor.point.id == point}
