"""Brings the collector's checkpoints to those who hold them elsewhere.

One thread that looks into `tree.db` for new checkpoints. Rules of this file:

- a witness gets the newest checkpoint, with the proof that it continues the last one it got; what lies in
  between after an outage is proved with it, and a folder or a mailbox gets all of them;
- what a web witness or a mailbox has got stands in `witnesses/<id>/<plant>.txt`, with the witness's signature:
  that file is the cursor, and proves an export as the witness's own does. A folder is its own cursor;
- what was not taken is tried again after the delays of RETRY_S; to deliver twice does no harm;
- a witness that holds what the tree does not continue is told as a problem until a person has looked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from alerts.egress import NotSent, Unclear
from alerts.witness_posts import Contradiction, Delivery, Post, post_of
from alerts.witness_settings import WitnessSettings
from collector.proof.checkpoint import Checkpoint, CheckpointError, read_note
from collector.proof.leaf_file import LeafReader, ProofError
from collector.proof.note_file import add, read
from collector.proof.tree import extension

LOOK_S = 5.0
RETRY_S = (5.0, 30.0, 120.0, 600.0)
HOUR_NS = 3600 * 1_000_000_000
STOP_S = 6.0  # a request under way ends within five seconds

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Course:
    """How it stands with one witness and one plant.

    held: the checkpoint delivered last, None = none. signed: whether the witness has signed it. trouble: why it cannot
    go on, "" = it can. alarm: a person has to look. number: of the last checkpoint looked at.
    """

    settings: WitnessSettings
    plant: str
    post: Post
    record: Path
    held: Checkpoint | None = None
    signed: bool = False
    trouble: str = ""
    alarm: bool = False
    number: int = 0
    tries: int = 0
    next_s: float = 0.0


class Witnesses:
    """All witnesses of a collector. folder: the collector's."""

    def __init__(
        self, witnesses: Iterable[WitnessSettings], folder: Path, *, now_ns: Callable[[], int] = time.time_ns,
        retry_s: Sequence[float] = RETRY_S, look_s: float = LOOK_S,
    ) -> None:  # fmt: skip
        self._tree, self._now_ns, self._retry_s, self._look_s = folder / "tree.db", now_ns, retry_s, look_s
        self.courses = [
            Course(settings, plant, post_of(settings), folder / "witnesses" / settings.id / f"{plant}.txt")
            for settings in witnesses
            for plant in settings.plants
        ]
        for course in self.courses:
            self._remember(course)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="witnesses", daemon=True)

    def _remember(self, course: Course) -> None:
        try:
            notes = read(course.record)
            if notes:
                course.held, course.signed = read_note(notes[-1]), notes[-1].count("\n\N{EM DASH} ") > 1
        except (CheckpointError, OSError, ValueError) as error:
            course.trouble, course.alarm = f"{course.record}: what it has got cannot be read: {error}", True

    def start(self) -> None:
        """Begin to look; nothing where there are no witnesses."""
        if self.courses:
            self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        if self._thread.ident:
            self._thread.join(STOP_S)

    def _supervise(self) -> None:
        while not self._stop.wait(self._look_s):
            try:
                self.look()
            except Exception:
                log.exception("Checkpoints could not be brought to their witnesses; trying again.")

    def look(self) -> None:
        """Deliver what is due."""
        if not self._tree.exists():
            return
        reader = LeafReader(self._tree)
        try:
            for course in self.courses:
                if time.monotonic() >= course.next_s and not self._stop.is_set():
                    self._try(reader, course)
        finally:
            reader.close()

    def _try(self, reader: LeafReader, course: Course) -> None:
        try:
            self._bring(reader, course)
            course.trouble, course.alarm, course.tries = "", False, 0
        except (Contradiction, NotSent, Unclear, ProofError, CheckpointError, OSError) as error:
            new = str(error) != course.trouble
            course.trouble, course.alarm = str(error), isinstance(error, Contradiction)
            course.next_s = time.monotonic() + self._retry_s[min(course.tries, len(self._retry_s) - 1)]
            course.tries += 1
            if new:
                tell = log.error if course.alarm else log.warning
                tell("A witness does not have the newest checkpoint; trying again.", witness=course.settings.id,
                     plant=course.plant, reason=course.trouble)  # fmt: skip

    def _bring(self, reader: LeafReader, course: Course) -> None:
        rows = reader.notes(course.plant, course.number)
        if not rows:
            return
        held, newest = course.held, read_note(rows[-1][1])
        fresh = [note for _, note in rows if held is None or read_note(note).tick_ns > held.tick_ns]
        if len(fresh) < len(rows):
            course.number = rows[len(rows) - len(fresh) - 1][0]
        if fresh and (held is None or _hour(newest) - _hour(held) >= course.settings.every_h):
            old = held.size if held else 0
            signatures = course.post.deliver(Delivery(
                plant=course.plant, notes=fresh, newest=newest, old=old,
                prove=lambda size: _proof(reader, course.plant, size, newest.size),
                all_notes=lambda: [note for _, note in reader.notes(course.plant, 0)],
            ))  # fmt: skip
            if course.settings.kind != "file":
                add(course.record, fresh[-1] + signatures)
            course.held, course.signed, course.number = newest, bool(signatures), rows[-1][0]

    def health(self) -> dict[str, dict[str, Any]]:
        """By witness: kind, and by plant what it holds; 0 = nothing yet. [ns since 1970 UTC; age in s]"""
        found: dict[str, dict[str, Any]] = {}
        for course in self.courses:
            held = course.held
            of_witness = found.setdefault(course.settings.id, {"kind": course.settings.kind, "plants": {}})
            of_witness["plants"][course.plant] = {
                "batches": held.size if held else 0,
                "tick_ns": held.tick_ns if held else 0,
                "age_s": max(0, self._now_ns() - held.tick_ns) / 1e9 if held else 0.0,
                "signed": course.signed,
                "trouble": course.trouble,
            }
        return found

    def problems(self) -> list[str]:
        """What a person should know of, as sentences."""
        return [
            f"witness {course.settings.id} {'contradicts this collector' if course.alarm else 'is behind'} "
            f"(plant {course.plant}): {course.trouble}"
            for course in self.courses
            if course.trouble
        ]


def _hour(checkpoint: Checkpoint) -> int:
    return checkpoint.tick_ns // HOUR_NS


def _proof(reader: LeafReader, plant: str, old: int, size: int) -> list[bytes]:
    """The hashes that show that the first `size` leaves begin with the first `old`; none from a tree without leaves."""
    if not 0 < old <= size:
        return []
    return extension(reader.frontier(plant, old), size, reader.leaves(plant, old, size))
