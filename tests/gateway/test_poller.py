"""The poller against instruments that come and go: every tick gives a measurement or the reason why not."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np
import pytest
from structlog.testing import capture_logs

from gateway import catalogue
from gateway.breaker import FAILURES
from gateway.errands import Errands
from gateway.links.tcp import TcpLink
from gateway.measurement import SECOND_NS, Columns, Status, concatenate
from gateway.poller import MAX_NOTES, STALE_NS, Poller
from gateway.profiles import Checks
from gateway.sensors import Sensor, resolve
from gateway.settings import parse_site
from gateway.shelves import SpoolFull
from gateway.turns import Ask, Turns
from tests.gateway.batches import PATIENCE_S
from tests.gateway.lines import Device, right
from tests.gateway.modbus_server import Instruments, Request, mbap, serving

INTERVAL_NS = SECOND_NS // 10
LEVELS = {0: 554, 1: 612, 2: 0}  # LAeq and LAFmax in 0.1 dB, status word

SITE = """
[plant]
id = "p"
timezone = "UTC"
[broker]
url = "mqtt://127.0.0.1"
[[gateway]]
id = "gw"
[[point]]
id = "fence"
kind = "noise"
"""


def sensors(port: int, *units: int, interval_s: float = 0.1) -> tuple[Sensor, ...]:
    text = SITE
    for unit in units:
        text += f'[[point]]\nid = "fence-{unit}"\nkind = "noise"\n'
        text += f'[[sensor]]\nid = "slm-{unit}"\npoint = "fence-{unit}"\nlink = "tcp://127.0.0.1:{port}?unit={unit}"\n'
        text += f'profile = "emitwatch-noise"\ninterval_s = {interval_s}\n'
    site, faults = parse_site(text, "site.toml")
    assert site, faults
    found, faults = resolve(site, catalogue.profiles(), catalogue.parameters())
    assert not faults
    return found


def instruments(**other: object) -> Instruments:
    return Instruments(registers=lambda unit, address: LEVELS.get(address, 0), **other)  # type: ignore[arg-type]


class Bench:
    """A poller, what it gave, and the instruments it polls."""

    def __init__(self, found: Instruments, poller: Poller, given: list[Columns]) -> None:
        self.instruments, self.poller, self.given = found, poller, given

    def rows(self, sensor: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ticks, LAeq values and statuses of one sensor."""
        table = concatenate(self.given)
        mine = [s.sensor == sensor and s.parameter == "LAeq" for s in table.series]
        rows = table.take(np.array(mine)[table.series_index])
        return rows.time_ns, rows.value, rows.status

    async def until(self, condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
        """Poll until something is so."""
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            await asyncio.sleep(0.01)


def poll(
    talk: Callable[[Bench], Awaitable[None]], *units: int, found: Instruments | None = None,
    now_ns: Callable[[], int] = time.time_ns, interval_s: float = 0.1, tell: Callable[..., None] = lambda *_: None,
) -> Bench:  # fmt: skip
    async def whole() -> Bench:
        async with serving(found or instruments()) as served:
            given: list[Columns] = []
            mine = sensors(served.port, *units, interval_s=interval_s)
            poller = Poller(mine, lambda columns: given.append(columns) or 0, now_ns=now_ns, tell=tell)
            bench = Bench(served, poller, given)
            running = asyncio.create_task(poller.run())
            try:
                await talk(bench)
            finally:
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running
                await asyncio.sleep(0.01)
            return bench

    return asyncio.run(whole())


def test_series_are_regular_and_values_those_of_the_registers():
    async def talk(bench: Bench) -> None:
        await bench.until(lambda: bench.poller.state()["polls_answered"] >= 12)

    began_ns = time.time_ns()
    bench = poll(talk, 1, 2)
    ended_ns = time.time_ns()
    for sensor in ("slm-1", "slm-2"):
        time_ns, value, status = bench.rows(sensor)
        assert (time_ns % INTERVAL_NS == 0).all()
        assert (np.diff(time_ns) == INTERVAL_NS).all()
        assert set(value[status == Status.OK].tolist()) == {55.4}
        assert (status == Status.OK).sum() >= 3, "a busy machine may miss a tick"
        assert began_ns - SECOND_NS < time_ns[0] < time_ns[-1] < ended_ns + SECOND_NS, "they are of this time"
    assert bench.instruments.connections == 1, "both are behind one address"
    assert {(s.point, s.parameter, s.unit) for s in bench.given[0].series} == {
        (f"fence-{unit}", parameter, "dB(A)") for unit in (1, 2) for parameter in ("LAeq", "LAFmax")
    }


def test_an_instrument_that_goes_and_returns_leaves_no_gap_and_two_log_lines():
    async def talk(bench: Bench) -> None:
        await bench.until(lambda: len(bench.given) >= 3)
        await bench.instruments.stop()
        await bench.until(lambda: bench.poller.state()["links"]["slm-1"] != "")
        await asyncio.sleep(0.3)
        await bench.instruments.start()
        before = bench.poller.state()["polls_answered"]
        await bench.until(lambda: bench.poller.state()["polls_answered"] > before + 2)

    with capture_logs() as logs:
        bench = poll(talk, 1)
    time_ns, value, status = bench.rows("slm-1")
    assert (np.diff(time_ns) == INTERVAL_NS).all(), "missing is a status, never a gap"
    assert np.isnan(value[status != Status.OK]).all()
    assert set(status.tolist()) == {Status.OK, Status.NO_COMM}
    assert [line["log_level"] for line in logs] == ["warning", "info"] * (len(logs) // 2)
    assert {line["sensor"] for line in logs} == {"slm-1"}


def test_an_instrument_that_was_never_there_gives_no_comm_from_the_first_tick():
    async def talk(bench: Bench) -> None:
        await bench.instruments.stop()
        await bench.until(lambda: len(bench.given) >= 6)

    with capture_logs() as logs:
        bench = poll(talk, 1)
    time_ns, _, status = bench.rows("slm-1")
    assert set(status.tolist()) == {Status.NO_COMM}
    assert (np.diff(time_ns) == INTERVAL_NS).all()
    assert len(logs) == 1
    assert "cannot connect" in logs[0]["problem"]


def test_a_dead_unit_does_not_take_the_time_of_the_living():
    async def talk(bench: Bench) -> None:
        await bench.until(lambda: bench.poller.state()["polls_failed"] >= FAILURES)
        before = bench.poller.state()["polls_answered"]
        await bench.until(lambda: bench.poller.state()["polls_answered"] >= before + 5)

    bench = poll(talk, 1, 2, found=instruments(script=lambda r: None if r.unit == 1 else r.answer))
    dead, living = bench.rows("slm-1"), bench.rows("slm-2")
    assert set(dead[2].tolist()) == {Status.NO_COMM}
    assert (living[2] == Status.OK).sum() >= 4
    for time_ns, _, _ in (dead, living):
        assert (np.diff(time_ns) == INTERVAL_NS).all(), "ticks that nobody had time for are filled"
    assert bench.poller.state()["ticks_unserved"] > 0


@pytest.mark.parametrize(("code", "status"), [(2, Status.NO_COMM), (4, Status.FAULT), (6, Status.NO_COMM)])
def test_an_exception_says_what_the_value_is_worth(code, status):
    def refuse(request: Request) -> bytes:
        return mbap(request.tid, request.unit, bytes([request.fc | 0x80, code]))

    async def talk(bench: Bench) -> None:
        await bench.until(lambda: bench.poller.state()["polls_failed"] >= 2)

    with capture_logs() as logs:
        bench = poll(talk, 1, found=instruments(script=refuse))
    given = set(bench.rows("slm-1")[2].tolist())
    assert {status} <= given <= {status, Status.NO_COMM}, "a busy machine may miss a tick"
    assert f"exception {code}" in logs[0]["problem"]


def test_what_the_instrument_says_of_itself_comes_along():
    async def talk(bench: Bench) -> None:
        await bench.until(lambda: bench.poller.state()["polls_answered"] >= 1)

    maintenance = Instruments(registers=lambda unit, address: 4 if address == 2 else 554)
    bench = poll(talk, 1, found=maintenance)
    _, value, status = bench.rows("slm-1")
    answered = status != Status.NO_COMM  # a busy machine may miss a tick
    assert answered.any()
    assert set(zip(value[answered].tolist(), status[answered].tolist(), strict=True)) == {(55.4, Status.MAINTENANCE)}


@pytest.mark.parametrize("step_s", [3600, -3600])
def test_a_step_of_the_clock_sets_the_ticks_anew(step_s):
    shift = [0]

    async def talk(bench: Bench) -> None:
        await bench.until(lambda: bench.poller.state()["polls_answered"] >= 3)
        shift[0] = step_s * SECOND_NS
        before = bench.poller.state()["polls_answered"]
        await bench.until(lambda: bench.poller.state()["polls_answered"] >= before + 3)

    bench = poll(talk, 1, now_ns=lambda: time.time_ns() + shift[0])
    time_ns, _, status = bench.rows("slm-1")
    steps = np.diff(time_ns)
    assert (steps != INTERVAL_NS).sum() == 1, "one jump, not filled: the time between never was"
    assert abs(steps[steps != INTERVAL_NS][0] - step_s * SECOND_NS) < SECOND_NS
    assert (time_ns % INTERVAL_NS == 0).all()
    assert (status == Status.OK).sum() >= 4


def test_addresses_do_not_wait_for_one_another():
    async def whole() -> list[Columns]:
        given: list[Columns] = []
        silent = instruments(script=lambda r: None)
        async with serving(silent), serving(instruments()) as good:
            poller = Poller([*sensors(silent.port, 1), *sensors(good.port, 2)], given.append)
            running = asyncio.create_task(poller.run())
            enough = {"polls_failed": FAILURES, "polls_answered": 5}
            await Bench(good, poller, given).until(lambda: all(poller.state()[k] >= n for k, n in enough.items()))
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            assert poller.state()["ticks_unserved"] > 0
        return given

    table = concatenate(asyncio.run(whole()))
    good = np.array([s.sensor == "slm-2" for s in table.series])[table.series_index]
    assert (table.status[good] == Status.OK).sum() >= 10, "two parameters a poll"


def test_a_sensor_is_asked_again_only_when_its_last_values_are_on_the_disk():
    """Else a crash would cost more than one poll."""

    async def whole() -> list[int]:
        given: list[Columns] = []
        safe = 0
        asked: list[int] = []

        def put(columns: Columns) -> int:
            given.append(columns)
            return len(given)

        async with serving(instruments()) as served:
            poller = Poller(sensors(served.port, 1, interval_s=1.0), put, kept=lambda ticket: ticket <= safe)
            bench = Bench(served, poller, given)
            running = asyncio.create_task(poller.run())
            for _ in range(2):
                answered = bench.poller.state()["polls_answered"]
                await bench.until(lambda before=answered: poller.state()["polls_answered"] > before)
                await asyncio.sleep(1.2)
                asked.append(poller.state()["polls_answered"])
                safe = len(given)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
        return asked

    assert asyncio.run(whole()) == [1, 2]


@pytest.mark.parametrize(("late_ns", "status"), [(0, Status.OK), (STALE_NS + SECOND_NS, Status.STALE)])
def test_an_answer_long_after_its_tick_is_no_value_of_that_instant(late_ns, status):
    async def whole() -> Columns:
        async with serving(instruments()) as served:
            given: list[Columns] = []
            found = sensors(served.port, 1)
            poller, link = Poller(found, lambda columns: given.append(columns) or 0), TcpLink("127.0.0.1", served.port)
            now_ns = time.monotonic_ns()
            turns = Turns([1], [INTERVAL_NS], now_ns, 0)
            errands = Errands(turns, lambda: poller._beside, dict)
            await poller._poll(link, turns, Ask(0, now_ns - late_ns, SECOND_NS, False, ()), 0, 0, errands)
            link.close()
            poller._give()
            return given[0]

    found = asyncio.run(whole())
    assert found.status.tolist() == [status] * len(found)
    assert np.isfinite(found.value).all(), "the value is kept"


@pytest.mark.timeout(120)
def test_thirty_dead_units_of_a_hundred_leave_the_others_their_polls():
    """Over a real socket; a machine that is too busy for a while gets another chance."""
    silent = [unit for unit in range(100) if unit % 10 in (1, 4, 7)]
    kept: list[float] = []

    def share(bench: Bench) -> float:
        table = concatenate(bench.given)
        living = np.array([int(s.sensor.removeprefix("slm-")) not in silent for s in table.series])
        return float((table.status[living[table.series_index]] == Status.OK).mean())

    async def talk(bench: Bench) -> None:
        await asyncio.sleep(6)  # until it is known who answers
        for _ in range(5):
            bench.given.clear()
            await asyncio.sleep(5)
            kept.append(share(bench))
            if kept[-1] >= 0.99:
                break

    found = instruments(script=lambda r: None if r.unit in silent else r.answer)
    with capture_logs():
        bench = poll(talk, *range(100), interval_s=1.0, found=found)
    assert kept[-1] >= 0.99, kept
    assert {bench.poller.state()["links"][f"slm-{unit}"] != "" for unit in silent} == {True}


def test_the_first_good_value_comes_at_most_a_poll_and_a_second_after_a_link_returns():
    """A machine that is too busy for a while gets another chance."""
    waits: list[float] = []

    def well() -> bool:
        return len(waits) >= 3 and sorted(waits[-3:])[1] <= 0.1 + 1.0

    async def talk(bench: Bench) -> None:
        for pause_s in 3 * (0.3, 1.1, 2.3):
            if well():
                break
            await bench.until(lambda: bench.poller.state()["links"]["slm-1"] == "")
            await bench.instruments.stop()
            await bench.until(lambda: bench.poller.state()["links"]["slm-1"] != "")
            await asyncio.sleep(pause_s)
            await bench.instruments.start()
            back = time.monotonic()
            await bench.until(lambda: bench.poller.state()["links"]["slm-1"] == "")
            waits.append(time.monotonic() - back)

    with capture_logs():
        poll(talk, 1)
    assert well(), waits


def test_a_busy_instrument_is_asked_again_within_the_tick():
    def reluctant(request: Request) -> bytes:
        calls.append(request)
        busy = mbap(request.tid, request.unit, bytes([request.fc | 0x80, 6]))
        return request.answer if len(calls) % 3 == 0 else busy

    async def talk(bench: Bench) -> None:
        await bench.until(lambda: len(bench.given) >= 1)

    calls: list[Request] = []
    bench = poll(talk, 1, interval_s=5.0, found=instruments(script=reluctant))
    assert bench.rows("slm-1")[2].tolist() == [Status.OK]
    assert len(calls) == 3
    assert bench.poller.state()["polls_failed"] == 0


def test_silence_is_told_once_and_its_end_once(monkeypatch):
    monkeypatch.setattr("gateway.watchdog.SILENT_NS", 2 * SECOND_NS)  # longer than a busy machine stands still
    monkeypatch.setattr("gateway.poller.WATCH_S", 0.1)
    told: list[tuple[str, str, dict[str, object]]] = []

    def named(which: str) -> list[str]:
        return sorted(id for what, _, detail in told if what == which for id in str(detail["sensors"]).split())

    async def talk(bench: Bench) -> None:
        await bench.until(lambda: bench.poller.state()["polls_answered"] > 0)
        await bench.instruments.stop()
        await bench.until(lambda: len(named("silent")) == 2)
        assert bench.poller.state()["good_s"]["slm-2"] >= 1.9
        await asyncio.sleep(0.5)
        await bench.instruments.start()
        await bench.until(lambda: len(named("heard")) == 2)

    with capture_logs():
        poll(talk, 1, 2, tell=lambda *note: told.append(note))
    assert named("silent") == named("heard") == ["slm-1", "slm-2"]
    assert told[0][1].startswith("no good values from slm-")


def test_one_register_that_does_not_exist_costs_the_others_nothing(monkeypatch):
    monkeypatch.setattr("gateway.poller.WATCH_S", 0.05)
    told: list[tuple[str, str, dict[str, object]]] = []
    asked: list[tuple[int, int]] = []

    def lacking(request: Request) -> bytes:
        asked.append((request.address, request.count))
        missing = request.address <= 1 < request.address + request.count
        return mbap(request.tid, request.unit, bytes([request.fc | 0x80, 2])) if missing else request.answer

    async def talk(bench: Bench) -> None:
        await bench.until(lambda: bench.poller.state()["polls_answered"] >= 5 and len(told) > 0)

    with capture_logs():
        bench = poll(talk, 1, found=instruments(script=lacking), tell=lambda *note: told.append(note))
    (note,) = told
    assert (note[0], note[2]["parameter"]) == ("configuration", "LAFmax")
    assert "refuses register" in note[1]
    _, level, status = bench.rows("slm-1")
    assert set(level[status != Status.NO_COMM].tolist()) == {55.4}
    assert {Status.OK} <= set(status.tolist()) <= {Status.OK, Status.NO_COMM}, "a busy machine may miss a tick"
    assert bench.poller.state()["polls_failed"] == 0
    table = concatenate(bench.given)
    peak = table.take(np.array([s.parameter == "LAFmax" for s in table.series])[table.series_index])
    assert np.isnan(peak.value).all()
    assert {Status.FAULT} <= set(peak.status.tolist()) <= {Status.FAULT, Status.NO_COMM}
    refused = [place for place in asked if place[0] <= 1 < sum(place)]
    assert len(refused) <= 3, "found by halving, once"


def test_a_stuck_value_is_a_fault_and_a_soft_limit_is_told(monkeypatch):
    monkeypatch.setattr("gateway.poller.WATCH_S", 0.05)
    told: list[tuple[str, str, dict[str, object]]] = []
    checks = {"LAeq": Checks(stuck_after=5, resolution=0.1), "LAFmax": Checks(soft_high=61.25)}
    usual = sensors

    def doubted(port: int, *units: int, interval_s: float) -> tuple[Sensor, ...]:
        found = []
        for sensor in usual(port, *units, interval_s=interval_s):
            registers = tuple(replace(r, checks=checks[r.parameter]) for r in sensor.profile.registers)
            profile = replace(sensor.profile, registers=registers)
            found.append(replace(sensor, profile=profile, plan=replace(sensor.plan, profile=profile)))
        return tuple(found)

    monkeypatch.setattr(sys.modules[__name__], "sensors", doubted)
    count = iter(range(10_000))

    async def talk(bench: Bench) -> None:
        await bench.until(lambda: bench.poller.state()["polls_answered"] >= 12 and len(told) > 1)

    level = {0: lambda: 554, 1: lambda: 610 + next(count) % 4, 2: lambda: 0}
    found = Instruments(registers=lambda unit, address: level[address]())
    bench = poll(talk, 1, found=found, tell=lambda *note: told.append(note))
    _, value, status = bench.rows("slm-1")
    assert set(value[np.isfinite(value)].tolist()) == {55.4}
    assert int(Status.FAULT) in status.tolist()
    assert status[status != Status.NO_COMM][0] == int(Status.OK)
    assert {(what, detail["parameter"]) for what, _, detail in told} == {
        ("implausible", "LAeq"), ("implausible", "LAFmax"),
    }  # fmt: skip


def test_registers_that_do_not_exist_are_told_once(monkeypatch):
    monkeypatch.setattr("gateway.poller.WATCH_S", 0.05)
    told: list[tuple[str, str, dict[str, object]]] = []

    async def talk(bench: Bench) -> None:
        await bench.until(lambda: bench.poller.state()["polls_failed"] >= FAILURES and len(told) > 0)

    def refuse(request: Request) -> bytes:
        return mbap(request.tid, request.unit, bytes([request.fc | 0x80, 2]))

    def tell(*note: object) -> None:
        if not refused:
            refused.append(True)
            raise SpoolFull("the disk has no room for it yet")
        told.append(note)  # type: ignore[arg-type]

    refused: list[bool] = []
    with capture_logs():
        poll(talk, 1, found=instruments(script=refuse), tell=tell)
    assert [(what, detail["sensor"]) for what, _, detail in told] == [("configuration", "slm-1")]
    assert "illegal data address" in told[0][1]


@pytest.mark.parametrize("kind", ["rtu+tcp", "rtu"])
def test_silent_units_leave_the_others_their_polls_on_a_serial_line_too(kind, tmp_path):
    silent, lost = (2, 5, 8), []

    async def whole() -> None:
        device = Device(kind, tmp_path, script=lambda r: [] if r.unit in silent else right(r))
        await device.start()
        mine = [
            replace(s, settings=replace(s.settings, link=replace(device.link, unit=s.settings.link.unit)))
            for s in sensors(502, *range(1, 11), interval_s=0.5)
        ]
        given: list[Columns] = []
        running = asyncio.create_task(Poller(mine, lambda columns: given.append(columns) or 0).run())
        try:
            await asyncio.sleep(2)
            for _ in range(6):
                given.clear()
                await asyncio.sleep(2)
                table = concatenate(given)
                living = np.array([int(s.sensor.removeprefix("slm-")) not in silent for s in table.series])
                away = table.status == Status.NO_COMM
                assert away[~living[table.series_index]].all()
                lost.append(float(away[living[table.series_index]].mean()))
                if lost[-1] <= 0.01:
                    break
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await device.stop()

    with capture_logs():
        asyncio.run(whole())
    assert lost[-1] <= 0.01, lost


def test_what_is_noticed_while_a_full_store_of_notes_is_told_is_not_lost(monkeypatch):
    monkeypatch.setattr("gateway.poller.WATCH_S", 0.01)
    told: list[str] = []
    began, go_on, last = threading.Event(), threading.Event(), threading.Event()

    def tell(what: str, text: str, detail: object) -> None:
        began.set()
        assert go_on.wait(PATIENCE_S)
        told.append(text)
        if text == "meanwhile":
            last.set()

    async def whole() -> None:
        poller = Poller((), lambda _: 0, tell=tell)
        for number in range(MAX_NOTES):
            poller.note("configuration", str(number), {})
        running = asyncio.create_task(poller.run())
        assert await asyncio.to_thread(began.wait, PATIENCE_S)
        poller.note("configuration", "meanwhile", {})
        go_on.set()
        await asyncio.to_thread(last.wait, PATIENCE_S)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    asyncio.run(whole())
    assert told == [*map(str, range(MAX_NOTES)), "meanwhile"]
