"""Files of notes, one after the other with an empty line behind each: they only ever grow.

A note is on the disk when it has been added. What a crash cut off at the end was told to nobody, and is taken away.
"""

from __future__ import annotations

import os
from pathlib import Path

from collector.proof.checkpoint import notes, whole
from collector.proof.leaf_file import ProofError
from gateway.identity import sync_folder


def complete(path: Path, text: str) -> None:
    """Bring a file up to a text that it is the beginning of; raises ProofError where it is not, OSError, ValueError."""
    have = path.read_text(encoding="utf-8") if path.exists() else ""
    if not text.startswith(have):
        raise ProofError("it is not as it was written; move it away, compare it with the new one, ask who changed it")
    if have != text:
        _append(path, text[len(have) :])


def add(path: Path, note: str) -> None:
    """Add a note; raises OSError."""
    _append(path, f"{note}\n")


def read(path: Path) -> list[str]:
    """The notes in a file, none where there is no file; raises CheckpointError, OSError, ValueError."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    sound = whole(text)
    if sound != text:
        os.truncate(path, len(sound.encode()))
    return notes(sound)


def _append(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)
