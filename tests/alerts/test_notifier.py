from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from alerts import notifier
from alerts.egress import NotSent, Unclear
from alerts.ledger import LedgerBusy, UnknownIncident
from alerts.notifier import Alerts
from alerts.records import Notice, NoticeState, Reason
from alerts.settings import Recipient
from collector.verdicts.book import Book
from collector.verdicts.records import Change, Standing
from gateway.document import FaultyFiles
from tests.alerts.kit import HookSink, MailSink, average, exceedance, judge, serving, site, until

TELL = """
[[channel]]
id = "console"
kind = "console"
[[channel]]
id = "mail"
kind = "email"
smtp = "{smtp}"
sender = "emitwatch@example.com"
[[channel]]
id = "hook"
kind = "webhook"
url = "http://{hook}/n"
allow_private = true
late = true
[[recipient]]
id = "duty"
role = "duty officer"
channels = ["console", "mail", "hook"]
address = "duty@example.com"
"""
ONE = """
[[channel]]
id = "mail"
kind = "console"
[[recipient]]
id = "duty"
role = "duty officer"
channels = ["mail"]
"""


class Taker:
    """A channel under the test's control: each plan entry is what the next sending raises."""

    def __init__(self, *plan: Exception) -> None:
        self.plan, self.taken = list(plan), []

    def send(self, notice: Notice, recipient: Recipient) -> str:
        if self.plan:
            raise self.plan.pop(0)
        self.taken.append((notice.incident, notice.reason, recipient.id))
        return "taken"


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    found = Book(tmp_path / "verdicts.db")
    yield found
    found.close()


def one_channel(tmp_path: Path, book: Book, taker: Taker, **other: object) -> Alerts:
    return Alerts([site(tmp_path, ONE)], book, tmp_path / "alerts", senders={"mail": taker}, **other)


