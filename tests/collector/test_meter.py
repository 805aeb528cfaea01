"""Exports of a real sound level meter, judged: what the meter itself printed comes out again.

The meter prints its totals in a file of their own (`general`: 12 s from 01:31:53). They belong to the recording
whose rows of 2 s stand in `tests/golden/meter`, and its LAeq, LCeq, LZeq, LAeqI and LAFMax are held against those
rows here. LAFMin, LAF1 to LAF99, and the bands are of a time weighting every 1/8 s or faster and of a spectrum:
rows of 2 s do not hold them. LAeqI of the export with one decimal misses 0.05 dB by that decimal (41.450 of 41.5;
41.46 with two), so it is held at what its rows can give, half a digit of theirs and of the total.

The other exports beside the repository (`1000ms`, `0250ms`, `0063ms`, begun at 01:32:14, 01:32:51 and 01:33:15) are
recordings of their own, whose totals nobody has: the LAeq of two of them comes near 35.4 dB by chance, their
LCeq and LZeq do not. They are held against the plain formula, and against each other in both layouts.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from api.cli import main

Totals = dict[str, float]
Run = Callable[..., Totals]
GOLDEN = Path(__file__).parent.parent / "golden" / "meter"
PRINTED = {"LAeq": "LAeq", "LCeq": "LCeq", "LZeq": "LZeq", "LAeqI": "LAeqI", "LAFmax": "LAFMax"}


@pytest.fixture
def totals(capfd: pytest.CaptureFixture[str]) -> Run:
    """What `emitwatch judge` makes of a whole file: the values of its day, by parameter."""

    def run(file: Path, *options: str) -> Totals:
        told = ["--rules", "gb12348-2008", "--point", "noise", "--set", "area_class=2", "--timezone", "Europe/Madrid"]
        assert main(["judge", *told, *options, "--csv", str(file), "--json"]) == 0
        averages = json.loads(capfd.readouterr().out)["averages"]
        return {a["parameter"]: a["value"] for a in averages if a["window"] == "24h"}

    return run


def printed(name: str) -> dict[str, str]:
    """The totals as the meter printed them, as `35.4 dB`."""
    text = (GOLDEN / name).read_text()
    return dict(csv.reader(text.splitlines(), delimiter=";" if "semicolon" in name else ","))


@pytest.mark.parametrize(
    ("rows", "whole", "within"),
    [
        ("det_global_2000ms_comma_2dec.csv", "det_global_general_comma_2dec.csv", {}),
        ("det_global_2000ms_semicolon_1dec.csv", "det_global_general_semicolon_1dec.csv", {"LAeqI": 0.1}),
    ],
)
def test_the_meters_own_totals(totals: Run, rows: str, whole: str, within: Totals) -> None:
    found, told = totals(GOLDEN / rows), printed(whole)
    assert set(found) == set(PRINTED)
    for parameter, name in PRINTED.items():
        number = float(told[name].removesuffix(" dB").replace(",", "."))
        assert found[parameter] == pytest.approx(number, abs=within.get(parameter, 0.05)), parameter


def test_it_is_one_recording_in_both_layouts(totals: Run) -> None:
    """Date and time in two columns, day first and month first, decimal comma and point: the same instants."""
    first, second = (
        totals(GOLDEN / name, "--columns", "LAFmax=LAFMax")
        for name in ("det_global_2000ms_comma_2dec.csv", "det_global_2000ms_semicolon_1dec.csv")
    )
    assert first == pytest.approx(second, abs=0.06)


def test_what_it_calls_its_columns_can_be_said(totals: Run) -> None:
    file = GOLDEN / "det_global_2000ms_semicolon_1dec.csv"
    found = totals(file, "--columns", "date=Date,time=Time,LAeq=LCeq")
    assert found == {"LAeq": pytest.approx(42.2, abs=0.05)}
    assert totals(file, "--columns", "LAeq=LAeq", "--start", "2014-08-19T01:31:53", "--interval", "2") == {
        "LAeq": pytest.approx(35.4, abs=0.05)
    }


@pytest.mark.shared
@pytest.mark.parametrize("interval", ["1000ms", "0250ms", "0063ms"])
def test_recordings_without_totals(totals: Run, shared: Path, interval: str) -> None:
    folder = shared / "cases/noise/cirrus"
    fine, coarse = (folder / f"det_global_{interval}_{end}.csv" for end in ("semicolon_2dec", "comma_1dec"))
    columns = list(zip(*csv.reader(fine.read_text().splitlines(), delimiter=";"), strict=True))
    rows = {name: np.array([float(cell.replace(",", ".")) for cell in cells]) for name, *cells in columns[2:]}
    found = totals(fine)
    for name in ("LAeq", "LCeq", "LZeq", "LAeqI"):
        assert found[name] == pytest.approx(10 * np.log10(np.mean(10 ** (rows[name] / 10))), abs=1e-6)
    assert found["LAFmax"] == rows["LAFMax"].max()
    assert totals(coarse) == pytest.approx(found, abs=0.05)
