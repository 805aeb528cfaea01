"""Incidents: what people handle instead of single exceedances.

An incident gathers the exceedances of one clause at one point that follow one another. Rules:

- **Time is data time.** An incident spans from the start of its first exceeding window to the end of
  its last. An exceedance belongs to it when the gap between both is shorter than the quiet time, or
  than the clause's own window where that is longer, so that consecutive nights or days are judged
  alike. Otherwise it opens an incident of its own. Incidents are never merged.
- **Repeats fold**: they change the incident, and nobody is told again.
- **It closes** when its point was judged for the quiet time without a new exceedance, or when every
  exceedance in it was withdrawn. No data is no calm: without newer averages it stays open. An
  exceedance that still belongs to a closed incident but makes it last longer opens it again.
- **Late**: all of it derives from back-filled data. Such an incident is often over when it opens; it
  is told as one notice. When a present exceedance joins it, it is late no more, and that is told.
- **Replays change nothing.** An exceedance is known by its window's start and version, a command by
  its number; what was applied once is ignored. Withdrawn ones are remembered for the same reason.
- Acknowledging is a person's word and does not close; the first one counts, later ones are notes.

Pure: cases, exceedances, commands and `now_ns` in; changed cases, events and calls out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from alerts.records import Call, Case, Command, Event, EventKind, Incident, Key, Member, Reason, Step, Watch
from collector.verdicts.records import Change, Exceedance, Standing

RANK: Mapping[Standing, int] = {Standing.EARLY_WARNING: 0, Standing.EVIDENCE: 1, Standing.FINDING: 2}


def quiet_time(incident: Incident, quiet_ns: int) -> int:
    """How long the data must be calm until an incident is over. [ns]"""
    return max(quiet_ns, incident.latest.to_ns - incident.latest.from_ns)


def advance(
    cases: Iterable[Case],
    exceedances: Sequence[tuple[int, Exceedance]] = (),
    commands: Sequence[Command] = (),
    *,
    judged: Mapping[Watch, int],
    next_id: int,
    now_ns: int,
    quiet_ns: int,
) -> Step:
    """Apply exceedances, then commands, then the passing of time.

    cases: every incident that is not closed, and those of the exceedances' clauses and points that lie
    near them in time or hold a version of them, with members; those the commands name.
    exceedances: (number in the book, exceedance), by rising number.
    judged: data time up to which a parameter at a point has averages. [ns]
    next_id: number of the next new incident. quiet_ns: see `quiet_time`. [ns]
    """
    desk = _Desk([_File(case) for case in cases], next_id, now_ns, quiet_ns)
    newest = dict(judged)
    for number, exceedance in exceedances:
        if desk.take(number, exceedance) and exceedance.change is not Change.WITHDRAWN:
            watch = (exceedance.plant, exceedance.point, exceedance.parameter)
            newest[watch] = max(newest.get(watch, 0), exceedance.to_ns)
    for command in commands:
        desk.obey(command)
    for file in desk.files:
        file.settle(newest.get(file.incident.watch), now_ns, quiet_ns)
    changed = [file for file in desk.files if file.changed]
    return Step(
        cases=tuple(file.case() for file in changed),
        events=tuple(event for file in changed for event in file.events),
        calls=tuple(Call(file.incident, reason) for file in changed for reason in file.reasons),
    )


class _File:
    """A case while it is worked on."""

    def __init__(self, case: Case, *, new: bool = False) -> None:
        self.incident = case.incident
        self.members = dict(case.members)
        self.touched: dict[int, Member] = dict(case.members) if new else {}
        self.was = None if new else case.incident
        self.version = 1 if new else case.incident.version + 1
        self.events: list[Event] = []
        self.reasons: list[Reason] = []

    @property
    def changed(self) -> bool:
        return self.was is None or bool(self.touched) or self.incident != self.was

    def case(self) -> Case:
        return Case(self.incident, self.touched)

    def gap(self, from_ns: int, to_ns: int) -> int:
        """Time between a window and the incident, 0 where they touch. [ns]"""
        return max(0, from_ns - self.incident.to_ns, self.incident.from_ns - to_ns)

    def note(self, kind: EventKind, at_ns: int, detail: str = "", who: str = "") -> None:
        self.events.append(Event(incident=self.incident.id, kind=kind, at_ns=at_ns, detail=detail, who=who))

    def hold(self, member: Member) -> None:
        """Put a member in its place and let the incident follow; withdrawing the last one leaves the summary."""
        self.members[member.from_ns] = self.touched[member.from_ns] = member
        held = [m for m in self.members.values() if not m.withdrawn]
        if held:
            self.incident = replace(
                self.incident, from_ns=min(m.from_ns for m in held), to_ns=max(m.to_ns for m in held), count=len(held),
                worst=max(held, key=lambda m: (m.over, m.from_ns)), latest=max(held, key=lambda m: m.from_ns),
                late=all(m.late for m in held) and self.incident.late,
            )  # fmt: skip
        else:
            self.incident = replace(self.incident, count=0)

    def settle(self, judged: int | None, now_ns: int, quiet_ns: int) -> None:
        """Close or open again, and say who is to be told what."""
        before, now = self.was, self.incident
        if before is not None and before.closed_by == "withdrawn":
            pass
        elif now.count == 0:
            self._close("withdrawn", EventKind.WITHDRAWN, Reason.WITHDRAWN, now_ns)
        elif judged is not None and judged >= now.to_ns + quiet_time(now, quiet_ns):
            if now.closed_ns is None:
                self._close("quiet", EventKind.CLOSED, Reason.CLOSED, now_ns)
        elif before is not None and now.closed_ns is not None and now.to_ns > before.to_ns:
            self.incident = replace(
                now, closed_ns=None, closed_by="", acknowledged_ns=None, acknowledged_by="", openings=now.openings + 1
            )
            self.note(EventKind.REOPENED, now_ns)
            self.reasons = [] if self.incident.late else [Reason.REOPENED]
        if before is None:
            self.reasons = [Reason.OPENED] if now.count else []
        elif before.late and not self.incident.late and self.incident.count:
            self.note(EventKind.LIVE, now_ns, "a present exceedance joined what was back-filled")
            self.reasons = [Reason.LIVE]
        if self.changed:
            self.incident = replace(self.incident, version=self.version)

    def _close(self, by: str, kind: EventKind, reason: Reason, now_ns: int) -> None:
        self.incident = replace(self.incident, closed_ns=now_ns, closed_by=by)
        self.note(kind, now_ns)
        # What is only past was told as past; its end is no news, unless it proved untrue.
        self.reasons = [] if self.incident.late and reason is Reason.CLOSED else [reason]


class _Desk:
    """All files of one step."""

    def __init__(self, files: list[_File], next_id: int, now_ns: int, quiet_ns: int) -> None:
        self.files = files
        self.next_id = next_id
        self.now_ns = now_ns
        self.quiet_ns = quiet_ns
        self.by_place: dict[Key, list[_File]] = {}
        for file in files:
            self.by_place.setdefault(file.incident.place, []).append(file)

    def take(self, number: int, exceedance: Exceedance) -> bool:
        """Put an exceedance where it belongs; False where that is done already."""
        files = self.by_place.setdefault((exceedance.plant, exceedance.point, exceedance.pack, exceedance.clause), [])
        holders = [file for file in files if exceedance.from_ns in file.members]
        holder = max(holders, key=lambda file: file.members[exceedance.from_ns].version, default=None)
        known = holder.members[exceedance.from_ns] if holder else None
        if known is not None and known.version >= exceedance.version:
            return False
        member = _member(number, exceedance)
        if holder is not None and known is not None and not known.withdrawn:
            self._amend(holder, known, member)
        elif not member.withdrawn:
            self._add(files, member, exceedance)
        return True

    def _amend(self, file: _File, known: Member, member: Member) -> None:
        kind = EventKind.RETRACTED if member.withdrawn else EventKind.AMENDED
        # An exceedance that was present stays so, however late it is amended.
        file.hold(replace(member, late=known.late and member.late))
        file.note(kind, self.now_ns, f"exceedance {member.exceedance}, version {member.version}")

    def _add(self, files: list[_File], member: Member, exceedance: Exceedance) -> None:
        span = max(self.quiet_ns, member.to_ns - member.from_ns)
        near = [
            (gap, -file.incident.id, file)
            for file in files
            if file.incident.count and (gap := file.gap(member.from_ns, member.to_ns)) < span
        ]
        if near:
            file = min(near, key=lambda item: item[:2])[2]
            file.hold(member)
            if RANK[exceedance.standing] > RANK[file.incident.standing]:
                file.incident = replace(file.incident, standing=exceedance.standing)
            if not exceedance.verified:
                file.incident = replace(file.incident, verified=False)
            return
        file = _File(_opened(self.next_id, exceedance, member, self.now_ns), new=True)
        file.note(EventKind.OPENED, self.now_ns, f"exceedance {member.exceedance}")
        self.next_id += 1
        self.files.append(file)
        files.append(file)

    def obey(self, command: Command) -> None:
        file = next((file for file in self.files if file.incident.id == command.incident), None)
        if file is None or file.incident.command >= command.id:
            return
        incident = replace(file.incident, command=command.id)
        if incident.acknowledged_ns is None:
            kind = EventKind.ACKNOWLEDGED
            incident = replace(incident, acknowledged_ns=command.at_ns, acknowledged_by=command.who, note=command.note)
        else:
            kind = EventKind.NOTED
        file.incident = incident
        file.note(kind, command.at_ns, command.note, command.who)


def _member(number: int, exceedance: Exceedance) -> Member:
    return Member(
        from_ns=exceedance.from_ns, to_ns=exceedance.to_ns, exceedance=number, version=exceedance.version,
        value=exceedance.value, limit=exceedance.limit, low=exceedance.low, late=exceedance.late,
        withdrawn=exceedance.change is Change.WITHDRAWN,
    )  # fmt: skip


def _opened(id: int, exceedance: Exceedance, member: Member, now_ns: int) -> Case:
    incident = Incident(
        id=id, version=1, plant=exceedance.plant, point=exceedance.point, parameter=exceedance.parameter,
        pack=exceedance.pack, clause=exceedance.clause, cite=exceedance.cite, title=exceedance.title,
        window=exceedance.window, unit=exceedance.unit, standing=exceedance.standing, verified=exceedance.verified,
        late=exceedance.late, from_ns=member.from_ns, to_ns=member.to_ns, count=1, worst=member, latest=member,
        opened_ns=now_ns,
    )  # fmt: skip
    return Case(incident, {member.from_ns: member})
