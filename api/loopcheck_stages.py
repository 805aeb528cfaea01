"""What each stage of a loop check has: asked of gateway or instrument, of the collector, and of its page's feed.

The gateway is asked on its own machine: at its page on 127.0.0.1 (`[[gateway]] status_port`), else over the socket in
its folder. Where neither answers, the instrument is read directly, which is said: a serial line, and many a converter,
has room for one master only. All stages share one deadline.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import numpy as np

from api.loopcheck import Missing, Seen, Where
from api.times import format_time, parse_time
from gateway.links.link import LinkError
from gateway.links.open import open_link
from gateway.measurement import SECOND_NS, Status
from gateway.registers import decode, plan
from gateway.sensors import Sensor
from gateway.status_server import ask

LOOK_S = 0.25  # between two looks at the gateway's page, which costs it little
ASK_S = 0.5  # between two questions to the collector: a batch is sealed once a second
ANSWER_S = 10.0  # that an answer may take
TIMEOUT_S = 2.0  # that an instrument may take
AHEAD_NS = 86_400 * SECOND_NS  # further than this no clock of a gateway is ahead
EMPTY_MAX = 3  # instants without a value: one can be a tick that was missed
DIRECTLY = "no gateway answers here"  # of a register that the instrument itself was asked for
FEED_S = 3.0  # until the page's feed is open

Told: TypeAlias = Callable[[Where, Seen | Missing], None]


class Refused(Exception):
    """A stage that answers, and not with measurements; says why, and what to do about it."""

    def __init__(self, why: str, hint: str) -> None:
        self.why, self.hint = why, hint
        super().__init__(why)


OTHER = "another program answers there", "look at the address, [api] of the site file or --url"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What is followed, and where it passes.

    folder: the gateway's. port: of the gateway's page, 0 = none. url, token: of the collector's interface.
    """

    sensor: Sensor
    parameter: str
    unit: str
    folder: Path
    port: int
    url: str
    token: str

    @property
    def address(self) -> str:
        """The instrument's link, without what is odd about it."""
        link = self.sensor.settings.link
        return f"{link.kind}://{link.address}" + (f":{link.port}" if link.port else "") + f"?unit={link.unit}"

    @property
    def place(self) -> dict[str, str]:
        """What the collector calls it."""
        series = self.sensor.series[0]
        return {"plant": series.plant, "point": series.point, "parameter": self.parameter}


class Clock:
    """When it began, and until when is waited. wait_s: for all stages together. [s]"""

    def __init__(self, wait_s: float) -> None:
        self.began_ns = time.time_ns()
        self._began_s = time.monotonic()
        self._wait_s = wait_s

    @property
    def after_s(self) -> float:
        """Since it began. [s]"""
        return time.monotonic() - self._began_s

    @property
    def left(self) -> bool:
        """Whether there is time."""
        return self.after_s < self._wait_s


async def follow(
    way: Way, stages: Collection[Where], wait_s: float, told: Told
) -> tuple[int, dict[Where, Seen | Missing]]:
    """When it began [ns since 1970 UTC], and what each stage wanted has of after that. told: as soon as it is known."""
    headers = {"Authorization": f"Bearer {way.token}"} if way.token else {}
    came: dict[Where, Seen | Missing] = {}

    def note(stage: Where, seen: Seen | Missing) -> Seen | Missing:
        came[stage] = seen
        told(stage, seen)
        return seen

    async with httpx.AsyncClient(base_url=f"{way.url}/api/v1/", headers=headers, timeout=ANSWER_S) as client:
        feed = _Feed(client, way)
        listening = asyncio.create_task(feed.listen()) if Where.SHOWN in stages else None
        if listening is not None:
            await feed.opened(FEED_S)
        clock = Clock(wait_s)
        try:
            read = note(Where.REGISTER, await _register(way, clock))
            instant_ns = read.time_ns if isinstance(read, Seen) else 0
            later: dict[Where, Callable[[], Awaitable[Seen | Missing]]] = {
                Where.STORED: lambda: _stored(client, way, clock, instant_ns),
                Where.SHOWN: lambda: feed.shown(clock, instant_ns),
            }

            async def one(stage: Where) -> None:
                note(stage, await later[stage]())

            await asyncio.gather(*(one(stage) for stage in later if stage in stages))
        finally:
            if listening is not None:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
    return clock.began_ns, came


