"""Who floods is not listened to for a while; who is honest and badly set up is."""

from __future__ import annotations

from collector.intake.events import What
from collector.intake.exclusion import LIMIT, MOST_NS, MUTE_NS, PERIOD_NS, SECOND_NS, STRANGERS, Exclusion

KNOWN = ("gw-a", "gw-b")


def send(
    exclusion: Exclusion, count: int, now_ns: int, what: What | None = What.BAD_SIGNATURE, id: str = "gw-b"
) -> float:
    return sum(exclusion.note(id, what, KNOWN, now_ns) for _ in range(count))


def test_a_flood_of_what_is_not_believed_shuts_its_gateway_out_and_no_other() -> None:
    exclusion = Exclusion()
    assert send(exclusion, LIMIT - 1, 0) == 0
    assert send(exclusion, 1, 1) == MUTE_NS / SECOND_NS
    assert exclusion.excluded(2) == {"gw-b": 1 + MUTE_NS}
    assert send(exclusion, 10 * LIMIT, 2) == 0, "it is told once"
    assert exclusion.excluded(1 + MUTE_NS) == {}


def test_what_is_believed_or_comes_slowly_never_does() -> None:
    exclusion = Exclusion()
    send(exclusion, 10 * LIMIT, 0, None)
    send(exclusion, 10 * LIMIT, 0, What.POISON)
    for turn in range(20):
        send(exclusion, LIMIT - 1, turn * (PERIOD_NS + 1))
    assert exclusion.excluded(0) == {}


def test_each_further_time_takes_twice_as_long_until_there_was_an_hour_of_peace() -> None:
    exclusion, now_ns, found = Exclusion(), 0, []
    for _ in range(9):
        found.append(send(exclusion, LIMIT, now_ns))
        now_ns = exclusion.excluded(now_ns)["gw-b"] + 1
    assert found == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert send(exclusion, LIMIT, now_ns + MOST_NS) == 60


def test_all_unknown_gateways_are_one() -> None:
    exclusion = Exclusion()
    for number in range(LIMIT):
        exclusion.note(f"made-up-{number}", What.STRANGER, KNOWN, 0)
    assert list(exclusion.excluded(0)) == [STRANGERS]
