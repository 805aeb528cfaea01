"""The acceptance sheet: what it says, that it says what is open, that its bytes hang on nothing else, and its hash."""

from __future__ import annotations

import base64
import hashlib
import json
import pickle
import re
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api import mark_schemas, schemas
from api.acceptance import Bad, Good, Section, Sheet, Told, acceptance
from api.cli import main
from api.loopcheck import Injection, Record, Stage, Verdict, Where
from api.open_points import open_points
from api.sheet import pdf
from api.sheet_words import LANGUAGES, WORDS, Words
from api.times import format_time
from gateway import catalogue
from gateway.measurement import SECOND_NS
from gateway.sensors import Sensor, resolve
from gateway.settings import Site
from tests.api.line import AUTHORS, Line, small_site, wait_until
from tests.effort import examples

EN, ZH = Words("en"), Words("zh")
DAY = {"from": "2026-11-21T08:00:00Z", "to": "2026-11-22T08:00:00Z"}
RUNS = {"hash": "4e" * 32, "problem": "", "since_ns": 1_795_000_000 * 10**9}


def drawn(file: bytes) -> str:
    """The instructions on the pages of a PDF."""
    streams = re.findall(rb"stream\r?\n(.*?)endstream", file, re.DOTALL)
    return "".join(zlib.decompress(base64.a85decode(one.strip(), adobe=False)).decode("latin-1")
                   for one in (found.strip().removesuffix(b"~>") for found in streams))  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    (found,) = catalogue.load_sites(str(small_site(tmp_path_factory.mktemp("site"), ("fence-north",))))
    return found


@pytest.fixture(scope="module")
def sensors(site: Site) -> tuple[Sensor, ...]:
    return resolve(site, catalogue.profiles(), catalogue.parameters())[0]


def loopcheck(parameter: str = "LAeq", *, passed: bool = True, began: str = "2026-11-22T01:00:00Z") -> dict[str, Any]:
    verdict = Verdict.AGREES if passed else Verdict.DEPARTS
    stages = tuple(Stage(stage=stage, verdict=verdict, source="", value=94.1, difference=0.1) for stage in Where)
    one = Injection(injected=94.0, entered="94", tolerance=0.5, began=began, passed=passed, stages=stages)
    record = Record(
        plant="riverside", point="fence-north", sensor="slm-north", parameter=parameter, unit="dB(A)",
        profile="emitwatch-noise", link="tcp://127.0.0.1:5020?unit=1", tolerance="as given", began=began, ended=began,
        passed=passed, injections=(one,),
    )  # fmt: skip
    found: dict[str, Any] = msgspec.to_builtins(record)
    return found


def sound(*, passed: bool = True, id: int = 7) -> dict[str, Any]:
    check = {"level": 94.0, "as_found": 94.2, "as_left": 94.0, "passed": passed}
    return {"id": id, "sensor": "slm-north", "to": f"2026-11-2{id % 2}T07:00:00Z", "author": "li.na",
            "revoked_by": None, "sound_check": check, "swap": None}  # fmt: skip


def told(**said: Any) -> Told:
    """What is told of a fence where all is well."""
    limit = {"pack": "gb12348-2008", "clause": "night-level", "cite": "GB 12348-2008 4.1.1", "limit": 50.0, "low": None,
             "unit": "dB(A)", "window": "night", "period": "night", "standing": "evidence", "verified": True,
             "title": {"en": "Night level", "zh": "夜间厂界噪声"}}  # fmt: skip
    point = {"commissioning": False, "rules": [{"id": "gb12348-2008", "title": {"en": "Boundary", "zh": "厂界"}}],
             "parameters": [{"code": "LAeq", "limits": [limit]}]}  # fmt: skip
    covered = {"sensor": "slm-north", "unit": "dB(A)", "awaited": 17280, "received": 17280, "good": 17270, **DAY,
               "coverage": 0.9994, "newest": DAY["to"]}  # fmt: skip
    gateway = {"trusted": True, "public_key": "cd" * 32, "received_ns": RUNS["since_ns"], "clock_wrong": False,
               "configuration": RUNS}  # fmt: skip
    fields: dict[str, Any] = {
        "made": DAY["to"], "by": "li.na", "point": point, "version": "9.9", "hashes": {"riverside-gw": "4e" * 32},
        "health": {"problems": [], "public_key": "ab" * 32, "version": "9.8", "gateways": {"riverside-gw": gateway}},
        "instruments": [{"sensor": "slm-north", "serial": "00831274", "to": None, "site_serial": ""}],
        "coverage": [{**covered, "parameter": name} for name in ("LAeq", "LAFmax")], "commissioning": [],
        "marks": [sound()], "loopchecks": [loopcheck("LAeq"), loopcheck("LAFmax")],
    }  # fmt: skip
    return Told(**fields | said)


