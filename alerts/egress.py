"""The only way out to an address that a site file names: one POST, guarded.

A webhook's address is data, and a wrong or wicked one must not reach what only this host can reach.
Rules: the name is resolved once and the connection goes to that very address, so that it cannot change
in between; every address it resolves to must be on the public internet, unless private ones are allowed
by name, and never link-local, multicast or unspecified ones (cloud metadata lives there); IPv4 hidden in
IPv6 counts as IPv4; TLS certificates are checked; redirects are not followed; five seconds for all of
it; at most 64 kB of the answer are read. No proxy is used.

    NotSent           the other side did not take it; `again` = later it may. Also when it broke the
    |                 connection instead of answering: then it did not get as far as saying yes
    `-- Refused       by our own guard
    Unclear           it was sent, and no answer came in time: nobody here knows, it may be working on it
"""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

TIMEOUT_S = 5.0  # a receiver that takes longer is not one to be woken by
ANSWER_MAX = 65536  # bytes read of an answer, though only its first line counts
DRAIN_S = 0.5  # how long an answer's rest is waited for, so that the receiver sees an orderly end

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r\n]")
_CONTENT_LENGTH = re.compile(rb"\r\nContent-Length: *(\d{1,9})\r\n?", re.IGNORECASE)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class NotSent(Exception):
    """The other side did not take the message. again: whether trying later makes sense."""

    def __init__(self, message: str, *, again: bool = True) -> None:
        super().__init__(message)
        self.again = again


class Refused(NotSent):
    """Our own guard did not let it out."""


class Unclear(Exception):
    """The message was handed over and no answer came in time; it may or may not have been taken."""


def post(
    url: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool = False, timeout_s: float = TIMEOUT_S
) -> int:
    """Send one POST and give the answer's status. Raises NotSent, Refused or Unclear."""
    deadline = time.monotonic() + timeout_s
    with _sent(url, body, headers, allow_private=allow_private, deadline=deadline) as connection:
        status, answer = _status(connection, urlsplit(url).hostname or "", deadline)
        _rest(connection, answer, min(deadline, time.monotonic() + DRAIN_S))
        return status


def ask(
    url: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool = False, ca: str = "",
    timeout_s: float = TIMEOUT_S,
) -> tuple[int, bytes]:  # fmt: skip
    """Send one POST and give the answer's status and body. Raises NotSent, Refused or Unclear.

    ca: file of the only authority to believe, "" = those of the system.
    """
    deadline = time.monotonic() + timeout_s
    with _sent(url, body, headers, allow_private=allow_private, deadline=deadline, ca=ca) as connection:
        status, answer = _status(connection, urlsplit(url).hostname or "", deadline)
        return status, _rest(connection, answer, deadline).partition(b"\r\n\r\n")[2]


def _sent(
    url: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool, deadline: float, ca: str = ""
) -> socket.socket:
    """A connection that a request has gone out on."""
    parts = urlsplit(url)
    host, tls = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    if not tls and not allow_private:
        raise Refused(f"{host}: http is not encrypted; use https", again=False)
    trust = _trust(ca) if tls else None
    connection = _connect(host, _resolve(host, port, allow_private=allow_private), trust, deadline)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        _send(connection, _request(path, parts.netloc, body, headers), deadline)
    except BaseException:
        connection.close()
        raise
    return connection


def _trust(ca: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca or None)
    except OSError as error:
        raise Refused(f"{ca}: no certificate of an authority: {error}") from error


def _resolve(host: str, port: int, *, allow_private: bool) -> list[tuple[int, str, int]]:
    """(family, address, port) to try, every one of them allowed."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotSent(f"{host}: its address is not known: {error}") from error
    addresses = [(int(family), str(where[0]), port) for family, _, _, _, where in found]
    for _, address, _ in addresses:
        if not allowed(address, allow_private=allow_private):
            raise Refused(
                f"{host} is at {address}, which is not on the public internet; "
                "allow_private = true lets a channel reach your own network", again=False,
            )  # fmt: skip
    return addresses


def allowed(address: str, *, allow_private: bool) -> bool:
    """Whether a message may go to an IP address."""
    ip = _plain(ipaddress.ip_address(address.partition("%")[0]))
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified or (ip.is_reserved and not ip.is_loopback):
        return False
    return ip.is_global or (allow_private and (ip.is_private or ip.is_loopback))


def _plain(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return ip.ipv4_mapped
        if ip.sixtofour is not None:
            return ip.sixtofour
        if ip.teredo is not None:
            return ip.teredo[1]
        if ip in _NAT64 or (int(ip) >> 32 == 0 and int(ip) > 1):
            return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip


def _connect(
    host: str, addresses: list[tuple[int, str, int]], trust: ssl.SSLContext | None, deadline: float
) -> socket.socket:
    """trust: None = no TLS."""
    last: OSError = TimeoutError("no time left")
    for family, address, port in addresses:
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(_left(deadline))
            connection.connect((address, port))
            return trust.wrap_socket(connection, server_hostname=host) if trust else connection
        except OSError as error:
            connection.close()
            last = error
    raise NotSent(f"{host} cannot be reached: {last}") from last


def _send(connection: socket.socket, request: bytes, deadline: float) -> None:
    try:
        connection.settimeout(_left(deadline))
        connection.sendall(request)
    except OSError as error:
        # The receiver cannot have the whole of it: the declared length never came through.
        raise NotSent(f"the connection broke while sending: {error}") from error


def _status(connection: socket.socket, host: str, deadline: float) -> tuple[int, bytes]:
    """The answer's status, and as much of the answer as came with it."""
    answer = b""
    while not (found := _STATUS.match(answer)):
        if len(answer) > 64 and not answer.startswith(b"HTTP/1."):
            raise Unclear(f"{host} does not answer in HTTP")
        try:
            connection.settimeout(_left(deadline))
            part = connection.recv(4096)
        except TimeoutError as error:
            raise Unclear(f"{host} took the request and did not answer in time") from error
        except OSError as error:
            raise NotSent(f"{host} broke the connection instead of answering: {error}") from error
        if not part:
            raise NotSent(f"{host} closed the connection without an answer")
        answer += part
    return int(found.group(1)), answer


def _rest(connection: socket.socket, answer: bytes, deadline: float) -> bytes:
    """The answer read on until the receiver closes or it is whole; how it ends does not matter any more."""
    while len(answer) < min(ANSWER_MAX, _length(answer)) and (left := deadline - time.monotonic()) > 0:
        try:
            connection.settimeout(left)
            part = connection.recv(4096)
        except OSError:
            break
        if not part:
            break
        answer += part
    return answer


def _length(answer: bytes) -> int:
    """How long an answer says it is, head included; ANSWER_MAX as long as it does not say."""
    head, end, _ = answer.partition(b"\r\n\r\n")
    found = _CONTENT_LENGTH.search(head)
    return len(head) + len(end) + int(found[1]) if end and found else ANSWER_MAX


def _request(path: str, host: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    fields = {"Host": host, "Connection": "close", "Content-Length": str(len(body)), **headers}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    assert all("\r" not in line and "\n" not in line for line in lines), "a header line is one line"
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def _left(deadline: float) -> float:
    """Seconds until the deadline; TimeoutError, which is an OSError, once it is over."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left
