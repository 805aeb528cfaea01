"""A backup is made while all goes on, is a moment of it, and says that it is one."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from api.cli import main
from collector.backup_command import BackupError, copy
from collector.intake.journal import Journal
from tests.collector.proof.kit import House
from tests.collector.test_journal import MONTH_NS, batch
from tests.collector.test_projector import eventually

NO_STORE = Path("no store")


class Writer:
    """A collector's folder that is written all the time: a journal, and a file that follows it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.seq = folder, 0
        self.journal = Journal(folder / "journal")
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run)
        with closing(sqlite3.connect(folder / "verdicts.db")) as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("CREATE TABLE state (position INTEGER)")
            database.execute("INSERT INTO state VALUES (0)")
            database.commit()

    def write(self) -> None:
        """An entry, sometimes the first of a month, and the follower behind it."""
        self.seq += 1
        self.journal.append([replace(batch(self.seq), received_ns=MONTH_NS * (600 + self.seq // 50))])
        with closing(sqlite3.connect(self.folder / "verdicts.db")) as database:
            database.execute("UPDATE state SET position = ?", [self.journal.last])
            database.commit()

    def _run(self) -> None:
        while not self.stop.is_set():
            self.write()


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    (tmp_path / "collector").mkdir()
    found = Writer(tmp_path / "collector")
    found.write()
    yield found
    found.stop.set()
    if found.thread.ident:
        found.thread.join()
    found.journal.close()


def followed(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "verdicts.db")) as database:
        return int(database.execute("SELECT position FROM state").fetchone()[0])


def test_no_follower_in_a_backup_is_ahead_of_its_journal(writer: Writer, tmp_path: Path) -> None:
    writer.thread.start()
    ends = []
    for number in range(4):
        copy(writer.folder, tmp_path / f"{number}", without=NO_STORE)
        with closing(Journal(tmp_path / f"{number}" / "journal")) as journal:
            ends.append(journal.last)
            eventually(lambda: writer.journal.last > ends[-1])
            assert followed(tmp_path / f"{number}") <= journal.last
            assert [entry.position for entry in journal.read(0, 10**6)] == list(range(1, journal.last + 1))
    assert ends == sorted(set(ends)), "each is later than the one before"


def test_whoever_starts_from_it_begins_a_generation_once(writer: Writer, tmp_path: Path) -> None:
    copy(writer.folder, tmp_path / "backup", without=NO_STORE)
    generations = [writer.journal.generation]
    for expected in (True, False):
        with closing(Journal(tmp_path / "backup" / "journal")) as journal:
            assert journal.restored is expected
            generations.append(journal.generation)
    assert generations[0][0] < generations[1][0]
    assert generations[1] == generations[2]


def test_the_journal_alone_put_back_is_found_out_too(writer: Writer, tmp_path: Path) -> None:
    copy(writer.folder, tmp_path / "backup", without=NO_STORE)
    for _ in range(3):
        writer.write()
    writer.journal.close()
    shutil.rmtree(writer.folder / "journal")
    shutil.copytree(tmp_path / "backup" / "journal", writer.folder / "journal")
    with closing(Journal(writer.folder / "journal")) as journal:
        assert journal.restored


def test_keys_come_along_as_they_are_and_the_store_does_not(writer: Writer, tmp_path: Path) -> None:
    (writer.folder / "ca").mkdir()
    for name in ("key", "ca/ca.key", "store.duckdb", "store.duckdb.wal", ".half"):
        (writer.folder / name).write_text(name)
        (writer.folder / name).chmod(0o600)
    left = tmp_path / ".backup.part"  # by a backup that was interrupted
    left.mkdir()
    (left / "key").write_text("old")
    count, size = copy(writer.folder, tmp_path / "backup", without=writer.folder / "store.duckdb")
    found = {str(path.relative_to(tmp_path / "backup")) for path in (tmp_path / "backup").rglob("*") if path.is_file()}
    months = {path for path in found if path.startswith("journal/")}
    assert found - months == {"ca/ca.key", "journal.mark", "key", "verdicts.db"}
    assert (count, len(months)) == (4, 1)
    assert size > 0
    assert (tmp_path / "backup" / "key").read_text() == "key"
    assert not left.exists()
    for secret in ("key", "ca/ca.key"):
        assert not (tmp_path / "backup" / secret).stat().st_mode & 0o77
    assert not (tmp_path / "backup").stat().st_mode & 0o77


def test_what_is_there_is_never_overwritten(writer: Writer, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="already"):
        copy(writer.folder, tmp_path, without=NO_STORE)
    with pytest.raises(BackupError, match="no journal here"):
        copy(tmp_path / "nowhere", tmp_path / "backup", without=NO_STORE)


def test_the_command_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    house = House(tmp_path)
    assert main(["backup", str(house.sites), str(tmp_path / "backup")]) == 0
    assert " files, " in capsys.readouterr().out
    assert main(["backup", str(house.sites), str(tmp_path / "backup")]) == 2
    assert "no backup was made" in capsys.readouterr().err


def test_what_the_broker_keeps_is_left_to_it(writer: Writer, tmp_path: Path) -> None:
    """Mosquitto's memory is named like a database, is none, and need not be readable; its folder has to be there."""
    state = writer.folder / "broker" / "state"
    state.mkdir(parents=True)
    state.chmod(0o770)
    state.parent.chmod(0o750)
    (state / "mosquitto.db").write_bytes(b"\x00\xb5\x00mosquitto db")
    copy(writer.folder, tmp_path / "backup", without=NO_STORE)
    copied = tmp_path / "backup" / "broker" / "state"
    assert not list(copied.iterdir())
    assert [place.stat().st_mode & 0o777 for place in (copied, copied.parent)] == [0o770, 0o750]
