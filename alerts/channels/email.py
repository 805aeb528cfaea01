"""E-mail over SMTP: one message a notice, with a Message-ID that is the same for every attempt.

Encryption: `auto` uses STARTTLS where the server offers it, `starttls` insists on it, `tls` speaks TLS
from the first byte, `none` never. Certificates are checked, except under `auto` without a password,
where an unverified encryption is still better than none. A password goes over TLS only. A server
that breaks the connection instead of answering has not taken the message (RFC 5321 section 4.2.5), so
it is tried again.
"""

from __future__ import annotations

import smtplib
import ssl
from contextlib import suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path

from alerts.egress import NotSent, Unclear
from alerts.records import Notice
from alerts.settings import Channel, Recipient

TIMEOUT_S = 10.0  # of each step; a mail server that is slower than this is down


class EmailChannel:
    """Sends through the server of a channel."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        host, _, port = channel.smtp.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)

    def send(self, notice: Notice, recipient: Recipient) -> str:
        """Hand one notice to the server; gives its answer. Raises NotSent or Unclear."""
        return self.post(compose(notice, recipient, self._channel.sender), recipient.address)

    def post(self, message: EmailMessage, address: str) -> str:
        """Hand one mail to the server; gives its answer. Raises NotSent or Unclear."""
        try:
            server = self._connect()
        except (OSError, smtplib.SMTPException) as error:
            raise _refusal(error, self._channel.smtp) from error
        try:
            return self._hand_over(server, address, message)
        finally:
            with suppress(OSError, smtplib.SMTPException):
                server.quit()
            server.close()

    def _connect(self) -> smtplib.SMTP:
        channel = self._channel
        if channel.tls == "tls":
            context = ssl.create_default_context()
            server: smtplib.SMTP = smtplib.SMTP_SSL(self._host, self._port, timeout=TIMEOUT_S, context=context)
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=TIMEOUT_S)
        try:
            server.ehlo()
            encrypted = channel.tls == "tls"
            if channel.tls == "starttls" or (channel.tls == "auto" and server.has_extn("starttls")):
                server.starttls(context=_context(checked=channel.tls == "starttls" or bool(channel.user)))
                server.ehlo()
                encrypted = True
            if channel.user:
                if not encrypted:
                    raise NotSent(f"{channel.smtp} offers no encryption; a password is not sent in the clear")
                server.login(channel.user, Path(channel.password_file).read_text("utf-8").strip())
        except BaseException:
            server.close()
            raise
        return server

    def _hand_over(self, server: smtplib.SMTP, address: str, message: EmailMessage) -> str:
        try:
            for code, answer in (server.mail(self._channel.sender), server.rcpt(address)):
                if code >= 300:
                    raise smtplib.SMTPResponseException(code, answer)
        except (OSError, smtplib.SMTPException) as error:
            raise _refusal(error, self._channel.smtp) from error
        try:
            code, answer = server.data(message.as_bytes())
        except smtplib.SMTPDataError as error:
            raise _refusal(error, self._channel.smtp) from error
        except (OSError, smtplib.SMTPException) as error:
            # smtplib reports a time-out while it waits for the answer as a broken connection.
            if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
                raise Unclear(f"{self._channel.smtp} took the message and did not answer in time") from error
            raise NotSent(f"{self._channel.smtp} broke the connection instead of answering: {error}") from error
        if code != 250:
            raise _refusal(smtplib.SMTPResponseException(code, answer), self._channel.smtp)
        return f"{code} {_plain(answer)}"


def compose(notice: Notice, recipient: Recipient, sender: str) -> EmailMessage:
    """The mail of a notice."""
    message = EmailMessage()
    message["From"] = Address("emitwatch", *sender.rsplit("@", 1))
    message["To"] = Address(recipient.name.of(recipient.language), *recipient.address.rsplit("@", 1))
    message["Subject"] = notice.message.subject
    message["Date"] = formatdate(notice.wanted_ns / 1e9)
    message["Message-ID"] = f"<{notice.digest}@{sender.rsplit('@', 1)[1]}>"
    message["Auto-Submitted"] = "auto-generated"
    message["Content-Language"] = recipient.language
    message.set_content(
        f"{notice.message.text}\n\n-- \nemitwatch, incident {notice.incident}, notice {notice.digest}\n"
    )
    return message


def _context(*, checked: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not checked:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _refusal(error: Exception, server: str) -> NotSent:
    """What an error before the message was handed over means; 5xx answers stay the same however often one asks."""
    if isinstance(error, smtplib.SMTPResponseException):
        text = f"{server} answers {error.smtp_code} {_plain(error.smtp_error)}"
        return NotSent(text, again=error.smtp_code < 500)
    return NotSent(f"{server} cannot be used: {error}")


def _plain(answer: bytes | str) -> str:
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
