"""The HTTP interface over a real line: shapes, spans, pages, problems, evidence, headers."""

from __future__ import annotations

import gzip
import time
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from api import schemas
from api.metrics import HealthCollector, numbers
from api.times import format_time, parse_time
from collector.intake.events import What
from collector.intake.events import entry as event_entry
from gateway.measurement import SECOND_NS
from tests.api.line import HOURS, Line, wait_until

NORTH = {"plant": "riverside", "point": "fence-north"}
LEVEL = NORTH | {"parameter": "LAeq"}


def items(client: httpx.Client, path: str, **query: Any) -> list[dict[str, Any]]:
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def ago(line: Line, seconds: float) -> str:
    return format_time(line.now_ns - round(seconds) * SECOND_NS)


@pytest.mark.parametrize(
    ("path", "query", "shape"),
    [
        ("plants", {}, schemas.Plant),
        ("points", {}, schemas.Point),
        ("points", {"plant": "riverside"}, schemas.Point),
        ("parameters", {}, schemas.Parameter),
        ("periods", NORTH, schemas.Period),
        ("measurements", LEVEL, schemas.Measurement),
        ("measurements", LEVEL | {"interval": "1m"}, schemas.Measurement),
        ("measurements", LEVEL | {"interval": "1h"}, schemas.Measurement),
        ("averages", LEVEL | {"window": "1h"}, schemas.Average),
        ("exceedances", {}, schemas.Exceedance),
        ("incidents", {}, schemas.Incident),
        ("notices", {}, schemas.Notice),
    ],
)
def test_every_list_has_its_shape(client: httpx.Client, path: str, query: dict[str, str], shape: Any) -> None:
    answer = client.get(path, params=query)
    page = schemas.Page[shape].model_validate_json(answer.content, strict=True)
    assert page.items
    assert (page.next is None) == (len(page.items) < 10_000)


def test_points_say_what_is_watched(client: httpx.Client) -> None:
    points = {point["id"]: point for point in items(client, "points")}
    north, stack = points["fence-north"], points["stack-1"]
    # By day the incident of the night may be over: a point was judged for as long again without another.
    known = [item for state in ("open", "acknowledged") for item in items(client, "incidents", state=state)]
    watched = {item["point"] for item in known}
    assert {id: point["state"] for id, point in points.items()} == {
        id: "exceeded" if id in watched else "ok" for id in points
    }
    assert north["night"] == ["22:00", "06:00"]
    level = next(p for p in north["parameters"] if p["code"] == "LAeq")
    limits = {limit["clause"]: limit for limit in level["limits"]}
    assert (limits["night-level"]["limit"], limits["night-level"]["period"]) == (50, "night")
    assert (limits["day-level"]["limit"], limits["day-level"]["period"]) == (60, "day")
    assert limits["night-level"]["judged"]["value"] > 50
    assert {"SO2", "NOx", "O2", "dust", "temperature"} <= {p["code"] for p in stack["parameters"]}
    assert all(p["latest"] for p in stack["parameters"])


def test_a_limit_that_hangs_on_another_channel_is_shown_as_it_holds_now(client: httpx.Client) -> None:
    outfall = next(point for point in items(client, "points") if point["id"] == "outfall-1")
    by_code = {p["code"]: p for p in outfall["parameters"]}
    warm = by_code["water_temperature"]["latest"]["value"] > 12
    limit = next(limit for limit in by_code["NH3-N"]["limits"] if limit["clause"] == "nh3n-day")
    assert limit["conditions"] == ["water_temperature"]
    assert limit["limit"] == (5 if warm else 8)


def test_from_is_inclusive_and_to_exclusive(client: httpx.Client, line: Line) -> None:
    found = items(client, "measurements", **LEVEL, **{"from": ago(line, 60), "to": ago(line, 30)})
    assert [item["time"] for item in found] == [ago(line, s) for s in range(60, 30, -5)]
    assert found[0] | {"value": 0} == LEVEL | {"time": ago(line, 60), "value": 0, "unit": "dB(A)", "status": "ok"}


