from __future__ import annotations

import stat
from pathlib import Path

import pytest

from api.access import host_is_local, origin_fits, token_fits
from api.tokens import TokenError, load_or_create_token


@pytest.mark.parametrize(
    ("header", "fits"),
    [
        ("Bearer secret-token", True), ("bearer secret-token", True), ("Bearer secret-toke", False),
        ("Basic secret-token", False), ("secret-token", False), ("", False), ("Bearer ", False), ("Bearer é", False),
    ],
)  # fmt: skip
def test_token(header: str, fits: bool) -> None:
    assert token_fits(header, "secret-token") is fits


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1:8080", True), ("localhost", True), ("[::1]:8080", True), ("evil.example:8080", False),
        ("127.0.0.1.evil.example", False), ("", False), ("[", False), ("10.0.0.1", False),
    ],
)  # fmt: skip
def test_host(host: str, local: bool) -> None:
    assert host_is_local(host) is local


def test_origin() -> None:
    assert origin_fits("", "127.0.0.1:8080")
    assert origin_fits("http://127.0.0.1:8080", "127.0.0.1:8080")
    assert not origin_fits("http://evil.example", "127.0.0.1:8080")
    assert not origin_fits("null", "127.0.0.1:8080")
    assert not origin_fits("http://[", "127.0.0.1:8080")


def test_a_token_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "api.token"
    token, created = load_or_create_token(path)
    assert created
    assert len(token) >= 43
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create_token(path) == (token, False)


@pytest.mark.parametrize("content", ["", "short", "with blanks in the middle of it", "ключ-ключ-ключ-ключ"])
def test_a_token_that_cannot_be_one_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "api.token"
    path.write_text(content, "utf-8")
    path.chmod(0o600)
    with pytest.raises(TokenError, match=r"api\.token holds no usable token"):
        load_or_create_token(path)


def test_a_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "api.token"
    path.write_text("a-token-that-is-long-enough", "utf-8")
    path.chmod(0o644)
    with pytest.raises(TokenError, match="chmod 600"):
        load_or_create_token(path)
