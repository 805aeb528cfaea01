"""`emitwatch init` as a process: from a list, and from answers on a terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway import catalogue
from tests.gateway.test_site_draft import LIST

COMMAND = [sys.executable, "-m", "api.cli"]
ROOT = Path(__file__).parent.parent.parent


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "init", *words], cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    file = tmp_path / "list.csv"
    file.write_text(LIST, "utf-8")
    return file


def test_a_list_becomes_a_site_that_check_finds_good(tmp_path: Path, listed: Path) -> None:
    site = tmp_path / "made" / "site.toml"
    made = run(str(site), "--csv", str(listed), "--plant", "riverside", "--timezone", "Asia/Kolkata", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout) == {"site": str(site), "plant": "riverside", "points": 2, "sensors": 3}
    (found,) = catalogue.load_sites(str(site))
    assert found.plant.timezone == "Asia/Kolkata"
    checked = subprocess.run([*COMMAND, "check", str(site)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_profile_of_ones_own_is_found_again_by_check(tmp_path: Path, listed: Path) -> None:
    mine = tmp_path / "profiles" / "my-meter.toml"
    mine.parent.mkdir()
    text = (ROOT / "gateway/profiles/emitwatch-noise.toml").read_text("utf-8")
    mine.write_text(text.replace('name = "emitwatch-noise"', 'name = "my-meter"'), "utf-8")
    listed.write_text(LIST.replace("emitwatch-noise", "my-meter"), "utf-8")
    site = tmp_path / "made" / "site.toml"
    words = "--csv", str(listed), "--plant", "a", "--timezone", "UTC", "--profiles", str(mine.parent)
    made = run(str(site), *words)
    assert made.returncode == 0, made.stderr
    checked = subprocess.run([*COMMAND, "check", str(site)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_what_cannot_be_written_is_told_and_nothing_is_written(tmp_path: Path, listed: Path) -> None:
    site = tmp_path / "site.toml"
    assert "on a terminal it asks" in run(str(site)).stderr
    assert "is not an id" in run(str(site), "--csv", str(listed)).stderr
    assert "is not a time zone" in run(str(site), "--csv", str(listed), "--plant", "a", "--timezone", "Mars").stderr
    listed.write_text(LIST.replace("10.0.0.6?unit=3,taidacent-decibel", "10.0.0.5:502?unit=3,emitwatch-noise"), "utf-8")
    twice = run(str(site), "--csv", str(listed), "--plant", "a")
    assert twice.returncode == 1
    assert "reads LAeq from the same instrument already" in twice.stderr
    assert not site.exists()
    site.write_text("mine")
    assert "--force to write over it" in run(str(site), "--csv", str(listed), "--plant", "a").stderr
    assert site.read_text() == "mine"


def test_answers_become_a_site_and_wrong_ones_are_asked_again(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    main, child = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "init", str(site)], cwd=ROOT, stdin=child, stdout=child, stderr=child,
        env={**os.environ, "TERM": "dumb", "TZ": "Europe/Berlin"},
    )  # fmt: skip
    os.close(child)
    heard = b""
    for question, answer in [
        (b"Plant id", "not an id!"), (b"is not an id", "riverside"), (b"for people", "Riverside"), (b"Time zone", ""),
        (b"broker", ""), (b"Industry", ""), (b"District", ""), (b"Instrument id", "slm-1"), (b"profile", "?"),
        (b"taidacent-decibel", "emitwatch-noize"), (b"did you mean", "emitwatch-noise"), (b"stands", "fence"),
        (b"point, for people", "Fence"), (b"Link", "tcp://10.0.0.5?unit=2"), (b"Seconds", "0"), (b"not a number", "2"),
        (b"Another", "n"),
    ]:  # fmt: skip
        heard = until(main, heard, question)
        os.write(main, f"{answer}\n".encode())
    assert process.wait(20) == 0
    os.close(main)
    (found,) = catalogue.load_sites(str(site))
    assert (found.plant.id, found.plant.timezone) == ("riverside", "Europe/Berlin")
    assert [(s.id, s.point, s.interval_s, s.link.address) for s in found.sensors] == [
        ("slm-1", "fence", 2.0, "10.0.0.5")
    ]


def until(main: int, heard: bytes, words: bytes) -> bytes:
    """Read the terminal until some words have come; what comes after them."""
    end = time.monotonic() + 20
    while words not in heard:
        assert time.monotonic() < end, heard.decode()
        if select.select([main], [], [], 0.1)[0]:
            heard += os.read(main, 65536)
    return heard.partition(words)[2]
