from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.ledger import Ledger, LedgerBusy, LedgerError, UnknownIncident
from alerts.records import EventKind, IncidentState, Notice, NoticeState, Reason, Step
from collector.verdicts.records import Change, Exceedance
from tests.alerts.kit import HOUR, QUIET, T0, exceedance, fill, step, wanted
from tests.alerts.test_incidents import Memory, chunks, histories
from tests.effort import examples


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    found = Ledger(tmp_path)
    yield found
    found.close()


def feed(ledger: Ledger, *numbered: tuple[int, Exceedance], now_ns: int = 5) -> Step:
    """One step as the notifier takes it, with a notice to the duty officer for every call."""
    last, last_command = ledger.cursors()
    commands = ledger.commands(last_command)
    cases = ledger.cases([e for _, e in numbered], [c.incident for c in commands], span_ns=QUIET)
    done = step(cases, [e for _, e in numbered], first=numbered[0][0] if numbered else 1, commands=commands,
                next_id=ledger.next_id())  # fmt: skip
    ledger.commit(
        done, [wanted(call.incident, reason=call.reason) for call in done.calls],
        exceedance=max([last, *(n for n, _ in numbered)]),
        command=max([last_command, *(c.id for c in commands)]), now_ns=now_ns,
    )  # fmt: skip
    return done


def test_a_step_is_read_back(ledger: Ledger) -> None:
    done = feed(ledger, (1, exceedance(0)), (2, exceedance(1, value=80.0)))
    assert ledger.incidents() == [done.cases[0].incident] == [ledger.incident(1)]
    assert [m.value for m in ledger.members(1)] == [61.7, 80.0]
    assert [(e.kind, e.at_ns) for e in ledger.events(1)] == [(EventKind.OPENED, 7)]
    assert ledger.cursors() == (2, 0)
    (notice,) = ledger.notices(1)
    assert (notice.state, notice.attempts, notice.key) == (NoticeState.WANTED, 0, "ultra-low-2015/nox-hour")
    assert ledger.notices() == [notice] == [ledger.notice(1)]
    assert ledger.incident(2) is None
    assert ledger.notice(2) is None


def test_versions_are_kept_and_the_newest_counts(ledger: Ledger, tmp_path: Path) -> None:
    for hour in range(3):
        feed(ledger, (hour + 1, exceedance(hour)))
    assert [i.version for i in ledger.incidents()] == [3]
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        assert connection.execute("SELECT count(*) FROM incident").fetchone() == (3,)
    connection.close()


