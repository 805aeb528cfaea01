"""Checkpoints reach those who hold them, over real HTTPS and SMTP, and whoever rewrites the past is found."""

from __future__ import annotations

import email
import email.policy
import shutil
from pathlib import Path
from typing import Any

import pytest

from alerts.settings import Channel
from alerts.witness_settings import WitnessSettings
from alerts.witnesses import Witnesses
from collector.proof.checkpoint import notes, open_note, origin, read_note
from collector.proof.cosignature import cosigned
from collector.proof.leaf_file import read_kept
from collector.proof.witness import judge, read_request
from gateway.identity import public_hex
from tests.alerts.kit import HookSink, MailSink, serving, until
from tests.collector.proof.kit import House, verify
from tests.collector.proof.test_tamper import at, sql
from tests.collector.proof.witness_kit import authority, go_on, served

Capture = pytest.CaptureFixture[str]
PLANTS = ("harbour", "riverside")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, hours=3)


def https(server: Any, **more: Any) -> WitnessSettings:
    scheme = "https" if server.tls else "http"
    url = f"{scheme}://127.0.0.1:{server.server_address[1]}/emitwatch"
    given = {"plants": PLANTS, "url": url, "allow_private": True, "key": server.witness.public, **more}
    return WitnessSettings(id="authority", kind="https", **given)


def courier(house: House, *witnesses: WitnessSettings) -> Witnesses:
    return Witnesses(witnesses, house.collector, retry_s=(0.0,))


def held(file: Path) -> list[int]:
    return [read_note(note).size for note in notes(file.read_text())]


def test_a_witness_gets_the_newest_checkpoint_and_signs_it(house: House, tmp_path: Path, capsys: Capture) -> None:
    ca, tls = authority(tmp_path)
    with served(tmp_path / "w", house, tls) as server:
        at_work = courier(house, https(server, ca=str(ca)))
        at_work.look()
        assert at_work.problems() == []
        go_on(house, 3)
        at_work.look()
        at_work = courier(house, https(server, ca=str(ca)))  # it remembers, and has nothing to send
        told = at_work.health()["authority"]["plants"]["harbour"]
        assert (told["batches"], told["signed"], told["trouble"]) == (23, True, "")
        at_work.look()
        go_on(house, 4, 5)  # an outage of the witness, as it were
        at_work.look()
        assert at_work.problems() == []
        name = origin("harbour", house.key.public_key())
        record = house.collector / "witnesses" / "authority" / "harbour.txt"
        mine = next((tmp_path / "w").glob("*-harbour.txt"))
        assert held(record) == held(mine) == [11, 23, 35]
        assert record.read_text() == mine.read_text()
        note = notes(record.read_text())[-1]
        text = open_note(note, name, house.key.public_key()).text()
        assert cosigned(text, note, server.witness.public)
    code, said = verify(house.export(), capsys, "--witness", str(record))
    assert code == 0, said


def test_a_certificate_that_nobody_vouches_for_is_not_believed(house: House, tmp_path: Path) -> None:
    _, tls = authority(tmp_path)
    with served(tmp_path / "w", house, tls) as server:
        at_work = courier(house, https(server))
        at_work.look()
        assert "CERTIFICATE_VERIFY_FAILED" in at_work.problems()[0]
        at_work = courier(house, https(server, allow_private=False))
        at_work.look()
        assert "not on the public internet" in at_work.problems()[0]
        assert list((tmp_path / "w").glob("*-*.txt")) == []


def test_a_witness_that_knew_before_is_asked_what_it_has(house: House, tmp_path: Path) -> None:
    """The record is lost, as after a restored backup: the witness's answer says where to begin."""
    with served(tmp_path / "w", house) as server:
        courier(house, https(server)).look()
        shutil.rmtree(house.collector / "witnesses")
        go_on(house, 3, 4)
        at_work = courier(house, https(server))
        at_work.look()
        at_work.look()
        assert at_work.problems() == []
        assert held(house.collector / "witnesses" / "authority" / "harbour.txt") == [29]
        assert held(next((tmp_path / "w").glob("*-harbour.txt"))) == [11, 29]


def rewrite(house: House, *statements: str) -> None:
    """Change the journal and make the tree, and all checkpoints, anew from it."""
    sql(house.journal_file(), *statements)
    (house.collector / "tree.db").unlink()
    shutil.rmtree(house.collector / "checkpoints")
    go_on(house)


BEGINS = "the tree does not begin with the 23 leaves of tick"
REWRITTEN = {
    "a receipt back-dated": (f"UPDATE entry SET received_ns = received_ns - 1 WHERE {at(3)}", BEGINS),
    "a batch taken out": (f"DELETE FROM entry WHERE {at(3)}", BEGINS),
    "the end cut off": ("DELETE FROM entry WHERE position > 12 AND kind = 'batch'", "23 leaves at tick 2026-11-01T06:"),
}


