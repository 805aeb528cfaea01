"""`emitwatch judge`: other people's files, judged as the running collector would."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api.cli import main
from collector.verdicts.csv_file import Layout, parse_columns, read_csv
from collector.verdicts.csv_times import instant
from collector.verdicts.screening import Signal
from gateway.measurement import SECOND_NS, Status

Judge = Callable[..., Any]

TURBINE = """
id = "turbine-test"
kind = "stack"
title = { en = "Arbitrary limits for a test" }
source = "made up for this test"
[[in_force]]
from = 2000-01-01
cite = "this test"
[[validity]]
window = "1h"
part = "1m"
minimum = 45
cite = "this test"
verified = false
[[validity]]
window = "24h"
part = "1h"
minimum = 20
cite = "this test"
verified = false
"""
CLAUSE = """
[[clause]]
id = "{name}-{limit}"
cite = "this test"
title = {{ en = "{name} above {limit}" }}
parameter = "{name}"
window = "1h"
unit = "mg/m3"
standing = "early warning"
verified = false
limit = [{{ high = {limit} }}]
[[example]]
clause = "{name}-{limit}"
on = 2015-06-01
settings = {{}}
given = {{}}
value = {limit}.5
compared = {limit}.5
limit = {limit}
exceeds = true
source = "this test"
"""


@pytest.fixture
def judge(capfd: pytest.CaptureFixture[str]) -> Judge:
    """Runs the command with --json and gives what it printed."""

    def run(*arguments: object) -> Any:
        assert main(["judge", *map(str, arguments), "--json"]) == 0
        return json.loads(capfd.readouterr().out)

    return run


def nights(*more: str) -> list[str]:
    return ["--rules", "gb12348-2008", "--point", "noise", "--set", "area_class=2", *more]


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    (folder / "file.csv").write_text(text, encoding=encoding)
    return folder / "file.csv"


@pytest.mark.shared
def test_eleven_nights(judge: Judge, shared: Path) -> None:
    case = shared / "cases/noise/leq_1min_11_nights"
    found = judge(
        *nights("--columns", "time=datetime,value=LEQ dB -A", "--timezone", "UTC", "--stamp", "middle"),
        "--csv", f"{case}.csv",
    )  # fmt: skip
    expected = json.loads(Path(f"{case}.expected.json").read_text())["laeq1m"]["nights_22_06_starting_on"]
    got = {a["from"][:10]: a for a in found["averages"] if a["window"] == "night"}
    assert set(expected) == set(got) - {"2025-03-20"}
    for day, night in expected.items():
        assert got[day]["value"] == pytest.approx(night["Ln"], abs=0.01)
        assert got[day]["percentiles"]["L90"] == pytest.approx(night["L90"], abs=0.01)
        assert (got[day]["coverage"], got[day]["valid"], got[day]["unit"]) == (1.0, True, "dB(A)")
    assert [e["from"] for e in found["exceedances"]] == ["2025-03-30T22:00:00Z"]


@pytest.mark.shared
def test_a_year_of_a_gas_turbine(judge: Judge, shared: Path, tmp_path: Path) -> None:
    case = shared / "cases/stack/gas_turbine_2015_hourly"
    expected = json.loads(Path(f"{case}.expected.json").read_text())["expected"]
    limits = [(key.split(">")[0].replace("NOX", "NOx"), key.split(">")[1], key) for key in expected if ">" in key]
    rules = tmp_path / "turbine-test.toml"
    rules.write_text(TURBINE + "".join(CLAUSE.format(name=name, limit=limit) for name, limit, _ in limits))
    found = judge(
        "--rules", rules, "--point", "stack", "--csv", f"{case}.csv", "--columns", "NOx=NOX", "--columns", "CO=CO",
        "--start", "2015-01-01T00:00:00Z", "--interval", "3600",
    )  # fmt: skip
    hours = Counter(e["clause"] for e in found["exceedances"])
    for name, limit, key in limits:
        clause = f"{name}-{limit}"
        runs = [run for run in found["episodes"] if run["clause"] == clause]
        first = next(e for e in found["exceedances"] if e["clause"] == clause)
        row = (instant(first["from"], "UTC") - instant("2015-01-01T00:00:00Z", "UTC")) // (3600 * SECOND_NS)
        assert (hours[clause], len(runs), max(run["windows"] for run in runs), row) == tuple(expected[key].values())
    days = [a for a in found["averages"] if a["window"] == "24h" and a["parameter"] == "NOx" and a["valid"]]
    block = expected["NOX_24h_block_mean"]
    assert len(days) == block["blocks"]
    assert max(a["value"] for a in days) == pytest.approx(block["max"], abs=1e-4)
    assert sum(a["value"] > 80 for a in days) == block["blocks_over_80"]


def test_the_shape_of_the_report(judge: Judge, tmp_path: Path) -> None:
    rows = [f"2026-11-20T{h:02}:{m:02}:00Z,70.5" for h in range(14, 22) for m in range(60)]
    found = judge(
        *nights("--timezone", "Asia/Shanghai", "--csv", str(write(tmp_path, "\n".join(["time,value", *rows]))))
    )
    assert list(found) == ["rules", "timezone", "averages", "exceedances", "episodes"]
    assert (found["rules"], found["timezone"]) == ("gb12348-2008", "Asia/Shanghai")
    assert found["exceedances"] == [
        {
            "clause": "night-level", "parameter": "LAeq", "from": "2026-11-20T14:00:00Z", "to": "2026-11-20T22:00:00Z",
            "value": 70.0, "limit": 50.0, "unit": "dB(A)", "standing": "evidence",
        }
    ]  # fmt: skip
    assert found["episodes"] == [
        {"clause": "night-level", "from": "2026-11-20T14:00:00Z", "to": "2026-11-20T22:00:00Z", "windows": 1}
    ]
    keys = [(a["parameter"], a["window"], a["from"]) for a in found["averages"]]
    assert keys == sorted(keys)
    assert {a["window"] for a in found["averages"]} == {"1m", "1h", "24h", "night", "calendar_night"}
    assert set(found["averages"][0]) == {
        "parameter", "window", "from", "to", "value", "evaluated", "unit", "coverage", "valid", "percentiles",
    }  # fmt: skip


def test_people_get_a_table(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows = [f"2026-11-20T{h:02}:{m:02}:00Z,70" for h in range(14, 22) for m in range(60)]
    file = write(tmp_path, "\n".join(["time,value", *rows]))
    assert main(["judge", *nights("--timezone", "Asia/Shanghai", "--csv", str(file))]) == 0
    out = capfd.readouterr().out
    assert "night-level" in out
    assert "2026-11-20 22:00" in out
    assert "Episodes: 1" in out


def test_a_long_file_with_parameters_and_statuses(judge: Judge, tmp_path: Path) -> None:
    rows = []
    for minute in range(60):
        status = "calibration" if minute < 10 else "N"
        rows.append(f"2026-11-20 08:{minute:02}:00,SO2,{40 if minute >= 10 else 500},{status}")
        rows.append(f"2026-11-20 08:{minute:02}:00,nox,20,")
    file = write(tmp_path, "\n".join(["time,parameter,value,status", *rows]))
    found = judge(
        "--rules", "ultra-low-2015", "--point", "stack", "--set", "reference_oxygen=6", "--csv", file,
        "--timezone", "Asia/Shanghai",
    )  # fmt: skip
    hours = {a["parameter"]: a for a in found["averages"] if a["window"] == "1h"}
    assert hours["SO2"]["value"] == 40.0
    assert hours["SO2"]["coverage"] == pytest.approx(50 / 60)
    assert hours["NOx"]["coverage"] == 1.0
    assert hours["SO2"]["from"] == "2026-11-20T00:00:00Z"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rules", "nobody", "--point", "noise"], "no rule pack 'nobody'"),
        (["--rules", "gb12348-2008", "--point", "stack"], "is for noise"),
        (["--rules", "gb12348-2008", "--point", "air"], "not one of"),
        (nights("--timezone", "Mars/Olympus"), "not a time zone"),
        (nights("--stamp", "centre"), "not one of"),
        (nights("--start", "2026-01-01T00:00:00Z"), "needs --interval"),
        (nights("--start", "soon", "--interval", "60"), "is not a time"),
        (nights("--interval", "-1"), "above 0"),
        (nights("--set", "burst"), "KEY=VALUE"),
        (nights("--columns", "value"), "NAME=HEADER"),
        (nights("--state", "asleep=2026-11-20T14:00/2026-11-20T15:00"), "'asleep' is none of operating"),
        (nights("--state", "stopped=2026-11-20T14:00"), "STATE=FROM/TO"),
        (nights("--state", "stopped=2026-11-20T14:00/2026-11-20T14:00"), "ends before it begins"),
    ],
)
def test_a_wrong_option_is_told(
    arguments: list[str], message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, "time,value\n2026-11-20T14:00:00Z,50\n")
    assert main(["judge", *arguments, "--csv", str(file)]) == 2
    said = " ".join(capfd.readouterr().err.replace("│", " ").split())
    assert message in said


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", nights(), "no column 'time'"),
        ("time,value\n", nights(), "no rows"),
        ("when,value\n2026-11-20T14:00:00Z,50\n", nights(), "--columns time=HEADER"),
        ("time,loud\n2026-11-20T14:00:00Z,50\n", nights(), "--columns value=HEADER"),
        ("time,level\n2026-11-20T14:00:00Z,50\n", nights("--columns", "value=Level"), "no column 'Level'"),
        ("time,value\n2026-11-20T14:00:00Z,loud\n", nights(), "'loud' is not a number"),
        ("time,value\nyesterday,50\n", nights(), "'yesterday' is not a time"),
        ("time,value,status\n2026-11-20T14:00:00Z,50,fine\n", nights(), "'fine' is not a status"),
        ("time,value,parameter\n2026-11-20T14:00:00Z,50,LAeq\n2026-11-20T14:01:00Z,50,\n", nights(), ""),
        ("time,value\n9999-12-31T00:00:00Z,50\n", nights(), "'9999-12-31T00:00:00Z' is not a time"),
        ("time,value\n1970-01-01T00:00:00Z,50\n2026-11-20T14:00:00Z,50\n", nights(), "at most 5 years"),
        ("time,value\n2026-11-20T14:00:00Z," + "x" * 200_000 + "\n", nights(), "not readable as CSV"),
        ("time,value\n2026-11-20T14:00:00Z,50\n", nights("--set", "area_class=9"), "area_class"),
        ("time,value\n2026-11-20T14:00:00Z,50\n", nights("--set", "colour=blue"), "colour"),
        (
            "time,value\n2026-11-20T14:00:00Z,50\n",
            ["--rules", "ultra-low-2015", "--point", "stack", "--set", "reference_oxygen=6"],
            "which parameter",
        ),
    ],
)
def test_a_wrong_file_is_told(
    text: str, options: list[str], message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = main(["judge", *options, "--csv", str(write(tmp_path, text))])
    said = capfd.readouterr().err
    if message:
        assert code == 1
        assert message in said
    else:
        assert code == 0  # an empty parameter of a noise file is its level


def test_a_file_that_is_not_there_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", *nights("--csv", str(tmp_path / "nobody.csv"))]) == 1
    assert "not readable" in capfd.readouterr().err


# --- reading files ---------------------------------------------------------------------------------


def read(text: str, **layout: Any) -> Signal:
    signals, faults, _ = read_csv(text, "x.csv", Layout(**{"parameter": "LAeq", "unit": lambda _: "dB(A)", **layout}))
    assert not faults, faults
    (only,) = signals
    return only


@pytest.mark.parametrize(
    "text",
    [
        "time,value\n2026-01-01T00:00:00Z,1.5\n2026-01-01T00:01:00Z,2.5\n",
        '"time","value"\n"2026-01-01T00:00:00Z","1.5"\n"2026-01-01T00:01:00Z","2.5"\n',
        "\ufeff time ; value \n2026-01-01T00:00:00Z; 1,5\n2026-01-01T00:01:00Z;2,5\n\n",
        "Meter 7\nserial;42\n\ntime\tvalue\n2026-01-01 00:00:00\t1.5\n2026/1/1 0:01\t2.5\n",
        "value,time\r\n2.5,2026-01-01T08:01:00+08:00\r\n1.5,2026-01-01T08:00:00+08:00\r\n",
        "time,value\r2026-01-01T00:00:00Z,1.5\r2026-01-01T00:01:00Z,2.5\r",
    ],
)
def test_one_table_in_many_dresses(text: str) -> None:
    found = read(text)
    assert found.value.tolist() == [1.5, 2.5]
    assert found.time_ns.tolist() == [instant(f"2026-01-01T00:0{m}:00Z", "UTC") for m in (0, 1)]
    assert found.intervals_ns == (60 * SECOND_NS,)


@pytest.mark.parametrize(("stamp", "back_s"), [("start", 0), ("middle", 30), ("end", 60)])
def test_what_a_time_marks(stamp: str, back_s: int) -> None:
    found = read("time,value\n2026-01-01T00:01:00Z,1\n2026-01-01T00:02:00Z,1\n", stamp=stamp)
    assert found.time_ns[0] == instant("2026-01-01T00:01:00Z", "UTC") - back_s * SECOND_NS


def test_an_empty_cell_is_a_value_that_is_not_there() -> None:
    found = read("time,value\n2026-01-01T00:00:00Z,\n2026-01-01T00:01:00Z,NA\n2026-01-01T00:02:00Z,1\n")
    assert found.status.tolist() == [Status.NO_COMM, Status.NO_COMM, Status.OK]


@pytest.mark.parametrize("newest_first", [False, True])
def test_the_hour_that_comes_twice_is_read_in_the_order_of_the_rows(newest_first: bool) -> None:
    rows = [f"2026-10-25 {h:02}:{m:02}" for h in (1, 2, 2, 3) for m in (0, 30)]
    rows = rows[::-1] if newest_first else rows
    found = read("time,value\n" + "\n".join(f"{row},1" for row in rows), timezone="Europe/Berlin")
    assert set((found.time_ns[1:] - found.time_ns[:-1]).tolist()) == {1800 * SECOND_NS}
    assert len(found) == 8


def test_headers_are_compared_without_blanks_and_may_hold_commas() -> None:
    assert parse_columns(["time=a, b,value= c=d "]) == {"time": "a, b", "value": "c=d"}
    found = read(" when ,AFDP \n2026-01-01T00:00:00Z,3\n", columns={"time": "when", "LAeq": "AFDP"})
    assert found.value.tolist() == [3.0]


def test_a_wide_file_of_known_parameters_needs_no_columns(judge: Judge, tmp_path: Path) -> None:
    file = write(tmp_path, "time,LAeq,LAFmax,sky\n2026-01-01T00:00:00Z,50,60,3\n2026-01-01T00:01:00Z,50,61,3\n")
    found = judge(*nights("--csv", str(file)))
    assert {a["parameter"] for a in found["averages"]} == {"LAeq", "LAFmax"}


def test_a_spreadsheet_in_gb18030(judge: Judge, tmp_path: Path) -> None:
    file = write(tmp_path, "时间,声级\n2026/1/1 0:00,50\n2026/1/1 0:01,50\n", "gb18030")
    found = judge(*nights("--csv", str(file), "--columns", "time=时间,value=声级", "--timezone", "Asia/Shanghai"))
    assert found["averages"][0]["value"] is not None


def test_many_faults_are_told_but_not_all() -> None:
    text = "time,value\n" + "\n".join(f"2026-01-01T00:00:{s:02}Z,x" for s in range(60))
    _, faults, _ = read_csv(text, "x.csv", Layout(parameter="LAeq"))
    assert len(faults) == 20
    assert [fault.line for fault in faults[:2]] == [2, 3]


@pytest.mark.parametrize("text", ["2026-01-01t08:00:00z", "2026-01-01T08:00:00z", "2026-01-01t16:00:00.000+08:00"])
def test_rfc_3339_in_small_letters(text: str) -> None:
    assert instant(text, "Asia/Tokyo") == instant("2026-01-01T08:00:00Z", "UTC")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_file_in_utf_16_is_told(encoding: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, "time,value\n2026-01-01T00:00:00Z,50\n", encoding)
    assert main(["judge", *nights("--csv", str(file))]) == 1
    assert "save as UTF-8" in capfd.readouterr().err


@pytest.mark.parametrize("night", ['["23:00","07:00"]', "23:00-07:00", "23:00,07:00"])
def test_a_night_of_other_hours(judge: Judge, night: str, tmp_path: Path) -> None:
    rows = [f"2026-11-20T{h:02}:00:00Z,50" for h in range(24)]
    found = judge(*nights("--set", f"night={night}", "--csv", str(write(tmp_path, "\n".join(["time,value", *rows])))))
    assert "2026-11-20T23:00:00Z" in {a["from"] for a in found["averages"] if a["window"] == "night"}


def test_a_wrong_night_is_told_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, "time,value\n2026-01-01T00:00:00Z,50\n")
    assert main(["judge", *nights("--set", "night=late", "--csv", str(file))]) == 1
    assert capfd.readouterr().err.count("'late'") == 1


# --- what is passed over is told --------------------------------------------------------------------


def noted(capfd: pytest.CaptureFixture[str], *arguments: object) -> list[str]:
    """The notes on stderr, without the file's name; stdout holds JSON alone."""
    assert main(["judge", *map(str, arguments), "--json"]) == 0
    said = capfd.readouterr()
    assert set(json.loads(said.out)) == {"rules", "timezone", "averages", "exceedances", "episodes"}
    return [line.split("file.csv: ", 1)[1] for line in said.err.splitlines()]


