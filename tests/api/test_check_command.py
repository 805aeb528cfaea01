from __future__ import annotations

from pathlib import Path

import pytest
import tomli_w
from typer.testing import CliRunner

from api.check_command import examine
from api.cli import main
from gateway.document import Fault

ROOT = Path(__file__).parent.parent.parent


def site(folder: Path, *changes: tuple[str, str], name: str = "site.toml") -> Path:
    """The reference site with some texts replaced."""
    text = (ROOT / "site.toml").read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def faults(path: Path) -> dict[str, Fault]:
    return {fault.path: fault for fault in examine(str(path))[1]}


def test_the_reference_site_is_without_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(ROOT / "site.toml")]) == 0
    assert "1 plant, 7 points, 13 sensors" in capsys.readouterr().out


def test_the_sites_of_the_product_are_without_fault() -> None:
    found, wrong = examine(str(ROOT / "simulators" / "sites"))
    assert not wrong
    assert found


def test_every_part_names_its_own_faults_at_once(tmp_path: Path) -> None:
    path = site(
        tmp_path,
        ('profile = "sick-mcs100ft"', 'profile = "sick-mcs100f"'),
        ('rules = ["gb18918-2002"]', 'rules = ["gb18918-2003"]'),
        ("area_class = 2", "area_class = 9"),
        ("port = 8080", "port = 80800"),
        ('kind = "duckdb"', 'kind = "mysql"'),
        ('channels = ["console"]', 'channels = ["telegraph"]'),
    )
    found = faults(path)
    assert "sick-mcs100ft" in found["sensor[3].profile"].hint
    assert {"api.port", "store.kind"} <= set(found)
    assert any(place.startswith("point[0]") for place in found)
    assert any(place.startswith("point[5]") for place in found)
    assert any(place.startswith("recipient[0]") for place in found)
    lines = path.read_text("utf-8").splitlines()
    number = found["sensor[3].profile"].line
    assert number
    assert "sick-mcs100f" in lines[number - 1]


def test_a_file_its_reader_refuses_is_still_searched_for_names(tmp_path: Path) -> None:
    path = site(
        tmp_path,
        ("interval_s = 5", 'interval_s = "often"'),
        ('profile = "tuf-2000m"', 'profile = "tuf-200m"'),
        ('rules = ["ultra-low-2015"]', 'rules = ["ultra-low-2016"]'),
    )
    found = faults(path)
    assert found["sensor[3].interval_s"]
    assert "tuf-2000m" in found["sensor[9].profile"].hint
    assert "ultra-low-2015" in found["point[3].rules"].hint


def test_faults_are_printed_with_file_place_line_and_hint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = site(tmp_path, ('timezone = "Asia/Shanghai"', 'timezone = "Asia/Peking"'))
    assert main(["check", str(path)]) == 1
    said = capsys.readouterr().out
    assert f"{path}:" in said
    assert "plant.timezone" in said
    assert "hint: " in said
    assert said.endswith("1 fault in 1 file\n")


def test_plants_of_a_folder_must_agree_about_the_interface(tmp_path: Path) -> None:
    site(tmp_path, name="a.toml")
    site(tmp_path, ('id = "riverside"\n', 'id = "other"\n'), ('id = "riverside-gw"', 'id = "other-gw"'),
         ("port = 8080", "port = 8081"), name="b.toml")  # fmt: skip
    _, wrong = examine(str(tmp_path))
    assert [fault for fault in wrong if fault.path.startswith("api")]


def test_what_one_file_says_for_all_plants_holds_for_each(tmp_path: Path) -> None:
    key = "a" * 64
    site(tmp_path, ('data_dir = "data"\n', ""), name="a.toml")
    site(tmp_path, ('id = "riverside"\n', 'id = "other"\n'), ('id = "riverside-gw"', 'id = "other-gw"'),
         ('data_dir = "data"', 'data_dir = "kept"'),
         ("[[gateway]]", f'[collector]\npublic_key = "{key}"\n\n[[gateway]]'), name="b.toml")  # fmt: skip
    found, wrong = examine(str(tmp_path))
    assert not wrong
    assert {one.data_dir for one in found} == {str(tmp_path / "kept")}
    assert {one.collector_key for one in found} == {key}


def test_a_profile_of_the_sites_own_folder_is_checked_too(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.toml").write_text('name = "mine"\n', "utf-8")
    path = site(tmp_path, ("[[gateway]]", '[folders]\nprofiles = ["own"]\n\n[[gateway]]'))
    _, wrong = examine(str(path))
    assert any(fault.file.endswith("mine.toml") for fault in wrong)


@pytest.mark.parametrize("content", ["not toml at all [", ""])
def test_a_file_that_is_no_site_is_told(tmp_path: Path, content: str) -> None:
    path = tmp_path / "site.toml"
    path.write_text(content, "utf-8")
    sites, wrong = examine(str(path))
    assert not sites
    assert wrong


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    assert examine(str(tmp_path))[1]


def test_settings_written_by_a_program_are_read(tmp_path: Path) -> None:
    import tomllib

    tree = tomllib.loads((ROOT / "site.toml").read_text("utf-8"))
    path = tmp_path / "site.toml"
    path.write_text(tomli_w.dumps(tree), "utf-8")
    assert not examine(str(path))[1]


def test_check_is_a_command_of_typer() -> None:
    import typer

    from api.check_command import check

    app = typer.Typer()
    app.command()(check)
    assert CliRunner().invoke(app, [str(ROOT / "site.toml")]).exit_code == 0
