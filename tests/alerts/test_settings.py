from __future__ import annotations

from pathlib import Path

import pytest

from alerts.settings import DEFAULT_QUIET_H, parse_alerts
from collector.verdicts.records import Standing
from gateway.catalogue import load_sites
from tests.alerts.kit import HOUR, SITE, site

ROOT = Path(__file__).parents[2]

GOOD = """
[alerts]
quiet_h = 4
closing = false
link = "https://emissions.example.com/"
[[channel]]
id = "console"
kind = "console"
[[channel]]
id = "mail"
kind = "email"
smtp = "mail.example.com:587"
sender = "emitwatch@example.com"
tls = "starttls"
user = "emitwatch"
password_file = "mail.password"
[[channel]]
id = "hook"
kind = "webhook"
url = "https://example.com/hook?a=b"
secret_file = "hook.secret"
late = true
[[recipient]]
id = "duty"
name = { en = "Duty officer", zh = "值班人员" }
role = "duty officer"
channels = ["console", "mail", "hook"]
address = "duty@example.com"
[[recipient]]
id = "bureau"
role = "regulator"
language = "zh"
channels = ["mail"]
address = "bureau@example.com"
unverified = ["gb12348-2008/night-level"]
plants = ["*"]
"""


def test_everything_is_read(tmp_path: Path) -> None:
    settings, faults = parse_alerts([site(tmp_path, GOOD)])
    assert faults == []
    assert settings is not None
    assert (settings.quiet_ns, settings.closing, settings.link) == (4 * HOUR, False, "https://emissions.example.com")
    mail, hook = settings.channels["mail"], settings.channels["hook"]
    assert mail.password_file == str(tmp_path / "mail.password")
    assert (hook.secret_file, hook.secret_default, hook.late) == (str(tmp_path / "hook.secret"), False, True)
    assert settings.channels["console"].late, "a console takes everything"
    duty, bureau = settings.recipients.values()
    assert (duty.plants, duty.language, duty.min_standing) == (("riverside",), "en", Standing.EARLY_WARNING)
    assert (bureau.plants, bureau.language, bureau.min_standing) == (("*",), "zh", Standing.EVIDENCE)
    assert bureau.unverified == ("gb12348-2008/night-level",)


def test_a_site_without_these_tables_has_defaults(tmp_path: Path) -> None:
    settings, faults = parse_alerts([site(tmp_path, "[api]\nport = 9000\n")])
    assert faults == []
    assert settings is not None
    assert (settings.recipients, settings.channels) == ({}, {})
    assert (settings.quiet_ns, settings.closing) == (DEFAULT_QUIET_H * HOUR, True)
    assert settings.link == "http://127.0.0.1:9000"


def test_the_repositorys_sites_are_good() -> None:
    for path in (ROOT / "site.toml", ROOT / "simulators" / "sites"):
        settings, faults = parse_alerts(load_sites(str(path)))
        assert faults == []
        assert settings is not None
        assert settings.recipients


def test_a_webhook_without_a_secret_file_gets_one_of_its_own(tmp_path: Path) -> None:
    hook = '[[channel]]\nid = "hook"\nkind = "webhook"\nurl = "https://example.com"\n'
    settings, _ = parse_alerts([site(tmp_path, hook)])
    assert settings is not None
    assert settings.channels["hook"].secret_file == str(tmp_path / "data" / "collector" / "hook.secret")
    assert settings.channels["hook"].secret_default


def channel(text: str) -> str:
    return f'[[channel]]\nid = "c"\n{text}\n'


