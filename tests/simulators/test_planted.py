"""Every planted bug is caught: what the oracle does not find in the product is not because it cannot see."""

from __future__ import annotations

import json

import pytest

from gateway import keeper, outbox
from tests.effort import FULL
from tests.simulators import planted
from tests.simulators.bugs import BUGS
from tests.simulators.planted import SEEDS, hunts, line

# The classics, and others that take seconds; the rest takes until the end of many a seed.
QUICK = (*(bug.name for bug in BUGS if bug.classic), "any_signature", "old_acks", "one_too_many", "always_clean")
QUICK_SEEDS = 6


def test_there_are_bugs_enough_and_the_classics_among_them():
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 24
    assert sum(bug.classic for bug in BUGS) == 8


@pytest.mark.timeout(3600)
def test_every_planted_bug_is_caught():
    names, seeds = ([bug.name for bug in BUGS], SEEDS) if FULL else (QUICK, QUICK_SEEDS)
    found = list(hunts(names, seeds))
    table = "\n".join(line(one) for one in found)
    assert all(one.seed for one in found), table
    print(table)


def test_a_bug_is_gone_when_its_hunt_is_over():
    before = outbox.newer, keeper.newer
    assert planted.hunt("old_acks", QUICK_SEEDS).seed
    assert (outbox.newer, keeper.newer) == before


def test_the_command_says_what_was_caught_and_what_was_not(tmp_path, capsys):
    file = tmp_path / "caught.json"
    assert planted.main(["old_acks", "--seeds", str(QUICK_SEEDS), "--json", str(file)]) == 0
    (one,) = json.loads(file.read_text())
    assert one["bug"] == "old_acks"
    assert 1 <= one["seed"] <= QUICK_SEEDS
    assert one["clause"]
    assert "1 of 1 caught" in capsys.readouterr().out
