"""How a gateway is: what is shown of its measurements and state, and who may ask."""

from __future__ import annotations

import asyncio
import json
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.measurement import SECOND_NS, Columns, Series, Status
from gateway.status import Latest, Shown, facts, metrics, page, problems
from gateway.status_server import LONGEST, SOCKET, ask, served
from tests.gateway.ports import free_port

NOW_NS = 1_800_000_000 * SECOND_NS
GOOD: dict[str, Any] = {
    "gateway": "a-gw", "plant": "a", "broker": "mqtt://h", "sealed_batches": 7, "acked_batches": 5,
    "links": {"slm": "", "so2": ""}, "delivery": {"state": "ok", "problem": "", "hint": ""},
    "clock": {"standing": "right", "steps": 0, "off_s": None}, "storage": {"share": 0.25, "alarm": 0},
    "configuration": {"problem": ""}, "polls_answered": 3, "polls_failed": 0,
}  # fmt: skip


def columns(sensor: str, seconds: list[int], values: list[float], status: Status = Status.OK) -> Columns:
    n = len(seconds)
    series = (Series("a", "fence", sensor, "LAeq", "dB(A)"),)
    times = np.array([NOW_NS - s * SECOND_NS for s in seconds])
    return Columns(series, np.zeros(n, np.uint16), times, np.array(values), np.full(n, status, np.uint8))


def test_the_last_of_each_series_is_shown() -> None:
    latest = Latest()
    for part in (
        columns("b", [9, 5], [1.0, 2.0]),
        columns("a", [3], [np.nan], Status.NO_COMM),
        columns("b", [7], [3.0]),
    ):
        latest.put(part)
    shown = [(one.series.sensor, one.value, one.status, one.age_s) for one in latest.shown(NOW_NS)]
    assert shown == [("a", None, Status.NO_COMM, 3.0), ("b", 2.0, Status.OK, 5.0)]


def test_what_is_shown_stays_while_others_of_the_same_table_come_in() -> None:
    latest = Latest()
    series = tuple(Series("a", "fence", sensor, "LAeq", "dB(A)") for sensor in "abc")
    for index, seconds, values in (([0, 1], [9, 9], [1.0, 2.0]), ([1, 1], [7, 8], [4.0, 3.0]), ([0], [10], [0.5])):
        times, status = NOW_NS - np.array(seconds) * SECOND_NS, np.zeros(len(index), np.uint8)
        latest.put(Columns(series, np.array(index, np.uint16), times, np.array(values), status))
    assert [(one.series.sensor, one.value, one.age_s) for one in latest.shown(NOW_NS)] == [("a", 1.0, 9), ("b", 4.0, 7)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"links": {"slm": "unit 1 did not answer", "so2": ""}}, "slm: unit 1 did not answer"),
        ({"delivery": {"problem": "no collector listens", "hint": "start it"}}, "delivery: no collector listens"),
        ({"connection": {"problem": "refused", "hint": "start it"}}, "no connection to the broker: refused"),
        ({"clock": {"standing": "wrong", "off_s": 61.5}}, "the clock is wrong by 61.5 s"),
        ({"storage": {"alarm": 80}}, "the outbox is 80 % full"),
        ({"configuration": {"problem": "not signed"}}, "configuration: not signed"),
        ({"silent": ["so2"], "good_s": {"slm": 1.0, "so2": 7300.0}}, "so2: no good value for 2 h"),
        ({"inputs": {"tcp://h:502?unit=7": "did not answer"}}, "inputs at tcp://h:502?unit=7: did not answer"),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, Any], said: str) -> None:
    assert problems(GOOD) == []
    assert [what for what, _ in problems({**GOOD, **change})] == [said]
    assert all(hint for _, hint in problems({**GOOD, **change})), "and what to do"
    assert said in page({**GOOD, **change}, [])
    assert "all is well" in page(GOOD, [])


def test_how_old_good_values_are_is_shown_of_all_and_beside_each_that_is_not_good() -> None:
    state = {**GOOD, "good_s": {"slm": 12.7, "so2": 3.0}}
    assert dict(facts(state))["good values"] == "slm has given none for 12 s, the longest of 2 sensors"
    series = Series("a", "fence", "slm", "LAeq", "dB(A)")
    made = page(state, [Shown(series, 55.0, Status.FAULT, 1.0), Shown(series, 55.0, Status.OK, 1.0)])
    assert made.count("fault, no good value for 12 s") == 1
    assert made.count("no good value") == 1
    assert 'emitwatch_sensor_good_age_seconds{gateway="a-gw",plant="a",sensor="slm"} 12.7' in metrics(state, [])


def test_a_sensor_that_does_not_answer_is_one_problem_and_not_two() -> None:
    away = {**GOOD, "links": {"slm": "did not answer"}, "silent": ["slm"], "good_s": {"slm": 99.0}}
    assert [what for what, _ in problems(away)] == ["slm: did not answer"]


