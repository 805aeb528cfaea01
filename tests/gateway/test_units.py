"""Unit conversions: the table is consistent, and gases follow HJ 212-2017 annex D."""

from __future__ import annotations

import doctest

import pytest

from gateway import units as module
from gateway.units import UNITS, conversion


@pytest.mark.parametrize(
    ("value", "source", "target", "wanted"),
    [
        (36.0, "m3/h", "L/s", 10.0),
        (1.0, "m3/s", "m3/h", 3600.0),
        (-512.0, "Pa", "kPa", -0.512),
        (1013.25, "hPa", "kPa", 101.325),
        (293.15, "K", "degC", 20.0),
        (212.0, "degF", "degC", 100.0),
        (250.0, "ug/L", "mg/L", 0.25),
        (1.5, "mS/cm", "uS/cm", 1500.0),
        (5000.0, "ppm", "%", 0.5),
    ],
)
def test_conversions(value: float, source: str, target: str, wanted: float) -> None:
    way = conversion(source, target)
    assert way is not None
    assert value * way.factor + way.shift == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(("ppm", "molar_mass", "mg_m3"), [(100.0, 46.0, 205.357143), (14.0, 64.0, 40.0)])
def test_ppm_of_a_gas(ppm: float, molar_mass: float, mg_m3: float) -> None:
    for unit, factor in (("ppm", 1.0), ("ppb", 1000.0)):
        way = conversion(unit, "mg/m3", molar_mass)
        assert way is not None
        assert ppm * factor * way.factor == pytest.approx(mg_m3, abs=1e-6)


def test_there_and_back_is_where_it_was() -> None:
    for source in UNITS:
        for target in UNITS:
            there, back = conversion(source, target, 46.0), conversion(target, source, 46.0)
            if there and back:
                assert (7.5 * there.factor + there.shift) * back.factor + back.shift == pytest.approx(7.5)


@pytest.mark.parametrize(("source", "target"), [("ppm", "mg/m3"), ("kPa", "degC"), ("furlong", "m/s"), ("m/s", "%")])
def test_nobody_guesses(source: str, target: str) -> None:
    assert conversion(source, target) is None


def test_docstring_examples() -> None:
    assert doctest.testmod(module).failed == 0
