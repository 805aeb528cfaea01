"""Decodings: whatever a quantity is encoded in, the right one is found; and what speaks for it and against."""

from __future__ import annotations

import doctest
import json
import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway import decoding_notes, forms
from gateway.catalogue import parameters
from gateway.decodings import Decoding, Samples, assigned, explained, prevailing, ranked, stretches
from gateway.forms import FORMS, Form, raw_numbers, text_places
from gateway.measurement import Float64, UInt16
from gateway.quantities import Quantity, Shown, fits, quantity
from gateway.words import TYPES, numbers_held, pack, text_words
from tests.effort import examples

MEASURED = ("SO2", "O2", "pH", "temperature", "LAeq", "COD", "dust", "gas_flow", "conductivity", "velocity")
FEW = 8
FLOAT = Form(type="float32", order="ABCD")


def encoded(raw: Float64, form: Form) -> UInt16:
    """The words of some readings of one number, shape (n, width)."""
    swapped = form.order in ("BADC", "DCBA")
    words = pack(raw[None, :], form.type, bytes_swapped=swapped, mask=form.mask)[0]
    return words[:, ::-1] if form.order in ("CDAB", "DCBA") else words


def expected(code: str) -> Quantity:
    return quantity(parameters()[code])


def reading(code: str, share: float, wobble: list[float]) -> Float64:
    """Some values of a quantity in its usual range, each a little beside the other."""
    low, high = expected(code).typical
    base = low * (high / low) ** share if expected(code).wide else low + share * (high - low)
    return np.array([base * (1 + 0.003 * step) for step in wobble])


def display(value: float) -> Shown:
    """What a display of three digits shows."""
    shown = float(f"{value:.3g}")
    return Shown(shown, 0.5 * 10.0 ** (math.floor(math.log10(abs(shown))) - 2))


def is_right(one: Decoding, form: Form, value: float) -> bool:
    values = [one.value, *(case.value for case in one.others)]
    return form in (one.form, *one.same) and any(math.isclose(v, value, rel_tol=1e-6) for v in values)


def instruments(count: int) -> Iterator[tuple[str, Form, float, UInt16]]:
    """Quantities, how an instrument encodes them, and the words of five readings, of three digits at least."""
    chance, found = np.random.default_rng(7), 0
    while found < count:
        code, form = MEASURED[chance.integers(len(MEASURED))], FORMS[chance.integers(len(FORMS))]
        kind = TYPES[form.type]
        scale = (1.0, 0.1, 0.01, 0.001)[chance.integers(4)] if kind.whole else 1.0
        values = reading(code, float(chance.uniform()), chance.standard_normal(5).tolist())
        raw = np.rint(values / scale) if kind.whole else values / scale
        low, high = numbers_held(form.type, form.mask)
        if (raw.min() >= max(low, 100) and raw.max() <= high) or (not kind.whole and raw.min() > 0):
            found += 1
            yield code, form, float(raw[-1] * scale), encoded(raw, form)


def test_the_right_decoding_is_among_the_first_few_whatever_it_is_encoded_in() -> None:
    """Without a display; a number that hardly moves, in a form that hardly anybody uses, may come later."""
    count, missed = examples(100, 3000), []
    for code, form, value, words in instruments(count):
        found = ranked([Samples(3, 100, words)], expected(code), most=FEW)
        if not any(is_right(one, form, value) for one in found):
            missed.append((code, str(form), value))
    assert len(missed) <= 0.03 * count, missed


def test_it_is_the_first_where_the_display_decides_it() -> None:
    """What shows the same as the right one may come before it: the display does not decide that."""
    count, missed = examples(100, 3000), []
    for code, form, value, words in instruments(count):
        shown = display(value)
        found = ranked([Samples(3, 100, words)], expected(code).shows(shown), most=FEW)
        place = next((n for n, one in enumerate(found) if is_right(one, form, value)), FEW)
        if place == FEW or not all(fits(shown, one.value, 0.02) for one in found[:place]):
            missed.append((code, str(form), value))
        elif place == 0:
            said = ("is what the display shows", "near what the display shows")
            assert any(note in found[0].notes for note in said)
    assert len(missed) <= 0.01 * count, missed


@settings(max_examples=examples(40, 40), derandomize=True)
@given(
    st.sampled_from(MEASURED), st.sampled_from(("ABCD", "CDAB", "BADC", "DCBA")), st.floats(0.05, 0.95),
    st.lists(st.floats(-1, 1), min_size=4, max_size=6, unique=True),
)  # fmt: skip
def test_a_float_is_found_without_any_display(code: str, order: str, share: float, wobble: list[float]) -> None:
    form = Form(type="float32", order=order)
    words = encoded(reading(code, share, wobble), form)
    assume(len(np.unique(words, axis=0)) > 2)
    found = ranked([Samples(4, 0, words)], expected(code))
    place = next(n for n, one in enumerate(found) if form in (one.form, *one.same))
    assert place == 0 or (place < 3 and order in ("BADC", "DCBA")), "the rare orders may come after a common one"
    assert place or order in ("BADC", "DCBA") or found[0].score >= 50


@settings(max_examples=examples(20))
@given(
    st.lists(st.lists(st.integers(0, 65535), min_size=6, max_size=6), min_size=1, max_size=4),
    st.sampled_from(MEASURED), st.integers(1, 6),
)  # fmt: skip
def test_any_words_give_decodings_that_mean_what_they_say(rows: list[list[int]], code: str, most: int) -> None:
    words = np.array(rows, np.uint16)
    found = ranked([Samples(3, 40, words)], expected(code), most=most)
    assert len(found) <= most
    assert [one.odds for one in found] == sorted((one.odds for one in found), reverse=True)
    for one in found:
        way = expected(code).units[one.unit][0]
        raw = raw_numbers(words, one.form)[:, one.address - 40]
        assert one.value == pytest.approx((raw[-1] * one.scale) * way.factor + way.shift, rel=1e-9, abs=1e-12)
        assert one.words == tuple(words[-1, one.address - 40 :][: one.form.width])
        assert 0 <= one.score <= 100
        for form in one.same:
            assert raw_numbers(words, form)[:, one.address - 40].tolist() == raw.tolist()


