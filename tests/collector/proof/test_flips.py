"""A journal with a flipped bit: an export of it tells, or is what it was."""

from __future__ import annotations

import pytest

from tests.collector.proof import flips
from tests.effort import examples


@pytest.mark.timeout(2400)
def test_every_flipped_bit_of_a_journal_is_told_or_in_nothing_that_is_exported() -> None:
    files = examples(20, 2000)
    tally = flips.run(files)
    assert (tally.files, tally.unsaid, tally.crashed) == (files, 0, 0), tally
    assert tally.told >= files // 3, tally
    assert tally.kept["db"] >= 0.99 * tally.intact["db"], tally
