"""What the documents say exists: commands, make targets, settings, links, generated pages."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from api.cli import COMMANDS
from gateway.document import Table
from gateway.settings import parse_site

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

EVERY_TABLE = """
[plant]
id = "p"
timezone = "UTC"
[broker]
url = "mqtt://127.0.0.1"
[store]
[api]
[collector]
[folders]
[alerts]
[[gateway]]
id = "g"
[[point]]
id = "n"
kind = "noise"
[[sensor]]
id = "s"
point = "n"
link = "tcp://127.0.0.1:502"
profile = "emitwatch-noise"
interval_s = 1
[[sensor.input]]
fc = 2
address = 0
status = "maintenance"
[[author]]
id = "a"
[[recipient]]
id = "r"
[[channel]]
id = "c"
kind = "webhook"
url = "https://example.org/"
[[channel]]
id = "d"
kind = "email"
"""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_targets_in_the_documents_exist(page: Path) -> None:
    text = page.read_text()
    shown = "\n".join(re.findall(r"```(?:sh|text)\n(.*?)```", text, re.DOTALL)) + "\n".join(
        re.findall(r"`([^`]+)`", text)
    )
    for name in re.findall(r"(?:^|\s)emitwatch ([a-z0-9]+)", shown):
        assert name in COMMANDS, f"{page}: there is no `emitwatch {name}`"
    for name in re.findall(r"(?:^|\s)make ([a-z]+)", shown):
        assert name in TARGETS, f"{page}: there is no `make {name}`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_the_documents_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page}: {target} is missing"


def test_every_setting_is_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    from alerts.settings import parse_alerts
    from alerts.witness_settings import parse_witnesses
    from api.settings import parse_api
    from collector.settings import parse_collector

    asked: dict[str, set[str]] = {}
    leave = Table.__exit__

    def note(
        self: Table, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asked.setdefault(re.sub(r"\[\d+\]", "", self.path), set()).update(self.asked)
        leave(self, kind, error, trace)

    monkeypatch.setattr(Table, "__exit__", note)
    site, faults = parse_site(EVERY_TABLE, "site.toml")
    assert site is not None, faults
    for parse in (parse_collector, parse_alerts, parse_witnesses, parse_api):
        parse([site])
    assert {
        "plant",
        "broker",
        "store",
        "api",
        "collector",
        "gateway",
        "point",
        "sensor",
        "recipient",
        "channel",
    } <= set(asked)
    documented = (ROOT / "docs/reference/site-file.md").read_text() + (ROOT / "docs/reference/alerts.md").read_text()
    for table, keys in asked.items():
        for key in keys if table else ():
            assert f"`{key}`" in documented, f"[{table}] {key} is in no document"


def test_every_documented_setting_of_the_site_file_exists() -> None:
    text = (ROOT / "docs/reference/site-file.md").read_text()
    readers = ("gateway/settings.py", "gateway/links/address.py", "gateway/brokers.py", "gateway/retention.py",
               "gateway/inputs.py", "gateway/conditions.py", "collector/settings.py", "collector/authors.py",
               "collector/store_settings.py",
               "alerts/witness_settings.py", "api/settings.py")  # fmt: skip
    code = "".join((ROOT / name).read_text() for name in readers)
    for section in text.split("\n## ")[1:]:
        table = section.split("Settings of a point:")[0]
        for cell in re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE):
            for key in re.findall(r"`([a-z_]+)`", cell):
                assert f'"{key}"' in code, f"{key} is documented and nobody reads it"


def build() -> Any:
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.timeout(300)  # asks every command for its help, one process each
def test_generated_pages_are_up_to_date() -> None:
    assert build().stale() == [], "run `make docs`"


def test_a_page_of_a_rule_pack_that_is_no_more_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = build()
    monkeypatch.setattr(made, "REFERENCE", tmp_path)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "old.md").write_text("x")
    assert made.gone(made.rules()) == ["rules/old.md"]
