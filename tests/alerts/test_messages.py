from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.messages import Names, digest, render
from alerts.records import Incident, Message, Reason
from collector.verdicts.records import Standing
from gateway.settings import Label
from tests.alerts.kit import HOUR, T0, exceedance, incident, step
from tests.effort import examples

NAMES = Names(
    plants={"riverside": Label("Riverside heating plant", "河畔热电厂")},
    timezones={"riverside": "Asia/Shanghai"},
    points={
        ("riverside", "fence-north"): Label("Fence north, dwellings", "北厂界（居民区）"),
        ("riverside", "stack-1"): Label("Stack 1, boiler 1", "1号烟囱（1号锅炉）"),
    },
    parameters={"LAeq": Label("Equivalent sound level", "等效声级"), "NOx": Label("Nitrogen oxides", "氮氧化物")},
    clauses={
        "gb12348-2008/night-level": Label("Night level", "夜间等效声级"),
        "ultra-low-2015/nox-hour": Label("NOx, hourly mean", "氮氧化物小时均值"),
    },
)
NIGHT = {
    "point": "fence-north", "parameter": "LAeq", "pack": "gb12348-2008", "clause": "night-level",
    "cite": "GB 12348-2008 4.1 table 1", "window": "night", "to_ns": T0 + 8 * HOUR, "value": 53.0, "limit": 50.0,
    "unit": "dB(A)",
}  # fmt: skip


def said(one: Incident, language: str = "en", reason: Reason = Reason.OPENED) -> Message:
    return render(one, reason, NAMES, language=language, link="https://e.example", notice="abc")


def test_a_night_in_english() -> None:
    message = said(incident(**NIGHT))
    assert message.subject == "EXCEEDED - Fence north, dwellings: Night level 53 dB(A), limit 50"
    assert message.text.splitlines() == [
        "What:     Night level · Equivalent sound level LAeq",
        "Where:    Riverside heating plant, Fence north, dwellings",
        "How much: 53 dB(A), limit 50: 3 dB(A) over",
        "Since:    Fri 20 Nov 2026 22:00 to Sat 21 Nov 2026 06:00 (1 night), UTC+8",
        "Worth:    evidence - supports a finding, is none by itself",
        "Rule:     GB 12348-2008 4.1 table 1 (gb12348-2008/night-level)",
        "Open:     https://e.example/#incident-1",
    ]


def test_a_night_in_chinese() -> None:
    message = said(incident(**NIGHT), "zh")
    assert message.subject == "【超标】北厂界（居民区）：夜间等效声级 53 dB(A)，限值50"
    assert message.text.splitlines() == [
        "项目：夜间等效声级 · 等效声级 LAeq",
        "地点：河畔热电厂，北厂界（居民区）",
        "超限：53 dB(A)，限值50，超出 3 dB(A)",
        "时间：2026年11月20日（周五）22:00 至 2026年11月21日（周六）06:00（夜间），UTC+8",
        "效力：证据——可作佐证，本身不构成超标认定",
        "依据：GB 12348-2008 4.1 table 1 (gb12348-2008/night-level)",
        "查看：https://e.example/#incident-1",
    ]


def test_hours_of_a_back_filled_early_warning() -> None:
    hours = [exceedance(n, late=True, verified=False, standing=Standing.EARLY_WARNING) for n in range(3)]
    done = step([], hours, judged={("riverside", "stack-1", "NOx"): T0 + 20 * HOUR})
    message = said(done.cases[0].incident)
    assert message.subject == "Back-filled data: EXCEEDED - Stack 1, boiler 1: NOx, hourly mean 61.7 mg/m³, limit 50"
    lines = message.text.splitlines()
    assert lines[2] == "How much: 61.7 mg/m³, limit 50: 12 mg/m³ over (+23 %)"
    assert lines[3] == (
        "When:     Fri 20 Nov 2026 22:00 to Sat 21 Nov 2026 01:00, 3 windows (hour) exceeded, now over, UTC+8"
    )
    assert lines[4] == (
        "Worth:    early warning - no legal exceedance yet, act before it is; clause not verified in the primary text"
    )
    assert lines[6].startswith("Note:     judged now from data that came in late")


@pytest.mark.parametrize(
    ("reason", "english", "chinese"),
    [
        (Reason.REOPENED, "EXCEEDED AGAIN - ", "【再次超标】"),
        (Reason.LIVE, "STILL EXCEEDED - ", "【仍在超标】"),
        (Reason.CLOSED, "OVER - ", "【超标结束】"),
        (Reason.WITHDRAWN, "WITHDRAWN, no exceedance - ", "【撤销（不超标）】"),
        (Reason.COMMISSIONED, "STILL EXCEEDED, commissioning is over - ", "【调试结束，仍在超标】"),
    ],
)
def test_every_reason_begins_with_its_word(reason: Reason, english: str, chinese: str) -> None:
    assert said(incident(), "en", reason).subject.startswith(english)
    assert said(incident(), "zh", reason).subject.startswith(chinese)


