"""Whether a rule pack does what its own examples say: the clauses are resolved and tried as in production. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from collector.verdicts import rating
from collector.verdicts.conformance import Calculation, Case, run
from collector.verdicts.limits import breaking, resolve, rounded
from collector.verdicts.pack import Example, RulePack
from gateway.document import Fault


def example_faults(pack: RulePack) -> list[Fault]:
    """The examples of a pack that its own clauses, or its own rating, contradict."""
    return [*_clause_faults(pack), *_rating_faults(pack)]


def _clause_faults(pack: RulePack) -> list[Fault]:
    return [
        Fault(pack.file, f"example[{number}]", None, f"{example.clause}: {message}", "one of the two is wrong")
        for number, example in enumerate(pack.examples)
        for message in _contradictions(pack, example)
    ]


def _rating_faults(pack: RulePack) -> list[Fault]:
    known = {name: Calculation(partial(function, pack)) for name, function in rating.RATINGS.items()}
    cases = [
        Case(
            id=f"rating.example[{number}]", calculation=example.calculation, given=example.given,
            expect=example.expect, within=example.within, source=example.source,
        )
        for number, example in enumerate(pack.rating.examples if pack.rating else ())
    ]  # fmt: skip
    return [
        Fault(pack.file, outcome.case.id, None, outcome.message, "one of the two is wrong")
        for outcome in run(cases, known)
        if not outcome.passed
    ]


def _contradictions(pack: RulePack, example: Example) -> Iterator[str]:
    clauses, faults = resolve(pack, example.settings, example.on)
    if faults:
        yield from (f"{fault.path}: {fault.message}" for fault in faults)
        return
    if not pack.holds_on(example.on):
        yield f"the pack is not in force on {example.on}"
        return
    clause = next((clause for clause in clauses if clause.id == example.clause), None)
    if clause is None:
        if example.limit is not None or example.exceeds:
            yield "no limit holds for these settings"
        return
    compared = float(rounded(clause, example.value))
    if compared != example.compared:
        yield f"{example.value:g} is compared as {compared:g}, not {example.compared:g}"
    if bool(breaking(clause, example.value, example.given)) != example.exceeds:
        yield f"{example.value:g} {'complies' if example.exceeds else 'exceeds'}"
    if example.limit is None or example.limit not in clause.bounds(example.given):
        yield f"the limits are {clause.bounds(example.given)}, not {example.limit}"
