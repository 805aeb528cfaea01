"""The page of a rule pack says all that the pack says."""

from __future__ import annotations

import re

import pytest

from collector.catalogue import rule_packs
from collector.verdicts import pack as p
from collector.verdicts.pack import RulePack
from collector.verdicts.pack_file import parse_rules
from collector.verdicts.pack_page import CORRECTED, ROUNDED, STANDINGS, UNVERIFIED, WINDOWS, index, page
from collector.verdicts.pack_words import pack_words, states
from collector.verdicts.records import Standing
from collector.verdicts.windows import KINDS
from gateway import catalogue
from tests.collector.verdicts.test_pack_check import NOISE, STACK

PACKS = rule_packs()
PARAMETERS = catalogue.parameters()


def flat(text: str) -> str:
    """A text as it stands in a cell."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def section(text: str, id: str) -> str:
    return text.split(f"### {id}\n")[1].split("\n#")[0]


@pytest.mark.parametrize("pack", PACKS.values(), ids=lambda pack: pack.id)
def test_every_clause_is_told_whole(pack: RulePack) -> None:
    text = page(pack, PARAMETERS)
    for said in (pack.title.en, pack.title.zh, pack.source, pack.note, *(force.cite for force in pack.in_force)):
        assert flat(said) in text
    for clause in pack.clauses:
        own = section(text, clause.id)
        for said in (clause.title.en, clause.title.zh, clause.cite, clause.unit, clause.parameter, clause.note,
                     clause.rounding_cite, str(clause.standing), f"`{clause.window}`", clause.period):  # fmt: skip
            assert flat(said) in own
        assert not clause.states or f"| plant states | {states(clause.states)} |" in own
        assert (UNVERIFIED in own) == (not clause.verified)
        for row in clause.rows:
            for number in (row.low, row.high):
                assert number is None or f"| {number:g} |" in own
            assert f"{row.of} |" in own
            for name in (*row.when, *(bound.parameter for bound in row.given)):
                assert name in own
        for change in clause.adjustments:
            assert f"{change.add:+g} {clause.unit}" in own
        shown = [example for example in pack.examples if example.clause == clause.id]
        assert len(re.findall(r"\| (?:exceeds|complies) \|", own)) == len(shown)
        assert all(flat(example.source) in own for example in shown)
    for said in (*(row.cite for row in pack.validity), *(setting.cite for setting in pack.settings.values())):
        assert flat(said) in text


@pytest.mark.parametrize("pack", PACKS.values(), ids=lambda pack: pack.id)
def test_every_table_of_the_command_is_on_the_page(pack: RulePack) -> None:
    text = page(pack, PARAMETERS)
    for title, _, rows in pack_words(pack):
        if title in ("clauses", "examples"):
            continue
        assert f"## {title[0].upper()}{title[1:]}\n" in text
        assert all(flat(cell) in text for row in rows for cell in row)
    assert all(len({line.count(" | ") for line in table.splitlines()}) == 1 for table in tables(text))


def tables(text: str) -> list[str]:
    """Every table of a page, without the signs that a cell has of its own."""
    return re.findall(r"(?:^\|.*\n)+", text.replace("\\|", ""), re.MULTILINE)


def test_the_index_names_every_pack() -> None:
    text = index(PACKS.values())
    for pack in PACKS.values():
        assert f"[{pack.id}]({pack.id}.md) | {pack.title.en} | {pack.title.zh} |" in text
    assert "| 12 | 12 |" in text  # GB 18485: all unverified


def read(text: str) -> RulePack:
    pack, faults = parse_rules(text, "toy.toml", PARAMETERS)
    assert pack is not None, faults
    return pack


def test_what_a_clause_judges_is_a_sentence() -> None:
    text = page(read(STACK.replace("from = 2020-01-01\ncite", "from = 2020-01-01\nto = 2040-01-01\ncite")), PARAMETERS)
    assert "in force from 2020-01-01 until 2040-01-01" in text
    assert "the mean of each hour, converted to standard state" in section(text, "nh3-hour")
    assert "| size small | O2 above 8 |  | 1 | 50 |" in text
    assert "| size large |  | from 2020-01-01, until 2030-01-01 |  | 40 |" in text
    assert "the number of 5m below 850 degC, in each day, 00 to 24 h" in section(text, "furnace")
    assert "中文" not in text
    text = page(read(NOISE), PARAMETERS)
    assert "the highest single value of each minute" in text
    assert "22:00 to 06:00, moved by the setting hours (toy 2)" in text
    text = page(read(NOISE.replace('setting = "hours"\n', "")), PARAMETERS)
    assert "| night | 22:00 to 06:00 (toy 2) |" in text


def test_every_choice_of_a_clause_has_its_words() -> None:
    assert set(CORRECTED) == set(p.CORRECTED)
    assert set(WINDOWS) == set(KINDS)
    assert set(ROUNDED) == set(p.ROUNDINGS) - {"none"}
    assert set(STANDINGS) == set(Standing)


def test_a_parameter_nobody_knows_has_no_name() -> None:
    toy, _ = parse_rules(STACK.replace('parameter = "NH3"', 'parameter = "XY"'), "toy.toml")
    assert toy is not None
    own = section(page(toy, PARAMETERS), "nh3-hour")
    assert "| parameter | `XY` |" in own
    assert "the mean of each hour" in own
    toy, _ = parse_rules(STACK.replace('parameter = "furnace_temperature"', 'parameter = "XY"'), "toy.toml")
    assert toy is not None
    assert "the number of 5m below 850, in each day" in page(toy, PARAMETERS)
