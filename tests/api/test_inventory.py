"""What is watched, as the site files say it: in whatever form they may."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.__main__ import inventory_of
from api.inventory import point_item
from gateway.settings import parse_site
from tests.collector.verdicts.test_pack_file import GOOD

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
STACK = """
[plant]
id = "riverside"
timezone = "Asia/Shanghai"
[broker]
url = "mqtt://127.0.0.1"
[folders]
rules = ["."]
[[gateway]]
id = "gw"
[[point]]
id = "stack-1"
kind = "stack"
rules = ["toy-2020"]
settings = { size = "small" }
[[sensor]]
id = "gas"
point = "stack-1"
link = "tcp://127.0.0.1:502?unit=1"
profile = "thermo-43i"
interval_s = 5
"""
COUNT = 'window = "24h"\nstatistic = "count"\ncount = { window = "1h", above = 40 }\nunit = ""'


@pytest.mark.parametrize("night", ['["23:00", "07:00"]', '"23:00-07:00"'])
def test_settings_count_in_every_form_that_is_allowed(tmp_path: Path, night: str) -> None:
    site, faults = parse_site(SITE.replace("NIGHT", night), str(tmp_path / "site.toml"))
    assert site is not None, faults
    place = inventory_of([site]).places["riverside", "fence-north"]
    assert place.night == ("23:00", "07:00")
    assert {clause.id: clause.limit() for clause in place.clauses}["night-level"] == 50.0


def test_a_count_of_windows_is_no_line_in_a_chart(tmp_path: Path) -> None:
    clause = GOOD[GOOD.index("[[clause]]") : GOOD.index("[[example]]")]
    counts = clause.replace("so2-hour", "so2-hours").replace('window = "1h"\nunit = "mg/m3"', COUNT)
    counts = counts.replace("high = 50", "high = 5").replace("high = 40", "high = 4")
    shown = GOOD[GOOD.index("[[example]]") :].replace("so2-hour", "so2-hours").replace("limit = 40", "limit = 4")
    (tmp_path / "toy.toml").write_text(GOOD + counts + shown)
    site, faults = parse_site(STACK, str(tmp_path / "site.toml"))
    assert site is not None, faults
    inventory = inventory_of([site])
    place = inventory.places["riverside", "stack-1"]
    assert {clause.id for clause in place.clauses} == {"so2-hour", "so2-hours"}
    item = point_item(inventory, place, latest={}, judged={}, state="ok")
    limits = {parameter["code"]: [limit["clause"] for limit in parameter["limits"]] for parameter in item["parameters"]}
    assert limits["SO2"] == ["so2-hour"]
