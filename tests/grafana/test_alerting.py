"""Alert rules against Grafana's schema, and their queries against a real InfluxDB."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

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
    last = [series["values"][-1][-1] for series in answered]
    fires = [value > rule.threshold if rule.kind == "gt" else value < rule.threshold for value in last]
    assert all(fires) == (rule.name == "exceedance"), "the sample exceeds its limits, and all else is well"


def test_nothing_secret_stands_in_the_files_and_both_languages_have_the_same_rules() -> None:
    for language in LANGUAGES:
        folder = build.HERE / "provisioning" / "alerting" / language
        text = "".join(path.read_text() for path in folder.glob("*.yaml"))
        assert "http" not in text, "addresses come from the environment"
        assert [rule.name.replace("_", "-") for rule in alerting.RULES] == [
            rule["uid"].removeprefix("emitwatch-") for rule in alerting.rules(Words(language))["groups"][0]["rules"]
        ]
