from __future__ import annotations

import json
from pathlib import Path

import typer
from typer.testing import CliRunner

from collector.conformance_command import conformance

FOLDER = Path(__file__).parents[1] / "conformance"


def run(*arguments: str) -> tuple[int, list[str]]:
    app = typer.Typer()
    app.command()(conformance)
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output.splitlines()


def test_the_last_line_counts() -> None:
    code, lines = run(str(FOLDER / "water.toml"), str(FOLDER / "rounding.toml"))
    assert (code, lines[-1]) == (0, "9 passed, 0 failed")


def test_a_failure_is_told_and_exits_1(tmp_path: Path) -> None:
    file = tmp_path / "wrong.toml"
    text = (FOLDER / "rounding.toml").read_text()
    file.write_text(text.replace("rounded = 41.0", "rounded = 40.0"))
    code, lines = run(str(file))
    assert (code, lines[-1]) == (1, "4 passed, 1 failed")
    assert any("FAILED rounding-01" in line and "41.0" in line for line in lines)
    code, lines = run(str(tmp_path))
    assert (code, lines[-1]) == (1, "4 passed, 1 failed")


def test_files_that_cannot_be_run_fail(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").write_text("")
    code, lines = run(str(tmp_path / "empty.toml"), str(tmp_path / "missing.toml"))
    assert (code, lines[-1]) == (1, "0 passed, 2 failed")


def test_json_holds_every_case() -> None:
    code, lines = run("--json", str(FOLDER / "water.toml"))
    assert code == 0
    items = json.loads("\n".join(lines[:-1]))
    assert [item["passed"] for item in items] == [True] * 4
