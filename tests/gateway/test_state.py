"""How the sensors of a gateway are, in few words."""

from __future__ import annotations

import doctest
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import state as module
from gateway.state import NAMED, PROBLEM, bounded
from tests.effort import examples

NAMES = st.text(min_size=1, max_size=12)


@settings(max_examples=examples(60))
@given(
    st.dictionaries(NAMES, st.one_of(st.just(""), st.text(max_size=400)), max_size=300),
    st.dictionaries(NAMES, st.floats(0, 1e9), max_size=300),
)
def test_the_worst_are_named_and_nothing_else_changes(links: dict[str, str], good_s: dict[str, float]) -> None:
    state: dict[str, Any] = {"links": links, "good_s": good_s, "silent": list(links), "polls_failed": 3, "clock": {}}
    found = bounded(json.loads(json.dumps(state)))
    assert len(found["links"]) == min(len(links), NAMED)
    left = [problem for name, problem in links.items() if name not in found["links"]]
    assert not any(left) or all(found["links"].values()), "nobody with a problem gives way to one without"
    assert all(found["links"][name] == links[name][:PROBLEM] for name in found["links"])
    assert min(found["good_s"].values(), default=0) >= max(
        (age for name, age in good_s.items() if name not in found["good_s"]), default=0
    )
    assert (len(found["silent"]), found["polls_failed"], found["clock"]) == (min(len(links), NAMED), 3, {})
    assert bounded({"polls_failed": 3}) == {"polls_failed": 3}


def test_docstring_examples() -> None:
    assert doctest.testmod(module).failed == 0
