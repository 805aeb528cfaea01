"""Certificates that count: the same in `emitwatch judge` and in the running line, and told by `emitwatch quality`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.check_command import examine
from api.cli import main
from collector.verdicts.assurance import UNCERTIFIED
from collector.verdicts.evaluator import site_rules
from gateway.catalogue import scan_sites
from tests.collector.test_judge import CLAUSE, TURBINE
from tests.collector.verdicts.certified import AST, DAILY, HEAD, PAIRS, QAL2, QAL3, checks

SITE = """
[plant]
id = "p"
timezone = "Asia/Shanghai"
[broker]
url = "mqtt://127.0.0.1"
user = "u"
[[gateway]]
id = "g"
[[point]]
id = "s"
kind = "stack"
certificates = {certificates}
[[sensor]]
id = "cems"
point = "s"
link = "tcp://127.0.0.1:502"
profile = "emitwatch-stack-gas"
interval_s = 10
"""
# The system shows half of what there is: 2 x + 1, valid up to 70.
REPORTED = "line = { slope = 2.0, intercept = 1.0 }\nvalid_upto = 70.0\ndeviation = 1.0\npairs_number = 15\n"
HALVED = QAL2.replace(f"pairs = {PAIRS}\n", REPORTED)
START = datetime(2026, 4, 1, 6, tzinfo=UTC)
CALIBRATED = DAILY + checks((f"{START:%Y-%m-%dT%H:%M:%SZ}", 0.0, 251.0))


@pytest.fixture
def judged(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Any:
    """Judges ten days of 5-minute values of SO2, 30 mg/m3 as measured and 40 at noon, by a limit of 60."""
    (tmp_path / "pack.toml").write_text(TURBINE + CLAUSE.format(name="SO2", limit=60))
    first = START - timedelta(hours=30)
    times = [first + timedelta(minutes=5 * n) for n in range(10 * 288)]
    rows = [f"{time:%Y-%m-%dT%H:%M:%SZ},{40 if time.hour == 12 else 30}" for time in times]
    (tmp_path / "so2.csv").write_text("\n".join(["time,SO2", *rows]) + "\n")

    def run(*parts: str, more: tuple[str, ...] = ("--json",)) -> Any:
        (tmp_path / "c.toml").write_text("".join([HEAD, *parts]))
        named = ["--certificates", str(tmp_path / "c.toml")] if parts else []
        files = ["--rules", str(tmp_path / "pack.toml"), "--point", "stack", "--csv", str(tmp_path / "so2.csv")]
        assert main(["judge", *files, *named, *more]) == 0
        out, err = capfd.readouterr()
        return (json.loads(out), err) if "--json" in more else (out, err)

    return run


def at(found: Any, window: str, start: str) -> Any:
    return next(a for a in found["averages"] if (a["window"], a["from"]) == (window, start))


def test_without_certificates_nothing_is_told_of_any(judged: Any) -> None:
    found, _ = judged()
    assert found["exceedances"] == []
    assert "range_watch" not in found
    assert not {"calibration", "range", "not_assured"} & {name for a in found["averages"] for name in a}


def test_a_calibrated_value_breaks_the_limit_and_tells_what_was_measured(judged: Any) -> None:
    found, _ = judged(HALVED)
    before, after = at(found, "1h", "2026-03-31T12:00:00Z"), at(found, "1h", "2026-04-01T12:00:00Z")
    assert before["value"] == 40.0, "before its first day"
    assert after["value"] == 81.0
    calibration = after["calibration"]
    assert calibration["raw"] == 40.0
    (line,) = calibration["functions"]
    assert (line["slope"], line["intercept"], line["unit"], line["report"]) == (2.0, 1.0, "mg/m3", "R-17")
    assert line["from"] == "2026-04-01T00:00:00Z"
    assert (line["rules"], line["verified"], line["overdue"]) == ("en-14181-2014", False, False)
    broken = {e["from"][:10] for e in found["exceedances"]}
    assert "2026-04-01" in broken
    assert "2026-03-31" not in broken
    assert len(found["exceedances"]) > 200, "61 mg/m3 all day"


def test_the_valid_range_is_watched_by_week(judged: Any) -> None:
    found, _ = judged(HALVED)
    day = at(found, "24h", "2026-04-02T00:00:00Z")
    assert day["range"] == {"upto": 70.0, "short": "30m", "of": 48, "above": 2}
    (watched,) = found["range_watch"]
    assert (watched["parameter"], watched["upto"], watched["often"], watched["due"]) == ("SO2", 70.0, 0, None)
    assert watched["weeks"][0] == {"week": "2026-03-30", "of": 240, "above": 10}, "from Wednesday on"
    text, _ = judged(HALVED, more=())
    assert "week of 2026-03-30: 10 of 240 above (4.2 %)" in text


def test_hours_after_a_calibration_that_expired_go_into_no_average(judged: Any) -> None:
    found, _ = judged(CALIBRATED)
    last, first = at(found, "1h", "2026-04-02T07:00:00Z"), at(found, "1h", "2026-04-02T08:00:00Z")
    assert (last["value"], last["valid"]) == (30.0, True)
    assert (first["value"], first["valid"], first["coverage"]) == (None, False, 0.0)
    (lapse,) = first["not_assured"]
    assert (lapse["from"], lapse["to"], lapse["why"]) == ("2026-04-02T08:00:00Z", None, "calibration expired")
    assert at(found, "1h", "2026-03-31T06:00:00Z")["valid"], "nothing is said of the time before"


def test_a_calibration_that_failed_is_not_used_and_told(judged: Any) -> None:
    found, err = judged(QAL2.replace(str(PAIRS), str(PAIRS[:5])))
    assert "not applied: 5 pairs, 15 are needed" in err
    assert "range_watch" not in found
    assert found["exceedances"] == []


def site(folder: Path, certificates: str, *parts: str) -> Path:
    (folder / "certificates").mkdir(exist_ok=True)
    (folder / "certificates" / "so2.toml").write_text("".join([HEAD, *parts]))
    file = folder / "site.toml"
    file.write_text(SITE.format(certificates=certificates))
    return file


def faults(file: Path) -> list[str]:
    return [f"{fault.path}: {fault.message}" for fault in examine(str(file))[1] if "certificate" in f"{fault}"]


@pytest.mark.parametrize("named", ['"certificates"', '["certificates/so2.toml"]'])
def test_a_point_of_the_line_has_the_certificates_that_its_site_file_names(tmp_path: Path, named: str) -> None:
    file = site(tmp_path, named, HALVED)
    (tmp_path / "certificates" / "other.toml").write_text(HEAD.replace('"s"', '"t"') + HALVED)
    assert faults(file) == []
    rules, _ = site_rules(scan_sites(str(file))[0])
    (calibration,) = rules["p", "s"].assurance.calibrations["SO2"]
    assert calibration.from_ns == int(datetime(2026, 3, 31, 16, tzinfo=UTC).timestamp()) * 10**9, "local midnight"
    file.write_text(SITE.format(certificates="[]"))
    assert site_rules(scan_sites(str(file))[0])[0]["p", "s"].assurance is UNCERTIFIED


def test_check_names_what_is_wrong_with_certificates(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert any("not readable" in fault for fault in faults(site(tmp_path, '"nothing.toml"', HALVED)))
    (fault,) = faults(site(tmp_path, '"certificates"', HALVED.replace("limit", "limmit")))[:1]
    assert fault.startswith("qal2[0].")
    file = site(tmp_path, '"certificates"', HALVED)
    (tmp_path / "certificates" / "so2.toml").write_text(HEAD.replace('"s"', '"t"') + HALVED)
    (fault,) = faults(file)
    assert fault.startswith("point[0].certificates: ")
    assert "no certificate of p/s" in fault
    main(["check", str(site(tmp_path, '"certificates"', QAL2.replace(str(PAIRS), str(PAIRS[:5]))))])
    assert "warning: " in capfd.readouterr().out


def test_quality_prints_every_test_and_ends_with_1_where_one_is_not_passed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c.toml"
    drifting = checks(*((f"2026-05-{day:02}T06:00:00Z", 1.0, 180.0) for day in range(1, 9)))
    file.write_text("".join([HEAD, QAL2, AST, QAL3, drifting]))
    assert main(["quality", str(file), "--on", "2026-11-22"]) == 1
    out = capfd.readouterr().out
    assert "QAL2 SO2 [mg/m3] 2026-03-02: passed" in out
    assert "QAL3 SO2 [mg/m3] 2026-05-08: NOT PASSED" in out
    assert "do: adjust the system" in out
    assert "2.85 |" in out
    assert "en-14181-2014, not read in the text itself" in out
    assert out.splitlines()[-1] == "3 tests, 1 not passed"
    assert main(["quality", str(tmp_path), "--on", "2026-11-22", "--json"]) == 1
    (told,) = json.loads(capfd.readouterr().out)
    assert [(test["test"], test["passed"]) for test in told["tests"]] == [
        ("QAL2", True),
        ("AST", True),
        ("QAL3", False),
    ]
    assert told["tests"][0]["facts"]["slope"] == pytest.approx(23.0)
    file.write_text("".join([HEAD, QAL2, AST]))
    assert main(["quality", str(file), "--on", "2026-11-22"]) == 0
    assert main(["quality", str(file), "--on", "2031-11-22"]) == 1, "a new one is overdue"


def test_quality_refuses_files_with_faults(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.toml"
    file.write_text(HEAD + QAL2.replace("limit", "limmit"))
    assert main(["quality", str(file)]) == 1
    assert "did you mean 'limit'?" in capfd.readouterr().err
    assert main(["quality", str(tmp_path / "nothing.toml")]) == 1
    assert main(["quality", str(file), "--on", "yesterday"]) == 2
