"""A simulated instrument holds what its profile names beside the measurements: settings and identity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gateway.blocks import Block
from gateway.measurement import SECOND_NS
from gateway.profiles import Item
from gateway.readback import item_blocks, read_items
from gateway.sensors import Sensor
from gateway.settings import Label
from simulators import modbus
from simulators.server import Instrument
from tests.simulators.plants import small_site

SITE, SENSORS = small_site(5020)
NOW_NS = 1_794_000_000 * SECOND_NS


def item(name: str, address: int, type: str, count: int, constant: float | str) -> Item:
    return Item(
        name=name, title=Label(name, name), fc=3, address=address, type=type, count=count, order="ABCD", mask=0,
        scale=1.0, offset=0.0, unit="", manual="page 1", constant=constant,
    )  # fmt: skip


def asked(instrument: Instrument, block: Block) -> np.ndarray:
    request = modbus.REQUEST.pack(block.fc, block.address, block.count)
    reply = modbus.answer(instrument.memory(NOW_NS), request)
    assert reply[0] == block.fc, f"refused: {reply.hex()}"
    return np.frombuffer(reply, ">u2", offset=2).astype(np.uint16)


def test_settings_and_identity_are_there_beside_what_is_measured() -> None:
    sensor: Sensor = SENSORS[0]
    profile = replace(
        sensor.profile,
        settings=(item("order", 400, "float32", 2, 123456.0),),
        identity=(item("serial_number", 410, "ascii", 4, "SIM-1"),),
    )
    instrument = Instrument(SITE, replace(sensor, profile=profile), 1, None)
    answers = {block: asked(instrument, block) for block in item_blocks(profile)}
    assert read_items(profile, answers) == {"order": 123456.0, "serial_number": "SIM-1"}
    for block in (block for block in sensor.plan.blocks if not block.bits):
        assert len(asked(instrument, block)) == block.count