def test_raw_answers_come_in_pages_that_lose_nothing(client: httpx.Client, line: Line) -> None:
    query = LEVEL | {"from": ago(line, 2000), "to": ago(line, 0)}
    whole = items(client, "measurements", **query)
    seen: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = client.get("measurements", params=query | {"limit": 37, "cursor": cursor}).json()
        seen, cursor = seen + page["items"], page["next"]
    assert seen == whole
    assert len(whole) == 400


def test_minutes_come_in_pages_too(client: httpx.Client, line: Line) -> None:
    query = LEVEL | {"from": ago(line, 7200), "to": ago(line, 0), "interval": "1m"}
    whole = items(client, "measurements", **query)
    page = client.get("measurements", params=query | {"limit": 50}).json()
    rest = client.get("measurements", params=query | {"cursor": page["next"]}).json()
    assert page["items"] + rest["items"] == whole
    assert 115 <= len(whole) <= 120


def test_a_raw_answer_holds_at_most_ten_thousand(client: httpx.Client, line: Line) -> None:
    page = client.get("measurements", params=LEVEL | {"from": ago(line, HOURS * 3600)}).json()
    assert len(page["items"]) == 10_000
    assert page["next"]


def test_a_parameter_answers_to_its_other_names(client: httpx.Client, line: Line) -> None:
    stack = {"plant": "riverside", "point": "stack-1", "from": ago(line, 100), "to": ago(line, 0)}
    assert items(client, "measurements", **stack, parameter="a21026")[0]["parameter"] == "SO2"


def test_the_night_is_an_average_with_coverage(client: httpx.Client) -> None:
    query = LEVEL | {"window": "night", "from": "2020-01-01T00:00:00Z"}
    night = items(client, "averages", **query)[-1]
    assert night["valid"]
    assert night["coverage"] == pytest.approx(1.0, abs=0.01)
    assert parse_time(night["to"]) - parse_time(night["from"]) == 8 * 3600 * SECOND_NS
    assert night["evaluated"] == round(night["value"])


def test_evidence_walks_back_to_the_manual_page(client: httpx.Client) -> None:
    found = next(item for item in items(client, "exceedances", clause="nox-hour"))
    wait_until(lambda: client.get(f"evidence/{found['id']}").json()["notices"], 30, "nobody is told")
    answer = client.get(f"evidence/{found['id']}")
    trail = schemas.Trail.model_validate_json(answer.content).model_dump()
    assert trail["exceedance"]["id"] == found["id"]
    assert trail["incident"]["clause"] == "nox-hour"
    assert trail["notices"][0]["kind"] == "console"
    evidence = trail["evidence"]
    assert evidence["clause"]["cite"]
    assert evidence["average"]["evaluated"] == pytest.approx(found["value"])
    assert [step["step"] for step in evidence["average"]["corrections"]][-1] == "reference_oxygen"
    assert trail["measurements"]["statuses"] == {"ok": 180}
    assert len(trail["measurements"]["items"]) == 180
    sensor = next(sensor for sensor in evidence["sensors"] if sensor["sensor"] == "cems-1")
    register = next(register for register in sensor["registers"] if register["parameter"] == "NOx")
    assert isinstance(register["address"], int)
    assert register["manual"]
    assert sensor["manual"]


def test_evidence_of_a_night_is_drawn_by_the_minute(client: httpx.Client) -> None:
    found = items(client, "exceedances", clause="night-level")[-1]
    measured = client.get(f"evidence/{found['id']}").json()["measurements"]
    assert measured["interval"] == "1m"
    assert len(measured["items"]) == 480
    assert measured["count"] == 8 * 720


