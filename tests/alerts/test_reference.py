"""docs/reference/alerts.md tells the truth: its example site, its payload and its signature check."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

from alerts.channels.webhook import WebhookChannel
from alerts.records import NoticeState, Reason
from alerts.settings import Channel, parse_alerts
from tests.alerts.kit import HookSink, incident, serving, site
from tests.alerts.test_channels import DUTY, notice
from tests.alerts.test_messages import said

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "alerts.md").read_text("utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found.group(1)


def test_the_example_site_is_good(tmp_path: Path) -> None:
    settings, faults = parse_alerts([site(tmp_path, block("toml"))])
    assert faults == []
    assert settings is not None
    assert set(settings.channels) == {"console", "mail", "control-room"}


def test_the_payload_has_the_keys_shown() -> None:
    shown, true = json.loads(block("json")), json.loads(said(incident()).payload)
    assert list(shown) == list(true)
    assert shown["format"] == true["format"]


def test_the_signature_check_accepts_what_is_sent_and_nothing_else() -> None:
    space: dict[str, object] = {}
    exec(block("python"), space)
    genuine = space["genuine"]
    with serving(HookSink()) as sink:
        channel = Channel(id="c", kind="webhook", url=f"http://{sink.address}/", allow_private=True)
        WebhookChannel(channel, b"secret").send(notice(), DUTY)
    ((_, headers, body),) = sink.posts
    assert genuine(b"secret", headers, body)
    assert not genuine(b"other", headers, body)
    assert not genuine(b"secret", headers, body + b" ")
    old = {**headers, "Emitwatch-Timestamp": str(int(headers["Emitwatch-Timestamp"]) - 1)}
    assert not genuine(b"secret", old, body)


def test_every_reason_state_and_setting_is_described() -> None:
    for word in (*Reason, *NoticeState):
        assert f"\n| {word.value} |" in PAGE
    inner = {"secret_default"}
    for field in fields(Channel):
        assert field.name in inner or f"`{field.name}`" in PAGE
