"""What a stack that says nothing of its analysers' zero loses of a clean day, in words.

A concentration may read a little below zero and counts (`plausible`). How little, the papers of an instrument say, and
the setting `zero_noise`; where it is silent it is a share of the strictest limit, which is our own choice. An analyser
that drifts further loses all its hours while the stack is clean, and nobody sees why: so whoever sets up a site is
told. Pure.
"""

from __future__ import annotations

from collections.abc import Collection

from collector.verdicts.plausible import ZERO_SHARE, bounds
from collector.verdicts.points import CONCENTRATIONS, PointRules


def zero_hint(rules: PointRules, measured: Collection[str]) -> str:
    """How far below zero each concentration may read at a stack that does not say it; "" = nothing is left open.

    measured: codes of the parameters that instruments give there.
    """
    if rules.kind != "stack" or rules.settings.get("zero_noise") is not None:
        return ""
    units = {name: known.unit for name in measured if (known := rules.parameters.get(name))}
    told = [
        f"{name} {_lowest(rules, name, unit)} {unit}" for name, unit in sorted(units.items()) if unit in CONCENTRATIONS
    ]
    if not told:
        return ""
    return (
        f"not set: below zero a concentration counts down to {ZERO_SHARE:.1%} of its strictest limit, our own choice, "
        f"unverified: {', '.join(told)}; what reads lower is out of range, and a drift beyond it loses the hours of a "
        "clean stack"
    )


def _lowest(rules: PointRules, parameter: str, unit: str) -> str:
    lowest = abs(bounds(parameter, unit, limit=rules.strictest(parameter))[0])
    return f"-{lowest:g}" if lowest else "0 (no limit)"