def test_a_good_file_is_judged_without_notes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows = [f"2026-01-01T00:{m:02}:00Z,50" for m in range(60)]
    assert noted(capfd, *nights("--csv", str(write(tmp_path, "\n".join(["time,value", *rows, rows[-1]]))))) == []


def test_two_values_of_one_instant_are_noted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = "time,value\n2026-01-01T00:00:00Z,50\n2026-01-01T00:01:00Z,50\n2026-01-01T00:00:00Z,90\n"
    text += "2026-01-01T00:01:00Z,51\n2026-01-01T00:01:00Z,52\n2026-01-01T00:02:00Z,50\n2026-01-01T00:02:00Z,\n"
    (note,) = noted(capfd, *nights("--csv", str(write(tmp_path, text))))
    assert note == "LAeq: instants with more than one value: 2; the last one counts"


def test_times_that_wander_around_their_interval_leave_no_minute_without_a_value(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], judge: Judge
) -> None:
    wander_ms = np.random.default_rng(4).integers(-9, 10, 10 * 12)
    wander_ms[[0, 12, 24]] = 9, -9, 0
    start = datetime(2026, 1, 1, tzinfo=UTC)
    times = [start + timedelta(seconds=5 * n, milliseconds=int(ms)) for n, ms in enumerate(wander_ms)]
    file = write(tmp_path, "\n".join(["time,SO2", *(f"{time.isoformat()},100" for time in times)]))
    options = ("--rules", "ultra-low-2015", "--point", "stack", "--set", "reference_oxygen=6", "--csv", str(file))
    minutes = [a for a in judge(*options)["averages"] if a["window"] == "1m"]
    assert [a["coverage"] for a in minutes if a["valid"]] == [1.0] * 10
    early = int((wander_ms[::12] < 0).sum())
    assert f"SO2: times wander around the full minute; values judged in the one that follows: {early}" in noted(
        capfd, *options
    )


