"""Lines brought to the server: all of them, or an error that says why not.

What an answer means (`refusals`): a request that is too long is halved; of one with a bad line the halves are
tried until the bad line stands alone, which is handed back with the server's reason; everything else is the
server's trouble, and raised. Whatever was written before an error is written again later, over itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from collector.stores.influxdb.refusals import Refused, Verdict, expired, reason, refusal, verdict
from collector.stores.influxdb.transport import Transport

LINES = 5000  # of one request: about 1 MB, as the servers' makers advise
# So many bad lines are the fault of something else than the lines; a person is asked then.
BAD_MAX = 1000


@dataclass(slots=True)
class Written:
    """What became of some lines. bad: place, text and reason of each refused one; expired: how many came too late."""

    bad: list[tuple[int, str, str]] = field(default_factory=list)
    expired: int = 0


def write(transport: Transport, lines: Callable[[int, int], list[str]], number: int) -> Written:
    """Bring lines to the server, in their order; raises StoreError when not all of them could be tried.

    lines: makes those from one place up to another. While the server takes a request the next one is made.
    """
    written = Written()
    with ThreadPoolExecutor(1, "influxdb") as sender:
        under_way: Future[None] | None = None
        for start in range(0, number, LINES):
            made = lines(start, min(start + LINES, number))
            if under_way is not None:
                under_way.result()
            under_way = sender.submit(_write, transport, made, start, written)
        if under_way is not None:
            under_way.result()
    return written


def write_whole(transport: Transport, lines: Sequence[str]) -> None:
    """Bring lines in one request that the server takes wholly; raises StoreError."""
    answer = transport.write("\n".join(lines).encode())
    if not answer.ok:
        raise refusal(transport.server, answer)


def _write(transport: Transport, lines: Sequence[str], first: int, written: Written) -> None:
    waiting = [(0, len(lines))]
    while waiting:
        start, end = waiting.pop()
        answer = transport.write("\n".join(lines[start:end]).encode())
        told = verdict(answer)
        if told is Verdict.HOLD:
            raise refusal(transport.server, answer)
        if told is Verdict.DONE:
            written.expired += expired(answer)
        elif end - start > 1:
            middle = (start + end) // 2
            waiting += [(middle, end), (start, middle)]
        else:
            written.bad.append((first + start, lines[start], reason(answer)))
            if len(written.bad) > BAD_MAX:
                raise Refused(
                    f"{transport.server.name}: more than {BAD_MAX} lines were refused, the last one: {reason(answer)}"
                )
