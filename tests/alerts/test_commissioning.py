"""A point in commissioning: its incidents are kept and shown, nobody is told, and what is open after it is, once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts import notifier
from alerts.commissioning import PAGES, WHY, hold, release
from alerts.egress import NotSent
from alerts.notifier import Alerts
from alerts.records import Call, EventKind, Notice, NoticeState, Reason, Step
from alerts.settings import Recipient
from collector.verdicts.book import Book
from collector.verdicts.records import Change
from tests.alerts.kit import SITE, average, exceedance, incident, judge, site, until
from tests.effort import examples

SILENT = SITE.replace('kind = "stack"', 'kind = "stack"\ncommissioning = true')
DUTY = """
[[channel]]
id = "mail"
kind = "console"
[[recipient]]
id = "duty"
role = "duty officer"
channels = ["mail"]
"""
TELL = f"""{DUTY}
[[recipient]]
id = "bureau"
role = "regulator"
channels = ["mail"]
"""
BOTH = ["bureau", "duty"]


class Taker:
    """A channel that takes everything, or (down) nothing for now."""

    def __init__(self, *, down: bool = False) -> None:
        self.down, self.taken = down, list[tuple[int, Reason, str]]()

    def send(self, notice: Notice, recipient: Recipient) -> str:
        if self.down:
            raise NotSent("the mail server is down", again=True)
        self.taken.append((notice.incident, notice.reason, recipient.id))
        return "taken"


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    found = Book(tmp_path / "verdicts.db")
    yield found
    found.close()


@contextmanager
def running(tmp_path: Path, book: Book, base: str, taker: Taker, tell: str = TELL) -> Iterator[Alerts]:
    """Alerts as one start of the collector has them."""
    alerts = Alerts([site(tmp_path, tell, base)], book, tmp_path / "alerts", senders={"mail": taker})
    alerts.start()
    try:
        until(lambda: alerts.health()["behind"] == 0)
        yield alerts
    finally:
        alerts.stop()


def kinds(alerts: Alerts, id: int = 1) -> list[str]:
    return [event.kind.value for event in alerts.events(id)]


def states(alerts: Alerts) -> set[tuple[str, str]]:
    return {(notice.reason.value, notice.state.value) for notice in alerts.notices()}


def test_nobody_is_told_then_what_is_still_open_is_told_once(tmp_path: Path, book: Book) -> None:
    taker = Taker()
    judge(book, exceedance(0), exceedance(0, point="fence-north", clause="other"))
    with running(tmp_path, book, SILENT, taker) as alerts:
        until(lambda: len(taker.taken) == 2)
        assert {incident for incident, _, _ in taker.taken} == {2}, "the other point's people are told"
        assert alerts.incident(1).state == "open"
        assert kinds(alerts) == ["opened", "suppressed"]
        mine = alerts.notices(1)
        assert sorted(n.recipient for n in mine) == BOTH
        assert {(n.state, n.detail) for n in mine} == {(NoticeState.SUPPRESSED, WHY)}
        assert alerts.health()["suppressed"] == 2
        assert alerts.commissioning == {("riverside", "stack-1")}
    for _ in range(2):  # once, however often it starts
        with running(tmp_path, book, SITE, taker) as alerts:
            until(lambda: len(taker.taken) == 4)
            assert sorted(one for one in taker.taken if one[0] == 1) == [(1, Reason.COMMISSIONED, id) for id in BOTH]
            assert kinds(alerts) == ["opened", "suppressed", "commissioned"]
            assert "STILL EXCEEDED, commissioning is over - Stack 1" in alerts.notices(1)[0].message.subject


def test_what_is_over_by_then_is_told_to_nobody(tmp_path: Path, book: Book) -> None:
    taker = Taker()
    judge(book, exceedance(0))
    with running(tmp_path, book, SILENT, taker) as alerts:
        until(lambda: kinds(alerts) == ["opened", "suppressed"])
        judge(book, exceedance(0, version=2, change=Change.WITHDRAWN))
        until(lambda: alerts.incident(1).state == "closed")
        assert states(alerts) == {("opened", "suppressed"), ("withdrawn", "suppressed")}
    with running(tmp_path, book, SITE, taker) as alerts:
        assert kinds(alerts) == ["opened", "suppressed", "retracted", "withdrawn"]
        assert taker.taken == []


def test_what_waits_for_a_mail_server_is_not_sent_either(tmp_path: Path, book: Book) -> None:
    down, up = Taker(down=True), Taker()
    judge(book, exceedance(0))
    with running(tmp_path, book, SITE, down) as alerts:
        until(lambda: all(notice.attempts for notice in alerts.notices()) and alerts.notices())
    with running(tmp_path, book, SILENT, up) as alerts:
        assert states(alerts) == {("opened", "suppressed")}
        assert kinds(alerts) == ["opened", "suppressed", "suppressed"]
    with running(tmp_path, book, SITE, up):
        until(lambda: len(up.taken) == 2)
    assert {reason for _, reason, _ in up.taken} == {Reason.COMMISSIONED}


@pytest.mark.parametrize("end", [Reason.WITHDRAWN, Reason.CLOSED])
def test_who_was_called_before_it_hears_how_it_ends_and_nobody_else(tmp_path: Path, book: Book, end: Reason) -> None:
    taker = Taker()
    judge(book, exceedance(0))
    with running(tmp_path, book, SITE, taker, DUTY):
        until(lambda: taker.taken == [(1, Reason.OPENED, "duty")])
    with running(tmp_path, book, SILENT, taker) as alerts:
        if end is Reason.WITHDRAWN:
            judge(book, exceedance(0, version=2, change=Change.WITHDRAWN))
        else:
            judge(book, exceedance(0, version=2), averages=tuple(average(hour) for hour in range(1, 8)))
        until(lambda: alerts.incident(1).state == "closed" and len(taker.taken) == 2)
        assert taker.taken[1:] == [(1, end, "duty")]
        until(lambda: states(alerts) == {("opened", "sent"), (end.value, "sent"), (end.value, "suppressed")})


def test_an_end_that_waits_for_a_mail_server_when_it_begins_is_sent_to_who_was_called(
    tmp_path: Path, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "RETRY_S", (0.05,) * 1000)
    up, down = Taker(), Taker(down=True)
    judge(book, exceedance(0))
    with running(tmp_path, book, SITE, up, DUTY):
        until(lambda: len(up.taken) == 1)
    judge(book, exceedance(0, version=2, change=Change.WITHDRAWN))
    with running(tmp_path, book, SITE, down) as alerts:
        until(lambda: [notice.attempts > 0 for notice in alerts.notices()] == [True] * 3)
        until(lambda: states(alerts) == {("opened", "sent"), ("withdrawn", "wanted")})  # the attempt has ended, too
    ends = {"duty": NoticeState.SENT, "bureau": NoticeState.SUPPRESSED}
    with running(tmp_path, book, SILENT, up) as alerts:
        until(lambda: {one.recipient: one.state for one in alerts.notices() if one.reason is Reason.WITHDRAWN} == ends)
    assert up.taken == [(1, Reason.OPENED, "duty"), (1, Reason.WITHDRAWN, "duty")]


def test_a_second_commissioning_ends_with_a_notice_of_its_own(tmp_path: Path, book: Book) -> None:
    taker = Taker()
    judge(book, exceedance(0), averages=(average(0), *(average(hour) for hour in range(1, 8))))
    with running(tmp_path, book, SILENT, taker) as alerts:
        until(lambda: alerts.incidents() and alerts.incident(1).state == "closed")
    with running(tmp_path, book, SITE, taker) as alerts:
        assert taker.taken == []
    judge(book, exceedance(4))
    with running(tmp_path, book, SILENT, taker) as alerts:
        until(lambda: alerts.incident(1).openings == 2)
        assert taker.taken == []
    with running(tmp_path, book, SITE, taker) as alerts:
        until(lambda: len(taker.taken) == 2)
        assert kinds(alerts)[-3:] == ["reopened", "suppressed", "commissioned"]


def test_one_that_opens_again_after_it_is_told_as_such_alone(tmp_path: Path, book: Book) -> None:
    taker = Taker()
    judge(book, exceedance(0), averages=tuple(average(hour) for hour in range(1, 8)))
    with running(tmp_path, book, SILENT, taker) as alerts:
        until(lambda: alerts.incidents() and alerts.incident(1).state == "closed")
    judge(book, exceedance(4))
    for _ in range(2):
        with running(tmp_path, book, SITE, taker):
            until(lambda: len(taker.taken) == 2)
    assert {reason for _, reason, _ in taker.taken} == {Reason.REOPENED}


def test_what_opened_again_late_and_told_nobody_is_told_when_it_is_over(tmp_path: Path, book: Book) -> None:
    taker = Taker()
    judge(book, exceedance(0, late=True), averages=tuple(average(hour) for hour in range(1, 8)))
    with running(tmp_path, book, SILENT, taker) as alerts:
        until(lambda: alerts.incidents() and alerts.incident(1).state == "closed")
        judge(book, exceedance(4, late=True))
        until(lambda: alerts.incident(1).openings == 2)
        assert kinds(alerts)[-1] == "reopened"
    for _ in range(2):
        with running(tmp_path, book, SITE, taker) as alerts:
            until(lambda: len(taker.taken) == 2)
            assert kinds(alerts)[-2:] == ["reopened", "commissioned"]
    assert {reason for _, reason, _ in taker.taken} == {Reason.COMMISSIONED}


@given(st.lists(st.tuples(st.sampled_from(list(Reason)), st.booleans()), max_size=8))
@settings(max_examples=examples(30))
def test_only_calls_of_silent_points_are_held_and_only_what_pages_is_noted(calls: list[tuple[Reason, bool]]) -> None:
    stack, fence = incident(), incident(point="fence-north")
    step = Step(cases=(), events=(), calls=tuple(Call(stack if mine else fence, reason) for reason, mine in calls))
    held = hold(step, {("riverside", "stack-1")}, 7)
    assert [event.detail.partition(":")[0] for event in held.events] == [r for r, mine in calls if mine and r in PAGES]
    assert {event.kind for event in held.events} <= {EventKind.SUPPRESSED}
    assert held.calls == step.calls
    freed = release([stack, fence], {("riverside", "stack-1")}, 7)
    assert [call.incident.point for call in freed.calls] == ["fence-north"]
    assert [case.incident.version for case in freed.cases] == [fence.version + 1]
