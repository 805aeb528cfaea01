"""The key that makes a gateway or a collector who it is: an Ed25519 seed in a file of its own.

The file holds the raw 32-byte seed in hex, readable by its owner alone. Whoever can read it can
sign in the owner's name, so a file that others may read is refused, as ssh does.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.seal import Verifier


class IdentityError(Exception):
    """A key file that cannot be used; says which and what to do."""


def load_or_create_key(path: str | Path) -> tuple[Ed25519PrivateKey, bool]:
    """The key in a file, and whether it was made just now because there was none."""
    path = Path(path)
    try:
        return _load(path), False
    except FileNotFoundError:
        return _create(path)
    except OSError as error:
        raise IdentityError(f"{path}: cannot be read: {error.strerror}") from error


def public_hex(key: Ed25519PrivateKey | Verifier) -> str:
    """The public key as the site file has it, 64 hex digits."""
    public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
    return public.public_bytes_raw().hex()


def public_key(text: str) -> Ed25519PublicKey:
    """The public key in 64 hex digits; raises ValueError on anything else."""
    raw = bytes.fromhex(text)
    if len(raw) != 32:
        raise ValueError(f"a public key has 64 hex digits, not {len(text)}")
    return Ed25519PublicKey.from_public_bytes(raw)


def _load(path: Path) -> Ed25519PrivateKey:
    with path.open(encoding="ascii", errors="replace") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        text = file.read(4096).strip()
    if mode & 0o077:
        raise IdentityError(f"{path}: others may read this key (mode {mode:04o}); run: chmod 600 {path}")
    try:
        seed = bytes.fromhex(text)
    except ValueError:
        seed = b""
    if len(seed) != 32:
        raise IdentityError(
            f"{path}: not a key (64 hex digits); restore it from a backup, "
            "or remove it to get a new one and enter its public key in the site file"
        )
    return Ed25519PrivateKey.from_private_bytes(seed)


def _create(path: Path) -> tuple[Ed25519PrivateKey, bool]:
    """Write a new key so that either all of it is on disk under its name or nothing is."""
    key = Ed25519PrivateKey.generate()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        write_durably(draft, key.private_bytes_raw().hex() + "\n")
        with contextlib.closing(_Draft(draft)):
            os.link(draft, path)  # unlike a rename it does not replace a key made meanwhile
        sync_folder(path.parent)
    except FileExistsError:
        return _load(path), False
    except OSError as error:
        raise IdentityError(f"{path}: no key there, and a new one cannot be written: {error.strerror}") from error
    return key, True


class _Draft:
    """A file that goes when closed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def close(self) -> None:
        self.path.unlink(missing_ok=True)


def write_durably(path: Path, text: str) -> None:
    """Write a file that its owner alone may read, and wait until the disk has it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the disk knows which names are in a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
