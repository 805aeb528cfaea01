"""`emitwatch world`: figures, exit codes, and the way back to a seed that failed."""

from __future__ import annotations

import json
from dataclasses import replace

from api.cli import main
from gateway.measurement import SECOND_NS
from simulators import world_command
from simulators.world.oracle import Violation
from simulators.world.run import Result, World
from simulators.world.schedule import ROWS, plan


def short(seed: int, *, days: float | None = None) -> Result:
    """Half a minute of a seed; days: taken as a sign that something is to be wrong."""
    one = plan(seed)
    found = World(replace(one, span_ns=30 * SECOND_NS, faults=one.faults[:3], real=False)).run()
    return replace(found, violations=(Violation("lost", "a value"),)) if days else found


def test_figures_as_json(monkeypatch, capsys):
    monkeypatch.setattr(world_command, "run_seed", short)
    assert main(["world", "--seed", "4", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert set(figures) == {"seeds", "simulated_s", "faults", "violations"}
    assert figures["seeds"] == 1
    assert figures["simulated_s"] >= 30
    assert list(figures["faults"]) == [str(row) for row in ROWS]
    assert figures["violations"] == []


def test_a_violation_says_how_to_see_it_again(monkeypatch, capsys):
    monkeypatch.setattr(world_command, "run_seed", short)
    assert main(["world", "--seed", "4", "--days", "0.5"]) == 1
    said = capsys.readouterr().out
    assert "lost: a value" in said
    assert "emitwatch world --seed 4 --days 0.5" in said
    assert main(["world", "--seed", "4", "--days", "0.5", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["violations"] == [{"seed": 4, "clause": "lost", "detail": "a value"}]


def test_seeds_are_shared_among_the_cores_and_told_in_order():
    results = list(world_command.results(range(1, 3), 0.001))
    assert [one.seed for one in results] == [1, 2]
    assert not any(one.violations for one in results)