def test_local_times_that_do_not_exist_are_noted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows = [f"2026-03-29 {h:02}:{m:02},50" for h in (1, 2, 4) for m in (0, 30)]
    file = write(tmp_path, "\n".join(["time,value", *rows]))
    (note,) = noted(capfd, *nights("--csv", str(file), "--timezone", "Europe/Berlin"))
    assert "Europe/Berlin leaps over: 2, the first '2026-03-29 02:00'" in note
    assert noted(capfd, *nights("--csv", str(file), "--timezone", "Asia/Shanghai")) == []


def test_what_nobody_judges_is_noted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, "time,LAeq,LCpeak,sky\n2026-01-01T00:00:00Z,50,90,3\n")
    (unread,) = noted(capfd, *nights("--csv", str(file)))
    assert "'LCpeak', 'sky'" in unread
    (idle,) = noted(capfd, *nights("--csv", str(file), "--columns", "LAeq=LAeq,gust=sky"))
    assert idle == (
        "gust: averaged, but judged by no clause of gb12348-2008 in force at this point; a plain mean, "
        "for no parameter is called so"
    )


def stack_file(folder: Path, columns: dict[str, list[str]]) -> Path:
    """Two hours of minutes; of each parameter the values of its first and second hour."""
    rows = [
        ",".join([f"2026-11-20T{h:02}:{m:02}:00Z", *(hours[h] for hours in columns.values())])
        for h in range(2) for m in range(60)
    ]  # fmt: skip
    return write(folder, "\n".join([",".join(["time", *columns]), *rows]))