def test_acknowledging_is_seen_at_once(client: httpx.Client) -> None:
    incident = next(item for item in items(client, "incidents") if item["clause"] == "night-peak")
    answer = client.post(f"incidents/{incident['id']}/acknowledge", json={"who": " Officer 7 ", "note": "fan 3 is off"})
    assert answer.status_code == 202

    def acknowledged() -> bool:
        return client.get(f"incidents/{incident['id']}").json()["acknowledged"] is not None

    wait_until(acknowledged, 5, "not acknowledged")
    file = schemas.IncidentFile.model_validate_json(client.get(f"incidents/{incident['id']}").content)
    assert (file.acknowledged_by, file.note) == ("Officer 7", "fan 3 is off")
    assert "acknowledged" in [event.kind for event in file.events]
    assert len(file.members) == incident["count"]


def test_acknowledging_needs_no_body(client: httpx.Client) -> None:
    incident = next(item for item in items(client, "incidents") if item["clause"] == "night-level")
    assert client.post(f"incidents/{incident['id']}/acknowledge").status_code == 202

    def told() -> bool:
        return client.get(f"incidents/{incident['id']}").json()["acknowledged_by"] == "token holder"

    wait_until(told, 5, "not acknowledged")


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("nothing", 404, "Not Found"),
        ("export?format=csv", 404, "Not Found"),
        ("measurements", 422, "plant"),
        ("measurements?plant=x&point=y&parameter=z", 404, "there is no plant 'x'"),
        ("measurements?plant=riverside&point=y&parameter=z", 404, "has no point 'y'"),
        ("measurements?plant=riverside&point=fence-north&parameter=NOx", 404, "has no parameter 'NOx'"),
        ("measurements?plant=riverside&point=fence-north&parameter=LAeq&from=yesterday", 422, "RFC 3339"),
        ("measurements?plant=riverside&point=fence-north&parameter=LAeq&interval=2m", 422, "interval"),
        ("measurements?plant=riverside&point=fence-north&parameter=LAeq&cursor=me", 422, "not one of ours"),
        ("measurements?plant=riverside&point=fence-north&parameter=LAeq&limit=10001", 422, "limit"),
        ("exceedances?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", 422, "later"),
        ("evidence/999999", 404, "no exceedance 999999"),
        ("evidence/0", 404, "no exceedance 0"),
        ("incidents/999999", 404, "no incident 999999"),
        ("incidents?state=solved", 422, "state"),
        (
            "periods?plant=riverside&point=fence-north&from=1700-01-01T00:00:00Z&to=2200-01-01T00:00:00Z",
            422,
            "more than 10000",
        ),
        (f"evidence/{2**63}", 422, "exceedance"),
        (f"incidents/{2**63}", 422, "id"),
        (f"notices?incident={2**63}", 422, "incident"),
        (f"notices?cursor={2**63}", 422, "not one of ours"),
        (f"incidents?cursor={10**19 - 1}", 422, "not one of ours"),
    ],
)
def test_what_is_wrong_is_a_problem_document(client: httpx.Client, path: str, status: int, says: str) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = schemas.Problem.model_validate_json(answer.content)
    assert says in problem.detail
    assert (problem.status, problem.instance) == (status, "/api/v1/" + path.partition("?")[0])


@pytest.mark.parametrize("body", [{"who": "x" * 65}, {"who": "x", "more": 1}, []])
def test_a_word_that_is_none_is_refused(client: httpx.Client, body: Any) -> None:
    assert client.post("incidents/1/acknowledge", json=body).status_code == 422


def test_acknowledging_nothing_is_a_problem(client: httpx.Client) -> None:
    answer = client.post("incidents/999999/acknowledge", json={"who": "Li"})
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert client.post(f"incidents/{2**63}/acknowledge", json={"who": "Li"}).status_code == 422


def test_large_answers_are_packed(client: httpx.Client, line: Line) -> None:
    with client.stream("GET", "measurements", params=LEVEL | {"from": ago(line, 20_000)}) as answer:
        packed = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert len(gzip.decompress(packed)) > 8 * len(packed)


