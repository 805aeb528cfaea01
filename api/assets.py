"""The files of the page, read once from the package and served with their hashes.

Everything the page loads lies under one address that holds the hash of all files together, so a
browser may keep it for ever and never mixes two versions; only `index.html` itself is asked for anew.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from api.markup import style_hash

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".LICENSE": "text/plain; charset=utf-8",
}
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the page. etag: its hash, in quotes."""

    body: bytes
    packed: bytes
    media_type: str
    etag: str


def content_policy(style: str) -> str:
    """No script, style, font or image but our own, nothing inline, no frame around us, no form to anywhere.

    style: the one that is inline after all, in the evidence as a page: opened from the app, it stands under its policy.
    """
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self' {style_hash(style)}; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def load_assets() -> tuple[str, dict[str, Asset]]:
    """The version of the page, and its files by path; `index.html` names the version."""
    texts = dict(_files(resources.files("api.web"), ""))
    version = hashlib.sha256(b"".join(path.encode() + texts[path] for path in sorted(texts))).hexdigest()[:12]
    texts["index.html"] = texts["index.html"].replace(b"web/VERSION/", f"web/{version}/".encode())
    return version, {path: _asset(path, body) for path, body in texts.items()}


def _files(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        path = f"{prefix}{entry.name}"
        if entry.is_dir():
            yield from _files(entry, f"{path}/") if entry.name == "vendor" else ()
        elif _suffix(path) in MEDIA_TYPES:
            yield path, entry.read_bytes()


def _suffix(path: str) -> str:
    return "." + path.rpartition(".")[2]


def _asset(path: str, body: bytes) -> Asset:
    etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
    return Asset(body, gzip.compress(body, mtime=0), MEDIA_TYPES[_suffix(path)], etag)
