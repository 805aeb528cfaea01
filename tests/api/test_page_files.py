"""The files of the page: complete, kept by browsers, and free of anything from outside."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

import api.web
from api.assets import load_assets
from collector.authors import ROLES
from collector.intake.events import What
from collector.marks import Kind
from collector.verdicts.windows import KINDS
from tests.api.line import Line

WEB = Path(api.web.__file__).parent
OWN = sorted(path for path in WEB.iterdir() if path.suffix in (".js", ".css", ".html", ".svg"))


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_nothing_comes_from_outside_and_nothing_is_inline(path: Path) -> None:
    text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]", text)
    assert "innerHTML" not in text
    assert "eval(" not in text
    if path.suffix == ".html":
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", text)


@pytest.mark.parametrize("path", [p for p in OWN if p.suffix == ".js"], ids=lambda path: path.name)
def test_modules_stay_small_and_import_what_exists(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n") <= 420
    for name in re.findall(r'from "\./([^"]+)"', text):
        assert (WEB / name).is_file()


def test_every_word_of_the_page_is_known() -> None:
    words = set(re.findall(r'^\s+"?([\w ]+)"?: \[', (WEB / "words.js").read_text("utf-8"), re.MULTILINE))
    used = set()
    for path in OWN:
        text = path.read_text("utf-8")
        used |= set(re.findall(r'\bt\("([a-z_ ]+)"', text)) | set(re.findall(r'data-(?:text|label)="([a-z_]+)"', text))
    assert used
    assert used <= words
    assert {f"window_{kind}" for kind in KINDS} <= words
    assert {f"event_{what}" for what in What} | {f"mark_{kind}" for kind in Kind} <= words
    assert {f"role_{role}" for role in ROLES} <= words


def test_no_word_is_said_twice() -> None:
    said = re.findall(r'^\s+"?([\w ]+)"?: \[', (WEB / "words.js").read_text("utf-8"), re.MULTILINE)
    assert [word for word in said if said.count(word) > 1] == []


def test_the_page_may_be_kept_but_never_stale(line: Line) -> None:
    page = httpx.get(line.url)
    assert page.headers["cache-control"] == "no-cache"
    assert httpx.get(line.url, headers={"If-None-Match": page.headers["etag"]}).status_code == 304
    for file in re.findall(r'(?:src|href)="(web/[^"]+)"', page.text):
        answer = httpx.get(line.url + file)
        assert answer.status_code == 200, file
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-encoding"] == "gzip"
        assert httpx.get(line.url + file, headers={"If-None-Match": f"W/{answer.headers['etag']}"}).status_code == 304


def test_a_changed_file_changes_the_address_of_all() -> None:
    version, assets = load_assets()
    assert re.fullmatch(r"[0-9a-f]{12}", version)
    assert assets["index.html"].body.count(version.encode()) >= 5
    assert b"VERSION" not in assets["index.html"].body
    assert "vendor/uPlot.LICENSE" in assets


@pytest.mark.parametrize("path", ["web/old/app.js", "web/../server.py", "favicon.ico"])
def test_other_files_are_not_served(line: Line, path: str) -> None:
    assert httpx.get(line.url + path).status_code == 404


def test_every_answer_forbids_what_the_page_does_not_need(line: Line) -> None:
    for path in ("", "api/v1/plants", "nothing", "openapi.json"):
        headers = httpx.get(line.url + path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers
