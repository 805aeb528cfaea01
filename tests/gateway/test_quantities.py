"""Quantities: their likelihoods are densities, and a display is read as people write it."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from gateway import quantities
from gateway.catalogue import parameters
from gateway.parameters import parse_parameters
from gateway.quantities import ANYTHING, NEVER, Shown, fits, log_density, quantity, read_shown


@pytest.mark.parametrize("code", list(parameters()))
def test_every_parameter_is_known_well_enough_to_be_looked_for(code: str) -> None:
    one = quantity(parameters()[code])
    assert one.low <= one.typical[0] < one.typical[1] <= one.high
    assert one.unit in one.units
    small = np.geomspace(one.high / 1e9, one.high, 100_001)
    values = np.unique(np.concatenate([np.linspace(one.low, one.high, 100_001), small, -small[-small >= one.low]]))
    density = np.exp(log_density(one, values))
    whole = float(np.trapezoid(density[values != 0], values[values != 0]))
    assert 0.5 < whole < 2.0, "a likelihood adds up to about one"


def test_a_usual_value_is_likelier_than_a_possible_one_and_that_than_an_impossible_one() -> None:
    so2 = quantity(parameters()["SO2"])
    usual, possible, drift, never, none = log_density(so2, np.array([40.0, 4000.0, -1.0, -500.0, np.nan])).tolist()
    assert usual > possible > NEVER + 3
    assert usual > drift > NEVER + 3
    assert never < NEVER + 3 > none


def test_the_display_outweighs_the_rest() -> None:
    so2 = quantity(parameters()["SO2"]).shows(Shown(5000.0, 0.5))
    shown, moved, usual = log_density(so2, np.array([5000.2, 5050.0, 40.0])).tolist()
    assert shown > moved > usual


def test_the_instruments_own_range_counts() -> None:
    one = quantity(parameters()["SO2"], 0.0, 75.0)
    assert (one.low, one.high, one.typical) == (0.0, 75.0, (1.0, 75.0))
    strange = quantity(parameters()["SO2"], 5000.0, 9000.0)
    assert strange.typical == (5000.0, 9000.0)
    assert ANYTHING.units[""][0].factor == 1.0


@pytest.mark.parametrize(
    ("text", "value", "slack"),
    [
        ("35.2", 35.2, 0.05),
        ("35,20", 35.2, 0.005),
        ("-3", -3.0, 0.5),
        ("1.2e3", 1200.0, 50.0),
        ("0.5 g/m3", 500.0, 50.0),
    ],
)
def test_a_display_is_read_as_people_write_it(text: str, value: float, slack: float) -> None:
    found = read_shown(text, parameters()["SO2"])
    assert (found.value, found.slack) == (pytest.approx(value), pytest.approx(slack))


@pytest.mark.parametrize("text", ["", "high", "3 kPa", "1e999", "1.2.3"])
def test_what_no_display_shows_is_refused(text: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        read_shown(text, parameters()["SO2"])


def test_values_fit_within_the_last_digit_and_the_tolerance() -> None:
    assert fits(Shown(35.2, 0.05), 35.249, 0.0)
    assert not fits(Shown(35.2, 0.05), 35.3, 0.0)
    assert fits(Shown(35.2, 0.05), 35.9, 0.02)
    assert not fits(Shown(35.2, 0.05), 36.0, 0.02)


def test_ranges_in_the_parameter_file_are_checked() -> None:
    text = '[[parameter]]\ncode = "X"\nname = "x"\nunit = "%"\nmedia = ["stack"]\nsource = "s"\n'
    for bad in ("range = 3", "typical = [5, 1]", 'range = ["a", 2]', "range = [1, 2, 3]"):
        assert [fault.message.split()[-3:] for fault in parse_parameters(text + bad, "p.toml")[1]]
    assert parse_parameters(text + "range = [0, 5]\ntypical = [1, 2]", "p.toml")[1] == []


def test_the_examples_in_the_module_are_right() -> None:
    assert doctest.testmod(quantities).failed == 0