@pytest.mark.parametrize("how", REWRITTEN)
def test_a_rewritten_past_is_refused_and_provable(house: House, tmp_path: Path, capsys: Capture, how: str) -> None:
    """Whoever has the disk and the collector's key makes journal, tree and checkpoints anew: the witness knows."""
    statement, said_so = REWRITTEN[how]
    with served(tmp_path / "w", house) as server:
        go_on(house, 3)
        courier(house, https(server)).look()
        rewrite(house, statement)
        for lost in (False, True):
            if lost:
                shutil.rmtree(house.collector / "witnesses")
            at_work = courier(house, https(server))
            at_work.look()
            if not lost:  # the newest tick is the one that the witness has; the next one tells
                go_on(house, 4)
                at_work.look()
            problem = next(text for text in at_work.problems() if "harbour" in text)
            assert "witness authority contradicts this collector" in problem
    holds = next((tmp_path / "w").glob("*-harbour.txt"))
    assert held(holds) == [23]
    assert "harbour" in (tmp_path / "w" / "refused.txt").read_text()
    code, said = verify(house.export(), capsys, "--witness", str(holds))
    assert code == 1
    assert f"BROKEN witness: {said_so}" in said, said


def test_what_the_witness_has_kept_outlives_a_crash(house: House, tmp_path: Path) -> None:
    with served(tmp_path / "w", house) as server:
        courier(house, https(server)).look()
    mine, record = next((tmp_path / "w").glob("*-harbour.txt")), house.collector / "witnesses/authority/harbour.txt"
    go_on(house, 3)
    for file in (mine, record):
        whole = file.read_text()
        for cut in (1, 40, 200):
            file.write_text(whole + whole[:-cut])
            with served(tmp_path / "w", house) as server:
                at_work = courier(house, https(server))
                if (file, cut) == (record, 200):
                    at_work.look()
                assert at_work.problems() == []
            assert held(file)[0] == 11
    assert held(mine) == held(record) == [11, 23]


def test_a_witness_that_is_away_or_does_not_sign_is_told(house: House, tmp_path: Path) -> None:
    with served(tmp_path / "w", house, collectors=["ab" * 32]) as server:
        settings = https(server)
        at_work = courier(house, settings)
        at_work.look()
        assert "answers 404" in at_work.problems()[0]
        assert "does it know this collector's public key?" in at_work.problems()[0]
    at_work.look()
    assert "cannot be reached" in at_work.problems()[0]
    assert at_work.health()["authority"]["plants"]["harbour"]["batches"] == 0
    with serving(HookSink()) as sink:  # anything that takes a POST in, unless its key is asked for
        url = f"http://{sink.address}"
        for key, signed in ((settings.key, False), (None, True)):
            plain = WitnessSettings(id="hook", kind="https", plants=("harbour",), url=url, allow_private=True, key=key)
            at_work = courier(house, plain)
            at_work.look()
            assert (at_work.problems() == []) is signed
        request = read_request(sink.posts[0][2])
    assert sink.posts[0][0][1] == "/add-checkpoint"
    name = {public_hex(house.key)[:16]: house.key.public_key()}
    assert judge(request, None, name).status == 200


def test_a_folder_gets_every_checkpoint_and_no_folder_is_made(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "share"
    at_work = courier(house, WitnessSettings(id="usb", kind="file", plants=("harbour",), path=str(folder)))
    at_work.look()
    assert "is it mounted?" in at_work.problems()[0]
    folder.mkdir()
    go_on(house, 3)
    at_work.look()
    assert at_work.problems() == []
    assert (folder / "harbour.txt").read_text() == (house.collector / "checkpoints" / "harbour.txt").read_text()
    (folder / "harbour.txt").write_text("another text")
    go_on(house, 4)
    at_work.look()
    assert "contradicts this collector" in at_work.problems()[0]


def test_a_mailbox_gets_the_checkpoints_since_the_last_mail(house: House, tmp_path: Path, capsys: Capture) -> None:
    with serving(MailSink("later")) as sink:
        channel = Channel(id="mail", kind="email", smtp=sink.address, sender="emitwatch@example.com")
        settings = WitnessSettings(id="box", kind="email", plants=("harbour",), every_h=2, address="a@b.example",
                                   channel=channel)  # fmt: skip
        at_work = courier(house, settings)
        at_work.look()
        assert "451 try later" in at_work.problems()[0]
        at_work.look()
        assert at_work.problems() == []
        for hour in (3, 4):
            go_on(house, hour)
            at_work.look()
        mails = [email.message_from_bytes(raw, policy=email.policy.default) for raw in sink.mails]
    assert [mail["subject"].split(", ")[1] for mail in mails] == ["11 batches", "23 batches"]
    text, proof = (part.get_payload(decode=True).decode() for part in mails[1].iter_attachments())
    assert [read_note(note).size for note in notes(text)] == [17, 23]
    first = read_note(notes(next(iter(mails[0].iter_attachments())).get_payload(decode=True).decode())[-1])
    answer = judge(read_request(proof.encode()), first, {public_hex(house.key)[:16]: house.key.public_key()})
    assert (answer.status, answer.taken) == (200, read_note(notes(text)[-1]))
    (tmp_path / "mail.txt").write_text(text)
    assert verify(house.export(), capsys, "--witness", str(tmp_path / "mail.txt"))[0] == 0


def test_it_looks_by_itself(house: House, tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    settings = WitnessSettings(id="usb", kind="file", plants=("harbour",), path=str(tmp_path / "share"))
    at_work = Witnesses([settings], house.collector, look_s=0.01)
    at_work.start()
    until(lambda: at_work.health()["usb"]["plants"]["harbour"]["batches"])
    at_work.stop()
    assert len(read_kept(house.tree).notes["harbour"]) == len(notes((tmp_path / "share" / "harbour.txt").read_text()))
