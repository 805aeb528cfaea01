"""How gateways and their instruments are, once a minute, as points. Pure.

    gateway,gateway=gw-1,plant=riverside online=1,ack_age_s=1.5,backlog_batches=0,clock_off_s=0,... <minute>
    link,gateway=gw-1,plant=riverside,sensor=cems-1 good_s=3.2 <minute>

What a gateway does not say is no field.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from collector.charts.feed import GATEWAY, LINK, Point
from gateway.measurement import SECOND_NS

MINUTE_NS = 60 * SECOND_NS
ONLINE_S = 100.0  # three states, as one comes every 30 s


def sampled(gateways: Mapping[str, Mapping[str, Any]], now_ns: int, since_ns: int) -> Iterator[Point]:
    """What `health` tells of gateways, at the last full minute. since_ns: since when the collector listens.

    [ns since 1970 UTC]
    """
    at_ns = now_ns // MINUTE_NS * MINUTE_NS
    for id, told in gateways.items():
        tags, state = {"plant": told["plant"], "gateway": id}, told["state"]
        given = {name: value for name, value in _figures(told, now_ns, since_ns).items() if value is not None}
        yield Point(GATEWAY, tags, {name: float(value) for name, value in given.items()}, at_ns)
        for sensor, good_s in state.get("good_s", {}).items():
            yield Point(LINK, {**tags, "sensor": sensor}, {"good_s": float(good_s)}, at_ns)


def _figures(told: Mapping[str, Any], now_ns: int, since_ns: int) -> dict[str, float | None]:
    state = told["state"]
    storage, clock = state.get("storage", {}), state.get("clock", {})
    # Of a gateway that was silent since the start nobody knows how long it was before.
    heard_ns = max(told["received_ns"], since_ns)
    return {
        "online": bool(state["online"]) and state["age_s"] <= ONLINE_S,
        "ack_age_s": max(0.0, (now_ns - heard_ns) / SECOND_NS),
        "backlog_batches": state.get("unacked_batches"), "waiting_values": state.get("waiting_values"),
        "storage_share": storage.get("share"), "hours_left": storage.get("hours_left"),
        "clock_off_s": clock.get("off_s", 0.0) if clock else None,
        "clock_right": clock.get("standing") == "right" if clock else None,
        "clock_wrong": told["clock_wrong"],
        **{name: state.get(name) for name in ("polls_answered", "polls_failed", "resent_batches", "dropped")},
        **{name: told[name] for name in ("fresh", "duplicate", "conflict", "refused", "quarantined")},
    }  # fmt: skip
