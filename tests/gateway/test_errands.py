"""What the poller reads beside the values, over real sockets: inputs, settings, and counters among the values."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from gateway import catalogue
from gateway.measurement import SECOND_NS, Columns, Status, concatenate
from gateway.plans import plan
from gateway.poller import Poller
from gateway.profiles import Checks, Profile
from gateway.sensors import Sensor, resolve
from gateway.settings import parse_site
from tests.gateway.batches import PATIENCE_S
from tests.gateway.lines import Device
from tests.gateway.modbus_server import Instruments, Request, mbap, serving
from tests.gateway.test_inspection import item
from tests.gateway.test_poller import LEVELS, SITE, instruments

OK, MAINTENANCE, NO_COMM = int(Status.OK), int(Status.MAINTENANCE), int(Status.NO_COMM)


def sensors(port: int, units: Sequence[int], inputs: str = "", interval_s: float = 0.1) -> list[Sensor]:
    text = SITE
    for unit in units:
        text += f'[[point]]\nid = "fence-{unit}"\nkind = "noise"\n'
        text += f'[[sensor]]\nid = "slm-{unit}"\npoint = "fence-{unit}"\nlink = "tcp://127.0.0.1:{port}?unit={unit}"\n'
        text += f'profile = "emitwatch-noise"\ninterval_s = {interval_s}\n{inputs}\n'
    site, faults = parse_site(text, "site.toml")
    assert site, faults
    found, faults = resolve(site, catalogue.profiles(), catalogue.parameters())
    assert not faults
    return list(found)


@dataclass
class Run:
    """A poller that runs, and what it gave."""

    given: list[Columns] = field(default_factory=list)
    told: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)
    kept: list[Mapping[str, Any]] = field(default_factory=list)
    poller: Poller | None = None

    def statuses(self, sensor: str) -> list[int]:
        if not self.given:
            return []
        table = concatenate(self.given)
        mine = np.array([s.sensor == sensor and s.parameter == "LAeq" for s in table.series])
        found: list[int] = table.status[mine[table.series_index]].tolist()
        return found

    def words(self, what: str) -> list[str]:
        return [text for kind, text, _ in self.told if kind == what]

    async def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            await asyncio.sleep(0.01)


async def running(
    mine: Sequence[Sensor], talk: Callable[[Run], Awaitable[None]], told: Mapping[str, Any] | None = None
) -> Run:
    run = Run()
    run.poller = Poller(
        mine, lambda columns: run.given.append(columns) or 0, tell=lambda *note: run.told.append(note),
        told=told or {}, keep=run.kept.append,
    )  # fmt: skip
    task = asyncio.create_task(run.poller.run())
    try:
        await talk(run)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.01)
    return run


def costs_no_poll(run: Run, sensor: str) -> None:
    """All that was asked for came; a busy machine may miss a tick."""
    assert {OK} <= set(run.statuses(sensor)) <= {OK, NO_COMM}
    assert run.statuses(sensor).count(OK) > run.statuses(sensor).count(NO_COMM)
    assert run.poller is not None
    assert run.poller.state()["polls_failed"] == 0


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.poller.WATCH_S", 0.05)


def module_input(port: int, unit: int = 7) -> str:
    return f"""
