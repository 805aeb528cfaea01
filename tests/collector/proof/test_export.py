"""An export of an untouched journal is proved valid, whole or in part."""

from __future__ import annotations

import csv
import io
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from api.cli import main
from collector.intake.journal import Journal
from collector.store import Entry, EntryKind
from gateway.identity import public_hex
from gateway.measurement import Columns, Series
from gateway.spooler import Spooler
from tests.collector.batches import START_NS
from tests.collector.proof.kit import MINUTE_NS, House, Opened, alone, noise, verify

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_an_export_is_valid_and_says_by_whom(house: House, capsys: Capture) -> None:
    file = house.export()
    assert "36 batches" in capsys.readouterr().out
    code, said = verify(file, capsys, "--key", public_hex(house.key))
    assert (code, "BROKEN" in said, "note" in said) == (0, False, False), said
    assert "plant riverside: 192 measurements in 18 batches, of a tree of 18" in said
    assert "plant harbour: 204 measurements in 18 batches, of a tree of 18" in said
    assert f"signed by collector {public_hex(house.key)} (the key given)" in said
    assert said.endswith("export.zip: valid\n")


def test_the_verifier_runs_alone(house: House, tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    done = alone(house.export(), tmp_path / "away")
    assert (done.returncode, done.stderr) == (0, "")
    assert "valid" in done.stdout


def test_the_same_journal_gives_the_same_file(house: House) -> None:
    assert house.export("a.zip").read_bytes() == house.export("b.zip").read_bytes()


def test_the_csv_says_what_was_measured(house: House) -> None:
    with zipfile.ZipFile(house.export()) as bundle:
        table = list(csv.DictReader(io.StringIO(bundle.read("plants/harbour/measurements.csv").decode())))
    assert table[0] == {
        "time": "2026-11-01T02:36:40Z", "point": "fence-north", "sensor": "slm-north",
        "parameter": "LAeq", "unit": "dB(A)", "value": "50.0", "status": "ok", "gateway": "harbour-gw",
        "epoch": "000000000000000172616e646f6d6c79", "seq": "2", "index": "0",
    }  # fmt: skip
    assert (table[10]["value"], table[10]["status"]) == ("", "no_comm")


def test_a_part_is_proved_to_be_that_part(house: House, capsys: Capture) -> None:
    file = house.export("part.zip", "--from", "2026-11-01T03:30:00Z", "--to", "2026-11-01T03:50:00.5Z")
    code, said = verify(file, capsys)
    assert code == 0, said
    assert "riverside" in said
    rows = Opened(file).table("plants/riverside/measurements.csv")[1:]
    assert rows
    assert all("2026-11-01T03:30" <= row[0] < "2026-11-01T03:50:00.5" for row in rows)
    none = house.export("none.zip", "--from", "2030-01-01T00:00:00Z")
    assert verify(none, capsys)[0] == 0


def test_one_point_or_one_gateway_is_a_part_of_the_csv_alone(house: House, capsys: Capture) -> None:
    assert main(["export", str(house.sites), "--out", str(house.folder / "x.zip"), "--point", "stack-9"]) == 2
    assert "no point 'stack-9' in the site files; known: fence-north" in capsys.readouterr().err
    file = house.export("part.zip", "--point", "fence-north", "--gateway", "harbour-gw")
    code, said = verify(file, capsys)
    assert code == 0, said
    opened = Opened(file)
    rows = opened.table("plants/harbour/measurements.csv")[1:]
    assert {(row[1], row[7]) for row in rows} == {("fence-north", "harbour-gw")}
    assert opened.table("plants/riverside/measurements.csv")[1:] == []
    assert len(opened.table("plants/riverside/batches.csv")) == 19  # what proves it is whole
    opened.put("plants/harbour/measurements.csv", [opened.table("plants/harbour/measurements.csv")[0], *rows[1:]])
    assert "measurements.csv: row missing" in verify(opened.write(house.key), capsys)[1]


def test_a_witness_holds_the_collector_to_its_word(house: House, capsys: Capture, tmp_path: Path) -> None:
    witness = house.collector / "checkpoints" / "riverside.txt"
    assert witness.read_text().count("\n— ") >= 2
    assert verify(house.export(), capsys, "--witness", str(witness))[0] == 0
    other = tmp_path / "other.txt"
    other.write_text("nothing")
    code, said = verify(tmp_path / "export.zip", capsys, "--witness", str(other))
    assert code == 1
    assert "BROKEN witness: holds no checkpoint of a plant" in said


def test_what_the_gateway_gave_up_or_still_holds_is_told_and_no_fault(house: House, capsys: Capture) -> None:
    chained = house.gateways["harbour"]
    at = START_NS + 200 * MINUTE_NS
    chained.batch(noise("harbour", 200), at)  # 19: never delivered, given up
    lost = chained.batch(noise("harbour", 201), at)  # 20: still in the outbox
    gap = {"gap": {"ep": chained.gateway.epoch, "from_seq": 19, "to_seq": 19, "n": 12, "reason": "corrupt"}}
    told = chained.batch(noise("harbour", 202), at, kind="gap", low=20, fields=gap)
    poison = chained.batch(noise("harbour", 203), at, low=20)
    after = chained.batch(noise("harbour", 204), at, low=20)
    quarantined = Entry(0, at, EntryKind.QUARANTINE, poison.gateway, poison.epoch, poison.seq, poison.payload)
    with closing(Journal(house.collector / "journal")) as journal:
        journal.append([told, quarantined, after, Entry(0, at, EntryKind.QUARANTINE, "nobody", payload=b"?")])
    code, said = verify(house.export(), capsys)
    assert code == 0, said
    assert "note   plants/harbour: gateway harbour-gw" in said
    assert "batches 20 to 20: not delivered yet" in said
    assert lost.seq == 20


def test_batches_of_a_real_outbox_over_a_restart_are_valid(house: House, capsys: Capture) -> None:
    """Received newest first, the very first one not yet."""
    chained, sent = house.gateways["harbour"].gateway, []
    chained.epoch = bytes(16)
    for run in range(3):
        with closing(Spooler(house.folder / "outbox", "harbour", "harbour-gw", chained.key)) as spooler:
            for minute in range(4):
                spooler.put(noise("harbour", 300 + 10 * run + minute))
                spooler.flush()
            sent = spooler.pending(100)
    entries = [
        replace(chained.entry(row.payload, START_NS + 400 * MINUTE_NS), epoch=row.epoch) for row in reversed(sent[1:])
    ]
    with closing(Journal(house.collector / "journal")) as journal:
        journal.append(entries)
    code, said = verify(house.export(), capsys)
    assert code == 0, said
    assert "batches 1 to 1: not delivered yet" in said
    assert "348 measurements" in said


def test_a_text_that_looks_like_a_formula_stays_a_text(house: House, capsys: Capture) -> None:
    chained = house.gateways["harbour"]
    values = noise("harbour", 200)
    evil = Columns((Series("harbour", "=cmd()", '+"a",b', "@x", "-\n1"), *values.series[1:]), values.series_index,
                   values.time_ns, values.value, values.status)  # fmt: skip
    with closing(Journal(house.collector / "journal")) as journal:
        journal.append([chained.batch(evil, START_NS + 200 * MINUTE_NS)])
    file = house.export()
    assert verify(file, capsys)[0] == 0
    assert ["'=cmd()", '\'+"a",b', "'@x", "'-\n1"] in [
        r[1:5] for r in Opened(file).table("plants/harbour/measurements.csv")
    ]


def test_what_cannot_be_done_is_told(house: House, capsys: Capture, tmp_path: Path) -> None:
    file = house.export()
    assert main(["export", str(house.sites), "--out", str(file)]) == 2
    assert "never overwritten" in capsys.readouterr().err
    backwards = ["--from", "2026-11-02T00:00:00Z", "--to", "2026-11-01T00:00:00Z"]
    assert main(["export", str(house.sites), "--out", str(tmp_path / "y.zip"), *backwards]) == 2
    assert "is not before" in capsys.readouterr().err
    assert main(["export", str(house.sites), "--from", "yesterday"]) == 2
    assert "RFC 3339" in capsys.readouterr().err
    assert main(["export", str(house.sites), "--from", "2026-11-01T00:00:00"]) == 2
    assert "offset" in capsys.readouterr().err
    assert main(["export", str(house.sites), "--hash"]) == 2
    assert "emitwatch rebuild" in capsys.readouterr().err
    assert main(["verify", str(tmp_path / "no.zip")]) == 2
    house.journal_file().rename(tmp_path / "gone")
    assert main(["export", str(house.sites), "--out", str(tmp_path / "x.zip")]) == 2
    assert "no journal here" in capsys.readouterr().err