def stack(*values: float, order: str = "CDAB") -> UInt16:
    """Readings of floats side by side, each a little beside the other."""
    wobble = np.array([[1 + 0.002 * math.sin(7 * n + 3 * k) for n in range(len(values))] for k in range(5)])
    form = Form(type="float32", order=order)
    return np.concatenate([encoded(wobble[:, n] * value, form) for n, value in enumerate(values)], axis=1)


def test_no_number_is_found_across_two_others() -> None:
    run = Samples(4, 138, stack(1.9, 65.5, 14.3, 13.9, 5.7))
    assert [(part.start, part.width) for part in explained(run)] == [(0, 2), (2, 2), (4, 2), (6, 2), (8, 2)]
    for code, wanted in {"SO2": 65.5, "O2": 5.7}.items():
        found = ranked([run], expected(code).shows(display(wanted)))
        assert found[0].value == pytest.approx(wanted, rel=0.01)
        assert found[0].score >= 90
        assert found[0].address == 138 + 2 * [1.9, 65.5, 14.3, 13.9, 5.7].index(wanted)


def test_long_stretches_of_nothing_cost_nothing_and_cut_no_number() -> None:
    words = np.zeros((5, 2000), np.uint16)
    words[:, 500:502], words[:, 1248:1252] = stack(65.5), stack(5.7, 120.0)
    parts = stretches(Samples(4, 10, words))
    assert [(part.address, part.end) for part in parts] == [(507, 515), (1255, 1265)]
    full = np.tile(np.arange(1, 1001, dtype=np.uint16), (2, 1))
    cut = stretches(Samples(4, 0, full))
    assert [part.address for part in cut] == [0, 250, 500, 750]
    assert all(part.end >= later.address + 3 for part, later in pairwise(cut))
    assert stretches(Samples(4, 0, np.zeros((1, 100), np.uint16))) == []
    found = {code: ranked([Samples(4, 10, words)], expected(code)) for code in ("SO2", "temperature")}
    assert {one.address for one in assigned(found).values()} <= {510, 1258, 1260}


def test_what_the_others_are_counts_for_the_rest() -> None:
    run = Samples(4, 0, stack(65.5, 5.7, 120.0))
    found = {code: ranked([run], expected(code)) for code in ("SO2", "O2", "temperature")}
    agreed = prevailing(assigned(found).values())
    assert max(agreed, key=lambda form: agreed[form]) == Form(type="float32", order="CDAB")
    again = ranked([run], expected("SO2"), agreed=agreed)
    assert again[0].odds > found["SO2"][0].odds
    assert again[0].score <= 90, "nobody has looked at a display"
    assert prevailing([]) == {}


def test_no_two_quantities_share_a_register() -> None:
    run = Samples(4, 0, stack(65.5, 5.7))
    found = {code: ranked([run], expected(code)) for code in ("SO2", "O2", "NOx")}
    chosen = assigned(found)
    assert len(chosen) == 2
    assert len({one.address for one in chosen.values()}) == 2


def test_letters_are_no_numbers() -> None:
    words = np.tile(text_words("MCS100FT-7", 5), (3, 1))
    assert text_places(words).all()
    assert all(one.odds < 0 for one in ranked([Samples(3, 0, words)], expected("SO2")))
    assert not text_places(np.array([[0x4142, 0x0001, 0x4344]], np.uint16)).any()


def test_a_clock_is_no_emission_and_a_counter_is_a_volume() -> None:
    seconds = np.array([[0, 7000 + 10 * n] for n in range(5)], np.uint16)
    clock, volume = (ranked([Samples(3, 0, seconds)], expected(code))[0] for code in ("gas_flow", "total_volume"))
    assert "rises steadily: a counter or a clock" in clock.notes
    assert volume.odds > clock.odds


def test_notes_say_what_speaks_against_it() -> None:
    so2 = expected("SO2").shows(Shown(35.2, 0.05))

    def said(words: list[int], type: str) -> str:
        found = ranked([Samples(3, 0, np.array([words], np.uint16))], so2, most=50)
        return "; ".join(next(one.notes for one in found if one.form.type == type))

    assert "not what the display shows; usual for SO2" in said([100], "uint16")
    assert "0x7FFF often stands for no value" in said([0x7FFF], "uint16")
    assert "0: nothing to measure" in said([0, 0], "float32")
    assert "a round decimal" in said([0x420C, 0xCCCD], "float32")


@pytest.mark.shared
@pytest.mark.parametrize("order", ["ABCD", "CDAB", "BADC", "DCBA"])
def test_the_orders_are_those_of_other_libraries(shared: Path, order: str) -> None:
    case = json.loads((shared / "cases/modbus/word_orders.json").read_text())["float_123456.0"]
    words = np.array([[int(word, 16) for word in case[order]]], np.uint16)
    first = ranked([Samples(3, 0, words)], expected("gas_flow").shows(Shown(123456.0, 0.5)))[0]
    assert (str(first.form), first.value) == (f"float32 {order}", 123456.0)


def test_the_examples_in_the_modules_are_right() -> None:
    for module in (forms, decoding_notes):
        assert doctest.testmod(module).failed == 0