[[sensor.input]]
link = "tcp://127.0.0.1:{port}?unit={unit}"
fc = 2
address = 3
status = "maintenance"
"""


def test_a_key_at_another_device_is_laid_over_the_values_of_all_it_is_about():
    key = [0]

    async def whole() -> Run:
        module = Instruments(registers=lambda unit, address: key[0])
        async with serving(instruments()) as meters, serving(module) as module:

            async def talk(run: Run) -> None:
                await run.until(lambda: OK in run.statuses("slm-1")[-3:] and bool(module.requests))
                key[0] = 1
                await run.until(lambda: run.statuses("slm-1")[-1:] == run.statuses("slm-2")[-1:] == [MAINTENANCE])
                await meters.stop()
                await run.until(lambda: (run.poller.state()["links"]["slm-1"] or "") != "")
                count = len(run.statuses("slm-1"))
                await run.until(lambda: len(run.statuses("slm-1")) > count + 3)
                assert set(run.statuses("slm-1")[count:]) == {MAINTENANCE}, "unplugged for maintenance"
                await meters.start()
                key[0] = 0
                await run.until(lambda: run.statuses("slm-1")[-1:] == run.statuses("slm-2")[-1:] == [OK])

            run = await running(sensors(meters.port, (1, 2), module_input(module.port)), talk)
            assert module.connections == 1
            assert {(r.unit, r.fc, r.address, r.count) for r in module.requests} == {(7, 2, 3, 1)}
        return run

    with capture_logs():
        run = asyncio.run(whole())
    assert run.words("input_silent") == []


def test_a_module_behind_the_instruments_address_shares_their_connection():
    async def whole() -> Run:
        async with serving(
            Instruments(registers=lambda unit, address: 1 if unit == 7 else LEVELS.get(address, 0))
        ) as meters:

            async def talk(run: Run) -> None:
                await run.until(lambda: run.statuses("slm-1").count(MAINTENANCE) >= 3)

            run = await running(sensors(meters.port, (1,), module_input(meters.port)), talk)
            assert meters.connections == 1
        return run

    asyncio.run(whole())


OWN = """
[[sensor.input]]
fc = 4
address = 90
bit = 2
status = "maintenance"
"""


def test_an_input_of_the_instrument_is_of_the_same_poll_as_the_values():
    """The register turns with every poll: each value has the status that it had then."""
    polls = [0]

    def held(unit: int, address: int) -> int:
        if address == 0:
            polls[0] += 1
        return {0: 400 + polls[0], 1: 500, 90: (polls[0] % 2) << 2}.get(address, 0)

    async def whole() -> Run:
        async with serving(Instruments(registers=held)) as meters:

            async def talk(run: Run) -> None:
                await run.until(lambda: run.poller.state()["polls_answered"] >= 12)

            return await running(sensors(meters.port, (1,), OWN), talk)

    table = concatenate(asyncio.run(whole()).given)
    levels = np.array([s.parameter == "LAeq" for s in table.series])[table.series_index] & np.isfinite(table.value)
    raw = np.rint(table.value[levels] * 10).astype(int) - 400
    assert len(raw) >= 10
    assert (table.status[levels] == np.where(raw % 2 == 1, MAINTENANCE, OK)).all()


@pytest.mark.parametrize("how", ["refuses", "silent"])
def test_an_input_that_cannot_be_read_costs_no_value_and_is_told_once(how, monkeypatch):
    monkeypatch.setattr("gateway.contacts.AGE_NS", SECOND_NS // 2)

    def script(request: Request) -> bytes | None:
        if request.fc != 4:
            return request.answer
        refusal = mbap(request.tid, request.unit, bytes([request.fc | 0x80, 2]))
        return refusal if how == "refuses" else None

    async def whole() -> Run:
        async with serving(instruments(script=script)) as meters:

            async def talk(run: Run) -> None:
                await run.until(lambda: bool(run.words("input_silent")))
                assert "unit=1" in next(iter(run.poller.state()["inputs"]))
                count = len(run.given)
                await run.until(lambda: len(run.given) >= count + 10 and run.statuses("slm-1").count(OK) > 10)

            run = await running(sensors(meters.port, (1,), OWN), talk)
            asked = [request for request in meters.requests if request.fc == 4]
            assert len(asked) < len(meters.requests) / 2, "it is left alone after a while"
        return run

    with capture_logs() as logs:
        run = asyncio.run(whole())
    assert len(run.words("input_silent")) == 1
    assert "the values of slm-1 keep their own status" in run.words("input_silent")[0]
    assert run.statuses("slm-1").count(OK) > 10
    assert [line["event"] for line in logs].count("Inputs cannot be read; values keep their own status") == 1
    if how == "refuses":
        costs_no_poll(run, "slm-1")


def test_a_dead_module_says_nothing_any_more_and_is_told_when_it_is_back(monkeypatch):
    monkeypatch.setattr("gateway.contacts.AGE_NS", 3 * SECOND_NS // 2)

    async def whole() -> Run:
        async with serving(instruments()) as meters, serving(Instruments(registers=lambda *_: 1)) as module:

            async def talk(run: Run) -> None:
                await run.until(lambda: MAINTENANCE in run.statuses("slm-1"))
                await module.stop()
                await run.until(lambda: bool(run.words("input_silent")))
                await run.until(lambda: run.statuses("slm-1")[-1] == OK)
                assert run.poller.state()["inputs"]
                await module.start()
                await run.until(lambda: bool(run.words("input_heard")))
                await run.until(lambda: run.statuses("slm-1")[-1] == MAINTENANCE)
                assert not run.poller.state()["inputs"]

            return await running(sensors(meters.port, (1,), module_input(module.port)), talk)

    with capture_logs():
        run = asyncio.run(whole())
    assert [what for what, _, _ in run.told] == ["input_silent", "input_heard"]
    assert run.told[0][2]["sensors"] == "slm-1"


def with_profile(mine: Sequence[Sensor], **changes: object) -> list[Sensor]:
    found = []
    for sensor in mine:
        profile: Profile = replace(sensor.profile, **changes)  # type: ignore[arg-type]
        found.append(replace(sensor, profile=profile, plan=plan(profile, sensor.plan.parameters)))
    return found


ITEMS = (item("span", 100, "uint16"), item("unit_id", 101, "uint16"), item("slope", 200, "uint16", scale=0.1))


def test_settings_are_read_back_when_there_is_time_and_a_change_is_told(monkeypatch):
    monkeypatch.setattr("gateway.inspection.EVERY_NS", SECOND_NS)
    held = {0: 554, 100: 500, 101: 1, 200: 10}

    async def whole() -> Run:
        async with serving(Instruments(registers=lambda unit, address: held.get(address, 0))) as meters:

            async def talk(run: Run) -> None:
                await run.until(lambda: bool(run.words("settings")))
                held[101] = 3
                await run.until(lambda: bool(run.words("setting_changed")))
                await run.until(lambda: bool(run.kept))

            mine = with_profile(sensors(meters.port, (1,)), settings=ITEMS)
            run = await running(mine, talk)
            assert meters.connections == 1
            assert {(r.address, r.count) for r in meters.requests} == {(0, 3), (100, 2), (200, 1)}
        return run

    with capture_logs() as logs:
        run = asyncio.run(whole())
    assert [what for what, _, _ in run.told] == ["settings", "setting_changed"]
    assert run.told[0][2] == {
        "span": 500.0, "unit_id": 1.0, "slope": 1.0, "sensor": "slm-1", "profile": "emitwatch-noise"
    }  # fmt: skip
    assert run.told[1][1] == "unit_id of slm-1 was 1 and is 3 (register 3:101)"
    assert run.kept[-1]["slm-1 emitwatch-noise"]["unit_id"] in (1.0, 3.0)
    costs_no_poll(run, "slm-1")
    assert [line["log_level"] for line in logs] == ["info", "warning"]


def test_an_instrument_that_is_away_keeps_nobody_from_being_inspected(monkeypatch):
    monkeypatch.setattr("gateway.inspection.SPREAD_NS", SECOND_NS // 10)

    async def whole() -> Run:
        async with serving(instruments(script=lambda r: r.answer if r.unit == 2 else None)) as meters:

            async def talk(run: Run) -> None:
                await run.until(lambda: bool(run.words("settings")))

            return await running(with_profile(sensors(meters.port, (1, 2)), settings=ITEMS), talk)

    with capture_logs():
        run = asyncio.run(whole())
    assert [detail["sensor"] for what, _, detail in run.told if what == "settings"] == ["slm-2"]


@pytest.mark.parametrize("kind", ["tcp", "rtu"])
def test_settings_that_nobody_answers_for_cost_no_value(kind, tmp_path):
    """Not on a line either, where an answer that is owed stops its unit."""

    async def whole() -> Run:
        levels = bytes([3, 6, *(LEVELS[0].to_bytes(2)), *(LEVELS[1].to_bytes(2)), 0, 0])
        device = Device(kind, tmp_path, script=lambda r: [] if r.address >= 100 else [r.frame(levels)])
        await device.start()
        mine = with_profile(sensors(502, (1, 2), interval_s=0.8), settings=ITEMS)
        mine = [
            replace(s, settings=replace(s.settings, link=replace(device.link, unit=n + 1))) for n, s in enumerate(mine)
        ]

        async def talk(run: Run) -> None:
            await run.until(lambda: sum(r.address >= 100 for r in device.requests) >= 1)
            await run.until(lambda: len(run.statuses("slm-1")) >= 3 and len(run.statuses("slm-2")) >= 3)

        try:
            return await running(mine, talk)
        finally:
            await device.stop()

    with capture_logs():
        run = asyncio.run(whole())
    assert set(run.statuses("slm-1")) == set(run.statuses("slm-2")) == {OK}
    assert run.told == []


def test_a_counter_that_begins_again_and_one_that_is_reset_are_told_and_stored_as_read():
    shown = iter([990, 995, 4, 9, 2, 3])
    last = [3]

    def held(unit: int, address: int) -> int:
        if address == 0:
            last[0] = next(shown, last[0])
        return last[0] if address == 0 else LEVELS.get(address, 0)

    async def whole() -> Run:
        async with serving(Instruments(registers=held)) as meters:

            async def talk(run: Run) -> None:
                await run.until(lambda: len(run.told) >= 2 and len(run.given) >= 7)

            mine = sensors(meters.port, (1,))
            checks = Checks(rollover=100.0, rate_max=10.0)
            registers = tuple(replace(r, checks=checks, low=0.0) for r in mine[0].profile.registers[:1])
            return await running(with_profile(mine, registers=(*registers, *mine[0].profile.registers[1:])), talk)

    run = asyncio.run(whole())
    assert [what for what, _, _ in run.told] == ["counter_rollover", "counter_reset"]
    assert run.told[0][2]["counted"] == pytest.approx(0.9)
    assert run.told[1][2]["counted"] is None
    assert "began again at 0: it went from 99.5 to 0.4 dB(A), which is 0.9" in run.told[0][1]
    table = concatenate(run.given)
    mine = np.array([s.parameter == "LAeq" for s in table.series])[table.series_index] & np.isfinite(table.value)
    assert table.value[mine][:5].tolist() == [99.0, 99.5, 0.4, 0.9, 0.2]


def test_modules_begin_and_end_with_another_configuration_and_what_is_known_stays(monkeypatch):
    monkeypatch.setattr("gateway.inspection.SPREAD_NS", SECOND_NS // 10)

    async def whole() -> Run:
        key = Instruments(registers=lambda *_: 1)
        counted = Instruments(registers=lambda unit, address: LEVELS.get(address, 0))
        async with serving(counted) as meters, serving(key) as module:
            plain = with_profile(sensors(meters.port, (1, 2)), settings=ITEMS)
            (keyed, _) = with_profile(sensors(meters.port, (1, 2), module_input(module.port)), settings=ITEMS)

            async def change(run: Run, mine: Sequence[Sensor]) -> None:
                run.poller.reconfigure(await run.poller.prepare(mine))

            async def talk(run: Run) -> None:
                await run.until(lambda: OK in run.statuses("slm-1") and len(run.words("settings")) == 2)
                await change(run, [keyed, plain[1]])
                await run.until(lambda: run.statuses("slm-1")[-1] == MAINTENANCE)
                before = run.poller._known.contacts.modules
                await change(run, [plain[1], keyed])
                assert run.poller._known.contacts.modules == before, "the same module goes on"
                count = len(run.statuses("slm-1"))
                await run.until(lambda: len(run.statuses("slm-1")) > count + 2)
                assert set(run.statuses("slm-1")[count:]) == {MAINTENANCE}, "its word still counts"
                await change(run, plain)
                asked = len(module.requests)
                await run.until(lambda: run.statuses("slm-1")[-1] == OK)
                await asyncio.sleep(1.2)
                assert len(module.requests) <= asked + 1
                await change(run, [keyed])
                await run.until(lambda: run.statuses("slm-1")[-1] == MAINTENANCE)

            return await running(plain, talk)

    with capture_logs():
        run = asyncio.run(whole())
    assert [what for what, _, _ in run.told] == ["settings", "settings"], "what was told once is not told again"
    for sensor in ("slm-1", "slm-2"):
        table = concatenate(run.given)
        mine = np.array([s.sensor == sensor and s.parameter == "LAeq" for s in table.series])
        assert (np.diff(table.time_ns[mine[table.series_index]]) > 0).all(), "no instant twice"


def test_the_inputs_of_an_heir_are_not_read_where_the_sensor_was_before():
    """The poll of the values is under way when the sensor moves to another address."""
    moved: list[Callable[[], object]] = []
    asked_after: list[Request] = []

    def script(request: Request) -> bytes:
        if request.fc == 3 and moved:
            moved.pop()()
            before.requests.clear()
        return request.answer

    before = instruments(script=script)

    async def whole() -> Run:
        async with serving(before), serving(instruments()) as after:

            async def talk(run: Run) -> None:
                await run.until(lambda: any(request.fc == 4 for request in before.requests))
                found = await run.poller.prepare(sensors(after.port, (1,), OWN))
                moved.append(lambda: run.poller.reconfigure(found))
                await run.until(lambda: any(request.fc == 4 for request in after.requests))
                asked_after.extend(before.requests)

            return await running(sensors(before.port, (1,), OWN), talk)

    asyncio.run(whole())
    assert [request.fc for request in asked_after] == []


@pytest.mark.parametrize(("code", "what"), [(0, "setting_changed"), (2, "configuration")])
def test_what_is_read_back_while_other_sensors_are_taken_over_is_told_once(code, what, monkeypatch):
    monkeypatch.setattr("gateway.inspection.EVERY_NS", SECOND_NS)
    held = {0: 554, 100: 500, 101: 1, 200: 10}
    taken: list[Callable[[], object]] = []
    changed = []

    def script(request: Request) -> bytes:
        if request.address < 200 or not changed:
            return request.answer
        if taken:
            taken.pop()()
        return mbap(request.tid, request.unit, bytes([request.fc | 0x80, code])) if code else request.answer

    async def whole() -> Run:
        meters = Instruments(registers=lambda unit, address: held.get(address, 0), script=script)
        async with serving(meters):

            async def talk(run: Run) -> None:
                await run.until(lambda: bool(run.words("settings")))
                found = await run.poller.prepare(mine)
                taken.append(lambda: run.poller.reconfigure(found))
                held[200] = 20
                changed.append(True)
                await run.until(lambda: bool(run.words(what)))
                await asyncio.sleep(1.5)

            mine = with_profile(sensors(meters.port, (1,)), settings=ITEMS)
            return await running(mine, talk)

    with capture_logs():
        run = asyncio.run(whole())
    assert [told for told, _, _ in run.told] == ["settings", what]
