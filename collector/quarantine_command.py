"""`emitwatch quarantine`: what the collector keeps and does not believe, why, and what of it can be read by now.

Rules of this file:

- everything is examined again, by the code and the keys of now;
- `--replay` journals what is good now as a batch, a new entry; the quarantined one stays as it is. It holds
  the journal's lock: while a collector runs it is refused;
- what has come in otherwise since is left alone, so that replaying twice adds nothing.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from collector.intake import events
from collector.intake.events import What
from collector.intake.gate import Examined, Gate
from collector.intake.inbox import Inbox
from collector.intake.journal import Journal, JournalError
from collector.intake.journal_files import JournalFiles
from collector.intake.sorter import Sorter
from collector.proof.collector_key import current_key
from collector.proof.identities import RegisterBroken
from collector.proof.mandates import authority
from collector.proof.register_file import FILE, load_register
from collector.proof.verifier import instant
from collector.settings import CollectorSettings, parse_collector
from collector.store import Entry
from collector.trust import trusted_now
from gateway import catalogue
from gateway.document import FaultyFiles
from gateway.identity import IdentityError
from gateway.measurement import SECOND_NS


@dataclass(frozen=True, slots=True)
class Kept:
    """A message in quarantine. reason: why, as it was told then. now: what an examination says now."""

    entry: Entry
    reason: str
    now: Examined

    @property
    def readable(self) -> bool:
        """Whether it is a good batch now."""
        return self.now.said is not None

    def item(self) -> dict[str, Any]:
        """It for other programs."""
        return {
            "position": self.entry.position, "received": instant(self.entry.received_ns),
            "gateway": self.entry.gateway, "epoch": self.entry.epoch.hex(), "seq": self.entry.seq,
            "bytes": len(self.entry.payload), "reason": self.reason, "readable": self.readable, "now": self.now.fault,
        }  # fmt: skip


def quarantine(
    site: Annotated[Path, typer.Argument(help="A site file, or a folder of them, one plant each.")],
    replay: Annotated[bool, typer.Option("--replay", help="Journal what can be read by now as batches.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")] = False,
) -> None:
    """List what is in quarantine and why; --replay takes in what can be read after a fix."""
    settings, faults = parse_collector(catalogue.load_sites(str(site)))
    if settings is None:
        raise FaultyFiles(faults)
    try:
        kept = examined(settings)
        taken = _replay(settings, kept) if replay else None
    except (JournalError, RegisterBroken, IdentityError) as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(2) from error
    if as_json:
        told = {"items": [one.item() for one in kept]} | ({} if taken is None else {"replayed": taken})
        sys.stdout.write(json.dumps(told) + "\n")
        return
    for one in kept:
        number = f" batch {one.entry.seq}" if one.entry.seq else ""
        state = "readable now" if one.readable else f"now: {one.now.fault}"
        where = f"{one.entry.position}  {instant(one.entry.received_ns)}  {one.entry.gateway}{number}"
        sys.stdout.write(f"{where}  {one.reason or 'not told'}  ({state})\n")
    more = "" if taken is None else f", {taken} taken in as batches"
    readable = sum(one.readable for one in kept)
    sys.stdout.write(f"{len(kept)} in quarantine, {readable} of them readable now{more}\n")


def examined(settings: CollectorSettings) -> list[Kept]:
    """Everything in quarantine, examined again. Raises JournalError, RegisterBroken, IdentityError."""
    folder = Path(settings.folder)
    register = load_register(folder / FILE)
    approvers = authority(register, current_key(folder)[0].public_key()) if (folder / "key").exists() else ()
    gate = Gate(trusted_now(settings.trusted, register, approvers), approvers=approvers)
    found = []
    for number, (entry, told) in enumerate(JournalFiles(folder / "journal").quarantined()):
        # An hour of the gate's clock between two, so that no quota of messages is ever used up.
        now = gate.examine(
            entry.gateway, entry.payload, received_ns=entry.received_ns, now_ns=number * 3600 * SECOND_NS
        )
        found.append(Kept(entry, events.event(told).text if told else "", now))
    return found


def _replay(settings: CollectorSettings, kept: Sequence[Kept]) -> int:
    with closing(Journal(Path(settings.folder) / "journal")) as journal:
        return take_in(journal, list(settings.trusted), kept)


def take_in(journal: Journal, gateways: Sequence[str], kept: Sequence[Kept]) -> int:
    """Journal what is readable now and not there as a batch yet; how many. Raises JournalError."""
    inbox, taken = Inbox(journal.streams(), gateways), 0
    sorter = Sorter(inbox, journal, gateways, lacking=lambda: journal.lacking)
    for one in kept:
        batch = one.now.entry
        if not one.readable or batch is None:
            continue
        if journal.is_batch((batch.gateway, batch.epoch), batch.seq, one.now.digest):
            continue
        # Under its number it was acknowledged, so nobody sends it again; under none it is as if it came now.
        added = sorter.replay(one.now, 0) if one.entry.seq else sorter.take(one.now, 0)
        if not added:
            continue
        text = (
            f"batch {batch.seq} of gateway {batch.gateway}, quarantined at position {one.entry.position}, is readable"
        )
        detail = {"epoch": batch.epoch.hex(), "seq": batch.seq, "position": one.entry.position}
        told = events.entry(What.REPLAYED, batch.gateway, batch.epoch, time.time_ns(), text, detail)
        journal.append([*added, told], inbox.proposed())
        inbox.committed(0)
        taken += 1
    return taken
