"""The command `emitwatch profiles try`: a profile read live and compared with a display, over all kinds of links."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from gateway import catalogue, registers
from gateway.measurement import Status
from gateway.plans import plan
from gateway.profiles_command import app
from gateway.readback import item_words
from simulators import modbus
from tests.gateway.behind import behind
from tests.gateway.lines import KINDS, Act, Device, Request
from tests.gateway.ports import free_port
from tests.gateway.test_probe_command import place

ROOT = Path(__file__).parent.parent.parent
PROFILE = "sick-mcs100ft"
SO2, O2 = 35.2, 8.1

DRAFT = """
[profile]
name = "mine"
maker = "nobody"
model = "none"
kind = "stack"
source = "a test"
manual = "a test"
no_status = "none"

[[register]]
parameter = "SO2"
fc = 4
address = 150
type = "float32"
order = "CDAB"
unit = "mg/m3"
low = 0
high = 1000
manual = "here"

[[example]]
read = [{ fc = 4, address = 150, words = [0x0000, 0x4248] }]
expect = { SO2 = 50.0 }
source = "a test"
"""
WRONG = {
    "the order": ('order = "CDAB"', 'order = "ABCD"', "order CDAB instead of ABCD"),
    "one register on": ("address = 150", "address = 151", "address 150 instead of 151 (one register off"),
    "one register back": ("address = 150", "address = 149", "address 150 instead of 149 (one register off"),
    "the scale": ('type = "float32"', 'type = "float32"\nscale = 0.001', "scale 1 instead of 0.001"),
    "the unit": ('unit = "mg/m3"', 'unit = "ppm"', "unit mg/m3 instead of ppm"),
    "the type": ('type = "float32"', 'type = "int32"', "float32 instead of int32"),
}


class Analyser:
    """What a profile has, encoded from its values; or words of one's own."""

    def __init__(self, name: str = PROFILE) -> None:
        profile = catalogue.profiles()[name]
        reading = plan(profile)
        values = np.array([[{"SO2": SO2, "O2": O2}.get(code, 1.5) for code in reading.parameters]])
        words = registers.encode(reading, values, np.full(values.shape, Status.OK, np.uint8))
        pieces = [(b.fc, b.address, w) for b, w in item_words(profile, {}).items()]
        self.pieces = [*pieces, *((b.fc, b.address, w[0]) for b, w in zip(reading.blocks, words, strict=True))]

    def answer(self, request: Request) -> Sequence[Act]:
        pdu = request.raw[-5:] if request.kind == "tcp" else request.raw[1:-2]
        return [request.frame(modbus.answer(modbus.memory(self.pieces), pdu))]


@contextmanager
def instrument(kind: str, folder: Path, name: str = PROFILE) -> Iterator[str]:
    device = Device(kind, folder, script=Analyser(name).answer)
    with behind(device):
        yield place(device.link, 1)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["try", *map(str, arguments)])


def told(*arguments: object) -> dict[str, Any]:
    done = run(*arguments, "--json")
    found: dict[str, Any] = json.loads(done.stdout)
    return {**found, "exit": done.exit_code}


@pytest.mark.parametrize("kind", KINDS)
def test_what_fits_fits(kind: str, tmp_path: Path) -> None:
    with instrument(kind, tmp_path) as link:
        found = told(PROFILE, link, "--value", f"SO2={SO2}", "--value", f"O2={O2}")
        shown = run(PROFILE, link, "--value", f"SO2={SO2}")
    assert (found["exit"], found["fits"], shown.exit_code) == (0, True, 0)
    by_name = {one["parameter"]: one for one in found["parameters"]}
    assert by_name["SO2"]["value"] == pytest.approx(SO2, rel=1e-6)
    assert by_name["SO2"]["fits"] is by_name["O2"]["fits"] is True
    assert by_name["NOx"]["fits"] is None
    assert len(by_name["SO2"]["words"]) == 2
    assert by_name["SO2"]["status"] == "ok"
    assert "all 1 compared values fit" in shown.stdout


