"""What a loop check says of what its stages have, and the record that is kept of it."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.loopcheck import (
    Injection,
    Missing,
    Record,
    Seen,
    Tolerance,
    Verdict,
    Where,
    default_tolerance,
    failing,
    judge,
    parse_range,
    parse_record,
    parse_tolerance,
    parse_value,
    require_range,
    span,
)
from gateway.profiles import Checks
from gateway.units import Conversion, conversion
from tests.effort import examples
from tests.gateway.instruments import profile, register

NAMES = {"site": "site.toml", "sensor": "cems-1", "profile": "x", "parameter": "NOx"}
SAME = Conversion(1.0, 0.0)
T_NS = 1_800_000_000_000_000_000


def seen(value: float | None, time_ns: int = T_NS, *, unit: str = "mg/m3", status: str = "ok") -> Seen:
    return Seen(value, unit, status, time_ns, 1.5, "somebody")


def verdicts(injected: float, tolerance: float, *came: Seen | Missing) -> list[Verdict]:
    return [one.verdict for one in judge(injected, "mg/m3", tolerance, dict(zip(Where, came, strict=False)), NAMES)]


GOOD, BAD, LATE, AWAY = Verdict.AGREES, Verdict.DEPARTS, Verdict.LATE, Verdict.UNREACHED


@pytest.mark.parametrize(
    ("came", "said"),
    [
        ((seen(50.4), seen(50.4), seen(50.4)), [GOOD, GOOD, GOOD]),
        ((seen(51.0), seen(51.0), seen(51.0)), [BAD, BAD, BAD]),
        ((seen(50.4), seen(50.3), seen(50.4)), [GOOD, BAD, GOOD]),
        ((seen(50.4), seen(50.3, T_NS + 1), seen(50.4)), [GOOD, GOOD, GOOD]),
        ((seen(50.4, 0), seen(50.3), seen(50.4)), [GOOD, GOOD, GOOD]),
        ((seen(None, status="no_comm"), Missing("x"), Missing("x", "refused")), [BAD, LATE, AWAY]),
        ((seen(50.0, unit="ppm"),), [BAD]),
        ((seen(50.5),), [GOOD]),
        ((seen(49.5 - 1e-6),), [BAD]),
    ],
)
def test_each_stage_is_held_against_what_was_injected(came: tuple[Seen | Missing, ...], said: list[Verdict]) -> None:
    assert verdicts(50.0, 0.5, *came) == said


def test_the_first_stage_that_does_not_agree_is_named_with_what_to_look_at() -> None:
    came: dict[Where, Seen | Missing] = {
        Where.SHOWN: Missing("feed"),
        Where.REGISTER: seen(50.0),
        Where.STORED: seen(49),
    }
    stages = judge(50.0, "mg/m3", 0.1, came, NAMES)
    assert [one.stage for one in stages] == list(Where)
    bad = failing(stages)
    assert bad is not None
    assert (bad.stage, bad.difference) == (Where.STORED, -1.0)
    assert "the gateway read 50 at that instant" in bad.hint
    assert failing(judge(50.0, "mg/m3", 0.1, {Where.REGISTER: seen(50.0)}, NAMES)) is None
    read, stored, shown = judge(50.0, "mg/m3", 0.1, dict.fromkeys(Where, seen(60.0)), NAMES)
    assert read.hint
    assert (stored.hint, shown.hint) == ("", ""), "what only follows is not to be looked at"
    for stage in Where:
        for missing in (Missing("x"), Missing("x", "it is off")):
            (one,) = judge(50.0, "mg/m3", 0.1, {stage: missing}, NAMES)
            assert one.hint.startswith(missing.why)
            assert "{" not in one.hint


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("50", "mg/m3", 50.0),
        ("-1.5e1", "mg/m3", -15.0),
        ("50%", "mg/m3", 150.0),
        ("0%", "ppm", -100.0),
        ("0.05", "g/m3", 50),
    ],
)
def test_values_are_given_in_any_unit_or_as_a_share_of_the_range(text: str, unit: str, value: float) -> None:
    way = conversion(unit, "mg/m3", 46.0)
    assert way
    assert parse_value(text, way, (-100.0, 400.0)) == pytest.approx(value)


def value_or_fault(text: str) -> float | str:
    try:
        return parse_value(text, SAME, (0.0, 1.0))
    except ValueError as error:
        return str(error)


@given(st.text(st.sampled_from("0123456789.+-eE% ٣nafi"), max_size=8) | st.text(max_size=8))
@settings(max_examples=examples(100))
def test_what_is_no_value_is_refused_in_words(text: str) -> None:
    found = value_or_fault(text)
    assert repr(text) in found if isinstance(found, str) else math.isfinite(found)


@pytest.mark.parametrize("text", ["", "nan", "inf", "1e999", "..", "5 mg", "%", "0x10", "1,5"])
def test_a_number_is_a_number(text: str) -> None:
    with pytest.raises(ValueError, match="is no number"):
        parse_value(text, SAME, (0.0, 1.0))


@pytest.mark.parametrize(
    ("text", "at_50", "at_0"),
    [("0.5", 0.5, 0.5), ("2%", 1.0, 0.1), ("1%fs", 4.0, 4.0), ("1 %FS", 4.0, 4.0), ("", 0.1, 0.1)],
)
def test_a_tolerance_is_absolute_or_of_the_value_or_of_the_range(text: str, at_50: float, at_0: float) -> None:
    allowed = parse_tolerance(text, SAME, (0.0, 400.0), Tolerance(0.1, text="a step"))
    assert [allowed.at(value, (0.0, 400.0)) for value in (50.0, -50.0, 0.0)] == [at_50, at_50, at_0]
    assert allowed.text
    assert parse_tolerance("1", Conversion(-2.0, 7.0), (0.0, 1.0), allowed).at(9.0, (0.0, 1.0)) == 2.0


def test_what_nobody_says_is_what_the_instrument_can_tell_apart() -> None:
    step = default_tolerance([register(type="int16", scale=0.1)])
    assert step.at(50.0, (0, 1)) == 0.1
    assert default_tolerance([register(checks=Checks(resolution=0.25))]).at(50.0, (0, 1)) == 0.25
    parts = [register(low=0.0, high=300.0), register(low=0.0, high=100.0, added=True)]
    assert default_tolerance(parts).at(50.0, span(parts)) == pytest.approx(0.4)
    assert verdicts(46.5, step.least, seen(465 * 0.1), seen(466 * 0.1, T_NS + 1)) == [GOOD, GOOD]


texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=10)
numbers = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def records(draw: st.DrawFn) -> Record:
    injections = []
    for _ in range(draw(st.integers(0, 3))):
        values = {
            stage: Missing(draw(texts), draw(texts)) if draw(st.booleans()) else seen(draw(st.none() | numbers))
            for stage in Where
        }
        injected, tolerance = draw(st.floats(-1e9, 1e9)), draw(st.floats(0, 1e6))
        stages = judge(injected, "mg/m3", tolerance, values, NAMES)
        injections.append(Injection(
            injected=injected, entered=draw(texts), tolerance=tolerance, began=draw(texts),
            passed=failing(stages) is None, stages=stages,
        ))  # fmt: skip
    said = {name: draw(texts) for name in ("plant", "point", "sensor", "parameter", "unit", "profile", "link", "by")}
    said |= {name: draw(texts) for name in ("tolerance", "began", "ended")}
    return Record(**said, passed=all(one.passed for one in injections), injections=tuple(injections))


@given(records())
@settings(max_examples=examples(50))
def test_a_record_that_was_kept_is_read_again(record: Record) -> None:
    text = msgspec.json.encode(record).decode()
    assert parse_record(text, "loop.json") == (record, [])
    _, faults = parse_record(text[:-1], "loop.json")
    assert len(faults) == 1


@given(st.text(max_size=100))
@settings(max_examples=examples(100))
def test_what_is_no_record_is_a_fault(text: str) -> None:
    found, faults = parse_record(text, "loop.json")
    assert (found, len(faults)) == (None, 1)


def test_a_record_that_contradicts_itself_is_a_fault() -> None:
    stages = judge(50.0, "mg/m3", 0.1, {Where.REGISTER: seen(51.0)}, NAMES)
    bad = Injection(injected=50.0, entered="50", tolerance=0.1, began="", passed=False, stages=stages)
    said = dict.fromkeys(("plant", "point", "sensor", "parameter", "unit", "profile", "link"), "x")
    record = Record(**said, tolerance="", began="", ended="", passed=True, injections=(bad,))
    assert parse_record(msgspec.json.encode(record).decode(), "f")[1][0].path == "passed"
    later = msgspec.structs.replace(record, emitwatch_loopcheck=2)
    assert "version 2" in parse_record(msgspec.json.encode(later).decode(), "f")[1][0].message


def test_a_share_of_a_guessed_range_is_refused() -> None:
    """A driver's "0 to 5000" would let anything within 100 mg/m3 agree."""
    require_range(profile([register()]))
    with pytest.raises(ValueError, match=r"--range 0\.\.200"):
        require_range(replace(profile([register()]), unverified=("the measuring ranges are wide guesses",)))
    assert parse_range("0..20", Conversion(10.0, 0.0)) == (0.0, 200.0)
    for wrong in ("20", "20..0", "0..", "0..inf", "a..b"):
        with pytest.raises(ValueError, match="--range"):
            parse_range(wrong, Conversion(1.0, 0.0))
