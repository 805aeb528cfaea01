"""When points were in commissioning stands in the journal, whatever the site files say later."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace as replaced

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from collector.__main__ import Collector
from collector.commissioning import Place, change, in_commissioning, periods
from collector.intake.events import What, entry, event
from collector.intake.journal import Journal
from collector.store import Entry
from gateway.settings import Site
from tests.collector.test_collector_main import Plant, brokerless, eventually
from tests.effort import examples

PLACES = [("mill", "stack"), ("mill", "fence"), ("port", "a.b-c")]
__all__ = ["brokerless"]


@given(st.lists(st.sets(st.sampled_from(PLACES)), max_size=12))
@settings(max_examples=examples(100))
def test_the_journal_tells_from_when_to_when(starts: list[set[Place]]) -> None:
    events: list[Entry] = [entry(What.GAP, "gw", b"", 1, "something else")]
    for at, now in enumerate(starts, 2):
        if told := change(events, now):
            events.append(replace(told, received_ns=at))
        assert change(events, now) is None, "said once"
    for at in range(2, len(starts) + 2):
        running = {(p.plant, p.point) for p in periods(events) if p.from_ns <= at and (p.to_ns is None or at < p.to_ns)}
        assert running == starts[at - 2]
    found = periods(events)
    assert found == sorted(found, key=lambda one: (one.from_ns, one.plant, one.point))


def test_a_collector_says_when_it_begins_and_when_it_ends(brokerless: Plant) -> None:
    def told(site: Site) -> list[tuple[str, bool]]:
        collector = Collector([site], demo=True)
        collector.start()
        eventually(lambda: collector.journal.last > 0)
        collector.stop()
        with closing(Journal(brokerless.folder / "data" / "collector" / "journal")) as journal:
            return [(event(one).text, event(one).security) for one in journal.events(0, 100)]

    plain = brokerless.site()
    silent = replaced(plain, points=tuple(replaced(point, commissioning=True) for point in plain.points))
    assert in_commissioning([silent]) == {("riverside", "fence-north")}
    begin = "in commissioning from now on: riverside/fence-north; nobody is told of incidents there"
    end = "no longer in commissioning: riverside/fence-north"
    assert told(plain) == []
    for _ in range(2):
        assert told(silent) == [(begin, False)]
    assert told(plain) == [(begin, False), (end, False)]
