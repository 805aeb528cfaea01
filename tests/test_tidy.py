"""The house is tidy: sizes, purity, words. The limits and the list of shells stand in pyproject.toml.

A pure module takes data and `now` and returns data. It imports nothing that does I/O, reads no clock
and no randomness of its own, and opens no file; which modules may, pyproject.toml says.
"""

from __future__ import annotations

import ast
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("gateway", "collector", "alerts", "api", "simulators", "grafana")
TOOL = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["emitwatch"]
SHELLS: list[str] = TOOL["shells"]
ALONE: list[str] = TOOL["alone"]  # single files that are copied out and run by themselves

LINES_MAX = 400
LINES_MAX_ALONE = 800
FUNCTION_LINES_MAX = 60
BANNED_IMPORTS = {
    "asyncio", "socket", "ssl", "threading", "sqlite3", "time", "subprocess", "urllib.request", "http.client",
    "http.server", "pymodbus", "paho", "aiomqtt", "amqtt", "duckdb", "influxdb_client", "fastapi", "httpx", "uvicorn",
    "smtplib", "structlog", "logging", "rich", "typer", "random", "secrets", "tempfile", "shutil", "os",
}  # fmt: skip
BANNED_CALLS = {
    "time.time", "time.time_ns", "time.monotonic", "datetime.now", "datetime.utcnow", "datetime.today", "date.today",
    "open", "print", "input", "os.urandom", "Path.cwd", "np.random.default_rng()",
}  # fmt: skip


def modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def is_shell(name: str) -> bool:
    return any(name == shell or name.startswith(shell + ".") for shell in SHELLS)


ALL = modules()
PURE = [path for path in ALL if not is_shell(name_of(path))]


def ids(paths: list[Path]) -> list[str]:
    return [name_of(path) for path in paths]


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", ALL, ids=ids(ALL))
def test_modules_and_functions_are_short_and_documented(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    most = LINES_MAX_ALONE if name_of(path) in ALONE else LINES_MAX
    assert len(text.splitlines()) <= most, f"{path}: split it, a module has at most {most} lines"
    assert ast.get_docstring(tree), f"{path}: no docstring says what belongs here"
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        doc = ast.get_docstring(node, clean=False)
        length = (node.end_lineno or 0) - node.lineno + 1 - (len(doc.splitlines()) if doc else 0)
        assert length <= FUNCTION_LINES_MAX, f"{path}:{node.lineno}: {node.name} has {length} lines"


@pytest.mark.parametrize("path", ALL, ids=ids(ALL))
def test_public_names_have_docstrings(path: Path) -> None:
    tree = ast.parse(path.read_text())
    missing = []
    for owner in [tree, *[n for n in tree.body if isinstance(n, ast.ClassDef) and not n.name.startswith("_")]]:
        for node in owner.body:
            public = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name[0] != "_"
            if public and not ast.get_docstring(node):
                missing.append(f"{node.lineno} {node.name}")
    assert not missing, f"{path}: no docstring: {missing}"


@pytest.mark.parametrize("path", PURE, ids=ids(PURE))
def test_pure_modules_do_no_io(path: Path) -> None:
    tree = ast.parse(path.read_text())
    banned = [name for name in imports(tree) if name in BANNED_IMPORTS or name.split(".")[0] in BANNED_IMPORTS]
    assert not banned, f"{path} is pure and imports {banned} (or belongs into [tool.emitwatch] shells)"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            whole = f"{called}()" if not node.args and not node.keywords else called
            assert not BANNED_CALLS & {called, whole}, f"{path}:{node.lineno}: {called} in a pure module"


@pytest.mark.parametrize("path", ALL, ids=ids(ALL))
def test_decoders_are_made_with_their_module(path: Path) -> None:
    """What msgspec makes at a type's first use, two threads must not make at once: they end the process."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    decoding = [call for call in calls if ast.unparse(call.func) in ("msgspec.json.decode", "msgspec.msgpack.decode")]
    assert [call.lineno for call in decoding if any(keyword.arg == "type" for keyword in call.keywords)] == []


def test_the_list_of_shells_names_modules_that_exist() -> None:
    names = {name_of(path) for path in ALL}
    for shell in SHELLS:
        assert any(name == shell or name.startswith(shell + ".") for name in names), f"{shell} is gone"


def test_coverage_leaves_out_the_shells_that_judge_and_nothing_else() -> None:
    left_out = tomllib.loads((ROOT / ".ci" / "coverage.toml").read_text())["tool"]["coverage"]["run"]["omit"]
    shells = [shell for shell in SHELLS if shell.startswith("collector.verdicts.")]
    assert sorted(left_out) == sorted(f"{shell.replace('.', '/')}.py" for shell in shells)


@pytest.mark.parametrize("path", [p for p in ALL if p.name == "__init__.py"], ids=str)
def test_init_files_hold_a_docstring_only(path: Path) -> None:
    body = ast.parse(path.read_text()).body
    assert all(isinstance(node, ast.Expr | ast.ImportFrom | ast.Assign) for node in body)


def test_no_register_address_or_machine_path_in_the_repository() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in tracked:
        if name.endswith((".py", ".toml", ".md", ".js", ".html", ".css")):
            text = (ROOT / name).read_text()
            assert "/work/" + "main" not in text, f"{name} names a path of one machine"
