from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from api.cli import COMMANDS, main
from api.run_command import main as run

ROOT = Path(__file__).parent.parent.parent
READY = [name for name, command in COMMANDS.items() if command.target]
LATER = [name for name, command in COMMANDS.items() if not command.target]


@pytest.mark.parametrize("name", READY)
def test_every_command_is_there_and_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    module, _, attribute = COMMANDS[name].target.partition(":")
    assert callable(getattr(importlib.import_module(module), attribute))
    try:
        code = main([name, "--help"])
    except SystemExit as stop:
        code = stop.code
    assert code == 0
    assert name in capsys.readouterr().out


@pytest.mark.parametrize("name", LATER)
def test_what_is_not_built_says_so(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name]) == 2
    said = capsys.readouterr().err
    assert "not built yet" in said
    assert "hint" in said


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in COMMANDS)
    assert main([]) == 2


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("emitwatch ")


def test_a_slip_of_the_pen_is_answered_with_the_command_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chekc"]) == 2
    assert "`emitwatch check`" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["collector", "alerts", "api"])
def test_parts_do_not_run_apart(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([part, "site.toml"]) == 2
    said = capsys.readouterr().err
    assert "emitwatch run all" in said


@pytest.mark.parametrize("arguments", [["run", "gateway"], ["run", "all"], ["check"], ["tap"]])
def test_a_site_file_that_is_not_there_is_named(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "no-such-site.toml"]) == 1
    said = capsys.readouterr()
    assert "no-such-site.toml" in said.err + said.out
    assert "Traceback" not in said.err


def test_without_the_server_extra_a_command_says_what_to_install(tmp_path: Path) -> None:
    """As the bare install has it: the libraries of the server cannot be imported."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "for name in ('aiomqtt', 'duckdb', 'fastapi', 'nacl', 'pydantic', 'uvicorn'): sys.modules[name] = None\n"
    )
    for arguments in (["tap", "site.toml"], ["run", "all", "site.toml"]):
        done = subprocess.run(
            [sys.executable, "-c", "import sys; from api.cli import main; sys.exit(main())", *arguments],
            cwd=ROOT, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert "pip install 'emitwatch[server]'" in done.stderr
        assert "Traceback" not in done.stderr


def test_the_gateway_runs_without_the_libraries_of_server_and_console() -> None:
    """Typer alone would cost its process 20 MB."""
    code = (
        "import sys\nfrom api.cli import main\nmain(['run', 'gateway', 'no-such-site.toml'])\n"
        "print([name for name in ('typer', 'fastapi', 'duckdb', 'nacl', 'uvicorn', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=30, check=True)
    assert done.stdout == b"[]\n"


def test_a_reader_that_has_gone_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m api.cli profiles list | head -1",
        shell=True, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.stderr == ""
