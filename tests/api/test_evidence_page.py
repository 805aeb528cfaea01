"""The evidence of an exceedance as a page of its own: complete, safe, in both languages, and true to the JSON."""

from __future__ import annotations

import hashlib
import re
from html.parser import HTMLParser
from typing import Any, get_args

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api import schemas
from api.assets import load_assets
from api.evidence_page import evidence_page
from api.evidence_parts import drawing
from api.markup import VOID, Markup, style_hash, table, tag, text
from api.times import parse_time
from api.told import LANGUAGES, Told, parse_words, preferred
from api.trail_schemas import Cause
from collector.verdicts.pack import CORRECTED, ROUNDINGS, STATISTICS
from collector.verdicts.screening import REASONS
from collector.verdicts.windows import KINDS
from gateway.parameters import AVERAGES
from tests.api.line import Line, wait_until
from tests.api.test_marks import PLACE, Desk
from tests.effort import examples

_, ASSETS = load_assets()
WORDS = parse_words(ASSETS["words.js"].body.decode())
STYLE = ASSETS["print.css"].body.decode()
EVIL = '<img src=x onerror="alert(1)">&\'</style><script>'


class Strict(dict[str, tuple[str, str]]):
    """Words, of which every one that is wanted must be there."""

    def get(self, key: str, default: Any = None) -> Any:
        assert key in self, f"no word {key!r}"
        return self[key]


