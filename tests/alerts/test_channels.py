from __future__ import annotations

import email
import email.policy
import hashlib
import hmac
import io
import json
import ssl
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from alerts.channels import email as email_module
from alerts.channels.build import build
from alerts.channels.console import ConsoleChannel
from alerts.channels.email import EmailChannel
from alerts.channels.webhook import WebhookChannel, signature
from alerts.egress import NotSent, Refused, Unclear, post
from alerts.messages import Names, render
from alerts.records import Notice, NoticeState, Reason
from alerts.settings import Channel, Recipient
from gateway.document import FaultyFiles
from gateway.settings import Label
from tests.alerts.kit import HookSink, MailSink, incident, serving

DUTY = Recipient(
    id="duty", name=Label("Duty officer", "值班人员"), role="duty officer", language="zh", channels=(), plants=("*",),
    address="duty@example.com",
)  # fmt: skip


def notice(language: str = "zh") -> Notice:
    names = Names(points={("riverside", "stack-1"): Label("Stack 1", "1号烟囱")})
    message = render(incident(), Reason.OPENED, names, language=language, link="https://e.example", notice="d" * 32)
    return Notice(
        id=1, incident=1, pack="ultra-low-2015", clause="nox-hour", reason=Reason.OPENED, recipient="duty", channel="c",
        digest="d" * 32, late=False, wanted_ns=1_795_183_200 * 10**9, message=message, state=NoticeState.SENDING,
        at_ns=1, attempts=1, detail="",
    )  # fmt: skip


# --- console ------------------------------------------------------------------------------------


def test_the_console_shows_a_block(capsys: pytest.CaptureFixture[str]) -> None:
    assert ConsoleChannel().send(notice("en"), DUTY) == "shown to duty"
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first == "*** EXCEEDED - Stack 1: NOx, hourly mean 61.7 mg/m³, limit 50"
    assert second == "    What:     NOx, hourly mean · NOx"


def test_a_closed_console_took_nothing() -> None:
    stream = io.StringIO()
    stream.close()
    with pytest.raises(NotSent) as caught:
        ConsoleChannel(stream).send(notice(), DUTY)
    assert caught.value.again


def test_a_console_without_chinese_says_what_to_do() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with pytest.raises(NotSent, match="PYTHONUTF8") as caught:
        ConsoleChannel(stream).send(notice(), DUTY)
    assert not caught.value.again


# --- e-mail -------------------------------------------------------------------------------------


def mail_channel(sink: MailSink, **other: object) -> EmailChannel:
    values = {"id": "c", "kind": "email", "smtp": sink.address, "sender": "emitwatch@example.com", **other}
    return EmailChannel(Channel(**values))


def read(mail: bytes) -> EmailMessage:
    found = email.message_from_bytes(mail.replace(b"\r\n", b"\n"), policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    return found


def test_a_mail_arrives_in_chinese() -> None:
    with serving(MailSink()) as sink:
        assert mail_channel(sink).send(notice(), DUTY) == "250 taken"
    mail = read(sink.mails[0])
    assert mail["Subject"] == "【超标】1号烟囱：NOx, hourly mean 61.7 mg/m³，限值50"
    assert mail["To"] == "值班人员 <duty@example.com>"
    assert mail["From"] == "emitwatch <emitwatch@example.com>"
    assert mail["Message-ID"] == f"<{'d' * 32}@example.com>", "the same for every attempt"
    assert mail["Auto-Submitted"] == "auto-generated"
    text = mail.get_content()
    assert text.startswith("项目：")
    assert "查看：https://e.example/#incident-1" in text


@pytest.mark.parametrize(("how", "again"), [("later", True), ("never", False), ("drop", True)])
def test_what_the_mail_server_did_not_take(how: str, again: bool) -> None:
    with serving(MailSink(how)) as sink, pytest.raises(NotSent) as caught:
        mail_channel(sink).send(notice(), DUTY)
    assert caught.value.again == again
    assert sink.mails == []


def test_a_recipient_the_server_does_not_know() -> None:
    with serving(MailSink()) as sink, pytest.raises(NotSent, match="550 no such user") as caught:
        mail_channel(sink).send(notice(), replace(DUTY, address="refused@example.com"))
    assert not caught.value.again
    assert sink.seen == []


def test_a_mail_server_that_does_not_answer_is_unclear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email_module, "TIMEOUT_S", 2.0)
    with serving(MailSink("hold")) as sink, pytest.raises(Unclear, match="in time"):
        mail_channel(sink).send(notice(), DUTY)


def test_a_mail_server_that_is_down() -> None:
    with serving(MailSink()) as sink:
        pass
    with pytest.raises(NotSent, match="cannot be used") as caught:
        mail_channel(sink).send(notice(), DUTY)
    assert caught.value.again


