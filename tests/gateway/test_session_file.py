"""The file of a recorded session: what is written is read again, and no file there is can hurt the reader."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.blocks import Block
from gateway.session_file import (
    MAX_FAULTS,
    Exchange,
    Failure,
    Session,
    parse_session,
    write_exchange,
    write_header,
)
from tests.effort import examples

times = st.floats(0, 1e9)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=300)


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    fc = draw(st.sampled_from((1, 2, 3, 4)))
    block = Block(fc, draw(st.integers(0, 65400)), draw(st.integers(1, 125)))
    came = draw(st.sampled_from(("words", "refused", "failure")))
    word = st.integers(0, 1 if fc < 3 else 65535)
    return Exchange(
        t_s=draw(times), unit=draw(st.integers(0, 255)), block=block, took_ms=draw(times),
        words=tuple(draw(st.lists(word, min_size=block.count, max_size=block.count))) if came == "words" else None,
        refused=draw(st.integers(1, 255)) if came == "refused" else 0,
        failure=draw(st.sampled_from(Failure)) if came == "failure" else None,
        error=draw(texts) if came == "failure" else "",
        heard=draw(st.binary(max_size=300)) if came == "failure" else b"",
    )  # fmt: skip


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    began_ns = draw(st.integers(0, 4_000_000_000_000)) * 1_000_000
    return Session(draw(texts), began_ns, tuple(draw(st.lists(exchanges(), max_size=5))))


def written(session: Session) -> str:
    return write_header(session.link, session.began_ns) + "".join(map(write_exchange, session.exchanges))


@given(sessions())
@settings(max_examples=examples(100))
def test_what_was_written_is_read_again(session: Session) -> None:
    assert parse_session(written(session), "s") == (session, [])
    assert written(session).isascii()


@given(sessions(), st.data())
@settings(max_examples=examples(200))
def test_a_file_that_was_cut_anywhere_gives_its_whole_lines_and_says_where_it_was_cut(
    session: Session, data: st.DataObject
) -> None:
    text = written(session)
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    found, faults = parse_session(cut, "s")
    ends = {n for n, letter in enumerate(text) if letter == "\n"}
    if len(cut) in ends or len(cut) - 1 in ends:
        assert faults == [], "no line was cut"
        whole = cut.rstrip("\n").count("\n")
    else:
        (fault,) = faults
        whole = max(cut.count("\n") - 1, 0)
        assert fault.line == cut.count("\n") + 1
        assert not cut or "the file ends within" in fault.message
    assert found.exchanges == session.exchanges[:whole]


@given(st.one_of(
    st.text(max_size=300),
    st.lists(st.one_of(st.just(write_header("tcp://h", 0).strip()), st.text(max_size=50), st.recursive(
        st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=5)),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(
            st.sampled_from(("t", "unit", "fc", "address", "count", "words", "refused", "error", "kind", "heard",
                             "took_ms")),
            inner, max_size=10)),
    ).map(json.dumps)), max_size=6).map("\n".join),
))  # fmt: skip
@settings(max_examples=examples(150))
def test_no_text_is_too_hostile(text: str) -> None:
    header = write_header("tcp://h", 0)
    for given_text in (text, header + text):
        _, faults = parse_session(given_text, "s")
        assert all(fault.line and fault.message and fault.hint for fault in faults)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"t":' * 100_000, "9" * 10_000, '{"t": 1e999}', '{"t": "\\ud800"}'])
def test_no_line_is_too_deep_or_too_long(text: str) -> None:
    _, (fault,) = parse_session(write_header("tcp://h", 0) + text + "\n", "s")
    assert fault.line == 2


GOOD = {"t": 0, "unit": 1, "fc": 3, "address": 0, "count": 2, "words": [1, 2], "took_ms": 1}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"words": None}, "neither words nor refused"),
        ({"refused": 2}, "words and refused"),
        ({"words": [1]}, "1 words to a request for 2"),
        ({"words": [1, 70000]}, "`int`"),
        ({"words": [1, -1]}, "`int`"),
        ({"fc": 1, "words": [0, 2]}, "bits, 0 or 1"),
        ({"fc": 5}, "$.fc"),
        ({"unit": 256}, "$.unit"),
        ({"count": 126}, "126 registers"),
        ({"address": 65535}, "beyond address 65535"),
        ({"t": -1}, "$.t"),
        ({"t": "0"}, "$.t"),
        ({"words": None, "error": "x", "kind": "late"}, "'late'"),
        ({"words": None, "error": "x", "heard": "012"}, "$.heard"),
    ],
)
def test_each_contradiction_is_said_with_its_line(change: dict[str, object], said: str) -> None:
    text = write_header("tcp://h", 0) + json.dumps(GOOD) + "\n" + json.dumps({**GOOD, **change}) + "\n"
    session, (fault,) = parse_session(text, "roof.jsonl")
    assert len(session.exchanges) == 1
    assert (fault.file, fault.line) == ("roof.jsonl", 3)
    assert said in fault.message


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("", "no recorded session"),
        ("{}\n", "emitwatch_session"),
        ('{"emitwatch_session": 2, "link": "", "began": ""}\n', "version 2"),
        ('{"emitwatch_session": 1, "link": "", "began": "2026-11-22"}\n', "not a time with its offset"),
        ("[plant]\n", "no recorded session"),
    ],
)
def test_what_is_no_session_is_one_fault(header: str, said: str) -> None:
    session, (fault,) = parse_session(header + (json.dumps(GOOD) + "\n") * 3, "s")
    assert (session.exchanges, fault.line) == ((), 1)
    assert said in fault.message


def test_a_file_full_of_faults_is_not_read_to_its_end() -> None:
    _, faults = parse_session(write_header("tcp://h", 0) + "x\n" * 10_000, "s")
    assert len(faults) == MAX_FAULTS + 1
    assert "not read" in faults[-1].message


def test_as_much_is_read_as_fits_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.session_file.MAX_EXCHANGES", 3)
    line = json.dumps(GOOD) + "\n"
    session, faults = parse_session(write_header("tcp://h", 0) + line * 3 + "\n", "s")
    assert (len(session.exchanges), faults) == (3, [])
    session, (fault,) = parse_session(write_header("tcp://h", 0) + line * 5, "s")
    assert (len(session.exchanges), fault.line) == (3, 5)
