"""Who may mark measurements: the [[author]] tables."""

from __future__ import annotations

from collector.authors import parse_authors
from gateway.settings import Label, parse_site

SITE = """
[plant]
id = "{plant}"
timezone = "UTC"
[broker]
url = "mqtt://127.0.0.1"
[[gateway]]
id = "{plant}-gw"
"""
KEY = "5c" * 32


def parse(*tables: str, plants: tuple[str, ...] = ("mill",)) -> tuple[dict, list[str]]:
    sites = []
    for plant in plants:
        site, faults = parse_site(SITE.format(plant=plant) + "".join(tables), "site.toml")
        assert site is not None, faults
        sites.append(site)
    found, faults = parse_authors(sites)
    return found, [f"{fault.path}: {fault.message}" for fault in faults]


def author(**values: str) -> str:
    return "[[author]]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())


def test_an_author_is_known_by_his_key() -> None:
    found, faults = parse(author(id='"li.na"', name='"Li Na"', role='"plant"', public_key=f'"{KEY}"'))
    one = found["mill", "li.na"]
    assert (faults, one.name, one.role, one.public_key, one.retired) == (
        [],
        Label("Li Na", "Li Na"),
        "plant",
        KEY,
        False,
    )


def test_an_author_of_several_plants_stands_in_each() -> None:
    found, faults = parse(author(id='"li"', role='"admin"', public_key=f'"{KEY}"', retired="true"), plants=("a", "b"))
    assert (set(found), faults) == ({("a", "li"), ("b", "li")}, [])
    assert all(one.retired for one in found.values())


def test_every_fault_is_named() -> None:
    tables = [author(id='"a"', role='"boss"', public_key='"00"'), author(id='"b"'), author(id='"b"', age="3")]
    assert parse(*tables)[1] == [
        "author[0].role: 'boss' is not known",
        "author[0].public_key: '00' has a form that is not allowed",
        "author[1].role: missing",
        "author[1].public_key: missing",
        "author[2].role: missing",
        "author[2].public_key: missing",
        "author[2].age: unknown key",
        "author[2].id: 'b' is used twice",
    ]
