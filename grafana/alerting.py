"""Alert rules, contact points and policies as Grafana provisions them from files.

Grafana expands `$NAME` in contact points, labels and titles of such files, so what the environment gives (addresses,
secrets) is never in the repository. Template variables of dashboards do not exist here: rules ask for every plant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from grafana.words import Words

SOURCE_UID = "emitwatch"  # of provisioning/datasources
FOLDER = "emitwatch alerts"  # of its own: rules come first, and would make one of the dashboards' name with another uid
SPAN_S = 3600  # that a rule looks back


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """An alert: a query whose last value is held against a threshold.

    kind: "gt" or "lt". pending: how long it has to hold. no_data: what no answer means, "Alerting" or "OK".
    """

    name: str
    query: str
    kind: str
    threshold: float
    severity: str
    pending: str = "0s"
    no_data: str = "OK"


RULES = (
    Rule(
        name="no_data", severity="warning", kind="lt", threshold=1, pending="5m",
        query='SELECT count("status") FROM "measurement" WHERE time > now() - 1d '
              'GROUP BY time(15m), "plant", "point" fill(0)',  # its last span is empty where a series has stopped
    ),
    Rule(
        name="collector_down", severity="critical", kind="lt", threshold=1, pending="2m", no_data="Alerting",
        query='SELECT count("online") FROM "gateway" WHERE time > now() - 5m',
    ),
    Rule(
        name="gateway_away", severity="warning", kind="gt", threshold=600,
        query='SELECT last("ack_age_s") FROM "gateway" WHERE time > now() - 10m GROUP BY "plant", "gateway"',
    ),
    Rule(
        name="exceedance", severity="critical", kind="gt", threshold=0,
        query='SELECT count("value") FROM "exceedance" WHERE "withdrawn" = 0 AND time > now() - 26h '
              'GROUP BY "plant", "point", "clause"',
    ),
)  # fmt: skip


def rules(words: Words) -> dict[str, Any]:
    """The rules, in a group of their own."""
    return {
        "apiVersion": 1,
        "groups": [{
            "orgId": 1, "name": "emitwatch", "folder": FOLDER, "interval": "60s",
            "rules": [_rule(rule, words) for rule in RULES],
        }],
    }  # fmt: skip


def contacts() -> dict[str, Any]:
    """Where alerts go: a webhook, e-mail, DingTalk and WeCom, each by an address of the environment."""
    receivers = [
        ("webhook", {"url": "$EMITWATCH_ALERT_WEBHOOK"}), ("email", {"addresses": "$EMITWATCH_ALERT_EMAIL"}),
        ("dingding", {"url": "$EMITWATCH_ALERT_DINGTALK"}), ("wecom", {"url": "$EMITWATCH_ALERT_WECOM"}),
    ]  # fmt: skip
    points = [
        {"orgId": 1, "name": f"emitwatch {kind}",
         "receivers": [{"uid": f"emitwatch-{kind}", "type": kind, "settings": settings}]}
        for kind, settings in receivers
    ]  # fmt: skip
    chosen = {"orgId": 1, "receiver": "$EMITWATCH_ALERT_BY", "group_by": ["plant", "alertname"], "group_wait": "30s",
              "group_interval": "5m", "repeat_interval": "12h"}  # fmt: skip
    return {"apiVersion": 1, "contactPoints": points, "policies": [chosen]}


def _rule(rule: Rule, words: Words) -> dict[str, Any]:
    title, about = words.alert(rule.name)
    labels = {name: f"{{{{ $labels.{name} }}}}" for name in ("plant", "point", "gateway", "clause")}
    return {
        "uid": f"emitwatch-{rule.name.replace('_', '-')}", "title": title, "condition": "C", "for": rule.pending,
        "noDataState": rule.no_data, "execErrState": "Error", "isPaused": False,
        "annotations": {"summary": about.format(**labels)},
        "labels": {"severity": rule.severity, "source": "emitwatch"},
        "data": [
            _step("A", SOURCE_UID, SPAN_S, {"rawQuery": True, "query": rule.query, "resultFormat": "time_series"}),
            _step("B", "__expr__", 0, {"type": "reduce", "expression": "A", "reducer": "last"}),
            _step("C", "__expr__", 0, {"type": "threshold", "expression": "B", "conditions": [
                {"evaluator": {"type": rule.kind, "params": [rule.threshold]}}]}),
        ],
    }  # fmt: skip


def _step(ref: str, source: str, back_s: int, model: dict[str, Any]) -> dict[str, Any]:
    span = {"from": back_s, "to": 0}
    return {"refId": ref, "datasourceUid": source, "relativeTimeRange": span, "model": {**model, "refId": ref}}
