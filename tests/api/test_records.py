"""Records of commissioning over the interface of a real line: swaps, the state in which nobody is told, sheets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api import mark_schemas, schemas
from api.cli import main
from api.times import format_time
from tests.api.line import AUTHORS, Line, wait_until
from tests.api.test_marks import MINUTE_NS, PLACE, minute


@pytest.fixture
def line(fence: Line) -> Line:
    return fence


@pytest.fixture
def client(line: Line) -> Iterator[httpx.Client]:
    with line.client() as client:
        yield client


@pytest.fixture
def words(line: Line, tmp_path: Path) -> list[str]:
    """What every command of an author has to say: who he is, and where."""
    key = tmp_path / "li.key"
    key.write_text(AUTHORS["li.na"].private_bytes_raw().hex())
    key.chmod(0o600)
    return ["--author", "li.na", "--key", str(key), "--url", line.url.rstrip("/")]


def marks(line: Line, client: httpx.Client, **asked: Any) -> list[dict[str, Any]]:
    """The marks of the line, when all that were taken are listed."""
    wait_until(lambda: line.evaluator.cursor() >= line.journal.last, 40, "not judged")
    answer = client.get("marks", params=asked)
    return schemas.Page[mark_schemas.Mark].model_validate_json(answer.content, strict=True) and answer.json()["items"]


def instruments(line: Line, client: httpx.Client) -> list[dict[str, Any]]:
    wait_until(lambda: line.evaluator.cursor() >= line.journal.last, 40, "not judged")
    answer = client.get("instruments", params=PLACE)
    schemas.Page[mark_schemas.Instrument].model_validate_json(answer.content, strict=True)
    return answer.json()["items"]


def test_a_swap_goes_on_record_and_the_series_goes_on(
    line: Line, client: httpx.Client, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    site = str(line.folder / "site.toml")
    (before,) = instruments(line, client)
    assert (before["serial"], before["from"], before["to"], before["mark"]) == ("", None, None, None)
    at = minute(line, 30)
    span = ["--from", format_time(at), "--to", format_time(at + 2 * MINUTE_NS)]
    told = ["--serial", "NEW-2", "--old-serial", "OLD-1", "--as-found", "93.7", "--as-left", "94.0", "--unit", "dB"]
    levels = client.get("measurements", params=PLACE | {"parameter": "LAeq", "from": format_time(at)}).json()["items"]
    assert main(["swap", site, "slm-north", *told, "--reference", "94", *span, *words, "--note", "microphone wet"]) == 0
    said = capsys.readouterr().out
    assert "slm-north of riverside/fence-north is NEW-2 now, it was OLD-1; signed by li.na" in said
    assert 'enter for slm-north: serial = "NEW-2"' in said
    work, record = marks(line, client)[-2:]
    assert (work["kind"], record["kind"], record["sensor"], record["reason"]) == (
        "maintenance", "swap", "slm-north", "microphone wet",
    )  # fmt: skip
    assert record["swap"] == {
        "serial": "NEW-2", "old_serial": "OLD-1", "as_found": 93.7, "as_left": 94.0, "reference": 94.0, "unit": "dB",
    }  # fmt: skip
    assert [mark["id"] for mark in marks(line, client, kind="swap", sensor="slm-north")] == [record["id"]]
    assert marks(line, client, kind="swap", sensor="slm-south") == []
    old, new = instruments(line, client)
    assert (old["serial"], old["from"], old["to"]) == ("OLD-1", None, format_time(at + 2 * MINUTE_NS))
    assert (new["serial"], new["from"], new["mark"], new["author"]) == ("NEW-2", old["to"], record["id"], "li.na")
    after = client.get("measurements", params=PLACE | {"parameter": "LAeq", "from": format_time(at)}).json()["items"]
    for was, now in zip(levels, after, strict=False):
        inside = format_time(at) <= now["time"] < format_time(at + 2 * MINUTE_NS)
        assert now == was | ({"marked": "maintenance", "mark": work["id"]} if inside else {})
    found = client.get("exceedances", params=PLACE | {"clause": "night-level"}).json()["items"][-1]
    trail = client.get(f"evidence/{found['id']}")
    schemas.Trail.model_validate_json(trail.content, strict=True)
    assert [one["serial"] for one in trail.json()["instruments"]][:1] == ["OLD-1"]


def test_a_swap_is_refused_with_the_reason_and_listed(
    line: Line, client: httpx.Client, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    site, values = str(line.folder / "site.toml"), ["--as-found", "93.9", "--as-left", "94.1"]
    at = instruments(line, client)[-1]
    assert main(["swap", site, "slm-north", "--serial", at["serial"] or "X", "--old-serial", "X", *values, *words]) == 1
    assert main(["swap", site, "slm-north", "--serial", "NEXT-3", *values, *words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["old_serial"] == at["serial"]
    wait_until(lambda: instruments(line, client)[-1]["serial"] == "NEXT-3", 40, "not listed")
    assert main(["swap", site, "slm-north", "--serial", "NEXT-3", *values, *words]) == 1
    assert "that is the instrument that is there already" in capsys.readouterr().err
    assert main(["swap", site, "slm-north", "--serial", "N-4", "--old-serial", "ELSE", *values, *words]) == 1
    assert "--old-serial ELSE: as it is on record, slm-north is NEXT-3" in capsys.readouterr().err
    assert main(["swap", site, "slm-west", "--serial", "N-4", *values, *words]) == 2
    assert "no [[sensor]] 'slm-west' in the site file; there are: slm-north" in capsys.readouterr().err
    assert main(["swap", site, "slm-north", "--serial", "N-4", *words]) == 2
    assert main(["swap", site, "slm-north", "--list", "--url", line.url]) == 0
    said = capsys.readouterr().out
    assert "NEXT-3" in said
    assert "93.9" in said
    assert main(["swap", site, "slm-north", "--list", "--url", line.url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["items"][-1]["to"] is None


def test_mark_sends_to_the_command_of_it(line: Line, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    said = ["mark", str(line.folder / "site.toml"), "--reason", "r", "--kind", "swap", *words]
    assert main(said) == 2
    assert "`emitwatch swap` makes it" in capsys.readouterr().err


def test_when_a_point_was_in_commissioning_is_told(client: httpx.Client) -> None:
    (point,) = client.get("points").json()["items"]
    assert point["commissioning"] is False
    answer = client.get("commissioning", params=PLACE)
    schemas.Page[schemas.Commissioning].model_validate_json(answer.content, strict=True)
    assert answer.json()["items"] == []
