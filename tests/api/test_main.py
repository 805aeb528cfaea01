"""How the parts of the process are, put together."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from api.__main__ import health_of


@pytest.mark.parametrize(("running", "problems"), [(True, []), (False, ["nobody is told"])])
def test_alerts_that_stand_still_are_a_problem(running: bool, problems: list[str]) -> None:
    collector = SimpleNamespace(health=lambda: {"ok": True, "problems": [], "journal": {"position": 7}})
    alerts = SimpleNamespace(commissioning={("mill", "stack-1")}, health=lambda: {"behind": 0, "running": running})
    witnesses = SimpleNamespace(health=dict, problems=list)
    told = health_of(cast("Any", collector), cast("Any", alerts), cast("Any", witnesses))
    assert told["ok"] is running
    assert [text[:14] for text in told["problems"]] == problems
    assert (told["journal"], told["alerts"]["behind"]) == ({"position": 7}, 0)
    assert told["commissioning"] == ["mill/stack-1"]
