"""What commands say as JSON: the same as they say to people, for scripts."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from api.cli import main
from collector.stores.duckdb import DuckdbStore
from tests.collector.proof.kit import House, Opened

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def said(capsys: Capture, *words: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*words, "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_check_names_each_fault(house: House, capsys: Capture) -> None:
    assert said(capsys, "check", str(house.sites))["faults"] == []
    site = next(house.sites.glob("*.toml"))
    site.write_text(site.read_text("utf-8").replace('kind = "noise"', 'kind = "noice"', 1), "utf-8")
    [fault] = said(capsys, "check", str(house.sites), code=1)["faults"]
    assert (fault["file"], fault["path"]) == (str(site), "point[0].kind")
    assert fault["line"] > 0
    assert "noise" in fault["hint"]


def test_an_export_and_its_proof(house: House, tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "export.zip"
    made = said(capsys, "export", str(house.sites), "--out", str(file))
    assert made["file"] == str(file)
    assert made["batches"] > 0
    assert made["received_until"].startswith("2026-11-01T")
    proved = said(capsys, "verify", str(file))
    assert (proved["valid"], proved["broken"]) == (True, [])
    opened = Opened(file)
    opened.files["plants/harbour/measurements.csv"] += b"\n"
    altered = said(capsys, "verify", str(opened.write()), code=1)
    assert not altered["valid"]
    assert any("harbour/measurements.csv" in line for line in altered["broken"])
    rebuilt = said(capsys, "rebuild", str(house.sites))
    assert said(capsys, "export", str(house.sites), "--hash")["sha256"]
    assert rebuilt["measurements"] == 396


def test_a_store_that_was_altered_is_listed_row_by_row(house: House, capsys: Capture) -> None:
    said(capsys, "rebuild", str(house.sites))
    assert said(capsys, "rebuild", str(house.sites), "--check")["wrong"] == []
    with closing(DuckdbStore(house.collector / "store.duckdb")) as store:
        store._writer.execute("UPDATE measurement SET value = 1 WHERE rowid = 3")
    [[what, row]] = said(capsys, "rebuild", str(house.sites), "--check", code=1)["wrong"]
    assert what
    assert row


def test_a_backup(house: House, tmp_path: Path, capsys: Capture) -> None:
    to = tmp_path / "backup"
    made = said(capsys, "backup", str(house.sites), str(to))
    files = [path for path in to.rglob("*") if path.is_file()]
    assert (made["folder"], made["bytes"]) == (str(to), sum(path.stat().st_size for path in files))
    assert made["files"] in (len(files), len(files) - 1)  # the copy's own mark may not be counted
