"""The live stream: over HTTP on the line, and its limits on a journal of a few entries."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from api.live import FRESH_NS, MAX_LISTENERS, MAX_WAITING, Listener, Live, TooManyListeners
from api.server import LiveAnswer
from api.times import format_time
from collector.store import AHEAD_NS, Entry, EntryKind
from gateway.measurement import SECOND_NS, concatenate
from tests.api.line import Line
from tests.collector.batches import START_NS, FakeGateway, columns


def events(answer: httpx.Response) -> Iterator[tuple[str, Any]]:
    name = ""
    for text in answer.iter_lines():
        if text.startswith("event: "):
            name = text[7:]
        elif text.startswith("data: "):
            yield name, json.loads(text[6:])


def test_new_measurements_are_pushed(line: Line) -> None:
    with line.client() as client, client.stream("GET", "live") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert "content-encoding" not in answer.headers
        found = events(answer)
        assert next(found)[0] == "hello"
        time.sleep(1.2)  # the thread looks for listeners once a second
        # The first instant after the line's past at which every sensor measures.
        now_ns = (line.now_ns // (60 * SECOND_NS) + 1) * 60 * SECOND_NS
        columns = concatenate([line._measured(sensor, now_ns, now_ns + SECOND_NS) for sensor in line.sensors])
        line.deliver(columns, received_ns=time.time_ns())
        _, data = next(event for event in found if event[0] == "measurements")
    assert {item["point"] for item in data["items"]} == {"fence-north", "stack-1", "outfall-1"}
    assert set(data["items"][0]) == {"time", "plant", "point", "parameter", "value", "unit", "status"}
    assert len(data["items"]) == len(columns)


class Journal:
    """A journal that is only waited for."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def read(self, after: int, limit: int) -> list[Entry]:
        return self.entries[after : after + limit]

    def overlapping(self, from_ns: int, to_ns: int, upto: int) -> list[Entry]:
        return []

    def wait(self, after: int, timeout_s: float) -> int:
        if len(self.entries) <= after:
            time.sleep(min(timeout_s, 0.01))
        return len(self.entries)


def test_a_backlog_is_passed_over_unread() -> None:
    journal = Journal()
    live = Live(journal, dict)
    sent: list[Any] = []
    live._send = sent.append  # type: ignore[method-assign]
    old = Entry(1, 10 * FRESH_NS, EntryKind.BATCH, payload=b"not even decodable", last_ns=8 * FRESH_NS)
    live._forward(old)
    live._forward(Entry(2, 10 * FRESH_NS, EntryKind.TICK))
    assert sent == []


def test_a_batch_that_cannot_be_decoded_ends_nothing() -> None:
    live = Live(Journal(), dict)
    with capture_logs() as logs:
        live._forward(Entry(1, FRESH_NS, EntryKind.BATCH, payload=b"x" * 100, last_ns=FRESH_NS))
    assert [line["position"] for line in logs] == [1]


def test_a_value_ahead_of_its_receipt_is_not_shown_as_what_is_now() -> None:
    live, gateway, sent = Live(Journal(), dict), FakeGateway(), []
    live._send = sent.append  # type: ignore[method-assign]
    gateway.sealed()
    both = concatenate([columns(1), columns(1, from_ns=START_NS + 2 * AHEAD_NS)])
    live._forward(gateway.entry(gateway.sealed(both), received_ns=START_NS))
    ((name, text),) = sent
    assert name == "measurements"
    assert [item["time"] for item in json.loads(text)["items"]] == [format_time(START_NS)]


def test_a_slow_listener_is_told_to_load_again() -> None:
    async def lag() -> list[str]:
        listener = Listener(asyncio.get_running_loop())
        for number in range(MAX_WAITING + 50):
            listener.put(("measurements", b"%d" % number))
        names = []
        while not listener.events.empty():
            event = listener.events.get_nowait()
            names.append(event[0] if event else "end")
        listener.put(("measurements", b""))
        event = listener.events.get_nowait()
        return [*names, event[0] if event else "end"]

    names = asyncio.run(lag())
    assert names.count("reload") == 1
    assert len(names) == MAX_WAITING + 2
    assert names[-1] == "measurements"


def test_there_is_a_last_place() -> None:
    async def fill() -> None:
        live = Live(Journal(), dict)
        listeners = [live.join() for _ in range(MAX_LISTENERS)]
        with pytest.raises(TooManyListeners):
            live.join()
        live.leave(listeners[0])
        live.join()

    asyncio.run(fill())


def test_a_place_is_given_back_by_a_page_that_left_before_its_first_event() -> None:
    async def leave_early() -> int:
        live = Live(Journal(), dict)
        answer = LiveAnswer(live, live.join())

        async def gone(_: object) -> None:
            raise OSError("the page has left")

        with contextlib.suppress(Exception):
            await answer({"type": "http", "asgi": {"spec_version": "2.4"}}, asyncio.Event().wait, gone)
        return live.count()

    assert asyncio.run(leave_early()) == 0


def test_an_error_nobody_foresaw_does_not_end_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.live.WAIT_S", 0.01)
    answers: list[Any] = [{"incidents": 1}, OSError("the disk"), {"incidents": 2}]

    def changes() -> dict[str, int]:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, OSError):
            raise answer
        return dict(answer)

    async def listen() -> Any:
        live = Live(Journal(), changes)
        listener = live.join()
        live.start()
        got = await asyncio.wait_for(listener.events.get(), 20)
        await asyncio.to_thread(live.stop)
        return got

    assert asyncio.run(listen()) == ("changed", b'{"incidents":2}')


def test_changes_and_the_end_reach_every_listener() -> None:
    newest, asked = {"incidents": 1}, threading.Event()

    def changes() -> dict[str, int]:
        found = dict(newest)
        asked.set()
        return found

    async def listen() -> list[Any]:
        live = Live(Journal(), changes)
        listeners = [live.join(), live.join()]
        live.start()
        assert await asyncio.to_thread(asked.wait, 20)
        newest["incidents"] = 2
        got = [await asyncio.wait_for(listener.events.get(), 20) for listener in listeners]
        await asyncio.to_thread(live.stop)
        return got + [await asyncio.wait_for(listener.events.get(), 20) for listener in listeners]

    assert asyncio.run(listen()) == [("changed", b'{"incidents":2}')] * 2 + [None] * 2
