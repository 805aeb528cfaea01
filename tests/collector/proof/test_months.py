"""A month of the journal is sealed, leaves, comes back or expires; proofs hold, and what is away is missed by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from api.cli import main
from collector.intake.cellar import Cellar
from collector.intake.custodian import Custodian
from collector.intake.events import event
from collector.intake.journal import Journal, JournalError
from collector.intake.months import State
from collector.intake.projector import Projector
from collector.intake.segment import MonthMissing
from collector.proof.leaf_file import LeafFile
from collector.proof.notary import Notary
from collector.stores.memory import MemoryStore
from collector.verdicts.book import AverageRow, Book
from collector.verdicts.evaluator import Line, site_rules
from gateway.catalogue import load_sites
from gateway.measurement import SECOND_NS
from tests.collector.batches import START_NS
from tests.collector.proof.kit import MINUTE_NS, House, Opened, noise, verify

Capture = pytest.CaptureFixture[str]
DECEMBER, LATER = 24 * 31, 24 * 36  # hours after the house's start


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Two hours of November and two of December, all in the trees; November is sealed."""
    house = House(tmp_path, hours=2)
    with house_journal(house) as journal, closing(LeafFile(house.tree)) as leaves:
        for hour in (DECEMBER, LATER):
            journal.append(house.entries(hour))
        Notary(journal, leaves, house.collector / "checkpoints", house.key).take(journal.read(leaves.position(), 10**6))
        Cellar(journal, lambda: 0).seal()
    return house


def house_journal(house: House) -> closing[Journal]:
    return closing(Journal(house.collector / "journal"))


def run(house: House, command: str, *arguments: str) -> int:
    return main(["journal", command, str(house.sites), *arguments])


def archived(house: House) -> Path:
    assert run(house, "archive", "2026-11", "--to", str(house.folder / "attic")) == 0
    return house.folder / "attic" / "2026-11.db"


def happened(house: House) -> list[str]:
    with house_journal(house) as journal:
        return [event(entry).what for entry in journal.events(0, 100)]


def test_a_sealed_month_stays_as_it_is_whoever_reads_it(house: House, capsys: Capture) -> None:
    file = house.collector / "journal" / "2026-11.db"
    before = file.read_bytes()
    house.export()
    with house_journal(house) as journal:
        assert len(journal.read(0, 10**6)) == journal.last
        month = journal.months["2026-11"]
        assert Cellar(journal, lambda: 0).seal() == [], "once"
    assert file.read_bytes() == before
    assert sorted(path.name for path in file.parent.glob("2026-11*")) == ["2026-11.db"]
    assert (month.first, month.last, month.state, month.bytes) == (1, 36, State.SEALED, len(before))
    capsys.readouterr()
    assert run(house, "list") == 0
    assert f"{len(before) / 1e6:.1f} MB  {month.sha256}  sealed\n2026-12  open\n" in capsys.readouterr().out
    assert run(house, "list", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["name"], one["state"]) for one in told] == [("2026-11", "sealed"), ("2026-12", "open")]


def test_an_archived_month_is_missed_by_name_and_comes_back(house: House, capsys: Capture) -> None:
    with house_journal(house) as journal:
        whole = journal.read(0, 10**6)
    file = archived(house)
    with house_journal(house) as journal:
        with pytest.raises(MonthMissing, match=r"entry 1 .*2026-11 \(archived to .*attic\).*journal attach"):
            journal.read(0, 10)
        with pytest.raises(MonthMissing, match="2026-11"):
            journal.overlapping(whole[3].first_ns, whole[3].last_ns, journal.last)
        assert whole[40] in journal.overlapping(whole[40].first_ns, whole[40].last_ns + 1, journal.last)
        assert journal.read(36, 10) == whole[36:46]
        assert journal.beyond(0) == journal.beyond(17) == 36
    assert run(house, "attach", str(file)) == 0
    with house_journal(house) as journal:
        assert journal.read(0, len(whole)) == whole
    assert happened(house) == ["month_sealed", "month_archived", "month_attached"]


def test_a_file_that_was_altered_is_not_attached(house: House, capsys: Capture) -> None:
    file = archived(house)
    file.chmod(0o600)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert run(house, "attach", str(file)) == 2
    assert "its SHA-256 is not" in capsys.readouterr().err
    assert happened(house) == ["month_sealed", "month_archived"]


