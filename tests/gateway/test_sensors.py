"""Sensors: the reference sites resolve; what does not fit together is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.catalogue import load_sites, parameters, profiles
from gateway.measurement import SECOND_NS, Series
from gateway.sensors import resolve
from gateway.settings import parse_site
from simulators.history import past, total

PROFILES = profiles()
ROOT = Path(__file__).parent.parent.parent
SITE = """
[plant]
id = "p"
timezone = "UTC"
[broker]
url = "mqtt://127.0.0.1"
[[gateway]]
id = "g"
[[point]]
id = "stack"
kind = "stack"
[[point]]
id = "fence"
kind = "noise"
[[sensor]]
id = "s"
point = "stack"
link = "tcp://127.0.0.1:502"
profile = "sick-mcs100ft"
interval_s = 2.5
parameters = ["so2", "a19001"]
"""


def faults(text: str) -> list[tuple[str, int | None, str]]:
    site, wrong = parse_site(text, "site.toml")
    assert site is not None, wrong
    return [(fault.path, fault.line, fault.hint) for fault in resolve(site, PROFILES, parameters())[1]]


def test_a_sensor_knows_its_series_in_the_order_of_the_plan() -> None:
    site, _ = parse_site(SITE, "site.toml")
    assert site is not None
    (sensor,), wrong = resolve(site, PROFILES, parameters())
    assert not wrong
    assert sensor.plan.parameters == ("SO2", "O2")
    assert sensor.series == (Series("p", "stack", "s", "SO2", "mg/m3"), Series("p", "stack", "s", "O2", "%"))
    assert sensor.interval_ns == 2_500_000_000
    assert sensor.point.id == "stack"
    assert sensor.intervals_ns == {"SO2": 2_500_000_000, "O2": 2_500_000_000}


def test_registers_that_ask_for_an_interval_of_their_own_get_it() -> None:
    whole = PROFILES["sick-mcs100ft"]
    registers = tuple(replace(r, interval_s=0.1) if r.parameter == "O2" else r for r in whole.registers)
    site, _ = parse_site(SITE, "site.toml")
    assert site is not None
    (sensor,), wrong = resolve(site, {whole.name: replace(whole, registers=registers)}, parameters())
    assert not wrong
    assert sensor.intervals_ns == {"SO2": 2_500_000_000, "O2": 100_000_000}
    fast, slow = sensor.rates
    assert [sensor.series[column].parameter for column in fast.columns] == list(fast.plan.parameters) == ["O2"]
    assert slow.columns == (0,)
    second = 1_794_000_000 * SECOND_NS
    found = [columns for _, columns in past(1, site, [sensor], second, second + 5 * SECOND_NS)]
    counts = [sum(int((c.series_index == n).sum()) for c in found) for n in (0, 1)]
    assert counts == [2, 50]
    assert total([sensor], second, second + 5 * SECOND_NS) == 52


def test_a_slow_line_is_asked_in_other_requests_than_a_fast_one() -> None:
    def blocks(link: str) -> int:
        text = SITE.replace("tcp://127.0.0.1:502", link).replace('parameters = ["so2", "a19001"]', "")
        site, wrong = parse_site(text, "site.toml")
        assert site is not None, wrong
        return len(resolve(site, PROFILES | {wide.name: wide}, parameters())[0][0].plan.blocks)

    whole = PROFILES["sick-mcs100ft"]
    wide = replace(whole, max_hole_bits=2000)
    assert blocks("tcp://127.0.0.1:502") < len(whole.status)
    assert blocks("rtu:///dev/ttyUSB0?baud=1200") > blocks("tcp://127.0.0.1:502")


@pytest.mark.parametrize("path", ["site.toml", "simulators/sites"])
def test_the_reference_sites_resolve(path: str) -> None:
    for site in load_sites(str(ROOT / path)):
        sensors, wrong = resolve(site, PROFILES, parameters())
        assert not wrong
        assert [s.settings.id for s in sensors] == [s.id for s in site.sensors]


def test_the_reference_site_measures_what_the_issue_of_a_plant_needs() -> None:
    (site,) = load_sites(str(ROOT / "site.toml"))
    sensors, _ = resolve(site, PROFILES, parameters())
    measured: dict[str, set[str]] = {}
    for sensor in sensors:
        measured.setdefault(sensor.point.kind, set()).update(sensor.plan.parameters)
    assert measured == {
        "noise": {"LAeq", "LAFmax"},
        "stack": {"SO2", "NOx", "dust", "CO", "O2", "temperature", "pressure", "moisture", "velocity"},
        "water": {"flow", "pH", "COD", "NH3-N", "water_temperature"},
    }


def test_an_unknown_profile_is_named_with_its_neighbour() -> None:
    assert faults(SITE.replace("sick-mcs100ft", "sick-mcs10ft")) == [
        ("sensor[0].profile", 19, "did you mean 'sick-mcs100ft'?")
    ]


def test_an_instrument_at_the_wrong_kind_of_point_is_named() -> None:
    ((path, line, hint),) = faults(SITE.replace('point = "stack"', 'point = "fence"'))
    assert (path, line) == ("sensor[0].profile", 19)
    assert "noise" in hint


@pytest.mark.parametrize("given", ['["SO2", "pH"]', '["SO2", "unobtainium"]', '["SO2", "so2"]'])
def test_a_parameter_the_profile_has_not_or_twice_is_named(given: str) -> None:
    found = faults(SITE.replace('["so2", "a19001"]', given))
    assert [(path, line) for path, line, _ in found] == [("sensor[0].parameters", 21)]


def test_a_parameter_is_measured_once_at_a_point() -> None:
    second = SITE[SITE.index("[[sensor]]") :].replace('id = "s"', 'id = "t"').replace("tcp://", "tcp://other-")
    found = faults(SITE + second)
    assert [path for path, _, _ in found] == ["sensor[1].parameters", "sensor[1].parameters"]
    assert faults(SITE + second.replace('["so2", "a19001"]', '["NOx"]')) == []


def test_all_faults_of_all_sensors_are_found() -> None:
    second = SITE[SITE.index("[[sensor]]") :].replace('id = "s"', 'id = "t"').replace("sick-mcs100ft", "nix")
    first = SITE.replace('["so2", "a19001"]', '["pH"]')
    assert [path for path, _, _ in faults(first + second)] == ["sensor[0].parameters", "sensor[1].profile"]


def test_two_sensors_do_not_read_the_same_registers_of_one_instrument() -> None:
    second = SITE[SITE.index("[[sensor]]") :].replace('id = "s"', 'id = "t"')
    assert [path for path, _, _ in faults(SITE + second)] == ["sensor[1].link"]


SERIAL = SITE.replace("tcp://127.0.0.1:502", "rtu:///dev/ttyS0?baud=19200&unit=1")
SECOND = """
[[sensor]]
id = "t"
point = "fence"
link = "LINK"
profile = "emitwatch-noise"
interval_s = 1
"""


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (SERIAL, "rtu:///dev/ttyS0?baud=19200&unit=2", ""),
        (SERIAL, "rtu:///dev/ttyS1?baud=9600&unit=1", ""),
        (SERIAL, "rtu:///dev/ttyS0?unit=2", "s is on the same line at baud=19200&parity=N&stopbits=1"),
        (SERIAL, "rtu:///dev/ttyS0?baud=19200&parity=E&unit=2", "s is on the same line"),
        (SITE, "tcp://127.0.0.1:502?unit=2", ""),
        (SITE, "rtu+tcp://127.0.0.1:503?unit=2", ""),
        (SITE, "rtu+tcp://127.0.0.1:502?unit=2", "s is at the same address with tcp://"),
    ],
)
def test_all_units_on_one_line_are_spoken_to_in_one_way(first: str, second: str, said: str) -> None:
    site, wrong = parse_site(first + SECOND.replace("LINK", second), "site.toml")
    assert site is not None, wrong
    found = resolve(site, PROFILES, parameters())[1]
    assert [fault.path for fault in found] == (["sensor[1].link"] if said else [])
    assert not said or said in found[0].message


def test_each_gateway_has_serial_lines_of_its_own() -> None:
    two = SERIAL.replace('[[gateway]]\nid = "g"', '[[gateway]]\nid = "g"\n[[gateway]]\nid = "h"')
    two = two.replace('id = "s"', 'id = "s"\ngateway = "g"')
    other = SECOND.replace("LINK", "rtu:///dev/ttyS0?unit=1").replace('id = "t"', 'id = "t"\ngateway = "h"')
    assert faults(two + other) == []
