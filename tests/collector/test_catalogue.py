from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from collector.catalogue import check_pack, rule_packs
from gateway.document import FaultyFiles

ROOT = Path(__file__).parents[2]
RULES = ROOT / "collector" / "verdicts" / "rules"


def test_the_products_packs_are_there() -> None:
    assert {"gb12348-2008", "ultra-low-2015", "gb18918-2002"} <= set(rule_packs())
    assert all(id == pack.id for id, pack in rule_packs().items())


def test_a_folder_adds_packs_and_replaces_them(tmp_path: Path) -> None:
    text = (RULES / "ultra-low-2015.toml").read_text()
    (tmp_path / "a.toml").write_text(text.replace('id = "ultra-low-2015"', 'id = "ours-2026"'))
    stricter = text.replace("high = 35 ", "high = 30 ").replace("limit = 35", "limit = 30").replace("34.62", "29.0", 1)
    (tmp_path / "b.toml").write_text(stricter)
    found = rule_packs([str(tmp_path)])
    assert "ours-2026" in found
    assert found["ultra-low-2015"].clause("so2-hour").rows[0].high == 30.0
    assert rule_packs()["ultra-low-2015"].clause("so2-hour").rows[0].high == 35.0


def test_every_fault_of_every_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("id = 3")
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe")
    shutil.copy(RULES / "gb12348-2008.toml", tmp_path / "c.toml")
    with pytest.raises(FaultyFiles) as caught:
        rule_packs([str(tmp_path), str(tmp_path / "nowhere")])
    files = {Path(fault.file).name for fault in caught.value.faults}
    assert files == {"a.toml", "b.toml", "nowhere"}


def test_a_pack_whose_examples_contradict_it_is_refused(tmp_path: Path) -> None:
    text = (RULES / "gb12348-2008.toml").read_text()
    path = tmp_path / "wrong.toml"
    path.write_text(
        text.replace("{ when = { area_class = 3 }, high = 55 }", "{ when = { area_class = 3 }, high = 54 }")
    )
    pack, faults = check_pack(str(path))
    assert pack is None
    assert any("55.4 exceeds" in fault.message for fault in faults)
    pack, faults = check_pack(str(tmp_path / "missing.toml"))
    assert pack is None
    assert "not readable" in faults[0].message


def test_the_worked_example_of_the_reference_is_a_good_pack(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "reference" / "rule-packs.md").read_text()
    example = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[1]
    path = tmp_path / "gb13271-2014.toml"
    path.write_text(example)
    pack, faults = check_pack(str(path))
    assert faults == []
    assert pack is not None
    assert rule_packs([str(tmp_path)])["gb13271-2014"].clause("nox-hour").standing == "early warning"


def test_the_reference_names_every_key_that_is_read() -> None:
    page = (ROOT / "docs" / "reference" / "rule-packs.md").read_text()
    reader = (ROOT / "collector" / "verdicts" / "pack_file.py").read_text()
    keys = set(
        re.findall(r"\.(?:text|texts|choice|number|integer|boolean|raw|mapping|tables?|identifier)\(\"(\w+)\"", reader)
    )
    assert len(keys) > 30
    assert {key for key in keys if not re.search(rf"\b{key}\b", page)} == set()