# --- register ------------------------------------------------------------------------------------------------


async def _register(way: Way, clock: Clock) -> Seen | Missing:
    """What the gateway reads, of after the start; of the instrument itself where no gateway answers."""
    source = f"gateway {way.sensor.settings.gateway}"
    try:
        if await _state(way) is None:
            return await _instrument(way, clock)
        return await _gateway(way, clock, source)
    except PermissionError:  # and the line may be its own
        return Missing(source, "only its own user may ask it, as in `sudo -u emitwatch emitwatch loopcheck ..`")


async def _gateway(way: Way, clock: Clock, source: str) -> Seen | Missing:
    empty: dict[int, Seen] = {}
    while clock.left and len(empty) < EMPTY_MAX:
        seen = _read(await _state(way), way, clock, source)
        if seen is not None and seen.value is not None:
            return seen
        if seen is not None:
            empty[seen.time_ns] = seen
        await asyncio.sleep(LOOK_S)
    return empty[max(empty)] if empty else Missing(source)


def _read(state: Mapping[str, Any] | None, way: Way, clock: Clock, source: str) -> Seen | None:
    """What a gateway's state says of the parameter, where it was measured after the start."""
    for item in state["measured"] if state else ():
        series, time_ns = item["series"], item["time_ns"]
        ours = (series["sensor"], series["parameter"]) == (way.sensor.settings.id, way.parameter)
        if ours and time_ns >= clock.began_ns:
            return Seen(item["value"], series["unit"], item["status"], time_ns, clock.after_s, source)
    return None


async def _state(way: Way) -> dict[str, Any] | None:
    """What the gateway says of itself: at its page, else over its socket; None where it does not answer here.

    Raises PermissionError where it may not be asked.
    """
    found: dict[str, Any] | None = None
    try:
        if way.port:
            async with httpx.AsyncClient(timeout=ANSWER_S) as client:
                found = (await client.get(f"http://127.0.0.1:{way.port}/status")).json()
    except (httpx.HTTPError, ValueError):
        found = None
    if not _is_of(found, way):
        try:
            found = await asyncio.to_thread(ask, way.folder)
        except PermissionError:
            raise
        except (OSError, ValueError):
            return None
    return found if _is_of(found, way) else None


def _is_of(state: object, way: Way) -> bool:
    """Whether this is the state of the sensor's gateway, and not of another one, or of another program."""
    return isinstance(state, dict) and state.get("gateway") == way.sensor.settings.gateway and "measured" in state


async def _instrument(way: Way, clock: Clock) -> Seen | Missing:
    settings = way.sensor.settings
    link, address = open_link(way.sensor.link), way.sensor.link
    reading = plan(way.sensor.profile, (way.parameter,))
    source, why = f"the instrument, {way.address}; {DIRECTLY}", ""
    try:
        while clock.left:
            try:
                words = [
                    (await link.read(settings.link.unit, block, timeout_s=TIMEOUT_S, quirks=address.quirks))[None, :]
                    for block in reading.blocks
                ]
            except LinkError as error:
                why = str(error)
                await asyncio.sleep(ASK_S)
                continue
            value, status = decode(reading, words)
            number = float(value[0, 0]) if np.isfinite(value[0, 0]) else None
            return Seen(number, way.unit, Status(status[0, 0]).name.lower(), 0, clock.after_s, source)
    finally:
        link.close()
    return Missing(source, why)


# --- collector -----------------------------------------------------------------------------------------------


async def _stored(client: httpx.AsyncClient, way: Way, clock: Clock, instant_ns: int) -> Seen | Missing:
    """What the store has: of an instant, or where that is 0 the first of after the start."""
    source, why = f"the collector, {way.url}", ""
    from_ns = instant_ns or clock.began_ns
    span = {"from": format_time(from_ns), "to": format_time(from_ns + (1 if instant_ns else AHEAD_NS))}
    while True:
        items: list[dict[str, Any]] = []
        try:
            items, why = _items(await client.get("measurements", params={**way.place, **span, "limit": 10}), way), ""
        except Refused as error:
            return Missing(source, error.why, error.hint)
        except httpx.HTTPError as error:
            why = f"it does not answer ({error or type(error).__name__})"
        if found := _chosen(items, clock, instant_ns):
            return _seen(found, clock, source)
        if not clock.left:
            return Missing(source, why)
        await asyncio.sleep(ASK_S)


