"""The data files on disk: what is packaged, folders of the user's own, and sites that must agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import catalogue
from gateway.document import Fault, FaultyFiles

SITE = """
[plant]
id = "{plant}"
timezone = "UTC"
{data_dir}
[broker]
url = "{url}"
{extra}
[[gateway]]
id = "{gateway}"
"""
PROFILES = Path(catalogue.__file__).parent / "profiles"


def write(folder: Path, name: str, plant: str, **changes: str) -> None:
    given = {"data_dir": "", "url": "mqtt://broker", "extra": "", "gateway": f"{plant}-gw", **changes}
    (folder / name).write_text(SITE.format(plant=plant, **given))


def faults(path: Path) -> list[Fault]:
    with pytest.raises(FaultyFiles) as caught:
        catalogue.load_sites(str(path))
    assert str(caught.value)
    return list(caught.value.faults)


def test_parameters_are_read_once() -> None:
    assert catalogue.parameters() is catalogue.parameters()


def test_a_folder_gives_every_plant_by_file_name(tmp_path: Path) -> None:
    write(tmp_path, "b.toml", "one")
    write(tmp_path, "a.toml", "two")
    (tmp_path / "notes.txt").write_text("not a site")
    assert [site.plant.id for site in catalogue.load_sites(str(tmp_path))] == ["two", "one"]
    assert [site.plant.id for site in catalogue.load_sites(str(tmp_path / "b.toml"))] == ["one"]


def test_what_is_said_once_holds_for_all(tmp_path: Path) -> None:
    key = "ab" * 32
    write(tmp_path, "a.toml", "one", data_dir='data_dir = "keep"', extra=f'[collector]\npublic_key = "{key}"')
    write(tmp_path, "b.toml", "two")
    sites = catalogue.load_sites(str(tmp_path))
    assert [site.data_dir for site in sites] == [str(tmp_path / "keep")] * 2
    assert [site.collector_key for site in sites] == [key] * 2


@pytest.mark.parametrize(
    ("one", "two", "path"),
    [
        ({"data_dir": 'data_dir = "a"'}, {"data_dir": 'data_dir = "b"'}, "plant.data_dir"),
        ({"url": "mqtt://a"}, {"url": "mqtt://b"}, "broker.url"),
        ({"extra": '[store]\nkind = "duckdb"'}, {"extra": '[store]\nkind = "influxdb"'}, "store"),
        ({"extra": "[api]\nport = 1"}, {"extra": "[api]\nport = 2"}, "api"),
        (
            {"extra": f'[collector]\npublic_key = "{"a" * 64}"'},
            {"extra": f'[collector]\npublic_key = "{"b" * 64}"'},
            "collector",
        ),
        ({"gateway": "same"}, {"gateway": "same"}, "gateway[0].id"),
    ],
)
def test_plants_of_one_collector_agree(tmp_path: Path, one: dict[str, str], two: dict[str, str], path: str) -> None:
    write(tmp_path, "a.toml", "one", **one)
    write(tmp_path, "b.toml", "two", **two)
    (fault,) = faults(tmp_path)
    assert fault.file == str(tmp_path / "b.toml")
    assert fault.path == path
    assert fault.line
    assert "a.toml" in fault.message


def test_two_plants_have_two_ids(tmp_path: Path) -> None:
    write(tmp_path, "a.toml", "one")
    write(tmp_path, "b.toml", "one", gateway="other")
    assert [fault.path for fault in faults(tmp_path)] == ["plant.id"]


def test_faults_of_all_files_are_told_together(tmp_path: Path) -> None:
    write(tmp_path, "a.toml", "not an id")
    (tmp_path / "b.toml").write_text("[plant")
    (tmp_path / "c.toml").write_bytes(b"\xff\xfe")
    assert {Path(fault.file).name for fault in faults(tmp_path)} == {"a.toml", "b.toml", "c.toml"}


def test_tables_that_are_none_do_not_stop_the_comparison(tmp_path: Path) -> None:
    write(tmp_path, "a.toml", "one")
    (tmp_path / "b.toml").write_text("broker = 5\nplant = 6\n")
    assert {"broker", "plant"} <= {fault.path for fault in faults(tmp_path)}


def test_a_missing_file_or_an_empty_folder_is_a_fault(tmp_path: Path) -> None:
    assert "no such file" in faults(tmp_path / "nix.toml")[0].message
    assert "no *.toml" in faults(tmp_path)[0].message
    (tmp_path / "x.toml").mkdir()
    assert "not readable" in faults(tmp_path)[0].message


# --- profiles ---------------------------------------------------------------------------------------


def test_packaged_profiles_come_in_order_of_name() -> None:
    names = list(catalogue.profiles())
    assert names == sorted(names)
    assert {"emitwatch-noise", "emitwatch-stack-gas", "emitwatch-water", "tuf-2000m"} <= set(names)


def test_a_folder_adds_profiles(tmp_path: Path) -> None:
    own = (PROFILES / "emitwatch-noise.toml").read_text().replace('name = "emitwatch-noise"', 'name = "mine"')
    (tmp_path / "mine.toml").write_text(own)
    found = catalogue.profiles([str(tmp_path)])
    assert found["mine"].parameters == ("LAeq", "LAFmax")
    assert catalogue.load_profile(str(tmp_path / "mine.toml")) == found["mine"]
    (tmp_path / "mine.toml").unlink()
    assert "mine" not in catalogue.profiles([str(tmp_path)])


def test_faulty_profiles_are_refused_with_all_their_faults(tmp_path: Path) -> None:
    text = (PROFILES / "emitwatch-noise.toml").read_text()
    (tmp_path / "a.toml").write_text(text)
    (tmp_path / "b.toml").write_text(text.replace("LAeq = 46.5", "LAeq = 47.5").replace('"emitwatch-noise"', '"b"'))
    (tmp_path / "c.toml").write_text("")
    with pytest.raises(FaultyFiles) as caught:
        catalogue.profiles([str(tmp_path), str(tmp_path / "nix")])
    found = {(Path(fault.file).name, fault.path) for fault in caught.value.faults}
    assert {
        ("a.toml", "profile.name"),
        ("b.toml", "example[0].expect.LAeq"),
        ("c.toml", "profile"),
        ("nix", ""),
    } <= found
    with pytest.raises(FaultyFiles):
        catalogue.load_profile(str(tmp_path / "b.toml"))
