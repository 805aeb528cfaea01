"""Inputs: contacts at other instruments, read from the site file, and whether their words hold."""

from __future__ import annotations

import numpy as np
import pytest

from gateway import catalogue
from gateway.blocks import Block
from gateway.configuration import canonical
from gateway.inputs import Input, holds, input_parts, words_at
from gateway.sensors import resolve
from gateway.settings import Site, parse_site

SITE = """
[plant]
id = "p"
timezone = "UTC"
[broker]
url = "mqtt://127.0.0.1"
[[gateway]]
id = "g"
[[point]]
id = "stack-1"
kind = "stack"
[[sensor]]
id = "cems-1"
point = "stack-1"
link = "tcp://127.0.0.1:502?unit=1"
profile = "emitwatch-stack-gas"
interval_s = 1
[[sensor.input]]
link = "tcp://127.0.0.1:503?unit=7"
fc = 2
address = 3
status = "maintenance"
[[sensor.input]]
fc = 4
address = 60
mask = 0x000F
equals = [2, 3]
status = "calibration"
parameters = ["velocity"]
"""


def parsed(text: str = SITE) -> Site:
    site, faults = parse_site(text, "site.toml")
    assert site is not None, faults
    return site


def inputs() -> tuple[Input, ...]:
    return parsed().sensors[0].inputs


def test_a_site_file_names_them() -> None:
    module, own = inputs()
    assert module.link is not None
    assert (module.link.port, module.link.unit, module.block) == (503, 7, Block(2, 3, 1))
    assert own.link is None
    assert own.parameters == ("velocity",)
    assert [part.block for part in input_parts([module, own])] == [Block(2, 3, 1), Block(4, 60, 1)]


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("tcp://127.0.0.1:503?unit=7", "udp://127.0.0.1", "sensor[0].input[0].link"),
        ("fc = 2\n", "fc = 6\n", "sensor[0].input[0].fc"),
        ('status = "maintenance"', 'status = "ok"', "sensor[0].input[0].status"),
        ("equals = [2, 3]", "equals = [16]", "sensor[0].input[1].equals"),
        ("mask = 0x000F", "maske = 15", "sensor[0].input[1].maske"),
    ],
)
def test_faults_name_the_field(old: str, new: str, path: str) -> None:
    _, faults = parse_site(SITE.replace(old, new), "site.toml")
    assert [fault.path for fault in faults] == [path]


def test_a_parameter_that_the_sensor_does_not_read_is_a_fault() -> None:
    site = parsed(SITE.replace('"velocity"', '"velocty"'))
    _, faults = resolve(site, catalogue.profiles(), catalogue.parameters())
    assert [fault.path for fault in faults] == ["sensor[0].input[1].parameters"]
    assert "velocity" in faults[0].hint


@pytest.mark.parametrize(
    ("link", "says"),
    [
        ("rtu+tcp://127.0.0.1:502?unit=7", "same address with tcp://"),
        ("rtu:///dev/ttyS9?baud=19200&unit=3", "same line at baud=9600"),
    ],
)
def test_a_module_is_spoken_to_as_its_neighbours_are(link: str, says: str) -> None:
    text = SITE.replace("tcp://127.0.0.1:503?unit=7", link)
    text = text.replace("tcp://127.0.0.1:502?unit=1", "rtu:///dev/ttyS9?unit=1") if "rtu:///" in link else text
    _, faults = resolve(parsed(text), catalogue.profiles(), catalogue.parameters())
    assert [fault.path for fault in faults] == ["sensor[0].input[0].link"]
    assert says in faults[0].message


def test_a_word_holds_or_does_not() -> None:
    module, own = inputs()
    assert [holds(module.condition, word) for word in (0, 1)] == [False, True]
    assert [holds(own.condition, word) for word in (1, 2, 3, 0x13)] == [False, True, True, True]
    (part,) = input_parts([own])
    assert words_at(part, np.array([7], np.uint16)) == {Block(4, 60, 1): 7}


def test_they_are_part_of_what_a_gateway_measures_by() -> None:
    def text(site_text: str) -> str:
        site = parsed(site_text)
        sensors, faults = resolve(site, catalogue.profiles(), catalogue.parameters())
        assert not faults
        return canonical(site, "g", sensors)

    assert text(SITE) != text(SITE.replace("address = 3\n", "address = 4\n"))
    assert "sensor/cems-1/input/001" in text(SITE)