STACK = ["--rules", "ultra-low-2015", "--point", "stack", "--set", "reference_oxygen=6", "--set", "basis=wet",
         "--set", "state=actual", "--csv"]  # fmt: skip


def test_stack_windows_without_their_gas_conditions_are_noted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    gas = {"O2": ["8", "8"], "temperature": ["100", "100"], "pressure": ["-0.5", "-0.5"], "moisture": ["10", "10"]}
    assert noted(capfd, *STACK, stack_file(tmp_path, {"NOx": ["30", "30"], **gas})) == []
    lacking = {"NOx": ["30", "30"], **gas, "O2": ["8", ""]}
    del lacking["moisture"]
    (note,) = noted(capfd, *STACK, stack_file(tmp_path, lacking))
    assert note == (
        "NOx: not judged by ultra-low-2015/nox-hour for want of a correction, windows: 2; lacking moisture (2), O2 (1)"
    )
    (air,) = noted(capfd, *STACK, stack_file(tmp_path, {"NOx": ["30", "30"], **gas, "O2": ["8", "21"]}))
    assert "windows: 1; lacking O2 in range (1)" in air
    mixed = {"NOx": ["30", "30"], **gas, "O2": ["8", "18"], "moisture": ["10", "20"]}  # dry, 18 % are 22.5 %
    (air,) = noted(capfd, *STACK, stack_file(tmp_path, mixed))
    assert "windows: 1; lacking values of all conditions at one time, or oxygen up to oxygen_max (1)" in air


