"""Marks over the interface of a real line: taken, shown beside what was measured, judged by, taken back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from api import mark_schemas, schemas
from api.cli import main
from api.times import format_time, parse_time
from collector.marks import Kind, Mark, Named, Old, sign
from gateway import seal
from gateway.measurement import SECOND_NS
from tests.api.line import AUTHORS, Line, wait_until

MINUTE_NS = 60 * SECOND_NS
PLACE = {"plant": "riverside", "point": "fence-north"}
BYTES = {"Content-Type": "application/octet-stream"}
LI = AUTHORS["li.na"]


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """A line of one's own: marks change what is judged."""
    made = Line(tmp_path_factory.mktemp("line"), points=("fence-north",))
    yield made
    made.close()


@pytest.fixture
def client(line: Line) -> Iterator[httpx.Client]:
    with line.client() as client:
        yield client


@dataclass
class Desk:
    """An author at work."""

    line: Line
    client: httpx.Client

    def mark(self, from_ns: int, to_ns: int, **said: Any) -> Mark:
        span = {"from": format_time(from_ns), "to": format_time(to_ns)}
        basis = self.client.get("marks/basis", params=PLACE | span).raise_for_status()
        mark_schemas.MarkBasis.model_validate_json(basis.content, strict=True)
        named = {"old": Old(**basis.json()["old"]), "prev": basis.json()["prev"]}
        told = {"kind": "invalid", "reason": "a crow on the microphone", "author": "li.na", "role": "plant"}
        fields = {**PLACE, **named, **told, "from_ns": from_ns, "to_ns": to_ns, "made_ns": time.time_ns(), **said}
        return msgspec.convert(fields, Mark)

    def post(self, mark: Mark, key: Ed25519PrivateKey = LI) -> httpx.Response:
        return self.raw(sign(mark, key))

    def raw(self, payload: bytes) -> httpx.Response:
        return self.client.post("marks", content=payload, headers=BYTES)

    def take(self, from_ns: int, to_ns: int, **said: Any) -> int:
        answer = self.post(self.mark(from_ns, to_ns, **said))
        assert answer.status_code == 201, answer.text
        mark_schemas.Filed.model_validate_json(answer.content, strict=True)
        id = answer.json()["id"]
        self.shown(id)
        return id

    def revoke(self, id: int) -> int:
        item = self.shown(id)
        spoken = {name: item[name] for name in ("point", "parameter", "sensor")}
        return self.take(parse_time(item["from"]), parse_time(item["to"]), **spoken, kind="revocation",
                         reason="it was the wrong hour", old=item["old"],
                         revokes={"position": id, "sha256": item["sha256"]})  # fmt: skip

    def shown(self, id: int) -> dict[str, Any]:
        wait_until(lambda: any(i["id"] == id for i in self.items("marks")), 40, f"mark {id} is not listed")
        wait_until(lambda: self.line.evaluator.cursor() >= self.line.journal.last, 40, "not judged")
        return next(i for i in self.items("marks") if i["id"] == id)

    def items(self, path: str, **query: Any) -> list[dict[str, Any]]:
        answer = self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]

    def levels(self, from_ns: int, to_ns: int) -> list[dict[str, Any]]:
        span = {"from": format_time(from_ns), "to": format_time(to_ns)}
        return self.items("measurements", **PLACE, parameter="LAeq", **span)


@pytest.fixture
def desk(line: Line, client: httpx.Client) -> Desk:
    return Desk(line, client)


def minute(line: Line, ago: int) -> int:
    return line.now_ns // MINUTE_NS * MINUTE_NS - ago * MINUTE_NS


def test_an_invalid_minute_stays_as_measured_and_is_judged_without(desk: Desk, line: Line) -> None:
    at = minute(line, 30)
    before = desk.levels(at - MINUTE_NS, at + 2 * MINUTE_NS)
    average = {"from": format_time(at), "to": format_time(at + 1)} | PLACE | {"parameter": "LAeq", "window": "1m"}
    (old,) = desk.items("averages", **average)
    id = desk.take(at, at + MINUTE_NS, parameter="LAeq")
    after = desk.levels(at - MINUTE_NS, at + 2 * MINUTE_NS)
    for was, now in zip(before, after, strict=True):
        inside = at <= parse_time(was["time"]) < at + MINUTE_NS
        assert now == was | ({"marked": "invalid", "mark": id} if inside else {})
    (new,) = desk.items("averages", **average)
    assert (old["valid"], old["marks"], new["value"], new["valid"]) == (True, [], None, False)
    assert (new["version"], new["marks"]) == (old["version"] + 1, [id])
    desk.revoke(id)
    assert desk.levels(at - MINUTE_NS, at + 2 * MINUTE_NS) == before
    (again,) = desk.items("averages", **average)
    assert (again["value"], again["marks"], again["version"]) == (old["value"], [], old["version"] + 2)


