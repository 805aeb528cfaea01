"""The collector's own key on disk: `key`, and during a rotation `key.new`.

Order of a rotation: the new key is written beside the old one, then the register gets the hand-over that the old
key has signed (from here on the new one counts), then it takes the old one's place. Whoever opens the key next
finishes what a crash has left undone. The old private key is gone after that; its public half stays in the register.
"""

from __future__ import annotations

import getpass
import re
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.proof.authority_files import put
from collector.proof.identities import Record, Register
from collector.proof.register_file import FILE, append, load_register, locked
from gateway.identity import IdentityError, load_or_create_key, public_hex, sync_folder
from gateway.settings import Site
from gateway.succession import Handover, seal_handover


def current_key(folder: Path) -> tuple[Ed25519PrivateKey, bool]:
    """The collector's key, and whether it was made just now; raises IdentityError, RegisterBroken, OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        return settled(folder, load_register(folder / FILE))


def settled(folder: Path, register: Register) -> tuple[Ed25519PrivateKey, bool]:
    """The key, after a rotation that was cut off was finished, or taken back where the register does not have it.

    `folder` is locked.
    """
    path, new = folder / "key", folder / "key.new"
    wanted = register.collector_keys[-1] if register.collector_keys else ""
    if new.exists():
        made, _ = load_or_create_key(new)
        if wanted == public_hex(made):
            new.replace(path)
        else:
            new.unlink()
        sync_folder(folder)
    if wanted and not (path.exists() and public_hex(load_or_create_key(path)[0]) == wanted):
        raise IdentityError(f"{path}: it is not the key that the register has, {wanted}; restore it from a backup")
    return load_or_create_key(path)


def rotate(folder: Path, now_ns: int, until_ns: int, reason: str) -> tuple[str, str]:
    """Give the collector a new key, signed by its old one; both public keys, old and new. `folder` is locked."""
    register = load_register(folder / FILE)
    old, _ = settled(folder, register)
    new, _ = load_or_create_key(folder / "key.new")
    handover = Handover(old.public_key().public_bytes_raw(), new.public_key().public_bytes_raw(), now_ns, until_ns)
    record = Record(
        kind="handed_over", at=now_ns, gateway="", plant="", key=public_hex(new), keys=(public_hex(old),),
        until=until_ns, signed=seal_handover(handover, old).hex(), by=getpass.getuser(), reason=reason,
    )  # fmt: skip
    settled(folder, append(folder / FILE, register, record))
    return public_hex(old), public_hex(new)


def enter(sites: Sequence[Site], old: str, new: str) -> list[str]:
    """Put the new key in place of the old one in the site files, which stay otherwise as they are; what to tell."""
    told = []
    for file in dict.fromkeys(site.document.file for site in sites):
        path = Path(file)
        text = path.read_text("utf-8")
        changed = re.sub(rf'(public_key\s*=\s*["\']){old}(["\'])', rf"\g<1>{new}\g<2>", text)
        if changed == text:
            continue
        try:
            put(path, changed, path.stat().st_mode & 0o777)
            told.append(f"    {file}: [collector] public_key is the new one")
        except OSError as error:
            told.append(f'    {file} cannot be written ({error.strerror}): enter [collector] public_key = "{new}"')
    return told
