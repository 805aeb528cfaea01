"""Every dashboard against Grafana's own schemas, and every query on it against a real InfluxDB."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gateway.measurement import Status
from grafana import build
from tests.collector.influx_servers import Influxd
from tests.grafana import sample

BOARDS = sorted(path for path in build.HERE.glob("dashboards/*/*.json"))
NAMES = [f"{path.parent.name}/{path.stem}" for path in BOARDS]


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All panels, those within rows too; not the rows."""
    for panel in board["panels"]:
        yield from (one for one in (panel, *panel.get("panels", ())) if one["type"] != "row")


def queries(board: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is asked by panels and variables, with who asks."""
    for panel in panels(board):
        for target in panel.get("targets", ()):
            yield f"panel {panel['title']!r} {target['refId']}", target["query"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield f"variable {variable['name']}", variable["query"]


def expanded(query: str, now_ns: int) -> str:
    """As Grafana sends it: the last two days, everything chosen."""
    now_ms = now_ns // 10**6
    macros = {
        "$timeFilter": f"time >= {now_ms - 2 * 86_400_000}ms and time <= {now_ms}ms", "$__interval": "10m",
        "${plant:regex}": f"({'|'.join(sample.PLANTS)})", "${point:regex}": ".*", "${parameter:regex}": ".*",
        "${zone}": "Asia/Shanghai",
    }  # fmt: skip
    for macro, text in macros.items():
        query = query.replace(macro, text)
    assert "$" not in re.sub(r"\$/", "", query), f"a macro is left: {query}"
    return query


@pytest.mark.parametrize("path", BOARDS, ids=NAMES)
def test_every_query_is_answered_with_data(path: Path, filled: tuple[Influxd, str, int]) -> None:
    running, database, now_ns = filled
    empty = [
        f"{who}: {query}"
        for who, query in queries(json.loads(path.read_text()))
        if not running.query(expanded(query, now_ns), database)
    ]
    assert not empty, "\n".join(empty)


@pytest.mark.parametrize("path", BOARDS, ids=NAMES)
def test_a_query_of_another_measurement_is_not_answered(path: Path, filled: tuple[Influxd, str, int]) -> None:
    """The test above can fail."""
    running, database, now_ns = filled
    for who, query in queries(json.loads(path.read_text())):
        broken = re.sub(r'FROM "(\w+)"', r'FROM "\1s"', query)
        assert broken != query, who
        assert not running.query(expanded(broken, now_ns), database), who


def test_levels_are_averaged_by_energy_and_what_is_not_ok_is_no_value_of_now(filled: tuple[Influxd, str, int]) -> None:
    running, _, now_ns = filled
    database, begin_ns = running.database(), now_ns // 600_000_000_000 * 600_000_000_000 - 600_000_000_000
    plant = sample.PLANTS[0].replace(" ", "\\ ")
    level = f"measurement,plant={plant},point=fence,sensor=slm,parameter=LAeq,unit=dB(A)"
    gas = f"measurement,plant={plant},point=stack,sensor=cems,parameter=SO2,unit=mg/m3"
    lines = [f"{level} value={80 if n == 9 else 40},status=0 {begin_ns + n * 60_000_000_000}" for n in range(10)]
    lines += [f"{gas} value=12,status=0 {begin_ns}"]
    lines += [f"{gas} value=180,status={Status.CALIBRATION.value} {begin_ns + 60_000_000_000}"]
    urllib.request.urlopen(f"{running.url}/write?db={database}", "\n".join(lines).encode(), 20).close()

    def asked(name: str, title: str) -> list[dict[str, Any]]:
        board = json.loads((build.HERE / "dashboards" / "en" / f"{name}.json").read_text())
        found = [query for who, query in queries(board) if who.startswith(f"panel {title!r}")]
        return [one for query in found for one in running.query(expanded(query, now_ns), database)]

    shown = {
        one["tags"]["parameter"]: [row[1] for row in one["values"] if row[1] is not None]
        for one in asked("point", "As measured")
    }
    assert shown == {"LAeq": [pytest.approx(70.004, abs=0.01)], "SO2": [12.0]}
    now = {one["tags"]["parameter"]: one["values"][0][1:] for one in asked("overview", "Every point now")}
    assert now["SO2"] == [180.0, Status.CALIBRATION], "it says that it is of a calibration"


def schema(shared: Path, name: str, part: str, tree: Any) -> list[str]:
    """What a schema of Grafana finds wrong, at the places where it is."""
    whole = anything(json.loads((shared / "grafana-schema" / f"{name}.jsonschema.json").read_text()))
    validator = jsonschema.Draft7Validator({**whole, "$ref": part} if part else whole)
    return [
        f"{name}: {leaf.json_path}: {leaf.message}" for error in validator.iter_errors(tree) for leaf in leaves(error)
    ]


def anything(node: Any) -> Any:
    """A schema where what Grafana leaves open is open: the files write `any` as an object of whatever there is."""
    if isinstance(node, list):
        return [anything(one) for one in node]
    if not isinstance(node, dict):
        return node
    is_any = node.get("type") == "object" and node.get("additionalProperties") == {} and "properties" not in node
    return {} if is_any else {key: anything(value) for key, value in node.items()}


def leaves(error: jsonschema.ValidationError) -> Iterator[jsonschema.ValidationError]:
    """The errors behind an error of several possibilities."""
    if not error.context:
        yield error
    for behind in error.context or ():
        yield from leaves(behind)


@pytest.mark.shared
@pytest.mark.parametrize("path", BOARDS, ids=NAMES)
def test_a_dashboard_is_one_to_grafanas_schemas(path: Path, shared: Path) -> None:
    board = json.loads(path.read_text())
    faults = schema(shared, "dashboard", "", board)
    for panel in panels(board):
        faults += schema(shared, panel["type"].replace("-", ""), "#/definitions/Options", panel["options"])
        custom = panel.get("fieldConfig", {}).get("defaults", {}).get("custom")
        if custom is not None:
            faults += schema(shared, panel["type"].replace("-", ""), "#/definitions/FieldConfig", custom)
    assert not faults, "\n".join(faults[:20])


@pytest.mark.parametrize("path", BOARDS, ids=NAMES)
def test_every_panel_says_what_it_shows_and_asks_the_chosen_source(path: Path) -> None:
    board = json.loads(path.read_text())
    assert [v["name"] for v in board["templating"]["list"] if v["type"] == "datasource"] == ["source"]
    assert not board["editable"]
    ids = [panel["id"] for panel in board["panels"]] + [
        p["id"] for row in board["panels"] for p in row.get("panels", ())
    ]
    assert len(ids) == len(set(ids))
    for panel in panels(board):
        assert panel["title"], panel
        assert panel["description"], panel["title"]
        assert panel["datasource"]["uid"] == "${source}", panel["title"]
        assert panel["type"] == "text" or panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == "${source}", panel["title"]


def test_the_dashboards_are_those_of_the_parameters_and_packs_of_today() -> None:
    files = build.files()
    stale = [path.name for path, text in files.items() if not path.exists() or path.read_text() != text]
    assert not stale, "run `make docs`"
    assert set(BOARDS) <= set(files), "files that nobody makes"


def test_both_languages_show_the_same() -> None:
    def shape(path: Path) -> list[tuple[str, int, list[str]]]:
        found = panels(json.loads(path.read_text()))
        return [(one["type"], one["id"], [english(q["query"]) for q in one.get("targets", ())]) for one in found]

    def english(query: str) -> str:
        return re.sub(r"[^\x00-\x7f]+", "", query)

    for path in BOARDS:
        assert shape(path) == shape(path.parent.parent / "zh" / path.name)
