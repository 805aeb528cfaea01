"""`emitwatch simulate --replay FILE`: a recorded session is served again, for who has no such instrument."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.text import Text

from gateway import terminal
from gateway.document import Fault, FaultyFiles
from gateway.links.address import Link
from gateway.session_file import Session, parse_session
from simulators.doors import Doors
from simulators.playback import Playback

BYTES_MAX = 1 << 28  # of a file, read into memory
OWN_S = 0.001  # that an answer takes here by itself


def read_session(file: Path) -> tuple[Session, list[Fault]]:
    """The session in a file, and what is wrong with it. Raises OSError; FaultyFiles where there is nothing to serve."""
    if file.stat().st_size > BYTES_MAX:
        raise FaultyFiles([Fault(str(file), "", None, f"larger than {BYTES_MAX >> 20} MiB", "divide it")])
    session, faults = parse_session(file.read_text("ascii", errors="replace"), str(file))
    if not session.exchanges:
        empty = Fault(str(file), "", None, "no request is recorded in it", "`emitwatch probe --record FILE` records")
        raise FaultyFiles(faults or [empty])
    return session, faults


class Player:
    """Serves a record at one address. say: takes the name of what happened, a sentence, and its details."""

    def __init__(self, playback: Playback, say: Callable[[str, str, dict[str, object]], None]) -> None:
        self._playback, self._say = playback, say
        self._doors = Doors()
        self._asked = asyncio.Event()

    async def start(self, link: Link) -> int:
        """Listen at a link's address; the port. Raises OSError."""
        return await self._doors.open(link.kind, link.address, link.port, self._reply)

    async def watch(self) -> None:
        """Say when the record ends, each time, until it has ended for good."""
        await self._asked.wait()
        lasted = f"after {self._playback.lasts_s:.1f} recorded seconds"
        while (wait_s := self._playback.wait_s(time.monotonic())) is not None:
            rounds = self._playback.rounds(time.monotonic())
            await asyncio.sleep(max(wait_s, 0.001))
            now_s = time.monotonic()
            if self._playback.rounds(now_s) == rounds:
                continue  # woken a moment too soon
            if self._playback.wait_s(now_s) is None:
                self._say("ended", f"the record has ended {lasted}; its last values go on being served", {})
            else:
                self._say("again", f"the record has ended {lasted} and begins again", {"round": rounds + 2})

    async def stop(self) -> None:
        """Close everything."""
        await self._doors.close()

    async def _reply(self, transaction: int | None, unit: int, request: bytes) -> bytes | None:
        took_s, frame = self._playback.reply(time.monotonic(), transaction, unit, request)
        self._asked.set()
        if took_s > OWN_S:
            await asyncio.sleep(took_s - OWN_S)
        return frame


async def serve_record(
    file: Path, link: Link, stop: asyncio.Event, *, speed: float, loop: bool, as_json: bool = False
) -> int:
    """Serve a recorded session at a link's address until `stop` is set; the exit code. Raises FaultyFiles, OSError."""
    session, faults = read_session(file)
    for fault in faults:
        sys.stderr.write(f"{fault}\n")
    playback = Playback(session, speed=speed, loop=loop)
    player = Player(playback, _as_json if as_json else _as_text)
    try:
        port = await player.start(link)
    except OSError as error:
        place = f"{link.address}:{link.port}" if link.port else link.address
        sys.stderr.write(f"cannot serve {place}: {error.strerror or error}\n    hint: --port 0 takes a free one\n")
        return 1
    _announce(session, playback, link, port, as_json=as_json)
    watching = asyncio.create_task(player.watch())
    await stop.wait()
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    await player.stop()
    return 0


def _announce(session: Session, playback: Playback, link: Link, port: int, *, as_json: bool) -> None:
    at = f"{link.kind}://{link.address}" + (f":{port}" if port else "")
    requests = {unit: sum(one.unit == unit for one in session.exchanges) for unit in playback.units}
    if as_json:
        lasts = {"requests": len(session.exchanges), "lasts_s": round(playback.lasts_s, 3)}
        units = {str(unit): f"{at}?unit={unit}" for unit in playback.units}
        _as_json("serving", "", {"recorded": session.link, **lasts, "links": units})
        return
    console = terminal.console()
    console.print(Text(f"recorded at {session.link}: {len(session.exchanges)} requests in {playback.lasts_s:.1f} s"))
    table = terminal.table("link", "requests")
    for unit, count in requests.items():
        table.add_row(f"{at}?unit={unit}", str(count))
    console.print(table)
    console.print("Ctrl-C ends it.")
    sys.stdout.flush()


def _as_text(_: str, sentence: str, __: dict[str, object]) -> None:
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


def _as_json(what: str, sentence: str, detail: dict[str, object]) -> None:
    said = {"what": what, **({"text": sentence} if sentence else {}), **detail}
    sys.stdout.write(json.dumps(said, ensure_ascii=False) + "\n")
    sys.stdout.flush()
