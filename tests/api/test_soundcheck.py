"""A sound level meter and its calibrator: what stands, what it is worth, and how it goes over a real line."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api import mark_schemas, schemas
from api.cli import main
from api.soundcheck import Level, before, over, problems, shown, standing
from api.times import parse_time
from collector.catalogue import sound_checks
from collector.marks import SoundCheck
from collector.sound_checks import Steady, parse_sound_checks
from gateway.measurement import SECOND_NS, Columns
from tests.api.line import AUTHORS, Line, wait_until
from tests.effort import examples

RULE = Steady(seconds=5.0, values=5, spread_db=0.2, near_db=10.0)


def levels(*db: float, step_s: float = 1.0) -> list[Level]:
    return [Level(round(n * step_s * SECOND_NS), one) for n, one in enumerate(db)]


@given(st.lists(st.floats(30, 130), max_size=40), st.floats(80, 110), st.integers(1, 3))
@settings(max_examples=examples(200))
def test_what_stands_is_the_newest_near_enough_and_long_enough(db: list[float], awaited: float, step: int) -> None:
    given = levels(*(round(one, 1) for one in db), step_s=step)
    found = standing(given, awaited, RULE)
    if found:
        assert found == given[-len(found) :]
        assert len(found) >= RULE.values
        assert found[-1].time_ns - found[0].time_ns >= RULE.seconds * SECOND_NS
        assert max(abs(one.db - awaited) for one in found) <= RULE.near_db
        assert max(one.db for one in found) - min(one.db for one in found) <= RULE.spread_db + 0.01
        assert min(one.db for one in found) - 0.01 <= shown(found) <= max(one.db for one in found) + 0.01


@pytest.mark.parametrize(
    ("db", "found"),
    [
        ([94.0] * 6, 94.0), ([94.0] * 5, None), ([45.0] * 9, None), ([45.0] * 9 + [93.9, 94.1] * 3, 94.0),
        ([94.0] * 6 + [45.0], None), ([94.0, 94.3] * 9, None), ([87.2] * 6, 87.2), ([], None),
    ],
)  # fmt: skip
def test_a_calibrator_is_told_from_a_quiet_night_and_a_hand(db: list[float], found: float | None) -> None:
    stands = standing(levels(*db), 94.0, RULE)
    assert (shown(stands) if stands else None) == found


def check(**said: Any) -> SoundCheck:
    fields = {"level": 94.0, "as_found": 94.0, "as_left": 94.0, "tolerance": 0.5, "passed": True}
    return SoundCheck(**fields | said)


DRIFTED = (
    "it has drifted by +0.60 dB since the check before, allowed 0.5 (GB): what was measured in between is in doubt"
)


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({}, []), ({"as_found": 94.5}, []), ({"as_found": 93.5}, []),
        ({"as_found": 94.51}, ["as found it is +0.51 dB off, allowed 0.5 (given by who checked)"]),
        ({"as_found": 92.0, "tolerance_cite": "X 1"}, ["as found it is -2.00 dB off, allowed 0.5 (X 1)"]),
        ({"as_left": 94.6}, ["as left it is +0.60 dB off, allowed 0.5 (given by who checked)"]),
        ({"before": 93.4}, []), ({"before": 93.5, "drift_max": 0.5}, []),
        ({"before": 93.4, "drift_max": 0.5, "drift_cite": "GB"}, [DRIFTED]),
    ],
)  # fmt: skip
def test_what_fails_is_said(said: dict[str, Any], wrong: list[str]) -> None:
    assert problems(check(**said)) == wrong


def test_the_check_before_counts_where_it_can_be_compared() -> None:
    def mark(
        id: int, kind: str = "sound_check", *, level: float = 94.0, left: float = 94.1, back: int | None = None
    ) -> Any:
        return {"id": id, "kind": kind, "to": f"t{id}", "revoked_by": back,
                "sound_check": {"level": level, "as_left": left}}  # fmt: skip

    assert before([], 94.0) is None
    assert before([mark(1, left=93.9), mark(2, left=94.2)], 94.0) == 94.2
    assert before([mark(1, left=93.9), mark(2, left=94.2, back=3)], 94.0) == 93.9
    assert before([mark(1), mark(2, "swap")], 94.0) is None
    assert before([mark(1), mark(2, level=114.0)], 94.0) is None
    assert over(94.3, 94.1) == 0.2


def test_the_limits_are_data_with_a_citation() -> None:
    data = sound_checks()
    limit = data.drift_at(["ultra-low-2015", "gb12348-2008"])
    assert limit is not None
    assert (limit.db, limit.cite.partition(":")[0]) == (0.5, "GB 12348-2008 5.1.2")
    assert data.drift_at(["ultra-low-2015"]) is None
    assert data.tolerance.cite.startswith("working value")
    found, faults = parse_sound_checks('[tolerance]\ndb = 0.5\ncite = " "\n[steady]\nseconds = 1\nvalue = 3', "x.toml")
    assert found is None
    assert {fault.path for fault in faults} == {
        "tolerance.cite", "steady.cite", "steady.values", "steady.value", "steady.spread_db", "steady.near_db",
    }  # fmt: skip


# --- over a real line --------------------------------------------------------------------------------


@pytest.fixture
def line(fence: Line) -> Line:
    return fence


class Engineer(io.StringIO):
    """Who does what the command says: puts the calibrator on, adjusts the meter, takes the calibrator off.

    As standard error he hears what is to be done, as standard input he says that it is. db: what the meter shows.
    """

    def __init__(self, found: float, left: float = 94.0) -> None:
        super().__init__()
        self.db, self.found, self.left = 48.0, found, left

    def write(self, text: str) -> int:
        self.db = self.found if "put the calibrator on" in text else 48.0 if "calibrator off" in text else self.db
        return super().write(text)

    def readline(self, *_: Any) -> str:
        self.db = self.left
        return "\n"


@contextmanager
def meter(line: Line, engineer: Engineer) -> Iterator[None]:
    """A meter that measures five times a second, as long as the command runs."""
    (series,) = (one for sensor in line.sensors for one in sensor.series if one.parameter == "LAeq")
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.2):
            now_ns, db = time.time_ns(), np.array([engineer.db])
            one = Columns((series,), np.zeros(1, np.uint16), np.array([now_ns]), db, np.zeros(1, np.uint8))
            line.deliver(one, received_ns=now_ns)

    thread = threading.Thread(target=run, name="meter")
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stderr", engineer)
        patch.setattr("sys.stdin", engineer)
        try:
            yield
        finally:
            stop.set()
            thread.join()


@pytest.fixture
def words(line: Line, tmp_path: Path) -> list[str]:
    key = tmp_path / "li.key"
    key.write_text(AUTHORS["li.na"].private_bytes_raw().hex())
    key.chmod(0o600)
    where = [str(line.folder / "site.toml"), "slm-north", "--url", line.url.rstrip("/"), "--steady", "1"]
    return ["soundcheck", *where, "--author", "li.na", "--key", str(key)]


def last_marks(line: Line, count: int) -> list[dict[str, Any]]:
    wait_until(lambda: line.evaluator.cursor() >= line.journal.last, 40, "not judged")
    with line.client() as client:
        answer = client.get("marks")
    schemas.Page[mark_schemas.Mark].model_validate_json(answer.content, strict=True)
    return answer.json()["items"][-count:]


def test_a_check_is_filed_and_its_time_is_no_noise(
    line: Line, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    engineer = Engineer(94.1)
    with meter(line, engineer):
        assert main([*words, "--calibrator", "4231-77", "--note", "before the campaign"]) == 0
    out = capsys.readouterr().out
    assert "as found  94.10" in out
    assert "passes (mark " in out
    assert "as found 94.10 dB (+0.10)\ntake the calibrator off" in engineer.getvalue()
    calibration, record = last_marks(line, 2)
    assert (calibration["kind"], record["kind"], record["reason"]) == (
        "calibration",
        "sound_check",
        "before the campaign",
    )
    said = record["sound_check"]
    assert (said["as_found"], said["as_left"], said["level"], said["passed"]) == (94.1, 94.1, 94.0, True)
    assert (said["before"], said["drift_max"], said["calibrator"]) == (None, 0.5, "4231-77")
    with line.client() as client:
        span = {"from": calibration["from"], "to": calibration["to"]}
        asked = {"plant": "riverside", "point": "fence-north", "parameter": "LAeq", **span}
        items = client.get("measurements", params=asked).json()["items"]
    assert len([one for one in items if one["value"] > 90]) >= 5
    assert {one.get("marked") for one in items} == {"calibration"}


def test_a_meter_that_is_off_fails_and_is_adjusted(
    line: Line, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with meter(line, Engineer(92.9, left=94.0)):
        assert main([*words, "--adjust", "--json"]) == 1
    out = capsys.readouterr().out
    told, _ = json.JSONDecoder().raw_decode(out[out.index('{\n "mark"') :])
    assert (told["as_found"], told["as_left"], told["passed"]) == (92.9, 94.0, False)
    assert told["problems"][0].startswith("as found it is -1.10 dB off, allowed 0.5 (working value")
    assert last_marks(line, 1)[0]["sound_check"]["passed"] is False


def test_a_calibrator_that_is_not_on_files_nothing(line: Line, words: list[str]) -> None:
    before, began = last_marks(line, 1), time.time_ns()
    engineer = Engineer(47.0)
    with meter(line, engineer):
        assert main([*words, "--wait", "5"]) == 2
    err = engineer.getvalue()
    assert "no level stood near 94 dB within 5 s: the last level is 47 dB" in err
    assert "--kind calibration --plant riverside --point fence-north --sensor slm-north --from " in err
    assert parse_time(err.rpartition("--from ")[2].split()[0]) >= began
    assert last_marks(line, 1) == before
    assert main([*words[:2], "gas-1", *words[3:]]) == 2
    assert main([*words, "--url", "http://127.0.0.1:1"]) == 2
    assert httpx.get(line.url).status_code == 200
