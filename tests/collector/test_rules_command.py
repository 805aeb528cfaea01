from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from collector.catalogue import rule_packs
from collector.rules_command import app

RULES = Path(__file__).parents[2] / "collector" / "verdicts" / "rules"


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def test_list_names_every_pack() -> None:
    code, output = run("list")
    assert code == 0
    assert all(id in output for id in rule_packs())
    code, output = run("list", "--json")
    items = json.loads(output)
    assert [item["id"] for item in items] == list(rule_packs())
    dates = {item["id"]: item["in_force"][0]["from"] for item in items}
    assert dates["gb12348-2008"] == "2008-10-01"


@pytest.mark.parametrize("id", rule_packs())
def test_show_cites_every_clause(id: str) -> None:
    code, output = run("show", id)
    assert code == 0
    for clause in rule_packs()[id].clauses:
        assert clause.id in output
        assert clause.cite in output
    code, output = run("show", id, "--language", "zh")
    assert rule_packs()[id].title.zh in output
    code, output = run("show", id, "--json")
    assert json.loads(output)["id"] == id


def test_show_says_limits_in_words() -> None:
    _, output = run("show", "gb18918-2002")
    assert "class 1A, water_temperature above 12: at most 5 mg/L" in output
    assert "class 3: no limit" in output
    assert "at least 6 and at most 9" in output
    _, output = run("show", "gb12348-2008")
    assert "area_class 2: at most 50 dB(A)" in output
    assert "LAFmax 1m maximum at night" in output
    assert "indoor true: -10 dB(A)" in output
    assert "rounding: HJ 706-2014 5.4" in output
    assert "rounded, up to 5 dB" in output


def test_show_says_what_is_allowed_beside_a_limit() -> None:
    _, output = run("show", "bimschv-17-2013")
    assert "30 % of the limit of dust-day (below 10: dust-half-hour), or uncertainty_dust where smaller" in output
    assert "capacity from 50 MW, ci_base year" in output
    assert "at most 5 " in output
    _, output = run("show", "ied-2010-75-annex-v")
    assert "plant coal boilers below 50 MW: at most 150% of elv_so2, mg/m3" in output
    assert "at most elv_so2, mg/m3" in output
    assert "95% of a year" in output
    assert "at most 10 " in output
    _, output = run("show", "en-14181-2014")
    assert "drift_alarm = 2.85, drift_allowance = 0.501" in output
    assert "week_percent = 5, weeks_max = 5, once_percent = 40, margin_percent = 10" in output


def test_show_tells_a_ratio_as_it_is_written(tmp_path: Path) -> None:
    text = (RULES / "gb18918-2002.toml").read_text().replace("share = 0.75", 'share = "2/3"')
    (tmp_path / "own.toml").write_text(text)
    code, output = run("show", str(tmp_path / "own.toml"))
    assert (code, "2/3 of" in output) == (0, True)
    code, output = run("show", str(tmp_path / "own.toml"), "--json")
    assert "2/3" in {row["share"] for row in json.loads(output)["validity"]}


def test_show_takes_a_file_and_refuses_a_stranger() -> None:
    assert run("show", str(RULES / "gb12348-2008.toml"))[0] == 0
    code, output = run("show", "gb1")
    assert code == 1
    assert "gb12348-2008" in output
    assert run("show", "missing.toml")[0] == 1


def test_check_prints_faults_with_their_place_and_exits_1(tmp_path: Path) -> None:
    code, output = run("check", str(RULES / "gb12348-2008.toml"))
    assert code == 0
    assert "is good: 3 clauses, 6 examples" in output
    wrong = tmp_path / "wrong.toml"
    text = (RULES / "gb12348-2008.toml").read_text()
    wrong.write_text(text.replace('cite = "GB 12348-2008 5.7, table 4"\n', ""))
    code, output = run("check", str(wrong))
    assert code == 1
    assert f"{wrong}:" in output
    assert "background.cite: missing" in output
    assert "hint:" in output
    code, output = run("check", str(wrong), "--json")
    assert code == 1
    assert json.loads(output)[0]["path"] == "background.cite"


def test_a_condition_of_an_example_that_is_no_number_is_a_fault(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    text = (RULES / "gb18918-2002.toml").read_text()
    assert "given = { water_temperature = " in text
    wrong.write_text(text.replace("[[example]]\n", '[[example]]\ngiven = { water_temperature = "warm" }\n', 1))
    code, output = run("check", str(wrong))
    assert code == 1
    assert "example[0].given.water_temperature" in output


def test_a_faulty_folder_stops_everything(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("id = 3")
    code, output = run("list", "--rules", str(tmp_path))
    assert code == 1
    assert "a.toml" in output


def test_show_prints_what_a_monitor_in_the_united_states_must_do() -> None:
    code, output = run("show", "40cfr75")
    assert code == 0
    for told in ("substitution of missing hours", "minimum potential value", "tests of a monitor", "natural gas"):
        assert told in output


def test_show_prints_how_levels_are_rated() -> None:
    _, output = run("show", "ta-laerm-1998")
    assert "22:00 to 06:00 by 1h" in output
    assert "area WA, WR, spa: +6 dB 06:00 to 09:00, 13:00 to 15:00, 20:00 to 22:00" in output
    assert "-3 dB where limits are watched" in output
    assert "measured" in output
    _, output = run("show", "bs4142-2014")
    assert "0 2 4 6" in output
    assert "significant adverse impact" in output
    _, output = run("show", "iso1996-2-2017")
    assert "at least 3 dB below the total" in output
    _, output = run("show", "2002-49-ec")
    assert "23:00 to 07:00 +10 dB" in output
    assert run("check", str(RULES / "iso1996-2-2017.toml")) == (
        0,
        f"{RULES / 'iso1996-2-2017.toml'}: iso1996-2-2017 is good: 0 clauses, 3 examples\n",
    )


def test_show_tells_which_plant_states_are_judged() -> None:
    _, output = run("show", "ied-2010-75-annex-v")
    assert "all valid 1h means of the operating time but 3" in output
    assert "2/3 of valid 1m means of the operating time" in output
    assert "all but stopped" in output
    assert "in states: all" in run("show", "gb18485-2014")[1]
