"""What of a point is not ready to be accepted: what is missing, what failed, and what nobody has verified. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from api.acceptance import Item, Told
from api.sheet_words import Words
from gateway.sensors import Sensor
from gateway.settings import Point


def open_points(point: Point, sensors: Sequence[Sensor], told: Told, words: Words) -> list[str]:
    """Sentences, those that weigh most first; none where everything is there and passed."""
    return [
        *([words("open_silent")] if told.point["commissioning"] else []),
        *_gateways(sensors, told, words),
        *(words("open_health", problem) for problem in told.health.get("problems", ())),
        *_data(told, words),
        *_loopchecks(sensors, told, words),
        *(_sound_checks(sensors, told, words) if point.kind == "noise" else ()),
        *_instruments(sensors, told, words),
        *_clauses(told, words),
    ]


def _gateways(sensors: Sequence[Sensor], told: Told, words: Words) -> Iterator[str]:
    for id in dict.fromkeys(sensor.settings.gateway for sensor in sensors):
        one: Item = told.health.get("gateways", {}).get(id, {})
        runs = one.get("configuration", {})
        if not one.get("trusted"):
            yield words("open_key", id)
        if runs.get("problem"):
            yield words("open_approval", id, runs["problem"])
        if runs.get("hash") and runs["hash"] != told.hashes.get(id):
            yield words("open_hash", id)
        if one.get("clock_wrong"):
            yield words("open_clock", id)


def _data(told: Told, words: Words) -> Iterator[str]:
    for one in told.coverage:
        if not one["good"]:
            yield words("open_data", one["sensor"], one["parameter"])


def _loopchecks(sensors: Sequence[Sensor], told: Told, words: Words) -> Iterator[str]:
    """The last check of a parameter counts."""
    checked = {(one.get("sensor"), one.get("parameter")): one for one in sorted(told.loopchecks, key=_began)}
    for sensor in sensors:
        found = {name: checked.get((sensor.settings.id, name)) for name in sensor.plan.parameters}
        if missing := [name for name, check in found.items() if check is None]:
            yield words("open_no_loop", sensor.settings.id, ", ".join(missing))
        if failed := [name for name, check in found.items() if check and check.get("passed") is not True]:
            yield words("open_loop", sensor.settings.id, ", ".join(failed))


def _began(check: Item) -> str:
    return str(check.get("began", ""))


def _sound_checks(sensors: Sequence[Sensor], told: Told, words: Words) -> Iterator[str]:
    standing = [mark for mark in told.marks if not mark["revoked_by"]]
    for sensor in sensors:
        mine = [mark for mark in standing if mark["sensor"] == sensor.settings.id]
        last = max(mine, key=lambda mark: (mark["to"], mark["id"]), default=None)
        if last is None or not last["sound_check"]:  # an instrument that came since was not checked
            yield words("open_no_sound", sensor.settings.id)
        elif not last["sound_check"]["passed"]:
            yield words("open_sound", sensor.settings.id)


def _instruments(sensors: Sequence[Sensor], told: Told, words: Words) -> Iterator[str]:
    present = {one["sensor"]: one for one in told.instruments if one["to"] is None}
    for sensor in sensors:
        one = present.get(sensor.settings.id)
        if one is None or not one["serial"]:
            yield words("open_serial", sensor.settings.id)
        elif one["site_serial"]:
            yield words("open_differs", sensor.settings.id, one["serial"], one["site_serial"])
        if sensor.profile.unverified:
            yield words("open_profile", sensor.settings.id, "; ".join(sensor.profile.unverified))


def _clauses(told: Told, words: Words) -> Iterator[str]:
    for parameter in told.point["parameters"]:
        for limit in parameter["limits"]:
            if not limit["verified"]:
                yield words("open_rule", f"{limit['pack']}/{limit['clause']}")
