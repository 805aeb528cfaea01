"""What is done when the journal has gone back in time: the tree follows, and it is told.

That a journal was restored gateways learn by its new generation. The tree that was ahead of it is set aside
(`proof/aside`), and an event of the journal says from where on receipts are new.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from collector.intake import events
from collector.intake.events import What
from collector.intake.journal import Journal
from collector.proof.aside import set_aside


def tell_restored(journal: Journal, folder: Path) -> str:
    """Set aside what is ahead of a restored journal, and journal the event; its text. folder: the collector's.

    Raises JournalError or ProofError.
    """
    position, generation = journal.last, journal.generation[0]
    found = set_aside(folder / "tree.db", folder / "checkpoints", position, str(generation))
    detail: dict[str, Any] = {"position": position, "generation": generation}
    text = f"the journal was restored: it ends at position {position}, gateways send again what came after"
    if found:
        aside, leaves = found
        detail |= {"tree": aside.name, "leaves": leaves}
        text += f"; the tree that was ahead of it by {leaves} batches is set aside as {aside.name}"
    journal.append([events.entry(What.RESTORED, "", b"", time.time_ns(), text, detail)])
    return text