def of(site: Site, sensors: tuple[Sensor, ...], all: Told, words: Words = EN) -> Sheet:
    (point,) = site.points
    return acceptance(site, point, sensors, all, open_points(point, sensors, all, words), words)


def cells(sheet: Sheet) -> list[str]:
    return [cell for section in sheet.sections for row in section.rows for cell in row]


@pytest.mark.parametrize("words", [EN, ZH], ids=LANGUAGES)
def test_a_point_where_all_is_well_has_nothing_open(site: Site, sensors: tuple[Sensor, ...], words: Words) -> None:
    sheet = of(site, sensors, told(), words)
    assert sheet.open == ()
    found = cells(sheet)
    assert not [cell for cell in found if isinstance(cell, Bad)]
    assert {"00831274", "4e" * 32, "cd" * 32, "ab" * 32, "99.94%", "≤ 50 dB(A)", "section 1.1, register 0"} <= set(
        found
    )
    assert "tcp://127.0.0.1:5021?unit=1" in found
    assert sum(isinstance(cell, Good) for cell in found) == 6 + 1 + 3  # stages, the sound check, the gateway
    assert not [cell for cell in found if "_" in cell and cell in WORDS], "a key stands where a word should"
    assert all(len(section.widths) == len(row) for section in sheet.sections for row in section.rows)
    assert {round(sum(section.widths), 6) for section in sheet.sections} == {1.0}
    assert pdf(sheet).startswith(b"%PDF-1.")


GATEWAY = told().health["gateways"]["riverside-gw"]


def gateway(**said: Any) -> dict[str, Any]:
    return {"health": {**told().health, "gateways": {"riverside-gw": {**GATEWAY, **said}}}}


OPEN: dict[str, tuple[dict[str, Any], str]] = {
    "silent": ({"point": {**told().point, "commissioning": True}}, "The point is in commissioning"),
    "no key": (gateway(trusted=False), "Gateway riverside-gw: its key is not known"),
    "not approved": (gateway(configuration={**RUNS, "problem": "it is not signed"}), "not approved: it is not signed"),
    "changed": (gateway(configuration={**RUNS, "hash": "ee" * 32}), "measures by another configuration than"),
    "clock": (gateway(clock_wrong=True), "its clock is wrong"),
    "collector": ({"health": {**told().health, "problems": ["no connection"]}}, "The collector says: no connection"),
    "no data": ({"coverage": [{**told().coverage[0], "good": 0}]}, "slm-north: no good value of LAeq"),
    "no loop check": ({"loopchecks": []}, "slm-north: no loop check of LAeq, LAFmax."),
    "loop check failed": ({"loopchecks": [loopcheck(passed=False, began="2026-11-22T02:00:00Z"), loopcheck(),
                                          loopcheck("LAFmax")]}, "slm-north: the loop check of LAeq failed."),
    "no sound check": ({"marks": []}, "slm-north: no sound check is on record."),
    "sound check failed": ({"marks": [sound(), sound(passed=False, id=8)]}, ""),
    "sound check taken back": ({"marks": [{**sound(), "revoked_by": 9}]}, "slm-north: no sound check is on record."),
    "sound check failed last": ({"marks": [sound(id=6), sound(passed=False)]}, "its last sound check failed."),
    "swapped since": ({"marks": [sound(), {**sound(id=9), "sound_check": None, "swap": {
        "serial": "N", "old_serial": "", "as_found": 1.0, "as_left": 1.0, "reference": None, "unit": "dB"}}]},
        "slm-north: no sound check is on record."),
    "no serial": ({"instruments": []}, "slm-north: no serial number is known."),
    "other serial": ({"instruments": [{**told().instruments[0], "site_serial": "X"}]}, "00831274, the site file X."),
}  # fmt: skip


