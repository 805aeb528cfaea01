"""What is watched, as the site files say it: in whatever form they may."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.__main__ import inventory_of
from gateway.settings import parse_site

SITE = """
[plant]
id = "riverside"
timezone = "Asia/Shanghai"
[broker]
url = "mqtt://127.0.0.1"
[[gateway]]
id = "gw"
[[point]]
id = "fence-north"
kind = "noise"
rules = ["gb12348-2008"]
settings = { area_class = "2", night = NIGHT }
"""


@pytest.mark.parametrize("night", ['["23:00", "07:00"]', '"23:00-07:00"'])
def test_settings_count_in_every_form_that_is_allowed(tmp_path: Path, night: str) -> None:
    site, faults = parse_site(SITE.replace("NIGHT", night), str(tmp_path / "site.toml"))
    assert site is not None, faults
    place = inventory_of([site]).places["riverside", "fence-north"]
    assert place.night == ("23:00", "07:00")
    assert {clause.id: clause.limit() for clause in place.clauses}["night-level"] == 50.0
