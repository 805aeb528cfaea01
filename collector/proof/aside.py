"""A tree that is ahead of its journal is set aside, whole, and one that ends where the journal ends takes its place.

That happens when a journal comes back from a backup and `tree.db` does not. What the journal lost is received again,
later and at other places, and so gets other leaves. Rules of this file:

- the tree set aside stays as evidence, with its checkpoints: who holds one of the time that was lost can be shown
  what it stood for;
- leaves and checkpoints of what the journal still has are taken over as they are, also of months that are not here;
- the new tree takes the old one's place in one step, so that an interruption leaves one or the other.

Errors: ProofError.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from collector.proof.checkpoint import CheckpointError, read_note
from collector.proof.leaf_file import Grown, LeafFile, ProofError, read_kept
from collector.proof.leaves import Leaf
from collector.proof.notary import HOUR_NS
from collector.proof.tree import Frontier
from gateway.identity import sync_folder


def set_aside(tree: Path, texts: Path, position: int, mark: str) -> tuple[Path, int] | None:
    """Cut a tree that is ahead of a journal's last position; where the old one is now, and how many leaves it had more.

    texts: the folder of the text files of checkpoints, which are set aside too. mark: part of the new names.
    None where the tree is not ahead: then nothing was changed.
    """
    kept = read_kept(tree)
    if kept.position <= position:
        return None
    aside, draft = tree.with_name(f"tree.before-{mark}.db"), tree.with_name("tree.db.new")
    lost = sum(at > position for leaves in kept.leaves.values() for at, _ in leaves)
    try:
        draft.unlink(missing_ok=True)
        with closing(LeafFile(tree)) as old:
            old.settle()
        with closing(LeafFile(draft)) as new:
            for plant, leaves in kept.leaves.items():
                _plant(
                    new, plant, [leaf for leaf in leaves if leaf[0] <= position], kept.notes.get(plant, ()), position
                )
            new.settle()
        for text in sorted(texts.glob("*.txt")) if texts.exists() else ():
            if ".before-" not in text.name:
                text.rename(text.with_name(f"{text.stem}.before-{mark}.txt"))
        os.link(tree, aside)
        draft.replace(tree)
        sync_folder(tree.parent)
    except (OSError, CheckpointError) as error:
        raise ProofError(f"{tree}: cannot be set aside: {error}") from error
    return aside, lost


def _plant(new: LeafFile, plant: str, leaves: list[tuple[int, bytes]], notes: Sequence[str], position: int) -> None:
    """Take over what a plant's tree had up to a position of the journal."""
    grown, numbered, trees = Grown(), list[tuple[int, Leaf]](), [Frontier()]
    for number, (at, hash) in enumerate(leaves):
        grown.frontier = grown.frontier.then(hash)
        trees.append(grown.frontier)
        numbered.append((number, Leaf(plant, at, hash)))
    kept: list[tuple[str, int, str, Frontier]] = []
    for note in notes:
        checkpoint = read_note(note)
        if checkpoint.position <= position:
            kept.append((plant, len(kept) + 1, note, trees[checkpoint.size]))
            grown.hour = checkpoint.tick_ns // HOUR_NS
    grown.notes = len(kept)
    new.commit(numbered, kept, {plant: grown}, position)