def _chosen(items: Sequence[dict[str, Any]], clock: Clock, instant_ns: int) -> dict[str, Any] | None:
    """The measurement of an instant; or the first of after the start that has a value, at the end one without."""
    if instant_ns:
        return next((item for item in items if parse_time(item["time"]) == instant_ns), None)
    after = [item for item in items if parse_time(item["time"]) >= clock.began_ns]
    return next((item for item in after if item["value"] is not None), None if clock.left or not after else after[-1])


def _items(answer: httpx.Response, way: Way) -> list[dict[str, Any]]:
    """The items of an answer; raises Refused."""
    if not answer.is_success:
        raise _refusal(answer.status_code, answer.text, way)
    try:
        return _measurements(answer.text)
    except ValueError as error:
        raise Refused(*OTHER) from error


def _measurements(text: str) -> list[dict[str, Any]]:
    """The items of a list of the interface; ValueError where it is none."""
    found = json.loads(text)
    items = found.get("items") if isinstance(found, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) and item.keys() >= _KEYS for item in items):
        raise ValueError("no measurements")
    return items


_KEYS = {"time", "plant", "point", "parameter", "value", "unit", "status"}


def _refusal(status: int, text: str, way: Way) -> Refused:
    if status == 401:
        return Refused("it asks for its token", "--token-file; it is in <data_dir>/collector/api.token over there")
    try:
        said = json.loads(text)
        detail = str(said.get("detail", "")) if isinstance(said, dict) else ""
    except ValueError:
        detail = ""
    where = f"{way.parameter} of {way.place['plant']}/{way.place['point']}"
    hint = "its site file may be another one" if status == 404 else "its log may say why"
    return Refused(f"it answers {status} to {where}{f': {detail}' if detail else ''}", hint)


def _seen(item: Mapping[str, Any], clock: Clock, source: str) -> Seen:
    return Seen(item["value"], item["unit"], item["status"], parse_time(item["time"]), clock.after_s, source)


class _Feed:
    """The feed of an open page: what it is told of the parameter while it is open."""

    def __init__(self, client: httpx.AsyncClient, way: Way) -> None:
        self._client, self._way = client, way
        self._source = f"the page's feed, {way.url}/api/v1/live"
        self._why = self._hint = ""
        self._open, self._news = asyncio.Event(), asyncio.Event()
        self._told: list[dict[str, Any]] = []

    async def opened(self, within_s: float) -> None:
        """Wait until it is open, or it is known that it cannot be."""
        try:
            await asyncio.wait_for(self._open.wait(), within_s)
        except TimeoutError:
            self._why = "it does not open"

    async def listen(self) -> None:
        """Take in what the page is told, until cancelled; where the feed ends, it is opened anew."""
        while True:
            try:
                async with self._client.stream("GET", "live", timeout=httpx.Timeout(ANSWER_S, read=None)) as answer:
                    if not answer.is_success:
                        raise _refusal(answer.status_code, (await answer.aread()).decode("utf-8", "replace"), self._way)
                    self._why = self._hint = ""
                    await self._take(answer)
            except httpx.HTTPError as error:
                self._why, self._hint = f"it does not answer ({error or type(error).__name__})", ""
            except Refused as error:
                self._why, self._hint = error.why, error.hint
            except ValueError:
                self._why, self._hint = OTHER
            self._open.set()
            await asyncio.sleep(ASK_S)

    async def _take(self, answer: httpx.Response) -> None:
        event = ""
        async for line in answer.aiter_lines():
            self._open.set()
            name, _, text = line.partition(": ")
            if name == "event":
                event = text
            elif name == "data" and event == "measurements":
                self._told += [one for one in _measurements(text) if self._way.place.items() <= one.items()]
                self._news.set()

    async def shown(self, clock: Clock, instant_ns: int) -> Seen | Missing:
        """What the page was told: of an instant, or where that is 0 the first of after the start."""
        while True:
            self._news.clear()
            if found := _chosen(self._told, clock, instant_ns):
                return _seen(found, clock, self._source)
            if not clock.left:
                return Missing(self._source, self._why, self._hint)
            try:
                await asyncio.wait_for(self._news.wait(), ASK_S)
            except TimeoutError:
                continue
