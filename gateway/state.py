"""How the sensors of a gateway are, in so few words that a message about ten thousand of them stays small.

The gateway's own page and `emitwatch status` show all of it; what goes to the broker every half minute names the worst
sensors and counts the others. Pure. Source: docs/reference/wire.md, State.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMED = 100  # sensors that a message names, of each kind
PROBLEM = 200  # letters of what is wrong with one


def bounded(state: Mapping[str, Any]) -> dict[str, Any]:
    """A gateway's state, as it goes to the broker: of what is said of each sensor the worst NAMED.

    >>> state = {"links": {f"s{n}": "gone" if n == 200 else "" for n in range(300)}, "good_s": {"a": 1.0, "b": 9.0}}
    >>> found = bounded(state)
    >>> len(found["links"]), next(iter(found["links"].items())), found["good_s"]
    (100, ('s200', 'gone'), {'b': 9.0, 'a': 1.0})
    """
    found = dict(state)
    for key in ("links", "inputs"):
        if key in state:
            worst = sorted(state[key].items(), key=lambda item: not item[1])[:NAMED]
            found[key] = {name: problem[:PROBLEM] for name, problem in worst}
    if "good_s" in state:
        found["good_s"] = dict(sorted(state["good_s"].items(), key=lambda item: -item[1])[:NAMED])
    if "silent" in state:
        found["silent"] = list(state["silent"])[:NAMED]
    return found


def age(seconds: float) -> str:
    """A length of time for people.

    >>> [age(seconds) for seconds in (0.4, 59.9, 61, 7200, 400_000)]
    ['0 s', '59 s', '1 min', '2 h', '4 d']
    """
    for unit, least in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= least:
            return f"{int(seconds // least)} {unit}"
    return f"{int(seconds)} s"
