"""Commissioning: while a point is being set up nobody is told of its incidents, and what is open then is told after it.

Whoever sets up an instrument makes values that mean nothing: a calibrator on the microphone, span gas in the
analyser. They are measured, judged and shown like any others. Rules of this file:

- no notice that calls for somebody goes to anybody while the point is in commissioning. Each that would have gone
  stands in the ledger as `suppressed`, so that one sees who was not told of what;
- who was called before it began is told how it ends (closed, or withdrawn as untrue), and nobody else is;
- an incident of which somebody should have been told has that in its history (`suppressed`);
- when the state is over, every such incident that is still open is told once, as it stands then (`commissioned`).

When a point is in commissioning says the site file; from when to when it was, the journal
(`collector.commissioning`). Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from alerts.records import Call, Case, Event, EventKind, Incident, Notice, NoticeState, Reason, Step

WHY = "its point is in commissioning"
# What calls for somebody; the end of an incident that nobody heard of is no news when commissioning is over.
PAGES = (Reason.OPENED, Reason.REOPENED, Reason.LIVE, Reason.COMMISSIONED)
_TAKEN = (NoticeState.SENT, NoticeState.UNKNOWN)  # it arrived, or may have


def silent(incident: Incident, points: Collection[tuple[str, str]]) -> bool:
    """Whether nobody is told of an incident. points: those in commissioning, (plant, point)."""
    return (incident.plant, incident.point) in points


def called(notices: Iterable[Notice], reason: Reason) -> frozenset[str]:
    """The recipients that hear of an incident's end all the same, since they were called. notices: of the incident."""
    if reason in PAGES:
        return frozenset()
    return frozenset(one.recipient for one in notices if one.reason in PAGES and one.state in _TAKEN)


def held(incident: int, reason: str, why: str, at_ns: int) -> Iterator[Event]:
    """What the history of an incident says of a notice that nobody gets."""
    if reason in PAGES:
        yield Event(
            incident=incident, kind=EventKind.SUPPRESSED, at_ns=at_ns, detail=f"{reason}: {why}; nobody is told"
        )


def hold(step: Step, points: Collection[tuple[str, str]], now_ns: int) -> Step:
    """A step whose incidents say in their history that nobody is told of them, where that is so."""
    events = [
        event
        for call in step.calls
        if silent(call.incident, points)
        for event in held(call.incident.id, call.reason, WHY, now_ns)
    ]
    return replace(step, events=(*step.events, *events))


def release(incidents: Iterable[Incident], points: Collection[tuple[str, str]], now_ns: int) -> Step:
    """What is told when commissioning is over. incidents: those open that were held back."""
    freed = [replace(one, version=one.version + 1) for one in incidents if not silent(one, points)]
    return Step(
        cases=tuple(Case(one) for one in freed),
        events=tuple(Event(incident=one.id, kind=EventKind.COMMISSIONED, at_ns=now_ns) for one in freed),
        calls=tuple(Call(one, Reason.COMMISSIONED) for one in freed),
    )
