"""Documents: faults carry file, path, line and a hint; a reader that met one goes on."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.document import Fault, FaultyFiles, Table, parse_document
from tests.effort import examples

TEXT = """
title = "x"

[plant]
id = "p"
"quoted key" = 1

[[sensor]]
id = "a"

[sensor.link]
unit = 1

[[sensor]]
id = "b"
  [[sensor.part]]
  name = "c"
"""


def root(text: str) -> tuple[Table, list[Fault]]:
    document, faults = parse_document(text, "f.toml")
    return Table.root(document, faults), faults


def test_lines_are_found_by_path() -> None:
    document, faults = parse_document(TEXT, "f.toml")
    assert not faults
    wanted = {
        "title": 2, "plant": 4, "plant.id": 5, "plant.quoted key": 6, "sensor[0]": 8, "sensor[0].id": 9,
        "sensor[0].link": 11, "sensor[0].link.unit": 12, "sensor[1]": 14, "sensor[1].id": 15,
        "sensor[1].part[0]": 16, "sensor[1].part[0].name": 17,
    }  # fmt: skip
    assert {path: document.lines[path] for path in wanted} == wanted


def test_a_syntax_error_is_one_fault_with_its_line() -> None:
    document, (fault,) = parse_document('[plant]\nid = "p\n', "f.toml")
    assert document.tree == {}
    assert (fault.file, fault.path, fault.line) == ("f.toml", "", 2)
    assert fault.hint


@settings(max_examples=examples(100))
@given(st.text(max_size=300))
def test_any_text_is_a_document_or_a_fault(text: str) -> None:
    document, faults = parse_document(text, "f.toml")
    assert bool(faults) <= (document.tree == {})


def test_unknown_keys_are_named_with_the_nearest_known_one() -> None:
    table, faults = root('[plant]\nid = "p"\nnmae = "x"\nzzz = 1\n')
    with table.table("plant") as plant:
        assert plant.text("id") == "p"
        assert plant.text("name", "none") == "none"
    assert [(f.path, f.line, f.message) for f in faults] == [
        ("plant.nmae", 3, "unknown key"),
        ("plant.zzz", 4, "unknown key"),
    ]
    assert "'name'" in faults[0].hint
    assert "id, name" in faults[1].hint


def test_keys_somebody_else_reads_are_not_unknown() -> None:
    table, faults = root("[other]\nx = 1\n")
    with table:
        table.skip("other")
    assert not faults


def test_a_missing_key_is_named_once_and_an_optional_one_never() -> None:
    table, faults = root("")
    assert table.text("id") is None
    assert table.text("name", "x") == "x"
    assert table.number("low", 2.0) == 2.0
    assert [(f.path, f.message) for f in faults] == [("id", "missing")]


@pytest.mark.parametrize(
    ("given", "read", "wanted"),
    [
        ('"x"', "text", "x"), ("1", "text", None), ("1", "number", 1.0), ("1.5", "number", 1.5),
        ("true", "number", None), ("nan", "number", None), ("inf", "number", None), ('"1"', "number", None),
        ("3", "integer", 3), ("3.0", "integer", None), ("true", "integer", None), ("true", "boolean", True),
        ("1", "boolean", None), ('["a", "b"]', "texts", ("a", "b")), ('"a"', "texts", ("a",)),
        ('["a", 1]', "texts", ("a",)), ("{ a = 1 }", "mapping", {"a": 1}), ("1", "mapping", {}),
        ('"ab-1.c_d"', "identifier", "ab-1.c_d"),
    ],
)  # fmt: skip
def test_values_are_read_as_what_they_are(given: str, read: str, wanted: object) -> None:
    table, faults = root(f"key = {given}\n")
    got = getattr(table, read)("key")
    assert got == wanted
    assert bool(faults) == (wanted in (None, {}) or (given == '["a", 1]'))


@pytest.mark.parametrize("name", ["", " a", "a b", "-a", "a" * 65, "ä", "a/b", "../a"])
def test_identifiers_are_safe_in_paths_and_topics(name: str) -> None:
    table, faults = root(f'id = "{name}"\n')
    table.identifier("id")
    assert [f.path for f in faults] == ["id"]


def test_numbers_keep_their_bounds() -> None:
    for value, good in ((0.1, True), (86400, True), (0.09, False), (86401, False)):
        table, faults = root(f"s = {value}\n")
        assert (table.number("s", low=0.1, high=86400) is not None) == good
        assert bool(faults) != good
    table, faults = root("n = 99999999999999999999\n")
    assert table.integer("n") is None
    assert faults


def test_a_number_no_float_can_hold_is_a_fault() -> None:
    table, faults = root(f"n = 1{'0' * 400}\n")
    assert table.number("n") is None
    assert [f.path for f in faults] == ["n"]


def test_a_choice_names_its_neighbour() -> None:
    table, faults = root('kind = "nois"\n')
    assert table.choice("kind", ("noise", "stack")) is None
    assert "'noise'" in faults[0].hint
    assert math.isnan(table.choice("other", ("a",), math.nan))


def test_patterns_and_conversions() -> None:
    table, faults = root('key = "xyz"\nlink = "bad"\n')
    assert table.text("key", pattern=re.compile("[a-f]+")) == "xyz"

    def refuse(text: str) -> str:
        raise ValueError(f"{text} is refused")

    assert table.convert("link", refuse) is None
    assert table.convert("other", str.upper, None) is None
    assert [f.message for f in faults] == ["'xyz' has a form that is not allowed", "bad is refused"]


def test_tables_that_are_none_are_faults() -> None:
    table, faults = root("plant = 1\nsensor = [1]\nother = 2\n")
    with table.table("plant"):
        pass
    assert list(table.tables("sensor")) == []
    assert list(table.tables("other")) == []
    with table.table("absent"):
        pass
    assert sorted(f.path for f in faults) == ["other", "plant", "sensor[0]"]


def test_an_error_inside_a_table_is_not_hidden() -> None:
    table, faults = root("x = 1\n")
    with pytest.raises(RuntimeError), table:
        raise RuntimeError
    assert not faults


def test_faults_read_well() -> None:
    fault = Fault("site.toml", "sensor[3].profile", 12, "there is no profile 'x'", "did you mean 'y'?")
    assert str(fault) == "site.toml:12: sensor[3].profile: there is no profile 'x'\n    hint: did you mean 'y'?"
    assert str(Fault("site.toml", "", None, "missing", "")) == "site.toml: missing"
    assert str(FaultyFiles([fault, fault])).count("hint") == 2


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 5000 + "]" * 5000,
        "x = " + "{a = " * 5000 + "1" + "}" * 5000,
        "[" + ".".join(["a"] * 500) + "]",
        ".".join(["a"] * 500) + " = 1",
        "x = " + "9" * 5000,
    ],
    ids=["lists", "tables", "header", "key", "number"],
)
def test_what_would_break_a_reader_is_one_fault(text: str) -> None:
    document, (fault,) = parse_document(text, "f.toml")
    assert document.tree == {}
    assert "deep" in fault.message or "digits" in fault.message


def test_a_byte_order_mark_is_passed_over() -> None:
    document, faults = parse_document("\ufeff[plant]\nid = 'p'", "f.toml")
    assert not faults
    assert document.lines["plant.id"] == 2


def test_the_line_of_a_field_is_that_of_the_nearest_thing_around_it() -> None:
    document, _ = parse_document("[[point]]\nid = 'a'\nsettings = { class = 9 }\nrules = ['x']", "f.toml")
    assert document.line("point[0].settings.class") == 3
    assert document.line("point[0].rules[0]") == 4
    assert document.line("point[0].kind") == 1
    assert document.line("plant") is None


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("f.toml", "a.b", 3, "wrong", ""), "f.toml:3: a.b: wrong"),
        (Fault("f.toml", "", None, "wrong", "mend it"), "f.toml: wrong\n    hint: mend it"),
        (Fault("", "a.b", 3, "wrong", ""), "a.b: wrong"),
        (Fault("", "", None, "wrong", ""), "wrong"),
    ],
)
def test_a_fault_without_a_place_begins_with_what_it_has(fault: Fault, said: str) -> None:
    assert str(fault) == said
