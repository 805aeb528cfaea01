"""Parameters: the packaged list is whole, names are found leniently, faults are named."""

from __future__ import annotations

import pytest

from gateway.catalogue import parameters
from gateway.parameters import parse_parameters
from gateway.units import conversion

GOOD = """
[[parameter]]
code = "SO2"
name = { en = "Sulphur dioxide", zh = "二氧化硫" }
unit = "mg/m3"
hj212 = "a21026"
media = ["stack"]
molar_mass = 64.0
source = "HJ 212"
"""


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SO2", "SO2"), ("so2", "SO2"), ("a21026", "SO2"), ("A21026", "SO2"), ("NH3N", "NH3-N"), ("nh3_n", "NH3-N"),
        ("NH3-N", "NH3-N"), ("NH3", "NH3"), ("ph", "pH"), ("LAFMax", "LAFmax"), ("laeq", "LAeq"), ("LA", "LA"),
        ("nox", "NOx"), ("no", "NO"), ("H2O", "moisture"), ("CODCr", "COD"), ("w00000", "flow"), ("B02", "gas_flow"),
    ],
)  # fmt: skip
def test_names_are_found_as_people_write_them(text: str, code: str) -> None:
    found = parameters().find(text)
    assert found is not None
    assert found.code == code


def test_an_unknown_name_is_not_found() -> None:
    assert parameters().find("unobtainium") is None
    assert parameters().find("") is None


def test_units_and_averages_are_those_the_line_relies_on() -> None:
    wanted = {
        "LAeq": ("dB(A)", "energy"), "LAFmax": ("dB(A)", "maximum"), "SO2": ("mg/m3", "mean"), "O2": ("%", "mean"),
        "temperature": ("degC", "mean"), "pressure": ("kPa", "mean"), "velocity": ("m/s", "mean"),
        "gas_flow": ("m3/h", "mean"), "flow": ("L/s", "mean"), "pH": ("", "median"), "COD": ("mg/L", "flow_weighted"),
        "NH3-N": ("mg/L", "flow_weighted"), "water_temperature": ("degC", "mean"), "total_volume": ("m3", "maximum"),
    }  # fmt: skip
    assert {code: (parameters()[code].unit, parameters()[code].average) for code in wanted} == wanted


def test_every_parameter_is_named_in_both_languages_and_cited() -> None:
    codes = [p.hj212 for p in parameters().values() if p.hj212]
    assert len(codes) == len(set(codes))
    for parameter in parameters().values():
        assert parameter.name.en
        assert parameter.name.zh
        assert parameter.source
        assert parameter.media
        if parameter.molar_mass:
            assert conversion("ppm", parameter.unit, parameter.molar_mass) is not None


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ('code = "SO2"', 'code = "SO 2"', "parameter[0].code"),
        ('unit = "mg/m3"', 'unit = "mg/m4"', "parameter[0].unit"),
        ('["stack"]', '["stock"]', "parameter[0].media"),
        ("molar_mass = 64.0", "molar_mass = -1", "parameter[0].molar_mass"),
        ('source = "HJ 212"', "", "parameter[0].source"),
        ('code = "SO2"', 'code = "SO2"\naverage = "mode"', "parameter[0].average"),
        ('code = "SO2"', 'code = "SO2"\ncolour = "red"', "parameter[0].colour"),
    ],
)
def test_faults_name_the_field(old: str, new: str, path: str) -> None:
    assert parse_parameters(GOOD, "p.toml")[1] == []
    _, faults = parse_parameters(GOOD.replace(old, new), "p.toml")
    assert [fault.path for fault in faults] == [path]
    assert faults[0].hint


def test_two_parameters_cannot_share_a_name() -> None:
    second = GOOD.replace('"SO2"', '"sulphur"').replace('"a21026"', '"so2"')
    _, faults = parse_parameters(GOOD + second, "p.toml")
    assert [fault.path for fault in faults] == ["parameter[1].code"]
    assert "SO2" in faults[0].message
