"""One reply in twenty comes late, over all three framings: a late one is never the answer to another request.

All requests have one shape, so every reply would fit every request, and every register holds another
number, so every mix-up shows. The devices answer in turn, or a late reply is overtaken by later ones,
and what is late comes over the connection that asked, or over whichever there is by then.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from gateway.links.address import Quirks
from gateway.links.asking import Asking
from gateway.links.link import BadAnswer, LinkDown, NoAnswer
from gateway.registers import Block
from tests.effort import LATE_REQUESTS
from tests.gateway.lines import KINDS, Act, Device, Request, served, word

LINKS = 20  # at the same time: they mostly wait
TIMEOUT_S = 0.04
LATE_S = (0.8 * TIMEOUT_S, 4 * TIMEOUT_S)
LATE = 0.05
WAYS = {"strict": Quirks(), "transaction 0": Quirks(tid_zero_ok=True)}
CASES = [("tcp", "strict"), ("tcp", "transaction 0"), ("rtu+tcp", "strict"), ("rtu", "strict")]


def script(rng: random.Random, way: str):
    def reply(request: Request) -> list[Act]:
        frame = request.frame(tid=0 if way == "transaction 0" else None)
        return [rng.uniform(*LATE_S), frame] if rng.random() < LATE else [frame]

    return reply


async def ask(link: Asking, requests: int, rng: random.Random, quirks: Quirks) -> Counter[str]:
    found: Counter[str] = Counter()
    for _ in range(requests):
        address = rng.randrange(2000)
        try:
            words = await link.read(1, Block(3, address, 2), timeout_s=TIMEOUT_S, quirks=quirks)
        except (NoAnswer, BadAnswer, LinkDown) as error:
            found[type(error).__name__] += 1
        else:
            found["right" if words.tolist() == [word(1, address), word(1, address + 1)] else "WRONG"] += 1
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("kind", "way"), CASES)
def test_no_late_reply_is_the_answer_to_another_request(kind, way, tmp_path_factory):
    requests = LATE_REQUESTS // (2 if kind == "tcp" else 1) // LINKS

    async def one(number: int) -> Counter[str]:
        rng = random.Random(number)
        device = Device(
            kind, tmp_path_factory.mktemp("line"), script(rng, way), shared=number % 2 == 0, overtaking=number % 4 < 2
        )
        async with served(device) as link:
            return await ask(link, requests, rng, WAYS[way])

    async def whole() -> Counter[str]:
        return sum(await asyncio.gather(*(one(number) for number in range(LINKS))), Counter())

    found = asyncio.run(whole())
    assert found["WRONG"] == 0, found
    assert found["NoAnswer"] > found.total() * LATE / 4, "late replies there were"
    assert found["right"] > found.total() / 50, found


def test_all_framings_are_tried():
    assert {kind for kind, _ in CASES} == set(KINDS)
