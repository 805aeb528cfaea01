"""Profile drafts: whatever is found can be read as a profile, and means what was read."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.catalogue import parameters
from gateway.decodings import Samples, assigned, ranked
from gateway.finding import Finding
from gateway.profile_draft import draft, of_kind
from gateway.profile_file import parse_profile
from gateway.quantities import Quantity, Shown, quantity
from gateway.registers import example_faults
from gateway.survey import Survey
from tests.effort import examples

FOUND = Finding("tcp://127.0.0.1:502?unit=1", "tcp", 1)


def wanted(code: str, shown: float | None) -> Quantity:
    one = quantity(parameters()[code])
    return one if shown is None else one.shows(Shown(shown, 0.05))


@settings(max_examples=examples(12))
@given(
    st.lists(st.integers(0, 65535), min_size=4, max_size=8),
    st.lists(st.sampled_from(("SO2", "O2", "NOx", "temperature", "gas_flow")), min_size=1, max_size=3, unique=True),
    st.sampled_from((None, 35.2, 0.0)),
)  # fmt: skip
def test_whatever_is_chosen_becomes_a_profile_whose_example_is_right(
    words: list[int], codes: list[str], shown: float | None
) -> None:
    run, expected = Samples(4, 100, np.array([words], np.uint16)), [wanted(code, shown) for code in codes]
    chosen = {one.name: found for one in expected for found in ranked([run], one, most=1)}
    assume(chosen)
    text = draft("mine", FOUND, chosen, expected, parameters())
    profile, faults = parse_profile(text, "mine.toml", parameters())
    overlaps = [fault for fault in faults if "overlaps" in fault.message]
    assert len(overlaps) == len(faults), text
    if profile is None:
        return
    assert example_faults(profile) == [], text
    assert profile.parameters == tuple(chosen)
    assert profile.unverified


def test_quirks_that_were_seen_are_in_it() -> None:
    finding = Finding("tcp://127.0.0.1:502?unit=1", "tcp", 1, tid_zero=True, survey=Survey([], longest=20))
    run, so2 = Samples(4, 100, np.array([[0x420C, 0xCCCD]], np.uint16)), wanted("SO2", 35.2)
    text = draft("mine", finding, assigned({"SO2": ranked([run], so2)}), [so2], parameters(), "stack")
    profile, faults = parse_profile(text, "mine.toml", parameters())
    assert profile is not None, faults
    assert (profile.tid_zero_ok, profile.max_registers) == (True, 20)
    assert profile.examples[0].expect["SO2"] == 35.2000008


def test_the_kind_is_that_of_most_parameters() -> None:
    assert of_kind(["SO2", "O2"], parameters()) == "stack"
    assert of_kind(["COD"], parameters()) == "water"
    assert of_kind(["LAeq"], parameters()) == "noise"