def test_a_correction_shows_both_values(desk: Desk, line: Line) -> None:
    at = minute(line, 40)
    average = {"from": format_time(at), "to": format_time(at + 1)} | PLACE | {"parameter": "LAeq", "window": "1m"}
    (old,) = desk.items("averages", **average)
    id = desk.take(at, at + MINUTE_NS, kind="correction", parameter="LAeq", offset=-3.0, reason="wrong calibrator")
    for item in desk.levels(at, at + MINUTE_NS):
        assert (item["marked"], item["mark"], item["status"]) == ("correction", id, "ok")
        assert item["corrected"] == pytest.approx(item["value"] - 3)
    (new,) = desk.items("averages", **average)
    assert new["value"] == pytest.approx(old["value"] - 3)
    first = parse_time(desk.levels(at, at + MINUTE_NS)[0]["time"])
    later = desk.take(at, at + MINUTE_NS, kind="correction", parameter="LAeq", values=[[first, 44.5]], reason="logbook")
    items = desk.levels(at, at + MINUTE_NS)
    assert (items[0]["corrected"], items[0]["mark"], items[1]["mark"]) == (44.5, later, id)


def test_an_exceedance_is_withdrawn_with_its_history_kept_and_comes_back(desk: Desk, line: Line) -> None:
    found = next(e for e in desk.items("exceedances", **PLACE, clause="night-level") if e["change"] != "withdrawn")
    span = parse_time(found["from"]), parse_time(found["to"])
    id = desk.take(*span, kind="maintenance", reason="sound level meter in the workshop")

    def newest() -> dict[str, Any]:
        return next(e for e in desk.items("exceedances", **PLACE, clause="night-level") if e["from"] == found["from"])

    wait_until(lambda: newest()["change"] == "withdrawn", 40, "the exceedance stands")
    trail = desk.client.get(f"evidence/{newest()['id']}")
    schemas.Trail.model_validate_json(trail.content, strict=True)
    assert [mark["id"] for mark in trail.json()["marks"]] == [id]
    assert trail.json()["evidence"]["withdrawn_under"] == [id]
    versions = line.book.exceedances(plant="riverside", point="fence-north", clause="night-level", from_ns=span[0],
                                     to_ns=span[0] + 1)  # fmt: skip
    assert [row.exceedance.change.value for row in versions] == ["opened", "withdrawn"]
    assert [row.exceedance.value for row in versions] == [found["value"]] * 2
    desk.revoke(id)
    wait_until(lambda: newest()["change"] == "opened", 40, "the exceedance does not come back")
    assert newest()["value"] == found["value"]


def test_a_note_changes_nothing(desk: Desk, line: Line) -> None:
    at = minute(line, 50)
    before = desk.levels(at, at + MINUTE_NS)
    id = desk.take(at, at + MINUTE_NS, kind="note", reason="fireworks in the village")
    assert desk.levels(at, at + MINUTE_NS) == before
    item = desk.shown(id)
    assert (item["kind"], item["reason"], item["revoked_by"]) == ("note", "fireworks in the village", None)


def test_the_same_mark_is_taken_once(desk: Desk, line: Line) -> None:
    payload = sign(desk.mark(minute(line, 60), minute(line, 59), kind="note"), LI)
    first, second = desk.raw(payload), desk.raw(payload)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    assert (first.json()["new"], second.json()["new"]) == (True, False)


def test_marks_are_listed_page_by_page(desk: Desk, line: Line) -> None:
    ids = [desk.take(minute(line, 70 + n), minute(line, 69 + n), kind="note") for n in range(3)]
    answer = desk.client.get("marks", params=PLACE)
    page = schemas.Page[mark_schemas.Mark].model_validate_json(answer.content, strict=True)
    assert [item.id for item in page.items][-3:] == ids
    found, cursor = [], ""
    while cursor is not None:
        part = desk.client.get("marks", params=PLACE | {"limit": 2, "cursor": cursor}).json()
        found, cursor = found + [item["id"] for item in part["items"]], part["next"]
    assert found == [item.id for item in page.items]
    span = {"from": format_time(minute(line, 71)), "to": format_time(minute(line, 70))}
    assert ids[1] in [item["id"] for item in desk.items("marks", **PLACE, **span)]
    assert ids[0] not in [item["id"] for item in desk.items("marks", **PLACE, **span)]


STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
REFUSED = {
    "another's key": ({}, STRANGER, 403, "the signature does not fit"),
    "nobody": ({"author": "nobody"}, LI, 403, "is no author of plant"),
    "retired": ({"author": "old.hand"}, AUTHORS["old.hand"], 403, "is retired"),
    "another role": ({"role": "admin"}, LI, 403, "has role 'plant'"),
    "another plant": ({"plant": "elsewhere"}, LI, 404, "there is no plant 'elsewhere'"),
    "another point": ({"point": "moon"}, LI, 404, "no point 'moon'"),
    "another parameter": ({"parameter": "NOX"}, LI, 422, "has no parameter 'NOX'"),
    "another sensor": ({"sensor": "slm-south"}, LI, 422, "has no sensor 'slm-south'"),
    "back-dated": ({"made_ns": time.time_ns() - 3600 * SECOND_NS}, LI, 422, "s from the collector's time"),
    "kept for later": ({"made_ns": time.time_ns() + 3600 * SECOND_NS}, LI, 422, "s from the collector's time"),
    "far ahead": ({"to_ns": time.time_ns() + 40 * 86400 * SECOND_NS,
                   "from_ns": time.time_ns() + 39 * 86400 * SECOND_NS}, LI, 422, "31 days ahead"),
    "not the mark before": ({"prev": "00" * 32}, LI, 409, "another mark of the plant came first"),
    "not what is there": ({"old": Old(1, 0, "00" * 32)}, LI, 409, "the journal holds something else"),
    "not there yet": ({"old": Old(2**40, 0, "00" * 32)}, LI, 409, "the journal holds something else"),
    "of no mark": ({"kind": "revocation", "revokes": Named(7, "00" * 32)}, LI, 422, "there is no such mark"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_with_the_reason(desk: Desk, line: Line, case: str) -> None:
    change, key, status, said = REFUSED[case]
    mark = desk.mark(minute(line, 90), minute(line, 89), kind="invalid")
    last = line.journal.last
    change = {name: Kind(value) if name == "kind" else value for name, value in change.items()}
    answer = desk.post(msgspec.structs.replace(mark, **change), key)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert said in answer.json()["detail"], answer.text
    assert line.journal.last == last


@pytest.mark.parametrize(
    ("payload", "status"),
    [(b"", 422), (b"x" * 66, 422), (seal.seal_mark(b"{}", LI), 422), (seal.seal_mark(b"[" * 9000, LI), 422),
     (b"x" * 70_000, 413), (seal.seal_mark(b'{"plant": "\xff"}', LI), 422)],
)  # fmt: skip
def test_any_bytes_get_a_problem(desk: Desk, payload: bytes, status: int) -> None:
    answer = desk.raw(payload)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text


def test_a_mark_is_taken_back_once(desk: Desk, line: Line) -> None:
    id = desk.take(minute(line, 100), minute(line, 99))
    back = desk.revoke(id)
    assert desk.shown(id)["revoked_by"] == back
    item = desk.shown(id)
    twice = {"kind": "revocation", "revokes": {"position": id, "sha256": item["sha256"]}, "old": item["old"]}
    answer = desk.post(desk.mark(minute(line, 100), minute(line, 99), **twice))
    assert (answer.status_code, "taken back already" in answer.text) == (409, True)


def test_the_command_makes_signs_and_hands_over(line: Line, desk: Desk, tmp_path: Path, capsys: Any) -> None:
    key, site = tmp_path / "li.key", str(line.folder / "site.toml")
    assert main(["mark", "key", str(key), "--author", "wu"]) == 0
    assert key.stat().st_mode & 0o777 == 0o600
    assert 'id = "wu"\nrole = "plant"\npublic_key = "' in capsys.readouterr().out
    span = ["--from", format_time(minute(line, 110)), "--to", format_time(minute(line, 109))]
    common = [site, "--author", "li.na", "--key", str(key), "--url", line.url.rstrip("/"), "--reason", "calibration"]
    assert main(["mark", *common, *span, "--point", "fence-north", "--kind", "calibration"]) == 1
    assert "it is not the key of author li.na" in capsys.readouterr().err
    key.write_text(LI.private_bytes_raw().hex())
    assert main(["mark", *common, *span, "--point", "fence-north", "--kind", "calibration"]) == 0
    said = capsys.readouterr().out
    id = int(said.split()[1].rstrip(":"))
    assert said == f"mark {id}: calibration of riverside/fence-north, signed by li.na\n"
    assert desk.shown(id)["kind"] == "calibration"
    assert main(["mark", *common, "--revoke", str(id)]) == 0
    assert desk.shown(id)["revoked_by"]
    table = tmp_path / "values.csv"
    table.write_text(f"time,value\n{format_time(minute(line, 110))},51.5\n")
    correction = ["--point", "fence-north", "--parameter", "LAeq", "--kind", "correction", "--values", str(table)]
    assert main(["mark", *common, *span, *correction]) == 0
    capsys.readouterr()
    assert main(["mark", *common, *span, "--point", "moon"]) == 1
    assert "not taken (404): plant 'riverside' has no point 'moon'" in capsys.readouterr().err
    assert main(["mark", *common, "--revoke", "3"]) == 1
    assert "has no mark 3" in capsys.readouterr().err
    assert main(["mark", *[w if w != "li.na" else "me" for w in common], *span]) == 2
    assert "no [[author]] 'me' in the site file; there are: li.na, old.hand" in capsys.readouterr().err
    common[6] = "http://127.0.0.1:1"
    assert main(["mark", *common, *span, "--point", "fence-north"]) == 2
    assert "http://127.0.0.1:1: " in capsys.readouterr().err
