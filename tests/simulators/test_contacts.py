"""A site's input modules are served beside its instruments, and a key can be turned."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import catalogue
from gateway.conditions import Condition
from gateway.inputs import holds
from gateway.links.link import Refused
from gateway.links.open import open_link
from gateway.sensors import Sensor, resolve
from gateway.settings import Site, parse_site
from simulators.contacts import word_of
from simulators.faults import parse_fault
from simulators.server import Module, Simulator
from tests.effort import examples
from tests.gateway.test_inputs import SITE
from tests.simulators.plants import free_port


@settings(max_examples=examples(100))
@given(st.integers(1, 0xFFFF), st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=4), st.booleans())
def test_a_word_says_what_it_should(mask: int, values: list[int], negated: bool) -> None:
    inside = tuple({value & mask for value in values})
    condition = Condition(fc=3, address=0, mask=mask, values=inside, negated=negated)
    if len(inside) == 2 ** mask.bit_count():
        return  # the site file's reader refuses a condition that always holds
    for turned in (True, False):
        word = word_of(condition, holds=turned)
        assert holds(condition, word) is turned
        assert not word & ~mask


def site() -> tuple[Site, tuple[Sensor, ...]]:
    found, faults = parse_site(
        SITE.replace(":502?", f":{free_port()}?").replace(":503?", f":{free_port()}?"), "site.toml"
    )
    assert found, faults
    return found, resolve(found, catalogue.profiles(), catalogue.parameters())[0]


@pytest.mark.parametrize("key", ["", "key", "cems-1:key", "cems-2:key"])
def test_modules_and_own_inputs_are_served_and_the_key_is_turned_on_demand(key: str) -> None:
    async def scene() -> None:
        plant = site()
        (sensor,) = plant[1]
        simulator = Simulator([plant], fault=[parse_fault(key)] if key else [])
        assert await simulator.start() == []
        try:
            for item in sensor.settings.inputs:
                address = item.link or sensor.settings.link
                link = open_link(address)
                (word,) = await link.read(address.unit, item.block, timeout_s=2.0)
                assert holds(item.condition, int(word)) is (key in ("key", "cems-1:key"))
                if item.link:
                    assert isinstance(simulator.buses[address.bus][address.unit], Module)
                    with pytest.raises(Refused):
                        await link.read(address.unit, sensor.plan.blocks[0], timeout_s=2.0)
                link.close()
                await asyncio.sleep(0.01)
        finally:
            await simulator.stop()

    asyncio.run(scene())