@pytest.mark.parametrize("table", ["incident", "member", "event", "notice", "delivery"])
def test_nothing_written_is_changed_or_removed(ledger: Ledger, tmp_path: Path, table: str) -> None:
    fill(ledger, 1)
    ledger.begin("mail", 5)
    connection = sqlite3.connect(tmp_path / "ledger.db")
    column = connection.execute(f"SELECT name FROM pragma_table_info('{table}')").fetchone()[0]
    for sql in (f"UPDATE {table} SET {column} = 9", f"DELETE FROM {table}"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute(sql)
    connection.close()


def test_commands_are_append_only(ledger: Ledger, tmp_path: Path) -> None:
    fill(ledger, 0)
    ledger.acknowledge(1, "bo", "", 5)
    connection = sqlite3.connect(tmp_path / "commands.db")
    for sql in ("UPDATE command SET who = 'li'", "DELETE FROM command"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute(sql)
    connection.close()


def test_incidents_come_newest_first_in_pages_and_by_state(ledger: Ledger) -> None:
    for n in range(5):
        feed(ledger, (n + 1, exceedance(0, point=f"stack-{n}")))
    assert [i.id for i in ledger.incidents(limit=2)] == [5, 4]
    assert [i.id for i in ledger.incidents(limit=2, after=4)] == [3, 2]
    ledger.acknowledge(2, "bo", "on my way", 6)
    feed(ledger)
    assert [i.id for i in ledger.incidents(state="acknowledged")] == [2]
    assert [i.id for i in ledger.incidents(state="open")] == [5, 4, 3, 1]
    assert [i.id for i in ledger.incidents(plant="riverside", point="stack-3")] == [4]
    assert ledger.incidents(state="closed") == ledger.incidents(plant="harbour") == []
    assert ledger.counts()["incidents"] == 5


def test_an_acknowledgement_is_a_command_applied_once(ledger: Ledger) -> None:
    feed(ledger, (1, exceedance(0)))
    assert ledger.acknowledge(1, "bo", "on my way", 6) == 1
    assert ledger.incident(1).state is IncidentState.OPEN, "until it is followed"
    feed(ledger)
    found = ledger.incident(1)
    assert (found.state, found.acknowledged_by, found.note, found.acknowledged_ns) == (
        "acknowledged",
        "bo",
        "on my way",
        6,
    )
    assert ledger.cursors() == (1, 1)
    assert feed(ledger).cases == ()
    with pytest.raises(UnknownIncident):
        ledger.acknowledge(99, "bo", "", 6)


@settings(max_examples=examples(40, 200))
@given(histories(), st.lists(st.integers(0, 7)))
def test_what_the_ledger_gives_back_is_enough_to_go_on(
    tmp_path_factory: pytest.TempPathFactory, history: list, sizes: list[int]
) -> None:
    """Steps over the ledger's selection of cases come to the same as over all cases."""
    ledger, memory = Ledger(tmp_path_factory.mktemp("ledger")), Memory()
    memory.feed(history)
    for part in chunks(history, sizes):
        feed(ledger, *part)
    shape = [
        (i.id, i.place, i.from_ns, i.to_ns, i.count, [(m.from_ns, m) for m in ledger.members(i.id)])
        for i in reversed(ledger.incidents())
    ]  # fmt: skip
    ledger.close()
    assert shape == memory.shape()


def test_a_withdrawn_edge_is_still_found(ledger: Ledger) -> None:
    feed(ledger, (1, exceedance(0)), (2, exceedance(5)))
    feed(ledger, (3, exceedance(0, version=2, change=Change.WITHDRAWN)))
    far = exceedance(0, version=2, change=Change.WITHDRAWN)
    assert ledger.incident(1).from_ns == T0 + 5 * HOUR
    assert feed(ledger, (4, far)).cases == (), "a replay far outside the shrunken span is known"


# --- the way of a notice --------------------------------------------------------------------------


def test_a_notice_is_handed_out_once(ledger: Ledger) -> None:
    fill(ledger, 2)
    first, second = ledger.begin("mail", 5), ledger.begin("mail", 5)
    assert first is not None
    assert second is not None
    assert (first.id, second.id) == (1, 2)
    assert first.state is NoticeState.SENDING
    assert ledger.begin("mail", 5) is None
    assert ledger.begin("hook", 5) is None
    ledger.end(first, NoticeState.SENT, 6, "250 ok")
    ledger.end(second, NoticeState.FAILED, 6, "550 no")
    states = [(n.state, n.detail, n.attempts) for n in ledger.notices()]
    assert states == [("failed", "550 no", 1), ("sent", "250 ok", 1)]
    assert ledger.begin("mail", 10**18) is None
    counts = ledger.counts()
    assert (counts["sent"], counts["failed"], counts["wanted"]) == (1, 1, 0)


def test_one_that_was_not_taken_comes_back_when_it_is_due(ledger: Ledger) -> None:
    fill(ledger, 1)
    assert ledger.next_due("mail") == 1
    first = ledger.begin("mail", 5)
    ledger.end(first, NoticeState.WANTED, 6, "refused", due_ns=100)
    assert ledger.begin("mail", 99) is None
    assert ledger.next_due("mail") == 100
    again = ledger.begin("mail", 100)
    assert again is not None
    assert (again.digest, again.attempts) == (first.digest, 2)


def test_the_same_message_is_wanted_once(ledger: Ledger) -> None:
    found = fill(ledger, 1)
    assert ledger.commit(Step(cases=(), events=(), calls=()), found, exceedance=1, command=0, now_ns=2) == []
    assert len(ledger.notices()) == 1


def test_after_a_crash_while_sending_it_is_unknown_and_stays_so(tmp_path: Path) -> None:
    before = Ledger(tmp_path)
    fill(before, 3)
    before.end(before.begin("mail", 5), NoticeState.SENT, 6, "250")
    assert before.begin("mail", 7) is not None
    before.close()  # as a crash leaves it: the second is `sending`
    after = Ledger(tmp_path)
    (lost,) = after.own(50)
    assert (lost.id, lost.state, lost.attempts) == (2, NoticeState.UNKNOWN, 1)
    third = after.begin("mail", 60)
    assert third is not None
    assert third.id == 3
    assert after.begin("mail", 10**18) is None
    after.close()


def test_notices_of_a_channel_that_is_gone_are_given_up(ledger: Ledger) -> None:
    fill(ledger, 1, channel="pigeon")
    assert [n.state for n in ledger.abandon(["mail"], 5)] == [NoticeState.FAILED]
    assert ledger.abandon(["mail"], 6) == []
    assert ledger.begin("pigeon", 10) is None


@settings(max_examples=examples(40, 200))
@given(st.lists(st.sampled_from(["begin", "sent", "failed", "again", "crash"]), max_size=30))
def test_no_notice_is_sent_twice_whatever_happens(tmp_path_factory: pytest.TempPathFactory, ops: list[str]) -> None:
    """`again` is the one way back, and it means that the other side did not take it."""
    folder = tmp_path_factory.mktemp("ledger")
    ledger = Ledger(folder)
    fill(ledger, 5)
    ledger.own(0)
    out: list[Notice] = []
    taken: list[int] = []
    for now, op in enumerate(ops, 10):
        if op == "crash":
            taken += [notice.id for notice in out]  # The worst case: all of them had arrived.
            out = []
            ledger.close()
            ledger = Ledger(folder)
            ledger.own(now)
        elif op == "begin":
            out += [found] if (found := ledger.begin("mail", now)) else []
        elif out:
            notice = out.pop()
            if op == "sent":
                taken.append(notice.id)
            state = {"sent": NoticeState.SENT, "failed": NoticeState.FAILED, "again": NoticeState.WANTED}[op]
            ledger.end(notice, state, now, "", due_ns=now)
    ledger.close()
    assert len(taken) == len(set(taken))


def test_many_threads_share_it(ledger: Ledger) -> None:
    fill(ledger, 40)
    got: list[int] = []

    def work() -> None:
        while (notice := ledger.begin("mail", 5)) is not None:
            got.append(notice.id)
            ledger.end(notice, NoticeState.SENT, 6, "")
            ledger.notices()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(1, 41))


# --- the files ------------------------------------------------------------------------------------


def test_one_process_owns_it(ledger: Ledger, tmp_path: Path) -> None:
    ledger.own(1)
    program = (
        "import sys\nfrom alerts.ledger import Ledger, LedgerBusy\nledger = Ledger(sys.argv[1])\n"
        "try:\n    ledger.own(1)\nexcept LedgerBusy as error:\n    print(error)\nprint(ledger.counts())"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "another process owns the ledger; end that" in done.stdout
    assert "'incidents': 0" in done.stdout, "others may read"


def test_two_owners_in_one_process_are_refused_too(ledger: Ledger, tmp_path: Path) -> None:
    ledger.own(1)
    other = Ledger(tmp_path)
    with pytest.raises(LedgerBusy):
        other.own(1)
    ledger.close()
    other.own(1)
    other.close()


def test_a_file_that_is_no_ledger_is_refused_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"not a database" * 100)
    with pytest.raises(LedgerError, match="move it away"):
        Ledger(tmp_path)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "ledger.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(LedgerError, match="update emitwatch"):
        Ledger(tmp_path)


def test_a_step_that_fails_leaves_nothing(ledger: Ledger) -> None:
    done = step([], [exceedance(0)])
    bad = wanted(done.cases[0].incident)
    object.__setattr__(bad, "recipient", None)
    with pytest.raises(sqlite3.IntegrityError):
        ledger.commit(done, [bad], exceedance=1, command=0, now_ns=1)
    assert ledger.incidents() == []
    assert ledger.cursors() == (0, 0)
    assert wanted(done.cases[0].incident, reason=Reason.CLOSED).digest
