from __future__ import annotations

import dataclasses
from datetime import date

import pytest

from collector.catalogue import rule_packs
from collector.verdicts.examples import example_faults
from collector.verdicts.pack import RulePack

PACKS = rule_packs()


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
def test_every_clause_of_the_packaged_rules_is_cited_and_agrees_with_its_examples(pack: RulePack) -> None:
    assert example_faults(pack) == []
    shown = {example.clause for example in pack.examples}
    for clause in pack.clauses:
        assert clause.cite
        assert clause.id in shown
        assert clause.title.zh != clause.title.en or clause.title.en == "pH"
    assert all(row.cite for row in pack.validity)
    assert all(setting.cite for setting in pack.settings.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"exceeds": False}, "exceeds"),
        ({"limit": 51.0}, "the limits are"),
        ({"limit": None}, "the limits are"),
        ({"compared": 51.7}, "compared as 52"),
        ({"settings": {}}, "missing"),
        ({"on": date(2000, 1, 1)}, "not in force"),
        ({"clause": "night"}, "no limit holds"),
    ],
)
def test_an_example_that_disagrees_is_a_fault(change: dict[str, object], message: str) -> None:
    pack = PACKS["gb12348-2008"]
    example = next(example for example in pack.examples if example.value == 51.7)
    wrong = dataclasses.replace(pack, examples=(dataclasses.replace(example, **change),))  # type: ignore[arg-type]
    faults = example_faults(wrong)
    assert any(message in fault.message for fault in faults), faults