class Reader(HTMLParser):
    """Reads a page as a browser does; elements must close in the order they opened."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.said.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.said)


def exceedances(client: httpx.Client) -> list[dict[str, Any]]:
    return client.get("exceedances").json()["items"]


def page(trail: dict[str, Any], language: str = "en") -> str:
    told = Told(words=Strict(WORDS), language=language, timezone="Asia/Shanghai")
    return evidence_page(trail, told, plant={"en": "P", "zh": "厂"}, point="x", style=STYLE, version="1", made=NOON)


NOON = "2026-11-21T04:00:00Z"


# --- over a real line ------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_of_exceedance_has_its_page(client: httpx.Client, language: str) -> None:
    newest = {item["clause"]: item for item in exceedances(client)}
    assert {"nox-hour", "night-level", "night-peak"} <= set(newest)
    for item in newest.values():
        answer = client.get(f"evidence/{item['id']}.html", params={"lang": language})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        trail = client.get(f"evidence/{item['id']}").json()
        read = Reader(answer.text)
        assert read.tags[0][1]["lang"] == {"en": "en", "zh": "zh-CN"}[language]
        evidence = trail["evidence"]
        for told in (trail["title"][language], evidence["clause"]["cite"], item["point"], trail["sha256"]):
            assert told in read.text
        for sensor in evidence["sensors"]:
            assert sensor["manual"] in read.text
            measured = [r for r in sensor["registers"] if r["parameter"] in sensor["parameters"]]
            assert all(register["manual"] in read.text for register in measured)
        rows = [*evidence["measurements"]["items"], *(r for c in evidence["conditions"].values() for r in c["items"])]
        assert sum(name == "tr" for name, _ in read.tags) > len(rows)
        made = page(trail, language)
        assert Reader(made).text.count(trail["sha256"]) == 1  # and every word it wanted is there


def test_the_page_needs_nothing_and_may_do_nothing(client: httpx.Client) -> None:
    answer = client.get(f"evidence/{exceedances(client)[0]['id']}.html")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith(f"default-src 'none'; style-src {style_hash(STYLE)};")
    assert "unsafe" not in policy
    assert "script" not in policy
    read = Reader(answer.text)
    assert {"script", "link", "img", "iframe", "form"}.isdisjoint(name for name, _ in read.tags)
    for _, attributes in read.tags:
        assert not [key for key in attributes if key.startswith("on") or key in ("style", "src", "href")]
    metas = [attributes for name, attributes in read.tags if name == "meta"]
    assert any((meta.get("content") or "").startswith("default-src 'none'") for meta in metas)  # of a saved copy too
    assert re.search(r"<style>(.*?)</style>", answer.text, re.DOTALL).group(1) == STYLE  # type: ignore[union-attr]


def test_the_language_is_the_one_that_is_accepted(client: httpx.Client) -> None:
    url = f"evidence/{exceedances(client)[0]['id']}.html"
    assert 'lang="zh-CN"' in client.get(url, headers={"Accept-Language": "zh-CN,zh;q=0.9"}).text
    assert 'lang="en"' in client.get(url, headers={"Accept-Language": "fr"}).text
    assert 'lang="en"' in client.get(url, params={"lang": "en"}, headers={"Accept-Language": "zh"}).text


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("evidence/999999.html", 404, "there is no exceedance 999999"),
        ("evidence/0.html", 404, "there is no exceedance 0"),
        ("evidence/night.html", 422, "exceedance"),
        (f"evidence/{2**63}.html", 422, "exceedance"),
        ("evidence/1.html?lang=de", 422, "lang"),
    ],
)
def test_what_is_wrong_is_a_problem_document(client: httpx.Client, path: str, status: int, says: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert says in answer.json()["detail"]


def test_every_version_is_told_with_why_it_came(client: httpx.Client, line: Line) -> None:
    desk = Desk(line, client)
    found = next(e for e in desk.items("exceedances", **PLACE, clause="night-peak") if e["change"] != "withdrawn")
    span = parse_time(found["from"]), parse_time(found["to"])
    id = desk.take(*span, kind="maintenance", parameter="LAFmax", reason=f"workshop {EVIL}")

    def versions() -> dict[str, Any]:
        newest = [e for e in desk.items("exceedances", **PLACE, clause="night-peak") if e["from"] == found["from"]]
        return client.get(f"evidence/{newest[-1]['id']}").json()

    wait_until(lambda: versions()["exceedance"]["change"] == "withdrawn", 60, "the exceedance stands")
    back = desk.revoke(id)
    wait_until(lambda: versions()["exceedance"]["change"] != "withdrawn", 60, "the exceedance does not come back")
    trail = versions()
    schemas.Trail.model_validate_json(msgspec.json.encode(trail), strict=True)
    told = trail["versions"]
    assert [one["version"] for one in told["exceedance"]] == list(range(1, len(told["exceedance"]) + 1))
    assert [one["change"] for one in told["exceedance"]][-2:] == ["withdrawn", "opened"]
    for kind in ("exceedance", "average"):
        assert told[kind][-2]["because"] == [
            {"what": "mark", "mark": id}, {"what": "statuses", "change": {"maintenance": 12, "ok": -12}},
        ]  # fmt: skip
        assert told[kind][-1]["because"] == [
            {"what": "revocation", "mark": back}, {"what": "statuses", "change": {"maintenance": -12, "ok": 12}},
        ]  # fmt: skip
    assert (told["average"][-2]["value"], told["average"][-2]["statuses"]) == (None, {"maintenance": 12})
    html = client.get(f"evidence/{found['id']}.html", params={"lang": "en"}).text
    read = Reader(html)
    assert f"This is version {found['version']}. The newest is version {found['version'] + 2}: opened." in read.text
    assert EVIL in read.text
    assert EVIL not in html
    assert f"mark {id}: Maintenance by li.na" in read.text


def test_the_hash_is_that_of_the_evidence_in_the_book(client: httpx.Client, line: Line) -> None:
    item = exceedances(client)[0]
    trail = client.get(f"evidence/{item['id']}").json()
    row = line.book.exceedance(item["id"])
    assert row is not None
    assert trail["sha256"] == hashlib.sha256(msgspec.json.encode(row.exceedance.evidence)).hexdigest()
    assert trail["evidence"] == msgspec.json.decode(msgspec.json.encode(row.exceedance.evidence))


# --- without one -----------------------------------------------------------------------------------


def fields(trail: Any) -> Any:
    """A trail all of whose free texts are markup."""
    keep = {"lang", "interval", "columns", "rounding", "statistic", "method", "kind", "role", "state", "change",
            "what", "standing", "window", "corrected", "step", "from", "to", "time", "made", "derived", "reason_kind",
            "interval_of", "pieces", "items", "version"}  # fmt: skip
    if isinstance(trail, dict):
        return {key: value if key in keep else fields(value) for key, value in trail.items()}
    if isinstance(trail, list):
        return [fields(value) for value in trail]
    return EVIL if isinstance(trail, str) else trail


def test_nothing_that_is_said_becomes_markup(client: httpx.Client) -> None:
    for item in exceedances(client)[-3:]:
        trail = client.get(f"evidence/{item['id']}").json()
        evil = fields(trail) | {"notices": []}
        told = Told(words=WORDS, language="en", timezone="Asia/Shanghai")
        html = evidence_page(evil, told, plant=EVIL, point=EVIL, style=STYLE, version=EVIL, made=NOON)
        read = Reader(html)
        assert EVIL in read.text
        assert "<img" not in html
        assert "<script" not in html
        assert {name for name, _ in read.tags} <= {name for name, _ in Reader(page(trail)).tags}


def trail_of(**evidence: Any) -> dict[str, Any]:
    """The least there is: an exceedance of an older version of the product, whose pack is gone."""
    found = {
        "id": 7, "plant": "p", "point": "x", "parameter": "NOx", "pack": "gone", "clause": "c", "cite": "§ 1",
        "title": "T", "window": "1h", "from": NOON, "to": NOON, "value": 3.0, "limit": 2.0, "low": None,
        "unit": "mg/m3", "standing": "finding", "verified": False, "late": True, "change": "opened", "version": 1,
        "derived": NOON,
    }  # fmt: skip
    return {
        "exceedance": found, "title": {"en": "T", "zh": "T"}, "incident": None, "notices": [], "marks": [],
        "average": None, "pack": {"id": "gone", "title": {"en": "gone", "zh": "gone"}, "source": "", "note": ""},
        "instruments": [], "measurements": {}, "sha256": "0" * 64, "evidence": evidence,
        "versions": {"exceedance": [], "average": [], "left": {"exceedance": 3, "average": 0}},
    }  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_evidence_of_other_versions_is_shown_as_far_as_it_goes(language: str) -> None:
    bare = Reader(page(trail_of(), language)).text
    assert "§ 1" in bare
    assert "3 mg/m³" in bare
    old = {"parameter": "NOx", "unit": "mg/m3", "count": 240, "interval": "1m", "from": NOON, "to": NOON,
           "items": [[NOON, 5.0, None, True]]}  # fmt: skip
    shown = Reader(page(trail_of(measurements=old, conditions={"O2": {"parameter": "O2", "unit": "%", "count": 9}}),
                        language)).text  # fmt: skip
    assert "12:00:00" in shown


@pytest.mark.parametrize(
    ("clause", "says"),
    [
        ({"low": 6.0, "high": 9.0, "unit": ""}, "≥ 6, ≤ 9"),
        ({"statistic": "count", "count": {"window": "5m", "above": None, "below": 850.0}, "unit": ""},
         "number of 5 minutes below 850"),
        ({"corrected": "validated", "interval": 20.0, "interval_of": "30m", "window": "24h", "compared": 5.0},
         "validated (less 20 for every half-hour): 5"),
        ({"rounding": "half_even", "places": 0, "compared": 53.0, "unit": "dB(A)"},
         "as measured, rounded to 0 decimals (half to even): 53 dB(A)"),
        ({"conditions": {"water_temperature": 11.5}}, "water_temperature 11.5"),
    ],
)  # fmt: skip
def test_a_clause_is_told_with_what_it_compares(clause: dict[str, Any], says: str) -> None:
    assert says in Reader(page(trail_of(clause=clause))).text


def test_a_lower_limit_is_named_where_it_was_broken() -> None:
    trail = trail_of()
    trail["exceedance"] |= {"low": 6.0, "limit": 9.0, "value": 5.5, "unit": ""}
    assert "5.5, limit ≥ 6" in Reader(page(trail)).text


CAUSES = [
    ({"what": "more_data", "count": 12}, "12 more values came in late"),
    ({"what": "statuses", "change": {"ok": -3, "fault": 3, "rain": 1}}, "other statuses: ok -3, fault +3, rain +1"),
    ({"what": "mark", "mark": 9}, "mark 9: – by –"),
    ({"what": "law"}, "another limit or clause"),
]


@pytest.mark.parametrize(("cause", "says"), CAUSES)
def test_why_a_version_came_is_told_in_words(cause: dict[str, Any], says: str) -> None:
    trail = trail_of()
    trail["versions"]["exceedance"] = [
        {"id": 7, "version": 1, "change": "opened", "derived": NOON, "value": 3.0, "limit": 2.0, "low": None,
         "unit": "mg/m3", "late": False, "average_version": None, "because": [cause]}
    ]  # fmt: skip
    assert says in Reader(page(trail)).text


def test_statuses_of_listed_windows_stand_in_the_row() -> None:
    listed = {"plant": "p", "point": "x", "parameter": "NOx", "unit": "mg/m3", "from": NOON, "to": NOON, "count": 3,
              "interval": "24h", "columns": ["from", "value", "converted", "valid", "statuses"],
              "pieces": [[NOON, NOON]], "items": [[NOON, 5.0, 6.5, False, {"ok": 2, "rain": 1}]],
              "left": {"count": 3, "by": "24h", "query": "/q", "command": "emitwatch export"}}  # fmt: skip
    parts = {"interval": "5m", "columns": ["from", "value", "converted", "valid", "statuses", "judged"],
             "items": [[NOON, 5.0, None, True, {"ok": 2}, 4.5], [NOON, 5.0, None, True, {"ok": 2}, 4.5]]}  # fmt: skip
    shown = Reader(page(trail_of(measurements=listed, parts=parts))).text
    for told in ("2026-11-21 12:00:00", "6.5", "no", "ok 2, rain 1", "The 3 single values", "/q", "4.5"):
        assert told in shown


# --- building blocks -------------------------------------------------------------------------------

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=40)


@settings(max_examples=examples(100), deadline=None)
@given(TEXTS, TEXTS)
def test_text_comes_out_as_it_went_in(said: str, title: str) -> None:
    (name, attributes), read = (reader := Reader(tag("p", said, title=title))).tags[0], reader.said
    assert (name, "".join(read), attributes["title"]) == ("p", said, title)


def test_markup_is_not_escaped_twice() -> None:
    assert text(Markup("<br>"), "<br>") == "<br>&lt;br&gt;"
    assert tag("a", None, [1, ["<"]], x=None, aria__label="b") == '<a aria-label="b">1&lt;</a>'
    assert "<caption>now</caption>" in table(["a"], [["b"]], caption="now")


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.floats(-1e6, 1e6)), min_size=2, max_size=30),
    st.lists(st.floats(-1e6, 1e6), max_size=2),
)
def test_a_curve_stays_in_its_frame(points: list[tuple[float, float]], limits: list[float]) -> None:
    drawn = drawing(sorted(points), limits, "alt", str)
    places = [
        tuple(map(float, pair.split(","))) for run in re.findall(r'points="([^"]*)"', drawn) for pair in run.split()
    ]
    assert len(places) == len(points)
    assert all(0 <= x <= 720 and 0 <= y <= 180 for x, y in places)
    assert drawn.count("<line") == len(limits)


def test_a_gap_is_not_drawn_over() -> None:
    drawn = drawing([(0, 1.0), (1, 2.0), (2, 1.0), (60, 5.0), (61, 5.0)], [], "alt", str)
    assert drawn.count("<polyline") == 2


def test_numbers_and_times_as_people_read_them() -> None:
    told = Told(words=WORDS, language="en", timezone="Asia/Shanghai")
    assert [told.number(n) for n in (None, True, False, -0.0, 1 / 3, 1e15, 5.0)] == [
        "–", "yes", "no", "0", "0.3333", "1e+15", "5",
    ]  # fmt: skip
    assert told.when("2026-11-21T04:00:00.25Z") == "2026-11-21 12:00:00.25"
    assert told.span(NOON, NOON).endswith("(Asia/Shanghai, UTC+0800)")
    assert (told.label("as it is"), told.label(None), told.label({"zh": "厂"}), told.t("nobody")) == (
        "as it is",
        "",
        "",
        "nobody",
    )
    assert preferred("", "") == "en"


def test_there_is_a_word_for_whatever_a_pack_or_a_table_can_say() -> None:
    wanted = {f"rounding_{name}" for name in ROUNDINGS if name != "none"} | {f"statistic_{name}" for name in STATISTICS}
    wanted |= {name.replace(" ", "_") for name in CORRECTED} | {f"method_{name}" for name in AVERAGES}
    wanted |= {f"status_{name}" for name in REASONS} | {f"window_{kind}" for kind in KINDS}
    wanted |= {f"because_{what}" for what in get_args(Cause.model_fields["what"].annotation)}
    assert wanted <= set(WORDS)


def test_what_nobody_foresaw_is_shown_too() -> None:
    average = {"unit": "kg", "value": 3.0, "derived": {"how": "mass", "of": ["SO2", "velocity"], "verified": False}}
    shown = Reader(page(trail_of(average=average, clause={"states": ["operating", "start_up"]}))).text
    assert "how: mass, of: SO2, velocity, verified: no" in shown
    assert "operating, start_up" in shown