def test_encryption_that_is_asked_for_is_insisted_on() -> None:
    with serving(MailSink()) as sink, pytest.raises(NotSent):
        mail_channel(sink, tls="starttls").send(notice(), DUTY)
    assert sink.seen == []


def test_a_password_is_not_sent_in_the_clear(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret")
    with serving(MailSink()) as sink, pytest.raises(NotSent, match="in the clear"):
        mail_channel(sink, user="u", password_file=str(tmp_path / "password")).send(notice(), DUTY)


@pytest.fixture
def certificate(tmp_path: Path) -> ssl.SSLContext:
    """A certificate that nobody signed, as small mail servers have it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail.example.com")])
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin + timedelta(days=36500))
    signed = made.sign(key, hashes.SHA256())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "tls.pem").write_bytes(key.private_bytes(*form) + signed.public_bytes(form[0]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.pem")
    return context


def test_auto_encrypts_where_it_is_offered(certificate: ssl.SSLContext) -> None:
    with serving(MailSink()) as sink:
        sink.tls = certificate
        mail_channel(sink).send(notice(), DUTY)
    assert (len(sink.mails), sink.encrypted) == (1, 1)


@pytest.mark.parametrize("tls", ["auto", "starttls"])
def test_a_password_goes_only_to_a_server_that_proves_its_name(
    certificate: ssl.SSLContext, tmp_path: Path, tls: str
) -> None:
    (tmp_path / "password").write_text("secret")
    with serving(MailSink()) as sink:
        sink.tls = certificate
        channel = mail_channel(sink, tls=tls, user="u", password_file=str(tmp_path / "password"))
        with pytest.raises(NotSent, match="certificate"):
            channel.send(notice(), DUTY)
    assert sink.seen == []


# --- webhook ------------------------------------------------------------------------------------


def hook_channel(sink: HookSink, **other: object) -> WebhookChannel:
    values = {"id": "c", "kind": "webhook", "url": f"http://{sink.address}/n", "allow_private": True, **other}
    return WebhookChannel(Channel(**values), b"secret", now=lambda: 1795183200.7)


def test_a_receiver_can_check_who_sent_it_and_when() -> None:
    with serving(HookSink()) as sink:
        assert hook_channel(sink).send(notice(), DUTY) == "answered 200"
    ((_, headers, body),) = sink.posts
    assert headers["Emitwatch-Timestamp"] == "1795183200"
    expected = hmac.new(b"secret", b"1795183200." + body, hashlib.sha256).hexdigest()
    assert headers["Emitwatch-Signature"] == f"v1={expected}" == signature(b"secret", "1795183200", body)
    assert headers["Emitwatch-Notice"] == "d" * 32 == json.loads(body)["notice"]
    assert headers["Emitwatch-Recipient"] == "duty"
    assert json.loads(body)["subject"].startswith("【超标】")


@pytest.mark.parametrize(
    ("status", "again"),
    [(500, True), (503, True), (429, True), (408, True), (400, False), (404, False), (302, False)],
)
def test_what_the_receiver_did_not_take(status: int, again: bool) -> None:
    with serving(HookSink(status)) as sink, pytest.raises(NotSent, match=f"answers {status}") as caught:
        hook_channel(sink).send(notice(), DUTY)
    assert caught.value.again == again


def test_an_address_with_a_secret_in_it_is_not_told() -> None:
    with serving(HookSink(500)) as sink, pytest.raises(NotSent, match="answers 500") as told:
        hook_channel(sink, url=f"http://{sink.address}/n?key=s3cret").send(notice(), DUTY)
    with pytest.raises(Refused, match="not encrypted") as refused:
        post("http://example.com/n?key=s3cret", b"", {})
    assert "s3cret" not in f"{told.value}{refused.value}"


def test_a_private_address_needs_to_be_allowed() -> None:
    with serving(HookSink()) as sink, pytest.raises(Refused):
        hook_channel(sink, allow_private=False).send(notice(), DUTY)
    assert sink.posts == []


# --- the channels of a site -----------------------------------------------------------------------


def test_a_missing_secret_is_made_for_the_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "collector" / "hook.secret"
    channel = Channel(
        id="hook", kind="webhook", url="https://example.com", secret_file=str(file), secret_default=True
    )  # fmt: skip
    build({"hook": channel})
    secret = file.read_text()
    assert len(secret.strip()) == 64
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    build({"hook": channel})
    assert file.read_text() == secret, "made once"


@pytest.mark.parametrize("content", [None, "", "  \n"])
def test_a_secret_that_is_named_must_be_there(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "hook.secret"
    if content is not None:
        file.write_text(content)
    channel = Channel(id="hook", kind="webhook", url="https://example.com", secret_file=str(file))
    with pytest.raises(FaultyFiles, match="no secret") as caught:
        build({"hook": channel, "console": Channel(id="console", kind="console")})
    assert caught.value.faults[0].file == str(file)