@pytest.mark.parametrize("what", list(WRONG))
def test_what_does_not_fit_is_explained(what: str, tmp_path: Path) -> None:
    right, wrong, said = WRONG[what]
    text = DRAFT.replace(right, wrong)
    if "type" in wrong or "order" in wrong or "unit" in wrong or "scale" in wrong:
        text = text.replace("expect = { SO2 = 50.0 }", f"expect = {{ SO2 = {_meant(text)} }}")
        text = text.replace("high = 1000", "high = 1e12").replace("low = 0", "low = -1e12")
    text = text.replace(
        "address = 150, words", f"address = {wrong[-3:]}, words" if "address" in wrong else "address = 150, words"
    )
    mine = tmp_path / "mine.toml"
    mine.write_text(text)
    catalogue.load_profile(str(mine))
    with instrument("tcp", tmp_path) as link:
        found = told(mine, link, "--value", f"SO2={SO2}")
        shown = run(mine, link, "--value", f"SO2={SO2}")
    (one,) = found["parameters"]
    assert (found["exit"], one["fits"], shown.exit_code) == (1, False, 1)
    assert one["explained"][0].startswith(said), one["explained"]
    assert "would give 35.2 mg/m3" in one["explained"][0]
    assert one["explained"][0] in shown.stdout


def _meant(text: str) -> str:
    """What the example's words mean in a profile that is wrong."""
    if "int32" in text:
        return str(0x42480000)
    if "ABCD" in text:
        return "2.3790206923347324e-41"
    return repr(50.0 * 64 / 22.4) if "ppm" in text else "0.05"


def test_another_instrument_contradicts_the_profile(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    head, _, example = DRAFT.partition("[[example]]")
    own = '[[identity]]\nname = "model"\nfc = 4\naddress = 160\ntype = "uint16"\nconstant = 7\nmanual = "here"\n'
    mine.write_text(f"{head}{own}[[example]]{example}")
    with instrument("tcp", tmp_path) as link:
        found, shown = told(mine, link), run(mine, link)
    assert (found["exit"], shown.exit_code) == (1, 1)
    assert [(one["name"], one["before"]) for one in found["contradictions"]] == [("model", 7.0)]
    assert "always 7.0" in shown.stdout
    assert "hint: another instrument or word order" in shown.stdout


def test_an_instrument_without_the_registers_is_another_model(tmp_path: Path) -> None:
    device = Device("tcp", tmp_path, script=lambda request: [request.frame(modbus.refusal(request.fc, 2))])
    with behind(device):
        shown = run(PROFILE, place(device.link, 1))
    assert shown.exit_code == 1
    assert "it has no registers for" in shown.stdout
    assert "is it this model, at this unit?" in " ".join(shown.stdout.split())


def test_no_connection_and_wrong_options_are_told_with_a_hint(tmp_path: Path) -> None:
    nobody = f"tcp://127.0.0.1:{free_port()}"
    for arguments in ((PROFILE, nobody), (PROFILE, "nix://x"), (PROFILE, nobody, "--value", "COD=3"),
                      (PROFILE, nobody, "--value", "SO2=high")):  # fmt: skip
        done = run(*arguments)
        assert done.exit_code == 2
        assert "hint:" in done.stderr
    assert run("nix", nobody).exit_code == 1


def test_a_silent_instrument_fits_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.try_command.TIMEOUT_S", 0.1)
    device = Device("tcp", tmp_path, script=lambda request: [])
    with behind(device):
        found = told(PROFILE, place(device.link, 1))
        shown = run(PROFILE, place(device.link, 1))
    assert (found["exit"], shown.exit_code) == (1, 1)
    assert {one["status"] for one in found["parameters"]} == {"no_comm"}
    assert "does not answer" in shown.stdout
    assert "hint:" in shown.stdout


def test_on_a_terminal_it_asks_what_the_display_shows(tmp_path: Path) -> None:
    """Over a real terminal, as a person has it."""
    (tmp_path / "mine.toml").write_text(DRAFT)
    with instrument("tcp", tmp_path) as link:
        end, far = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "api.cli", "profiles", "try", str(tmp_path / "mine.toml"), link],
            cwd=ROOT, stdin=far, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "TERM": "dumb", "NO_COLOR": "1"},
        )  # fmt: skip
        os.write(end, b"much\n12.3 ppm\n")
        said, _ = process.communicate(timeout=40)
        os.close(end)
        os.close(far)
    assert process.returncode == 0, said
    assert "SO2 on the display [mg/m3]" in said
    assert "'much' is not a number" in said
    assert "fits" in said