@pytest.mark.parametrize("number", ["inf", "-Infinity", "1e400", "-5"])
def test_a_number_that_cannot_be_is_flagged_and_the_rest_is_judged(
    number: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = stack_file(tmp_path, {"NOx": ["30", number]})
    assert main(["judge", "--rules", "ultra-low-2015", "--point", "stack", "--json", "--csv", file]) == 0
    hours = [a for a in json.loads(capfd.readouterr().out)["averages"] if a["window"] == "1h"]
    assert [(a["value"], a["valid"], a["coverage"]) for a in hours] == [(30.0, True, 1.0), (None, False, 0.0)]


FURNACE = ["--rules", "gb18485-2014", "--point", "stack", "--timezone", "Asia/Shanghai", "--csv"]


def test_the_state_of_a_plant_is_marked_or_in_the_file(
    judge: Judge, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = stack_file(tmp_path, {"dust": ["50", "50"], "O2": ["11", "11"], "plant_state": ["1", "2"]})

    def hours(*more: str) -> list[str]:
        return [e["from"][11:16] for e in judge(*FURNACE, file, *more)["exceedances"] if e["clause"] == "dust-hour"]

    assert hours() == ["00:00", "01:00"], "without a meaning of its numbers the channel says nothing"
    assert hours("--state", "start_up=2026-11-20T08:30/2026-11-20T09:00") == ["01:00"]
    codes = "state_codes=1=stopped,2=operating"
    assert hours("--set", codes) == ["01:00"]
    assert hours("--set", codes, "--state", "operating=2026-11-20T00:00Z/2026-11-20T01:00Z") == ["00:00", "01:00"]
    assert hours("--set", "operating_where=plant_state > 1") == ["01:00"]
    assert noted(capfd, *FURNACE, str(file), "--set", codes) == [
        "dust: not judged by gb18485-2014/dust-hour for the state of the plant, windows of 1h: 1"
    ]