def test_a_file_that_the_tree_does_not_vouch_for_is_not_attached(house: House) -> None:
    file = archived(house)
    with house_journal(house) as journal:
        cellar = Cellar(journal, lambda: 10**6)
        with pytest.raises(JournalError, match="entry 7 is not what the tree has there"):
            cellar.attach(file, lambda entry: entry.position != 7)
        assert not journal.months["2026-11"].here
    assert [path.suffix for path in (house.collector / "journal").glob("2026-11*")] == [".db"]


def test_an_altered_month_does_not_leave(house: House, capsys: Capture) -> None:
    file = house.collector / "journal" / "2026-11.db"
    file.chmod(0o600)
    file.write_bytes(file.read_bytes() + b"\0")
    assert run(house, "archive", "2026-11", "--to", str(house.folder / "attic")) == 2
    assert "not as it was sealed" in capsys.readouterr().err


def test_a_month_that_is_not_there_is_told_before_anything_is_asked(house: House, capsys: Capture) -> None:
    assert run(house, "expire", "2025-01") == 2
    said = capsys.readouterr()
    assert "no sealed month" in said.err
    assert "Go on?" not in said.out


@pytest.mark.parametrize(("hour", "followed", "why"), [(721, 10**6, "still judged"), (LATER, 35, "not everything")])
def test_a_month_that_is_still_needed_does_not_leave(tmp_path: Path, hour: int, followed: int, why: str) -> None:
    house = House(tmp_path, hours=1)
    with house_journal(house) as journal:
        journal.append(house.entries(700))
        journal.append(house.entries(hour))
        cellar = Cellar(journal, lambda: followed)
        cellar.seal()
        with pytest.raises(JournalError, match=why):
            cellar.expire("2026-11")
        assert cellar.expire_older(1) == []


def test_months_expire_by_the_rule_and_proofs_of_what_remains_hold(house: House, capsys: Capture) -> None:
    with house_journal(house) as journal:
        cellar = Cellar(journal, lambda: journal.last)
        assert cellar.expire_older(0) == cellar.expire_older(1) == []
        # A month later November is older than the one before the newest.
        journal.append(house.entries(24 * 62))
        journal.append(house.entries(24 * 66))
        assert [month.name for month in cellar.expire_older(1)] == ["2026-11"]
        assert [event(entry).what for entry in journal.events(0, 100)][-1] == "month_expired"
    code, said = verify(house.export(), capsys, "--witness", str(house.collector / "checkpoints" / "riverside.txt"))
    assert (code, "BROKEN" in said) == (0, False), said
    assert "note   plants/riverside: month 2026-11: expired: its batches, leaves 0 to 11, are in the tree" in said
    assert "in a month that is not here, or missing" in said
    assert said.endswith("valid\n")


def test_an_export_of_a_time_that_touches_a_missing_month_says_so(house: House, capsys: Capture) -> None:
    archived(house)
    touching = house.export("a.zip", "--from", "2026-11-01T03:00:00Z", "--to", "2026-12-03T00:00:00Z")
    code, said = verify(touching, capsys)
    assert (code, "month 2026-11: archived" in said) == (0, True), said
    beside = house.export("b.zip", "--from", "2026-12-01T03:00:00Z")
    code, said = verify(beside, capsys)
    assert (code, "2026-11" in said) == (0, False), said


def change(house: House, alter: Callable[[dict[str, object], Opened], None]) -> Path:
    opened = Opened(house.export())
    manifest = json.loads(opened.files["manifest.json"])
    alter(manifest["plants"]["riverside"], opened)
    opened.files["manifest.json"] = json.dumps(manifest).encode()
    return opened.write(house.key)


