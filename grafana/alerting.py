"""Alert rules, contact points and policies as Grafana provisions them from files.

Grafana expands `$NAME` in contact points, labels and titles of such files, so what the environment gives (addresses,
secrets) is never in the repository. Template variables of dashboards do not exist here: rules ask for every plant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.measurement import Status
from grafana.words import Words

SOURCE_UID = "emitwatch"  # of provisioning/datasources
FOLDER = "emitwatch alerts"  # of its own: rules come first, and would make one of the dashboards' name with another uid
SPAN_S = 3600  # that a rule looks back, were its query to ask for it
LABELS = ("plant", "point", "sensor", "parameter", "gateway", "clause")  # that a summary may name


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


SERIES = '"plant", "point", "sensor", "parameter"'


def _silent(span: str, usual: str) -> str:
    """How much each series said of itself in the span before now, of those that say so much in one when they speak.

    Spans end now, so the last one is whole. Rows that no instrument gave (no_comm, stale) do not count; those of one
    that stands still, or is being calibrated, do. What a series says when it speaks is the most of any span of the
    last day: silence takes nothing from that, and after a day of it nothing is left to ask for.
    """
    spoken = f'"status" <> {Status.NO_COMM:d} AND "status" <> {Status.STALE:d} AND time > now() - 1d AND time < now()'
    counted = f'SELECT count("status") AS "n" FROM "measurement" WHERE {spoken} GROUP BY time({span}, now()), {SERIES}'
    told = f'SELECT last("n") AS "now", max("n") AS "usual" FROM ({counted} fill(0)) GROUP BY {SERIES}'
    return f'SELECT "now" FROM ({told}) WHERE {usual} GROUP BY {SERIES}'


def _exceeded(minutes: str, back: str) -> str:
    """How often each clause was broken in windows of such a length that began since.

    A point lies where its window begins and comes when it has ended: one of a month is a month old by then.
    """
    return (
        f'SELECT count("value") FROM "exceedance" WHERE "withdrawn" = 0 AND {minutes} AND time > now() - {back} '
        'GROUP BY "plant", "point", "clause"'
    )


RULES = (
    # A value has the time at which its interval begins and comes when that ends: it can be two intervals old.
    Rule(name="no_data", severity="warning", kind="lt", threshold=1, query=_silent("15m", '"usual" >= 3')),
    Rule(
        name="no_data_slow", severity="warning", kind="lt", threshold=1,
        query=_silent("3h", '"usual" < 25 AND "usual" >= 3'),
    ),
    Rule(
        name="collector_down", severity="critical", kind="lt", threshold=1, pending="2m", no_data="Alerting",
        query='SELECT count("online") FROM "gateway" WHERE time > now() - 5m',
    ),
    Rule(
        name="gateway_away", severity="warning", kind="gt", threshold=600,
        query='SELECT last("ack_age_s") FROM "gateway" WHERE time > now() - 10m GROUP BY "plant", "gateway"',
    ),
    *(
        Rule(name=name, severity="critical", kind="gt", threshold=0, query=_exceeded(minutes, back))
        for name, minutes, back in (
            ("exceedance", '"minutes" < 1000', "38h"),
            ("exceedance_day", '"minutes" >= 1000 AND "minutes" < 2000', "50h"),
            ("exceedance_month", '"minutes" >= 2000 AND "minutes" < 50000', "33d"),
            ("exceedance_year", '"minutes" >= 50000', "368d"),
        )
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
    labels = {name: f"{{{{ $labels.{name} }}}}" for name in LABELS}
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