@pytest.mark.parametrize("case", OPEN)
def test_what_is_missing_or_failed_stands_on_the_first_page(site: Site, sensors: tuple[Sensor, ...], case: str) -> None:
    said, sentence = OPEN[case]
    for words in (EN, ZH):
        sheet = of(site, sensors, told(**said), words)
        assert len(sheet.open) == bool(sentence), sheet.open
        pdf(sheet)
    assert sentence in "".join(of(site, sensors, told(**said)).open)


def test_unverified_profiles_and_clauses_are_open(site: Site, sensors: tuple[Sensor, ...]) -> None:
    doubted = tuple(replace(one, profile=replace(one.profile, unverified=("the scale",))) for one in sensors)
    assert of(site, doubted, told()).open == ("slm-north: of its profile nobody has verified: the scale.",)
    limit = {**told().point["parameters"][0]["limits"][0], "verified": False}
    found = of(site, sensors, told(point={**told().point, "parameters": [{"code": "LAeq", "limits": [limit]}]}))
    assert found.open == ("gb12348-2008/night-level: the clause is not verified in the primary text.",)


def test_the_times_of_commissioning_are_told(site: Site, sensors: tuple[Sensor, ...]) -> None:
    silent = [
        {"from": "2026-11-20T00:00:00Z", "to": "2026-11-21T00:00:00Z"},
        {"from": "2026-11-22T00:00:00Z", "to": None},
    ]
    found = "".join(cells(of(site, sensors, told(commissioning=silent))))
    assert "2026-11-20 08:00:00 to 2026-11-21 08:00:00: nobody was told of incidents" in found
    assert "2026-11-22 08:00:00 until now: nobody is told" in found


SHEET = Sheet(
    language="en", title="Acceptance sheet", name="Mill <&> 厂界", made="now", open=("one",), proof="SHA-256",
    foot="foot", sections=(Section("Part", ("a", "b"), tuple((str(n), "x" * 90) for n in range(120)), (0.5, 0.5)),),
)  # fmt: skip


def test_the_same_content_gives_the_same_bytes_in_another_process() -> None:
    code = "import sys, pickle, api.sheet as s; sys.stdout.buffer.write(s.pdf(pickle.load(sys.stdin.buffer)))"
    there = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(SHEET), capture_output=True, check=True, timeout=60,
        env={"PYTHONHASHSEED": "7", "PYTHONPATH": ".", "TZ": "Asia/Shanghai"},
    )  # fmt: skip
    assert there.stdout == pdf(SHEET)
    assert pdf(SHEET) != pdf(replace(SHEET, made="then"))


def test_every_page_says_which_of_how_many_it_is() -> None:
    said = drawn(pdf(SHEET))
    assert "(Acceptance sheet)" in said
    pages = re.findall(r"\(page (\d) of (\d)\)", said)
    assert len(pages) > 2
    assert pages == [(str(n), str(len(pages))) for n in range(1, len(pages) + 1)]


@given(st.text(max_size=300), st.sampled_from(LANGUAGES))
@settings(max_examples=examples(25))
def test_any_text_can_be_set(text: str, language: str) -> None:
    section = Section(text, (text,), ((text,), (Bad(text),)), (1.0,))
    made = pdf(replace(SHEET, language=language, name=text, open=(text,), sections=(section,)))
    assert made.endswith(b"%%EOF\n")


def test_every_word_is_there_in_both_languages_with_the_same_blanks() -> None:
    for key, (english, chinese) in WORDS.items():
        assert english
        assert chinese
        assert sorted(re.findall(r"{\d}", english)) == sorted(re.findall(r"{\d}", chinese)), key


# --- over a real line --------------------------------------------------------------------------------


@pytest.fixture
def line(fence: Line) -> Line:
    return fence


@pytest.fixture
def words(line: Line, tmp_path: Path) -> list[str]:
    key = tmp_path / "li.key"
    key.write_text(AUTHORS["li.na"].private_bytes_raw().hex())
    key.chmod(0o600)
    return ["--author", "li.na", "--key", str(key), "--url", line.url.rstrip("/")]


