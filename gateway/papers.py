"""What a gateway keeps beside its outbox: the collector's keys, what it measures by, how its instruments are set.

    collector-keys    hand-overs as signed, hex, one a line
    config.sig        the collector's approval of the configuration, hex; `emitwatch enroll` makes it
    configuration     the text that was told last, to tell what has changed since
    settings          how instruments were set when that was last recorded, JSON

None of them is needed to measure: one that cannot be read or written is told, and the gateway goes on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from gateway.configuration import Configuration, fault
from gateway.identity import public_key, sync_folder, write_durably
from gateway.inspection import Told, told_of, told_text
from gateway.succession import Trust

KEYS, APPROVAL, TEXT, SETTINGS = "collector-keys", "config.sig", "configuration", "settings"

_log = structlog.get_logger("gateway.papers")


def load_trust(folder: Path, collector_key: str) -> Trust | None:
    """Whose acknowledgements count: the site file's key and those that followed it; None = it has no key."""
    if not collector_key:
        return None
    return Trust(public_key(collector_key)).learn([_unhex(line) for line in _read(folder / KEYS).split()])


def keep_handovers(folder: Path, handovers: Sequence[bytes]) -> None:
    """Keep what was learned; where that fails the next acknowledgement tells it again."""
    _write(folder / KEYS, "".join(f"{handover.hex()}\n" for handover in handovers))


def load_configuration(folder: Path, gateway: str, text: str, trust: Trust | None) -> Configuration:
    """What the gateway measures by, with its approval; what is wrong with that is logged. text: as it is now."""
    approval = _unhex(_read(folder / APPROVAL).strip())
    found = Configuration(text, approval, before=_read(folder / TEXT))
    problem = fault(approval, gateway, found.hash, trust.keys(time.time_ns()) if trust else [])
    if problem:
        _log.warning(
            "The configuration is not the collector's; measuring goes on, and every batch says so", gateway=gateway,
            problem=problem, hint=f"run `emitwatch enroll SITE {gateway} --sign` at the collector, put config.sig here",
            folder=str(folder),
        )  # fmt: skip
    return Configuration(text, approval, problem, found.before)


def keep_configuration(folder: Path, configuration: Configuration) -> None:
    """Note what the journal has been told."""
    if configuration.text != configuration.before:
        _write(folder / TEXT, configuration.text)


def load_settings(folder: Path) -> Told:
    """How instruments were set when that was last recorded."""
    return told_of(_read(folder / SETTINGS))


def keep_settings(folder: Path, told: Told) -> None:
    """Note what has been recorded of them."""
    _write(folder / SETTINGS, told_text(told))


def state_of(configuration: Configuration) -> dict[str, Any]:
    """How the configuration is, for the gateway's state."""
    return {"hash": configuration.hash.hex(), "signed": not configuration.problem, "problem": configuration.problem}


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        _log.warning("A file beside the outbox cannot be read", file=str(path), problem=str(error))
        return ""


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.new")
    try:
        write_durably(draft, text)
        draft.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        _log.warning("A file beside the outbox cannot be written", file=str(path), problem=str(error))


def _unhex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
