"""The notary: grows each plant's tree as the journal grows, and signs a checkpoint of it every hour.

One thread that follows the journal. Rules of this file:

- hours are those of the journal's ticks, so that checkpoints are a function of the journal: a tick in
  another hour than the last checkpoint's makes the next one; each names the head of the register of
  identities too, so that a register exchanged later shows;
- a checkpoint is in `tree.db` before it is in `checkpoints/<plant>.txt`, and the text file is
  completed from there at every start, so a crash between the two loses none;
- the text file only ever grows: copy it, mail it, or let a witness fetch it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.proof.checkpoint import Checkpoint, origin, sign
from collector.proof.leaf_file import Grown, LeafFile, ProofError
from collector.proof.leaves import Leaf, Planter
from collector.proof.note_file import complete
from collector.proof.tree import Frontier
from collector.store import Entry, EntryKind, JournalReader

GROUP_ENTRIES = 1000
HOUR_NS = 3600 * 1_000_000_000
# Small transactions would keep the disk busy; nothing waits for the tree.
PAUSE_S = 2.0
WAIT_S = 1.0
RETRY_S = 5.0

log = structlog.get_logger(__name__)


class Notary:
    """Grows the trees. position: how far it has followed the journal.

    trouble: why it cannot go on right now. damage: what is wrong with a text file. "" = nothing.
    """

    def __init__(
        self, journal: JournalReader, file: LeafFile, folder: Path, key: Ed25519PrivateKey, *,
        register: Callable[[], str] = lambda: "",
    ) -> None:  # fmt: skip
        """folder: where the text files of checkpoints go. register: the head of the register of identities now."""
        self.trouble = self.damage = ""
        self._journal, self._file, self._folder, self._key = journal, file, folder, key
        self._register = register
        self._planter = Planter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="notary", daemon=True)
        self._load()
        self._complete_texts()

    def _load(self) -> None:
        self.position, self._trees = self._file.position(), self._file.trees()

    def start(self) -> None:
        """Begin to follow the journal."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End after the transaction under way."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _supervise(self) -> None:
        try:
            while not self._stop.is_set():
                self._turn()
        except Exception as error:
            self.trouble = f"the notary ended: {error}"
            log.exception("The notary ended: no checkpoints are made until the next start; the journal has everything.")

    def _turn(self) -> None:
        if self._journal.wait(self.position, WAIT_S) <= self.position:
            return
        entries = self._journal.read(self.position, GROUP_ENTRIES)
        try:
            self.take(entries)
        except (ProofError, OSError) as error:
            if not self.trouble:
                log.error("Checkpoints cannot be written; trying again.", reason=str(error))
            self.trouble = str(error)
            self._stop.wait(RETRY_S)
            self._load()
            return
        self.trouble = ""
        if len(entries) < GROUP_ENTRIES:
            self._stop.wait(PAUSE_S)

    def take(self, entries: Sequence[Entry]) -> None:
        """Add entries that follow `position` to the trees; raises ProofError or OSError."""
        if not entries:
            return
        leaves: list[tuple[int, Leaf]] = []
        made: list[tuple[str, int, str, Frontier]] = []
        for entry in entries:
            for leaf in self._planter.leaves([entry]):
                tree = self._trees.setdefault(leaf.plant, Grown())
                leaves.append((tree.frontier.size, leaf))
                tree.frontier = tree.frontier.then(leaf.hash)
            if entry.kind is EntryKind.TICK:
                made += self._tick(entry)
        self._file.commit(leaves, made, self._trees, entries[-1].position)
        self.position = entries[-1].position
        if made:
            self._complete_texts()

    def _tick(self, tick: Entry) -> list[tuple[str, int, str, Frontier]]:
        """The checkpoints that a tick calls for: of every plant whose last one is of another hour."""
        hour, made = tick.received_ns // HOUR_NS, []
        register = self._register()
        for plant, tree in self._trees.items():
            if tree.hour != hour and plant:
                tree.hour, tree.notes = hour, tree.notes + 1
                name = origin(plant, self._key.public_key())
                size, root = tree.frontier.size, tree.frontier.root()
                note = sign(Checkpoint(name, size, root, tick.received_ns, tick.position, register), self._key)
                made.append((plant, tree.notes, note, tree.frontier))
        return made

    def _complete_texts(self) -> None:
        """Append to each text file the checkpoints it does not have yet; a damaged one is told and left as it is."""
        self.damage = ""
        for plant, tree in self._trees.items():
            if tree.notes:
                path = self._folder / f"{plant}.txt"
                try:
                    complete(path, "".join(f"{note}\n" for note in self._file.notes(plant)))
                except (ProofError, OSError, UnicodeDecodeError) as error:
                    self.damage = f"{path}: checkpoints cannot be added: {error}"
                    log.error("A file of checkpoints cannot be completed.", reason=self.damage)