@pytest.mark.usefixtures("quiet")
def test_two_days_of_minutes_are_quick(client: httpx.Client, line: Line) -> None:
    query = LEVEL | {"from": ago(line, HOURS * 3600), "interval": "1m"}
    took_s = []
    for _ in range(3):  # the quickest counts: a machine that stands still for a moment is none of its slowness
        start = time.monotonic()
        assert len(items(client, "measurements", **query)) > 1900
        took_s.append(time.monotonic() - start)
    assert min(took_s) < 2


def test_health_and_metrics_tell_the_same(client: httpx.Client, line: Line) -> None:
    health = client.get("health").json()
    assert health["status"] == "ok"
    assert health["version"] == "test"
    assert health["journal"]["position"] >= 200
    lines = httpx.get(line.url + "metrics").text.splitlines()
    assert f"emitwatch_journal_position {float(health['journal']['position'])}" in lines
    assert 'emitwatch_gateway_fresh{gateway="riverside-gw"} 3.0' in lines
    assert "emitwatch_ok 1.0" in lines


def test_why_a_store_takes_nothing_is_a_label() -> None:
    reason = 'http://i:8086 d: 401: "no"; put a token'
    health = {"store": {"trouble": True, "why": {"measurements": reason, "charts": "x"}}, "public_key": "ab"}
    told = {(name, *labels.items()): number for name, labels, number in numbers("emitwatch", health)}
    assert told == {
        ("emitwatch_store_trouble",): 1.0,
        ("emitwatch_store_refusal", ("part", "measurements"), ("reason", reason)): 1.0,
        ("emitwatch_store_refusal", ("part", "charts"), ("reason", "x")): 1.0,
    }
    registry = CollectorRegistry(auto_describe=False)
    registry.register(HealthCollector(lambda: health))
    text = generate_latest(registry).decode()
    assert 'reason="http://i:8086 d: 401: \\"no\\"; put a token"} 1.0' in text


def test_events_are_told_newest_first_page_by_page(client: httpx.Client, line: Line) -> None:
    kinds = [(What.GAP, "riverside-gw"), (What.STRANGER, "nobody"), (What.CLOCK_BACK, "")] * 3
    detail = {"epoch": "00" * 16, "from_seq": 1, "to_seq": 2, "n": 9}
    line.journal.append([event_entry(what, id, b"", line.now_ns, f"about {id}", detail) for what, id in kinds])
    told = items(client, "events")
    assert [one["what"] for one in told] == ["clock_back", "stranger", "gap"] * 3
    schemas.Page[schemas.JournalEvent].model_validate({"items": told, "next": None}, strict=True)
    assert [one["position"] for one in told] == sorted((one["position"] for one in told), reverse=True)
    assert {one["gateway"] for one in items(client, "events", security="true")} == {"nobody"}
    assert len(items(client, "events", gateway="riverside-gw", what="gap", limit=1)) == 1
    assert items(client, "events", to="2020-01-01T00:00:00Z") == []
    pages, cursor = [], ""
    while cursor is not None:
        page = client.get("events", params={"what": "gap", "limit": 1, "cursor": cursor}).json()
        pages += page["items"]
        cursor = page["next"]
    assert [one["detail"]["n"] for one in pages] == [9, 9, 9]
    assert client.get("events", params={"security": "maybe"}).status_code == 422


def test_openapi_describes_every_path(line: Line) -> None:
    described = httpx.get(line.url + "openapi.json").json()["paths"]
    expected = {
        "health", "plants", "points", "parameters", "measurements", "averages", "exceedances", "incidents", "periods",
        "incidents/{id}", "incidents/{id}/acknowledge", "evidence/{exceedance}", "notices", "live", "events",
    }  # fmt: skip
    assert {f"/api/v1/{path}" for path in expected} <= set(described)


def test_a_host_that_is_not_this_machine_gets_nothing(line: Line) -> None:
    answer = httpx.get(line.url + "api/v1/plants", headers={"Host": "evil.example"})
    assert answer.status_code == 403
    assert httpx.get(line.url, headers={"Host": "evil.example"}).status_code == 403


def test_another_origin_changes_nothing(client: httpx.Client) -> None:
    answer = client.post("incidents/1/acknowledge", json={"who": "x"}, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403