def test_an_exceedance_reaches_people_over_every_channel(
    tmp_path: Path, book: Book, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(MailSink()) as mail, serving(HookSink()) as hook:
        tell = TELL.format(smtp=mail.address, hook=hook.address)
        alerts = Alerts([site(tmp_path, tell)], book, tmp_path / "alerts", link="http://127.0.0.1:4711/")
        alerts.start()
        try:
            judge(book, exceedance(0), exceedance(1))
            until(lambda: alerts.ledger.counts()["sent"] == 3)
            judge(book, exceedance(2))
            until(lambda: alerts.incident(1).count == 3)
        finally:
            alerts.stop()
    assert len(mail.mails) == len(hook.posts) == 1, "repeats fold"
    assert "*** EXCEEDED - Stack 1, boiler 1: " in capsys.readouterr().out
    body = json.loads(hook.posts[0][2])
    assert body["link"] == "http://127.0.0.1:4711/#incident-1"
    assert body["title"]["zh"] != body["title"]["en"], "titles come from the rule pack"
    assert body["windows"] == 2


def test_readers_and_acknowledging(tmp_path: Path, book: Book) -> None:
    alerts = one_channel(tmp_path, book, Taker())
    alerts.start()
    try:
        judge(book, exceedance(0))
        until(lambda: alerts.incidents())
        (found,) = alerts.incidents(state="open", limit=10)
        assert alerts.acknowledge(found.id, "bo", "on my way") == 1
        after = alerts.incident(found.id)
        assert (after.state, after.acknowledged_by) == ("acknowledged", "bo"), "at once"
        assert [m.exceedance for m in alerts.members(found.id)] == [1]
        assert [e.kind for e in alerts.events(found.id)] == ["opened", "acknowledged"]
        assert [n.recipient for n in alerts.notices(found.id)] == ["duty"]
        with pytest.raises(UnknownIncident):
            alerts.acknowledge(99, "bo", "")
        until(lambda: alerts.health()["sent"] == 1)
        assert alerts.health()["running"]
        assert alerts.health()["behind"] == 0
    finally:
        alerts.stop()


def test_it_is_over_when_valid_hours_say_so(tmp_path: Path, book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifier, "CHECK_S", 0.05)
    taker = Taker()
    alerts = one_channel(tmp_path, book, taker)
    alerts.start()
    try:
        judge(book, exceedance(0), averages=(average(0, value=60.0),))
        until(lambda: taker.taken)
        judge(book, averages=(average(6, valid=False), average(7, value=None), average(8, point="stack-2")))
        time.sleep(0.3)
        assert alerts.incident(1).state == "open", "no data is no calm"
        judge(book, averages=(average(9),))
        until(lambda: len(taker.taken) == 2)
    finally:
        alerts.stop()
    assert taker.taken == [(1, Reason.OPENED, "duty"), (1, Reason.CLOSED, "duty")]


def test_a_withdrawn_one_is_taken_back(tmp_path: Path, book: Book) -> None:
    taker = Taker()
    alerts = one_channel(tmp_path, book, taker)
    alerts.start()
    try:
        judge(book, exceedance(0))
        until(lambda: taker.taken)
        judge(book, exceedance(0, version=2, change=Change.WITHDRAWN))
        until(lambda: len(taker.taken) == 2)
    finally:
        alerts.stop()
    assert taker.taken[1] == (1, Reason.WITHDRAWN, "duty")


def test_a_restart_sends_what_was_wanted_and_nothing_twice(tmp_path: Path, book: Book) -> None:
    judge(book, exceedance(0), exceedance(0, point="fence-north"))
    first = one_channel(tmp_path, book, Taker())
    first.step()  # wanted, and the process ends before a thread sends
    first.ledger.close()
    seen = []
    for _ in range(3):
        taker = Taker()
        alerts = one_channel(tmp_path, book, taker)
        alerts.start()
        until(lambda found=alerts: found.ledger.counts()["sent"] == 2)
        alerts.stop()
        seen += taker.taken
    assert sorted(seen) == [(1, Reason.OPENED, "duty"), (2, Reason.OPENED, "duty")]


def test_what_was_not_taken_is_tried_again(tmp_path: Path, book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifier, "RETRY_S", (0.05, 0.05))
    taker = Taker(NotSent("down"), NotSent("down"))
    alerts = one_channel(tmp_path, book, taker)
    with capture_logs() as logs:
        alerts.start()
        judge(book, exceedance(0))
        until(lambda: alerts.ledger.counts()["sent"] == 1)
        (notice,) = alerts.notices()
        alerts.stop()
    assert notice.attempts == 3
    assert [line["event"] for line in logs] == ["a notice was not taken and is tried again"], "once, not each time"


@pytest.mark.parametrize(
    ("error", "state"),
    [(NotSent("550 no", again=False), NoticeState.FAILED), (Unclear("no answer"), NoticeState.UNKNOWN)],
)
def test_what_is_not_tried_again_is_an_error(tmp_path: Path, book: Book, error: Exception, state: NoticeState) -> None:
    taker = Taker(error)
    alerts = one_channel(tmp_path, book, taker)
    with capture_logs() as logs:
        alerts.start()
        judge(book, exceedance(0))
        until(lambda: alerts.ledger.counts()[state.value] == 1)
        (notice,) = alerts.notices()
        alerts.stop()
    assert (notice.state, notice.detail) == (state, str(error))
    assert [line["log_level"] for line in logs] == ["error"]
    assert taker.taken == []


def test_after_a_day_it_is_given_up(tmp_path: Path, book: Book) -> None:
    now = [time.time_ns()]
    taker = Taker(NotSent("down"), NotSent("down"))
    alerts = one_channel(tmp_path, book, taker, now_ns=lambda: now[0])
    alerts.start()
    judge(book, exceedance(0))
    until(lambda: len(taker.plan) == 1)
    until(lambda: alerts.notices()[0].state == NoticeState.WANTED)
    alerts.stop()
    now[0] += 25 * 3600 * 10**9
    again = one_channel(tmp_path, book, taker, now_ns=lambda: now[0])
    again.start()
    until(lambda: again.ledger.counts()["failed"] == 1)
    assert again.ledger.counts()["wanted"] == 0
    again.stop()
    assert taker.taken == [], "nobody tried again"


def test_an_unforeseen_error_does_not_end_the_stage(
    tmp_path: Path, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifier, "SUPERVISOR_S", 0.05)
    taker = Taker(RuntimeError("a bug"))
    alerts = one_channel(tmp_path, book, taker)
    with capture_logs() as logs:
        alerts.start()
        judge(book, exceedance(0))
        until(lambda: logs)
        judge(book, exceedance(0, point="fence-north"))
        until(lambda: [n.state for n in alerts.notices()] == ["sent", "unknown"])
        assert alerts.health()["running"]
        alerts.stop()
    assert "nobody foresaw" in logs[0]["event"]
    assert taker.taken == [(2, Reason.OPENED, "duty")], "nobody knows how far the first got"


def test_an_incident_nobody_is_told_about_is_logged(tmp_path: Path, book: Book) -> None:
    alerts = one_channel(tmp_path, book, Taker())
    judge(book, exceedance(0, plant="harbour"))
    with capture_logs() as logs:
        alerts.step()
    alerts.ledger.close()
    assert "nobody is told" in logs[0]["event"]
    assert logs[0]["clause"] == "ultra-low-2015/nox-hour"


def test_what_was_derived_long_ago_counts_as_late(tmp_path: Path, book: Book) -> None:
    book.commit([], [exceedance(0)], derived_ns=time.time_ns() - 2 * 86400 * 10**9, state=b"", position=1)
    alerts = one_channel(tmp_path, book, Taker())
    alerts.step()
    assert alerts.incident(1).late
    alerts.ledger.close()


def test_a_backlog_is_folded_in_steps_without_closing_too_early(
    tmp_path: Path, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Averages run ahead of the exceedances that were not read yet; these belong to the same incident."""
    monkeypatch.setattr(notifier, "BATCH", 3)
    judge(book, *(exceedance(hour) for hour in range(12)), averages=tuple(average(hour) for hour in range(12)))
    alerts = one_channel(tmp_path, book, Taker())
    for _ in range(5):
        alerts.step()
    assert [(i.count, i.openings, i.state) for i in alerts.incidents()] == [(12, 1, "open")]
    assert len(alerts.notices()) == 1
    alerts.ledger.close()


def test_a_book_that_was_made_anew_is_read_from_its_start(tmp_path: Path, book: Book) -> None:
    taker = Taker()
    alerts = one_channel(tmp_path, book, taker)
    judge(book, exceedance(0), exceedance(1), exceedance(2))
    alerts.step()
    with closing(Book(tmp_path / "again.db")) as again:
        alerts = one_channel(tmp_path, again, taker)
        alerts.start()
        try:
            judge(again, exceedance(0), exceedance(20))
            until(lambda: alerts.health()["behind"] == 0)
            assert [one.from_ns for one in alerts.incidents()] == [exceedance(20).from_ns, exceedance(0).from_ns]
            assert alerts.incident(1).count == 3, "what is known already changes nothing"
        finally:
            alerts.stop()


@pytest.mark.parametrize("window", ["1h", "24h"])
def test_it_is_over_for_slow_instruments_too(tmp_path: Path, book: Book, window: str) -> None:
    alerts = one_channel(tmp_path, book, Taker())
    judge(book, exceedance(0))
    alerts.step()
    (before,) = alerts.incidents()
    calm = average(24, window=window, to_ns=average(48).from_ns)
    judge(book, averages=(calm,))
    alerts.step()
    (after,) = alerts.incidents()
    assert (before.state, after.state) == ("open", "closed")


def test_a_faulty_site_does_not_start(tmp_path: Path, book: Book) -> None:
    with pytest.raises(FaultyFiles, match="not defined"):
        Alerts([site(tmp_path, ONE.replace('["mail"]', '["fax"]'))], book, tmp_path / "alerts")


def test_a_second_one_over_the_same_ledger_does_not_start(tmp_path: Path, book: Book) -> None:
    alerts = one_channel(tmp_path, book, Taker())
    alerts.start()
    other = one_channel(tmp_path, book, Taker())
    with pytest.raises(LedgerBusy):
        other.start()
    other.ledger.close()
    alerts.stop()


def test_a_recipient_that_left_is_not_told(tmp_path: Path, book: Book) -> None:
    first = one_channel(tmp_path, book, Taker())
    judge(book, exceedance(0, standing=Standing.FINDING))
    first.step()
    first.ledger.close()
    taker = Taker()
    second = Alerts(
        [site(tmp_path, ONE.replace('"duty"', '"boss"'))], book, tmp_path / "alerts", senders={"mail": taker}
    )  # fmt: skip
    second.start()
    until(lambda: second.ledger.counts()["failed"] == 1)
    second.stop()
    assert taker.taken == []
