"""The command `emitwatch profiles`: what it prints and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway import catalogue
from gateway.profiles_command import app

PROFILES = Path(catalogue.__file__).parent / "profiles"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_list_names_every_profile() -> None:
    text, data = run("list"), run("list", "--json")
    assert text.exit_code == data.exit_code == 0
    names = [item["name"] for item in json.loads(data.stdout)]
    assert names == list(catalogue.profiles())
    assert all(name in text.stdout for name in names)
    assert "模拟声级计" in run("list", "--language", "zh").stdout


@pytest.mark.parametrize("name", sorted(catalogue.profiles()))
def test_show_tells_registers_and_their_place_in_the_manual(name: str) -> None:
    profile = catalogue.profiles()[name]
    shown = run("show", name)
    assert shown.exit_code == 0
    for register in profile.registers:
        assert register.parameter in shown.stdout
        assert f"{register.address} (0x{register.address:04X})" in shown.stdout
        assert register.manual in shown.stdout
    data = json.loads(run("show", name, "--json").stdout)
    assert [r["address"] for r in data["registers"]] == [r.address for r in profile.registers]
    assert data["source"] == profile.source
    assert data["requests"]


def test_show_prints_the_plan(tmp_path: Path) -> None:
    text = (PROFILES / "tuf-2000m.toml").read_text("utf-8")
    mine = tmp_path / "mine.toml"
    mine.write_text(
        text.replace("max_hole = 8", "max_hole = 100\nholes = [{ fc = 3, address = 70, count = 1 }]"), "utf-8"
    )
    shown = run("show", mine).stdout
    assert "never asked for: function 3, 70 (0x0046) to 70 (0x0046)" in shown
    assert "flow, total_volume, + total_volume" in shown
    data = json.loads(run("show", mine, "--json").stdout)
    assert [(r["address"], r["count"], r["brings"][0]) for r in data["requests"]] == [
        (0, 12, "flow"),
        (71, 1, "status"),
    ]
    slow = json.loads(run("show", mine, "--baud", "1200", "--json").stdout)
    assert sum(r["cost_s"] for r in slow["requests"]) > 5 * sum(r["cost_s"] for r in data["requests"])
    assert "1200 baud" in run("show", mine, "--baud", "1200").stdout


def test_show_reads_a_file_and_refuses_a_name_it_does_not_know(tmp_path: Path) -> None:
    assert "emitwatch-noise" in run("show", PROFILES / "emitwatch-noise.toml").stdout
    unknown = run("show", "nix")
    assert unknown.exit_code == 1
    assert "emitwatch-noise" in unknown.stderr
    assert run("show", tmp_path / "nix.toml").exit_code == 1


def test_check_names_every_fault(tmp_path: Path) -> None:
    files = sorted(PROFILES.glob("*.toml"))
    good = run("check", *files)
    assert good.exit_code == 0
    assert good.stdout.count("is good") == len(files)
    text = (PROFILES / "emitwatch-noise.toml").read_text("utf-8")
    bad = tmp_path / "bad.toml"
    bad.write_text(text.replace("scale = 0.1", "scale = 1.0"), "utf-8")
    found = run("check", bad, files[0])
    assert found.exit_code == 1
    assert found.stdout.count("bad.toml:") >= 2
    assert "hint:" in found.stdout
    assert f"{files[0]}: " in found.stdout


def test_a_folder_of_ones_own_is_read_too(tmp_path: Path) -> None:
    text = (PROFILES / "emitwatch-noise.toml").read_text("utf-8")
    (tmp_path / "mine.toml").write_text(text.replace('"emitwatch-noise"', '"mine"'), "utf-8")
    assert "mine" in run("list", "--profiles", tmp_path).stdout
    assert run("show", "mine", "--profiles", tmp_path).exit_code == 0
    (tmp_path / "mine.toml").write_text("[profile]\n")
    assert run("list", "--profiles", tmp_path).exit_code == 1