def recipient(text: str) -> str:
    return f'[[channel]]\nid = "m"\nkind = "console"\n[[recipient]]\nid = "r"\n{text}\n'


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        (channel('kind = "pigeon"'), "channel[0].kind", "not known"),
        (channel('kind = "console"\nlate = false'), "channel[0].late", "shows everything"),
        (channel('kind = "email"\nsmtp = "host"\nsender = "a@b.c"'), "channel[0].smtp", "HOST:PORT"),
        (channel('kind = "email"\nsmtp = "host:99999"\nsender = "a@b.c"'), "channel[0].smtp", "HOST:PORT"),
        (channel('kind = "email"\nsmtp = "host:25"\nsender = "nobody"'), "channel[0].sender", "form"),
        (channel('kind = "email"\nsmtp = "host:25"'), "channel[0].sender", "missing"),
        (channel('kind = "email"\nsmtp = "h:25"\nsender = "a@b.c"\nuser = "u"'), "channel[0].user", "together"),
        (
            channel('kind = "email"\nsmtp = "h:25"\nsender = "a@b.c"\nuser = "u"\npassword_file = "p"\ntls = "none"'),
            "channel[0].tls",
            "in the clear",
        ),
        (channel('kind = "webhook"'), "channel[0].url", "missing"),
        (channel('kind = "webhook"\nurl = "ftp://x"'), "channel[0].url", "not a web address"),
        (channel('kind = "webhook"\nurl = "http://example.com"'), "channel[0].url", "not encrypted"),
        (channel('kind = "webhook"\nurl = "https://u:p@example.com"'), "channel[0].url", "do not belong"),
        (channel('kind = "webhook"\nurl = "https://exa mple.com"'), "channel[0].url", "not a web address"),
        (channel('kind = "webhook"\nurl = "https://x:99999"'), "channel[0].url", "not an address"),
        (channel('kind = "webhook"\nurl = "https://x.com"\nsmtp = "h:25"'), "channel[0].smtp", "unknown key"),
        (recipient('role = "boss"\nchannels = ["m"]'), "recipient[0].role", "not known"),
        (recipient('role = "admin"'), "recipient[0].channels", "missing"),
        (recipient('role = "admin"\nchannels = ["n"]'), "recipient[0].channels[0]", "not defined"),
        (recipient('role = "admin"\nchannels = ["m"]\nplants = ["moon"]'), "recipient[0].plants[0]", "not defined"),
        (recipient('role = "admin"\nchannels = ["m"]\nlanguage = "fr"'), "recipient[0].language", "not known"),
        (recipient('role = "admin"\nchannels = ["m"]\naddress = "x"'), "recipient[0].address", "form"),
        (recipient('role = "admin"\nchannels = ["m"]\nmin_standing = "hunch"'), "recipient[0].min_standing", "known"),
        (recipient('role = "regulator"\nchannels = ["m"]\nunverified = ["x"]'), "recipient[0].unverified[0]", "clause"),
        ("[alerts]\nquiet_h = -1\n", "alerts.quiet_h", "outside"),
        ('[alerts]\nlink = "example.com"\n', "alerts.link", "web address"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, text: str, path: str, message: str) -> None:
    settings, faults = parse_alerts([site(tmp_path, text)])
    assert settings is None
    assert [(fault.path, True) for fault in faults] == [(path, message in fault.message) for fault in faults]
    assert all(fault.line and fault.hint for fault in faults)


def test_mail_needs_an_address(tmp_path: Path) -> None:
    text = channel('kind = "email"\nsmtp = "h:25"\nsender = "a@b.c"')
    text += '[[recipient]]\nid = "r"\nrole = "plant"\nchannels = ["c"]\n'
    _, faults = parse_alerts([site(tmp_path, text)])
    assert [fault.path for fault in faults] == ["recipient[0].address"]


def test_plain_http_is_for_the_own_network(tmp_path: Path) -> None:
    text = channel('kind = "webhook"\nurl = "http://127.0.0.1:9/x"\nallow_private = true')
    assert parse_alerts([site(tmp_path, text)])[1] == []


def other(tmp_path: Path, text: str):
    return site(tmp_path, text, SITE.replace("riverside", "harbour"))


def test_an_id_is_used_once_over_all_files(tmp_path: Path) -> None:
    _, faults = parse_alerts([site(tmp_path, GOOD), other(tmp_path, GOOD)])
    ids = [*(f"channel[{n}].id" for n in range(3)), *(f"recipient[{n}].id" for n in range(2))]
    assert [fault.path for fault in faults] == ids
    assert all(fault.file.endswith("other.toml") or fault.line for fault in faults)
    assert all("defined twice" in fault.message for fault in faults)


def test_an_id_is_used_once_in_a_file(tmp_path: Path) -> None:
    console = '[[channel]]\nid = "m"\nkind = "console"\n'
    duty = '[[recipient]]\nid = "r"\nrole = "admin"\nchannels = ["m"]\n'
    _, faults = parse_alerts([site(tmp_path, console * 2 + duty * 2)])
    assert [fault.path for fault in faults] == ["channel[1].id", "recipient[1].id"]


def test_two_files_that_disagree_about_the_alerts_are_a_fault(tmp_path: Path) -> None:
    _, faults = parse_alerts([site(tmp_path, GOOD), other(tmp_path, "[alerts]\nquiet_h = 5\n")])
    assert [fault.path for fault in faults] == ["alerts"]


def test_a_channel_of_one_file_serves_another(tmp_path: Path) -> None:
    text = '[[recipient]]\nid = "harbour"\nrole = "plant"\nchannels = ["console"]\n'
    settings, faults = parse_alerts([other(tmp_path, text), site(tmp_path, GOOD)])
    assert faults == []
    assert settings is not None
    assert settings.recipients["harbour"].plants == ("harbour",)
