"""Alert rules against Grafana's schema, and their queries against a real InfluxDB."""

from __future__ import annotations

import json
import time
import urllib.request
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gateway.measurement import SECOND_NS, Status
from grafana import alerting, build
from grafana.words import LANGUAGES, Words
from tests.collector.influx_servers import Influxd


def rules() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = alerting.rules(Words("en"))["groups"][0]["rules"]
    return found


@pytest.mark.shared
def test_a_rule_is_one_to_grafanas_schema(shared: Path) -> None:
    schema = json.loads((shared / "grafana-schema" / "alerting.jsonschema.json").read_text())
    validator = jsonschema.Draft7Validator({**schema, "$ref": "#/definitions/Rule"})
    for rule in rules():
        # Files name the group and the folder once for all rules of a group.
        whole = {**rule, "folderUID": "emitwatch", "orgID": 1, "ruleGroup": "emitwatch"}
        assert [error.message for error in validator.iter_errors(whole)] == []


def test_every_rule_ends_in_its_condition_and_asks_the_provisioned_source() -> None:
    source = (build.HERE / "provisioning" / "datasources" / "emitwatch.yaml").read_text()
    assert f"uid: {alerting.SOURCE_UID}\n" in source
    for rule in rules():
        assert [step["refId"] for step in rule["data"]] == ["A", "B", "C"]
        assert rule["condition"] == "C"
        assert rule["data"][0]["datasourceUid"] == alerting.SOURCE_UID


@pytest.mark.parametrize("rule", alerting.RULES, ids=lambda rule: rule.name)
def test_what_a_rule_asks_is_answered_and_fires_when_it_should(
    rule: alerting.Rule, filled: tuple[Influxd, str, int]
) -> None:
    running, database, _ = filled
    answered = running.query(rule.query, database)
    assert answered
    assert "$" not in rule.query, "there are no variables in alerts"
    assert not running.query(rule.query.replace('FROM "', 'FROM "no'), database)
    assert all(fires(rule, answered)) == rule.name.startswith("exceedance"), (
        "the sample exceeds its limits, and all else is well"
    )


def fires(rule: alerting.Rule, answered: list[dict[str, Any]]) -> list[bool]:
    """Whether each series that a rule's query gave is beyond its threshold."""
    last = [series["values"][-1][-1] for series in answered]
    return [value > rule.threshold if rule.kind == "gt" else value < rule.threshold for value in last]


def fired(influxd: Influxd, lines: list[str], name: str) -> set[str]:
    """The points for which a rule fires where a server has these lines."""
    database = influxd.database()
    urllib.request.urlopen(f"{influxd.url}/write?db={database}", "\n".join(lines).encode(), 20).close()
    rule = next(rule for rule in alerting.RULES if rule.name == name)
    answered = influxd.query(rule.query, database)
    return {
        series["tags"]["point"] for series, fire in zip(answered, fires(rule, answered), strict=True) if fire
    }  # fmt: skip


def test_a_series_that_has_stopped_is_told_by_its_own_pace(influxd: Influxd) -> None:
    now_ns = time.time_ns()

    def came(point: str, every_s: int, *spans: tuple[int, int, Status]) -> list[str]:
        """A row each so many seconds. spans: from and up to so many seconds ago, and the status then."""
        return [
            f"measurement,parameter=SO2,plant=p,point={point},sensor=s status={status:d} {now_ns - ago * SECOND_NS}"
            for first, last, status in spans for ago in range(first, last, -every_s)
        ]  # fmt: skip

    day, hour, minute = 86_000, 3600, 60
    lines = [
        *came("minutes", minute, (day, 0, Status.OK)),
        *came("minutes-stopped", minute, (day, 1000, Status.OK)),
        *came("minutes-unanswered", minute, (day, 1000, Status.OK), (1000, 0, Status.NO_COMM)),
        *came("minutes-stale", minute, (day, 1000, Status.OK), (1000, 0, Status.STALE)),
        *came("plant-stands-still", minute, (day, 1000, Status.OK), (1000, 0, Status.STOPPED)),
        *came("new", minute, (20 * minute, 0, Status.OK)),
        *came("new-stopped", minute, (40 * minute, 20 * minute, Status.OK)),
        *came("seven", 7 * minute, (day, 7 * minute, Status.OK)),
        *came("seven-stopped", 7 * minute, (day, 2 * hour, Status.OK)),
        *came("seven-long-stopped", 7 * minute, (day, 20 * hour, Status.OK)),
        *came("ten", 10 * minute, (day, 10 * minute, Status.OK)),
        *came("hours", hour, (day, hour, Status.OK)),
        *came("hours-stopped", hour, (day, 3 * hour + 60, Status.OK)),
        *came("hours-long-stopped", hour, (day, 20 * hour, Status.OK)),
        *came("slow", 80 * minute, (day, 80 * minute, Status.OK)),
        *came("slow-stopped", 80 * minute, (day, 13 * hour, Status.OK)),
        *came("now-and-then", 20_000, (day, 0, Status.OK)),
        *came("two-hours", 2 * hour, (day, 2 * hour, Status.OK)),
    ]
    fast = {f"minutes-{how}" for how in ("stopped", "unanswered", "stale")}
    assert fired(influxd, lines, "no_data") == fast | {"new-stopped", "seven-stopped", "seven-long-stopped"}
    assert fired(influxd, lines, "no_data_slow") == {"hours-stopped", "hours-long-stopped", "slow-stopped"}


def test_an_exceedance_is_told_once_its_window_has_ended_however_long_it_was(influxd: Influxd) -> None:
    now_s, hour, day = time.time_ns() // SECOND_NS, 3600, 86_400

    def broken(point: str, length_s: int, ended_s: int, withdrawn: int = 0) -> str:
        """An exceedance of a window that ended so many seconds ago."""
        return (
            f"exceedance,clause=c,plant=p,point={point} value=1,withdrawn={withdrawn},minutes={length_s / 60} "
            f"{(now_s - ended_s - length_s) * SECOND_NS}"
        )

    lengths = {
        "exceedance": 1 * hour, "exceedance_day": 25 * hour, "exceedance_month": 31 * day, "exceedance_year": 366 * day,
    }  # fmt: skip
    for name, length_s in lengths.items():
        lines = [broken("old", length_s, 4 * day), broken("taken-back", length_s, hour, 1)]
        lines += [broken(other, length, hour) for other, length in lengths.items()]
        assert fired(influxd, lines, name) == {name}


def test_nothing_secret_stands_in_the_files_and_both_languages_have_the_same_rules() -> None:
    for language in LANGUAGES:
        folder = build.HERE / "provisioning" / "alerting" / language
        text = "".join(path.read_text() for path in folder.glob("*.yaml"))
        assert "http" not in text, "addresses come from the environment"
        assert [rule.name.replace("_", "-") for rule in alerting.RULES] == [
            rule["uid"].removeprefix("emitwatch-") for rule in alerting.rules(Words(language))["groups"][0]["rules"]
        ]
