"""What the Dockerfile builds of: files that are there, versions that fit together, a wheel with all its data."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.deploy.compose_file import DOCKERFILE, ROOT, tracked

TEXT = DOCKERFILE.read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = ("server", "influxdb")
CONSTRAINTS = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "deploy" / "constraints.txt").read_text(), re.MULTILINE))


def copied() -> list[str]:
    """What comes from the repository into the first stage."""
    lines = re.findall(r"^COPY (?!--from)(.*)$", TEXT, re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def ignored(name: str) -> bool:
    """Whether .dockerignore keeps a file away from the engine: its last line that fits counts."""
    found = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!").removeprefix("**/")
        fits = any(
            fnmatch.fnmatch(part, pattern)
            for part in ([*Path(name).parts] if "**/" in line else [name, *map(str, Path(name).parents)])
        )
        if fits:
            found = not line.startswith("!")
    return found


def test_it_is_made_in_two_stages_of_one_pinned_python() -> None:
    bases = re.findall(r"^FROM (\S+)", TEXT, re.MULTILINE)
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", bases[0])
    _, first, last = TEXT.split("\nFROM ")
    assert "pip wheel" in first
    assert not re.search(r"\bpip\b|apt-get|gcc|curl", last), "nothing is installed or compiled in what is shipped"
    assert "HEALTHCHECK" not in TEXT


def test_it_has_no_secret() -> None:
    assert not re.search(r"PASSWORD|TOKEN|SECRET|deploy/secrets|deploy/site\b", TEXT)
    assert all(ignored(name) for name in ("deploy/secrets/influx_token", "deploy/site/site.toml", ".env", "data/x",
                                          ".git/config", "tests/conftest.py", "gateway/__pycache__/x.pyc"))  # fmt: skip


def test_what_it_copies_is_there_and_reaches_the_engine() -> None:
    assert copied()
    for name in copied():
        assert (ROOT / name).exists(), name
        assert not ignored(name), name
    wanted = {package.partition(".")[0] for package in PROJECT["tool"]["setuptools"]["packages"]}
    assert wanted <= set(copied())
    assert not ignored("api/web/app.js")
    assert f"'.[{','.join(EXTRAS)}]'" in TEXT
    assert set(EXTRAS) <= set(PROJECT["project"]["optional-dependencies"])


def closure() -> set[str]:
    """Everything that emitwatch needs with the image's extras, as it is installed here."""
    found: set[str] = set()
    waiting = [Requirement(f"emitwatch[{','.join(EXTRAS)}]")]
    while waiting:
        one = waiting.pop()
        for text in distribution(one.name).requires or ():
            need = Requirement(text)
            wanted = need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *one.extras))
            name = re.sub(r"[-_.]+", "-", need.name).lower()
            if wanted and (name not in found or need.extras):
                waiting += [need] if name not in found or name != "emitwatch" else []
                found.add(name)
    return found - {"emitwatch"}


def test_its_versions_are_pinned_all_of_them_and_allowed() -> None:
    assert set(CONSTRAINTS) == closure()
    lists = [PROJECT["project"]["dependencies"], *(PROJECT["project"]["optional-dependencies"][e] for e in EXTRAS)]
    for text in (text for one in lists for text in one):
        need = Requirement(text)
        assert need.specifier.contains(CONSTRAINTS[need.name.lower()]), f"{text} is {CONSTRAINTS[need.name.lower()]}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a clean clone, with what the Dockerfile copies and nothing else."""
    clone, built = tracked(tmp_path_factory.mktemp("clone")), tmp_path_factory.mktemp("built")
    for path in clone.iterdir():
        if path.name not in copied() and path.name != "deploy":
            subprocess.run(["rm", "-rf", str(path)], check=True)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(built), str(clone)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (found,) = built.glob("emitwatch-*.whl")
    return found


@pytest.mark.system
@pytest.mark.timeout(300)
def test_the_wheel_has_all_data_and_no_test(wheel: Path) -> None:
    has = set(zipfile.ZipFile(wheel).namelist())
    data = ("*.toml", "*.json", "*.html", "*.js", "*.css", "*.svg", "*.LICENSE", "*.py")
    packages = {package.partition(".")[0] for package in PROJECT["tool"]["setuptools"]["packages"]}
    listed = subprocess.run(["git", "ls-files", *packages], cwd=ROOT, capture_output=True, text=True, check=True)
    wanted = {name for name in listed.stdout.split() if any(fnmatch.fnmatch(name, pattern) for pattern in data)}
    wanted -= {"grafana/words.toml"}  # of build.py, which runs in the repository
    assert {"gateway/parameters.toml", "api/web/app.js", "grafana/dashboards/zh/stack.json"} <= wanted
    missing = {name for name in wanted - has if (ROOT / name).exists()}
    assert missing == set()
    assert not [name for name in has if name.startswith(("tests/", "deploy/", "docs/"))]


@pytest.mark.system
@pytest.mark.timeout(300)
def test_the_wheel_runs_in_a_fresh_environment(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index",
               str(wheel)]  # fmt: skip
    subprocess.run(install, check=True, capture_output=True)
    # The libraries are this environment's; a folder named in a .pth file comes after the environment's own.
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def said(*words: str) -> str:
        command = [str(tmp_path / "venv" / "bin" / "emitwatch"), *words]
        done = subprocess.run(
            command, cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert said("--version") == f"emitwatch {PROJECT['project']['version']}\n"
    where = subprocess.run([python, "-c", "import gateway; print(gateway.__file__)"], cwd=tmp_path, check=True,
                           env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True).stdout  # fmt: skip
    assert str(tmp_path) in where, "the wheel, and not the repository"
    assert "emitwatch-noise" in said("profiles", "list", "--json")
    assert "gb12348-2008" in said("rules", "list", "--json")
    assert "push" in said("grafana", "--help")
