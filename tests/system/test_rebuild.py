"""The rebuilt store has the hash it had; see `tests.system.rebuild` for larger numbers."""

from __future__ import annotations

from pathlib import Path

from tests.effort import examples
from tests.system.rebuild import measure


def test_a_rebuilt_store_has_the_hash_it_had(tmp_path: Path) -> None:
    found = measure(tmp_path, examples(20_000, 1_000_000), 100, prove=True)
    assert (found.stored, found.before, found.valid) == (found.measurements, found.after, True)