@given(st.text(), st.text())
def test_no_text_of_a_device_becomes_part_of_the_page(problem: str, sensor: str) -> None:
    shown = [Shown(Series("a", "p", f"<script>{sensor}", "LAeq", "dB"), 1.0, Status.OK, 0.0)]
    made = page({**GOOD, "links": {"slm": f"<img src=x>{problem}"}}, shown)
    assert "<script>" not in made
    assert "<img" not in made


def test_what_is_measured_no_longer_is_shown_no_longer() -> None:
    latest = Latest()
    for sensor in "abc":
        latest.put(columns(sensor, [5], [1.0]))
    kept = [Series("a", "fence", sensor, "LAeq", "dB(A)") for sensor in "dcb"]
    for _ in range(3):
        latest.keep(kept)
    latest.put(columns("c", [2], [2.0]))
    latest.put(columns("b", [7], [0.0]))
    assert [(one.series.sensor, one.value) for one in latest.shown(NOW_NS)] == [("b", 1.0), ("c", 2.0)]


def test_what_became_of_the_last_reload_is_shown() -> None:
    refused = {"time": "2026-11-22T08:00:00Z", "result": "refused", "text": "site.toml: <b>", "faults": 2}
    state = GOOD | {"reload": refused}
    ((what, hint),) = problems(state)
    assert what == "the site file was not taken over: site.toml: <b>"
    assert "reload again" in hint
    assert "refused at 2026-11-22T08:00:00Z" in page(state, [])
    applied = GOOD | {"reload": refused | {"result": "applied", "text": "begins: slm-2", "faults": 0}}
    assert problems(applied) == []
    assert "applied at 2026-11-22T08:00:00Z: begins: slm-2" in page(applied, [])
    for found, figure in ((state, 1), (applied, 0), (GOOD, 0)):
        assert f'emitwatch_gateway_reload_refused{{gateway="a-gw",plant="a"}} {figure}\n' in metrics(found, [])


def test_figures_are_in_the_format_of_prometheus() -> None:
    shown = [Shown(Series("a", "p", 'a"b\\', "LAeq", "dB"), 1.0, Status.OK, 2.5)]
    lines = metrics({**GOOD, "links": {"slm": "gone"}}, shown).splitlines()
    assert all(re.fullmatch(r'[a-z_]+\{([a-z]+="(\\.|[^"\\])*",?)+\} -?[0-9.e+-]+', line) for line in lines), lines
    assert 'emitwatch_sensor_up{gateway="a-gw",plant="a",sensor="slm"} 0' in lines
    assert 'emitwatch_gateway_polls_answered{gateway="a-gw",plant="a"} 3' in lines


async def request(port: int, text: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text.encode())
    answer = await reader.read()
    writer.close()
    return answer


def run(folder: Path, work: Callable[[int], Any]) -> None:
    async def all_of_it() -> None:
        latest = Latest()
        latest.put(columns("slm", [0], [51.5]))
        async with served(folder, free_port(), lambda: GOOD, latest) as port:
            await work(port)

    asyncio.run(all_of_it())


def test_who_is_on_the_machine_may_read_and_nobody_else(tmp_path: Path) -> None:
    async def work(port: int) -> None:
        for path, found in {
            "/": b"51.5 dB(A)",
            "/status": b'"gateway": "a-gw"',
            "/metrics": b"emitwatch_gateway_up",
        }.items():
            answer = await request(port, f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200")
            assert found in answer
        rebound = await request(port, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        assert rebound.startswith(b"HTTP/1.1 403")
        assert b"51.5" not in rebound
        assert (await request(port, "GET / HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 403")
        host = f"Host: 127.0.0.1:{port}\r\n\r\n"
        assert (await request(port, f"POST / HTTP/1.1\r\n{host}")).startswith(b"HTTP/1.1 405")
        assert (await request(port, f"GET /../key HTTP/1.1\r\n{host}")).startswith(b"HTTP/1.1 404")
        assert await request(port, "x" * 2 * LONGEST) == b""
        assert (await request(port, f"GET /status HTTP/1.1\r\n{host}")).startswith(b"HTTP/1.1 200"), "it still answers"

    run(tmp_path, work)


def test_the_folder_s_socket_answers_its_owner(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-folder-whose-path-is-too-long-for-a-socket"] * 4)
    deep.mkdir(parents=True)
    (deep / SOCKET).write_text("left by a process that was killed")

    async def work(_: int) -> None:
        assert stat.S_IMODE((deep / SOCKET).stat().st_mode) == 0o600
        told = await asyncio.to_thread(ask, deep)
        assert told["measured"][0]["value"] == 51.5
        assert json.loads(json.dumps(GOOD)).items() <= told.items()

    run(deep, work)
    assert not (deep / SOCKET).exists()
    with pytest.raises(OSError, match="No such file"):
        ask(deep)


def test_who_asks_and_says_nothing_keeps_nobody_waiting(tmp_path: Path) -> None:
    async def work(port: int) -> None:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(8)]
        started = time.monotonic()
        assert await asyncio.to_thread(ask, tmp_path)
        assert time.monotonic() - started < 4
        for _, writer in idle:
            writer.close()

    run(tmp_path, work)
