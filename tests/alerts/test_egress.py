from __future__ import annotations

import socket
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts import egress
from alerts.egress import NotSent, Refused, Unclear, allowed, post
from tests.alerts.kit import HookSink, serving
from tests.effort import examples


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "::ffff:93.184.216.34"])
def test_the_public_internet_is_reached(address: str) -> None:
    assert allowed(address, allow_private=False)


PRIVATE = ["127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "::1", "fd00::1", "::ffff:10.0.0.1"]
NEVER = [
    "169.254.169.254", "fe80::1", "fe80::1%eth0", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255",
    "240.0.0.1", "::ffff:169.254.169.254", "2002:a9fe:a9fe::1", "64:ff9b::a9fe:a9fe",
]  # fmt: skip
HIDDEN = ["2002:7f00:1::1", "64:ff9b::7f00:1", "::ffff:127.0.0.1", "::127.0.0.1", "2002:c0a8:101::"]


@pytest.mark.parametrize("address", [*PRIVATE, *HIDDEN])
def test_the_own_network_only_by_name(address: str) -> None:
    assert not allowed(address, allow_private=False)
    assert allowed(address, allow_private=True)


@pytest.mark.parametrize("address", NEVER)
def test_metadata_and_multicast_never(address: str) -> None:
    assert not allowed(address, allow_private=False)
    assert not allowed(address, allow_private=True)


@settings(max_examples=examples(200))
@given(st.ip_addresses(v=4))
def test_an_address_hidden_in_ipv6_counts_as_itself(address) -> None:
    plain = int(address)
    for hidden in (f"::ffff:{address}", f"64:ff9b::{plain >> 16:x}:{plain & 0xFFFF:x}",
                   f"2002:{plain >> 16:x}:{plain & 0xFFFF:x}::"):  # fmt: skip
        assert allowed(hidden, allow_private=False) == allowed(str(address), allow_private=False)


def send(sink: HookSink, **other: object) -> int:
    values = {"allow_private": True, "timeout_s": 20.0, **other}
    return post(f"http://{sink.address}/hook?a=b", b'{"x":1}', {"Content-Type": "application/json"}, **values)


def test_one_post_with_its_body_and_headers() -> None:
    with serving(HookSink(204)) as sink:
        assert send(sink) == 204
        (((method, path, version), headers, body),) = sink.posts
    assert (method, path, version, body) == ("POST", "/hook?a=b", "HTTP/1.1", b'{"x":1}')
    assert headers["Host"] == sink.address
    assert headers["Content-Type"] == "application/json"
    assert headers["Connection"] == "close"


@pytest.mark.parametrize("status", [301, 302, 307])
def test_redirects_are_not_followed(status: int) -> None:
    with serving(HookSink(status)) as sink:
        assert send(sink) == status
        assert len(sink.posts) == 1


def test_a_local_address_is_refused() -> None:
    with serving(HookSink()) as sink:
        with pytest.raises(Refused, match="https"):
            send(sink, allow_private=False)
        port = sink.address.split(":")[1]
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"):
            with pytest.raises(NotSent) as refused:
                post(f"https://{host}:{port}/", b"", {}, timeout_s=1.0)
            assert isinstance(refused.value, Refused) or "not known" in str(refused.value)
        assert sink.posts == []


def test_a_name_that_leads_to_both_worlds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server's answer is data too; this is the one thing no local server can stand in for."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 443)) for ip in ("93.184.216.34", "127.0.0.1")]
    monkeypatch.setattr(egress.socket, "getaddrinfo", lambda *a, **k: found)
    with pytest.raises(Refused, match=r"127\.0\.0\.1"):
        post("https://both.example/", b"", {}, timeout_s=1.0)


def test_the_name_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    true = socket.getaddrinfo

    def answer(host: str, *rest: object, **more: object):
        asked.append(host)
        return true("127.0.0.1", *rest, **more)

    monkeypatch.setattr(egress.socket, "getaddrinfo", answer)
    with serving(HookSink()) as sink:
        port = sink.address.split(":")[1]
        assert post(f"http://rebinding.example:{port}/", b"", {}, allow_private=True, timeout_s=20.0) == 200
        assert sink.posts[0][1]["Host"] == f"rebinding.example:{port}"
    assert asked == ["rebinding.example"]


def test_nobody_listens() -> None:
    with serving(HookSink()) as sink:
        pass
    with pytest.raises(NotSent, match="cannot be reached") as caught:
        send(sink)
    assert caught.value.again


def test_an_unknown_name() -> None:
    with pytest.raises(NotSent, match="not known"):
        post("https://does-not-exist.invalid/", b"", {}, timeout_s=1.0)


def test_a_broken_connection_is_no_yes() -> None:
    with serving(HookSink("drop")) as sink, pytest.raises(NotSent):
        send(sink)


@pytest.mark.parametrize("how", ["hold", "drip"])
def test_a_slow_answer_is_unclear_and_ends_in_time(how: str) -> None:
    began = time.monotonic()
    with serving(HookSink(how)) as sink:
        with pytest.raises(Unclear, match="in time"):
            send(sink, timeout_s=1.0)
        assert time.monotonic() - began < 5.0
        assert len(sink.posts) == 1


def test_what_is_no_http_is_unclear() -> None:
    class Chatter(HookSink):
        def talk(self, handler) -> None:
            handler.wfile.write(b"SSH-2.0-OpenSSH_9.2 " * 10)
            self.release.wait(1)

    with serving(Chatter()) as sink, pytest.raises((Unclear, NotSent)):
        send(sink)


def test_tls_is_checked() -> None:
    with serving(HookSink()) as sink, pytest.raises(NotSent, match="cannot be reached"):
        post(f"https://{sink.address}/", b"", {}, allow_private=True, timeout_s=0.5)
