"""The bearer token's file: made once with a random token, readable by its owner alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

TOKEN_BYTES = 32  # as strong as the keys beside it
LEAST = 16  # characters of a token that somebody wrote by hand


class TokenError(Exception):
    """The file cannot be made or used; says what to do."""


def load_or_create_token(path: str | Path) -> tuple[str, bool]:
    """The token in a file, and whether it was made now. Raises TokenError."""
    file = Path(path)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Created with its mode, so that there is no moment in which others could read it.
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return _load(file), False
        token = secrets.token_urlsafe(TOKEN_BYTES)
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(token + "\n")
    except OSError as error:
        raise TokenError(f"{file}: {error.strerror}; check the path and who may write there") from error
    return token, True


def require_usable(path: str | Path) -> None:
    """Raise TokenError where a file is there that holds no token to use; none there is no fault."""
    file = Path(path)
    try:
        if file.exists():
            _load(file)
    except (OSError, ValueError) as error:
        raise TokenError(f"{file}: {error}; check the path and who may read there") from error


def _load(file: Path) -> str:
    token = file.read_text(encoding="utf-8", errors="replace").strip()
    if len(token) < LEAST or not token.isascii() or not token.isprintable() or " " in token:
        raise TokenError(f"{file} holds no usable token; delete it, and a new one is made")
    if file.stat().st_mode & 0o077:
        raise TokenError(f"{file} can be read by others; chmod 600 {file}")
    return token