def test_nothing_can_be_hidden_by_calling_it_expired(house: House, capsys: Capture) -> None:
    def hide_one(about: dict[str, object], opened: Opened) -> None:
        rows = opened.table("plants/riverside/batches.csv")
        opened.put("plants/riverside/batches.csv", [row for row in rows if row[0] != "20"])
        about["absent"] = [{"month": "2026-12", "state": "expired", "first": 20, "count": 1, "sha256": ""}]

    code, said = verify(change(house, hide_one), capsys)
    assert (code, "but some of its batches are here: others were taken out" in said) == (1, True), said

    def hide_the_end(about: dict[str, object], opened: Opened) -> None:
        about["absent"] = [{"month": "2027-01", "state": "expired", "first": 20, "count": 500, "sha256": ""}]

    (house.folder / "export.zip").unlink()
    code, said = verify(change(house, hide_the_end), capsys)
    assert (code, "no checkpoint before this export has its leaves" in said) == (1, True), said


def test_an_interrupted_archive_is_finished_at_the_next_start(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with house_journal(house) as journal, monkeypatch.context() as patch:
        cellar = Cellar(journal, lambda: journal.last)
        patch.setattr(cellar, "_take_away", lambda segment: None)
        cellar.archive("2026-11", house.folder / "attic")
    with house_journal(house) as journal:
        assert not journal.lacking, "the file is still here"
        Cellar(journal, lambda: 0)
        assert journal.lacking


def test_a_backup_has_a_sealed_month_byte_for_byte(house: House) -> None:
    assert main(["backup", str(house.sites), str(house.folder / "backup")]) == 0
    copies = [folder / "journal" / "2026-11.db" for folder in (house.collector, house.folder / "backup")]
    assert copies[0].read_bytes() == copies[1].read_bytes()


def test_the_custodian_of_an_empty_journal_has_nothing_to_do(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "journal")) as journal:
        custodian = Custodian(Cellar(journal, lambda: 0), keep_months=3)
        custodian.look()
        assert not custodian.trouble


def test_the_custodian_does_what_is_due_and_says_what_it_cannot(house: House) -> None:
    with house_journal(house) as journal:
        journal.append(house.entries(24 * 62))
        custodian = Custodian(Cellar(journal, lambda: journal.last), keep_months=1)
        custodian.look()
        assert [str(month) for month in journal.months.values()] == ["2026-11 (expired)", "2026-12 (sealed)"]
        journal.append(house.entries(24 * 100))
        file = house.collector / "journal" / "2026-12.db"
        file.chmod(0o600)
        file.write_bytes(file.read_bytes() + b"\0")
        custodian.look()
        assert "not as it was sealed" in custodian.trouble


def test_rebuild_refuses_or_leaves_out(house: House, capsys: Capture) -> None:
    archived(house)
    assert main(["rebuild", str(house.sites)]) == 2
    assert "the journal has not here: 2026-11 (archived to" in capsys.readouterr().err
    assert main(["rebuild", str(house.sites), "--verdicts", "--partial"]) == 2
    assert "averages are derived from all of it" in capsys.readouterr().err
    assert main(["rebuild", str(house.sites), "--partial"]) == 0
    assert "288 measurements" in capsys.readouterr().out


def test_followers_do_not_pass_over_a_missing_month(house: House) -> None:
    archived(house)
    with house_journal(house) as journal, pytest.raises(MonthMissing):
        Projector(journal, MemoryStore())._turn()


def test_windows_in_a_missing_month_keep_their_verdict(house: House) -> None:
    verdicts, (rules, intervals) = house.collector / "verdicts.db", site_rules(load_sites(str(house.sites)))

    def follow(journal: Journal, book: Book) -> list[AverageRow]:
        line = Line(journal, book, rules, intervals)
        for entry in journal.read(line.position, 10**6):
            line.take(entry)
        return book.averages(limit=10**4)

    with house_journal(house) as journal, closing(Book(verdicts)) as book:
        before = follow(journal, book)
        book.commit([], [], derived_ns=0, state=book.state()[1], position=journal.last)
    archived(house)
    late = house.gateways["riverside"].batch(noise("riverside", 45), START_NS + (LATER + 2) * 60 * MINUTE_NS)
    with house_journal(house) as journal, closing(Book(verdicts)) as book:
        journal.append([late, *house.entries(LATER + 2), *house.entries(LATER + 3)])
        after = follow(journal, book)
    assert len(after) > len(before) > 0
    assert [average for average in after if average.average.from_ns < START_NS + 86_400 * SECOND_NS] == [
        average for average in before if average.average.from_ns < START_NS + 86_400 * SECOND_NS
    ]