def test_a_withdrawn_one_is_worth_nothing_and_a_closed_one_tells_the_worst() -> None:
    assert "Worth:" not in said(incident(), "en", Reason.WITHDRAWN).text
    assert "Was:      61.7 mg/m³" in said(incident(), "en", Reason.WITHDRAWN).text
    assert "Worst:    61.7 mg/m³" in said(incident(), "en", Reason.CLOSED).text


@pytest.mark.parametrize(
    ("value", "english", "chinese"),
    [
        (5.2, "5.2, allowed 6 to 9: 0.8 below", "5.2，允许6～9，低于下限 0.8"),
        (9.61, "9.61, allowed 6 to 9: 0.61 over", "9.61，允许6～9，超出 0.61"),
    ],
)
def test_two_sided_limits(value: float, english: str, chinese: str) -> None:
    one = incident(parameter="pH", unit="", value=value, low=6.0, limit=9.0)
    assert f"How much: {english}\n" in said(one).text
    assert f"超限：{chinese}\n" in said(one, "zh").text


def test_names_that_are_missing_are_ids() -> None:
    message = render(incident(), Reason.OPENED, Names(), language="en", link="", notice="")
    assert message.subject == "EXCEEDED - stack-1: NOx, hourly mean 61.7 mg/m³, limit 50"
    assert "What:     NOx, hourly mean · NOx\n" in message.text
    assert "Since:    Fri 20 Nov 2026 14:00 to 15:00 (1 hour), UTC+0\n" in message.text


def test_a_half_hour_zone_shows_its_minutes() -> None:
    names = replace(NAMES, timezones={"riverside": "Asia/Kolkata"})
    text = render(incident(), Reason.OPENED, names, language="zh", link="", notice="").text
    assert "时间：2026年11月20日（周五）19:30 至 20:30（小时），UTC+5:30\n" in text


def test_the_payload_says_the_same_to_machines() -> None:
    message = said(incident(late=True, verified=False), "zh")
    body = json.loads(message.payload)
    assert body["format"] == "emitwatch/notice/1"
    assert (body["notice"], body["incident"], body["reason"], body["state"]) == ("abc", 1, "opened", "open")
    assert body["plant"] == {"id": "riverside", "name": {"en": "Riverside heating plant", "zh": "河畔热电厂"}}
    assert body["point"]["name"]["zh"] == "1号烟囱（1号锅炉）"
    assert (body["pack"], body["clause"], body["cite"]) == ("ultra-low-2015", "nox-hour", "2015-2221 1")
    assert (body["value"], body["limit"], body["low"], body["unit"]) == (61.7, 50.0, None, "mg/m3")
    assert (body["from"], body["to"], body["windows"]) == ("2026-11-20T14:00:00Z", "2026-11-20T15:00:00Z", 1)
    assert (body["standing"], body["verified"], body["late"], body["exceedance"]) == ("evidence", False, True, 1)
    assert (body["subject"], body["text"]) == (message.subject, message.text)
    assert body["link"] == "https://e.example/#incident-1"


@settings(max_examples=examples(100))
@given(
    st.integers(1, 10**6).map(lambda n: n / 100), st.integers(1, 10**4).map(lambda n: n / 1000),
    st.text(max_size=20), st.sampled_from(["en", "zh"]), st.sampled_from(list(Reason)),
)  # fmt: skip
def test_a_glance_always_shows_that_the_limit_is_broken(
    limit: float, over: float, name: str, language: str, reason: Reason
) -> None:
    value = limit + over
    if value <= limit:
        return
    names = replace(NAMES, points={("riverside", "stack-1"): Label(name, name)})
    message = render(incident(value=value, limit=limit), reason, names, language=language, link="l", notice="")
    assert "\n" not in message.subject
    assert message.subject.isprintable(), "names come from files; a mail header has one line"
    shown = next(line for line in message.text.splitlines() if "mg/m³" in line)
    number = shown.replace("：", ":").split(":", 1)[1].split()[0]
    assert float(number) > limit


def test_a_message_has_one_name() -> None:
    one = incident()
    names = {
        digest(one, Reason.OPENED, "duty", "mail"),
        digest(one, Reason.CLOSED, "duty", "mail"),
        digest(one, Reason.OPENED, "duty", "hook"),
        digest(one, Reason.OPENED, "boss", "mail"),
        digest(replace(one, openings=2), Reason.OPENED, "duty", "mail"),
        digest(replace(one, id=2), Reason.OPENED, "duty", "mail"),
    }
    assert len(names) == 6
    assert digest(replace(one, version=9, count=7), Reason.OPENED, "duty", "mail") in names