def test_a_sheet_is_made_filed_verified_and_taken_back(
    line: Line, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site, file, check = str(line.folder / "site.toml"), tmp_path / "fence.pdf", tmp_path / "loop.json"
    check.write_text(json.dumps(loopcheck()))
    asked = ["sheet", site, "fence-north", "--out", str(file), *words]
    assert main([*asked, "--loopcheck", str(check), "--language", "zh", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert "slm-north：LAFmax 无回路检查结果。" in said["open"]
    assert list(tmp_path.glob("*.part")) == []
    assert main(asked) == 2
    assert "is not written over" in capsys.readouterr().err

    def filed() -> list[dict[str, Any]]:
        with line.client() as client:
            answer = client.get("marks", params={"kind": "sheet"})
        schemas.Page[mark_schemas.Mark].model_validate_json(answer.content, strict=True)
        return answer.json()["items"]

    wait_until(lambda: bool(filed()), 40, "not listed")
    (mark,) = filed()
    assert mark["sheet"] == {"name": "fence.pdf", "bytes": file.stat().st_size, "sha256": said["sha256"]}
    look = ["sheet", site, "--url", line.url.rstrip("/"), "--verify"]
    assert main([*look, str(file)]) == 0
    assert f"the file that was filed as mark {mark['id']} of riverside/fence-north" in capsys.readouterr().out
    other = tmp_path / "other.pdf"
    other.write_bytes(file.read_bytes()[:-1] + b"!")
    assert main([*look, str(other)]) == 1
    assert "not what was filed" in capsys.readouterr().err
    assert main([*look, str(tmp_path / "none.pdf")]) == 2
    assert main(["mark", site, "--revoke", str(mark["id"]), "--reason", "wrong point", *words]) == 0
    wait_until(lambda: filed()[0]["revoked_by"] is not None, 40, "not taken back")
    assert main([*look, str(file)]) == 1
    assert f"it was filed as mark {mark['id']}, and taken back" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "code", "why"),
    [
        (["--language", "de"], 2, "there is en and zh"), (["--author", "nobody"], 2, "no [[author]] 'nobody'"),
        (["--key", "/dev/null/x"], 1, "it is not the key of author li.na"),
        (["--url", "http://127.0.0.1:1"], 2, "http://127.0.0.1:1: "),
        (["--plant", "elsewhere"], 2, "of plant elsewhere"),
    ],
)  # fmt: skip
def test_where_it_cannot_be_filed_there_is_no_file(
    line: Line,
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: list[str],
    code: int,
    why: str,
) -> None:
    out = tmp_path / "fence.pdf"
    assert main(["sheet", str(line.folder / "site.toml"), "fence-north", "--out", str(out), *words, *change]) == code
    assert why in capsys.readouterr().err
    assert not out.exists()


def test_a_loop_check_of_another_point_is_refused(
    line: Line, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "loop.json"
    asked = ["sheet", str(line.folder / "site.toml"), "fence-north", "--loopcheck", str(file), *words,
             "--out", str(tmp_path / "x.pdf")]  # fmt: skip
    for text, why in (
        (json.dumps({**loopcheck(), "point": "fence-south"}), "it is of riverside/fence-south, not of"),
        ("{", "no loop check"), ("[]", "no loop check"),
    ):  # fmt: skip
        file.write_text(text)
        assert main(asked) == 1
        assert why in capsys.readouterr().err
    assert main(["sheet", str(line.folder / "site.toml"), "moon", *words]) == 2
    assert "no [[point]] 'moon' in the site file; there are: fence-north" in capsys.readouterr().err


def test_coverage_counts_what_is_good(line: Line) -> None:
    with line.client() as client:
        asked = {"plant": "riverside", "point": "fence-north"}
        day = {"from": format_time(line.now_ns - 24 * 3600 * SECOND_NS), "to": format_time(line.now_ns)}
        answer = client.get("coverage", params=asked | day)
        schemas.Page[mark_schemas.Coverage].model_validate_json(answer.content, strict=True)
        items = answer.json()["items"]
        assert {(one["sensor"], one["parameter"]) for one in items} == {("slm-north", "LAeq"), ("slm-north", "LAFmax")}
        for one in items:
            assert (one["interval_s"], one["awaited"]) == (5.0, 17280)
            assert 17_000 < one["good"] <= one["received"] <= 17280
            assert one["coverage"] == pytest.approx(one["good"] / one["awaited"], abs=1e-4)
        long = {"from": "2026-11-01T00:00:00Z", "to": "2026-11-04T00:00:00Z"}
        assert client.get("coverage", params=asked | long).status_code == 422
