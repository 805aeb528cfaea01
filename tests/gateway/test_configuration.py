"""What a gateway measures by: the text says all that changes a measurement, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway import catalogue, seal, wire
from gateway.configuration import Configuration, approve, canonical, changes, fault, hash_of
from gateway.measurement import Status, empty_columns
from gateway.profiles import Checks
from gateway.sensors import resolve
from gateway.settings import parse_site
from tests.collector.batches import FakeGateway
from tests.gateway.instruments import chooser

KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
SITE = """
[plant]
id = "riverside"
timezone = "Asia/Shanghai"
[broker]
url = "mqtt://127.0.0.1:1883"
[[gateway]]
id = "gw-a"
[[gateway]]
id = "gw-b"
[[point]]
id = "fence-north"
name = "Fence"
kind = "noise"
rules = ["gb12348-2008"]
settings = { area_class = 2 }
[[sensor]]
id = "slm-1"
point = "fence-north"
gateway = "gw-a"
link = "tcp://127.0.0.1:5021?unit=1"
profile = "emitwatch-noise"
interval_s = 1
parameters = ["LAeq"]
[[sensor]]
id = "slm-2"
point = "fence-north"
gateway = "gw-b"
link = "tcp://127.0.0.1:5022?unit=1"
profile = "emitwatch-noise"
interval_s = 1
parameters = ["LAFmax"]
"""


def text(site: str = SITE, gateway: str = "gw-a") -> str:
    found, faults = parse_site(site, "site.toml")
    assert found, faults
    sensors, faults = resolve(found, catalogue.profiles(), catalogue.parameters())
    assert not faults
    return canonical(found, gateway, sensors)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('id = "slm-1"', 'id = "slm-9"'), ("5021?unit=1", "5021?unit=7"), ("127.0.0.1:5021", "127.0.0.9:5021"),
        ("interval_s = 1\nparameters = [\"LAeq\"]", "interval_s = 2\nparameters = [\"LAeq\"]"),
        ("area_class = 2", "area_class = 3"), ("Asia/Shanghai", "UTC"),
    ],
)  # fmt: skip
def test_what_changes_a_measurement_changes_the_hash(old: str, new: str) -> None:
    assert old in SITE
    added, removed = changes(text(), text(SITE.replace(old, new, 1)))
    assert added
    assert removed


def test_commissioning_and_serial_numbers_are_in_it_where_they_are_given() -> None:
    silent = SITE.replace('kind = "noise"', 'kind = "noise"\ncommissioning = true')
    assert changes(text(), text(silent)) == (["point/fence-north/commissioning true"], [])
    assert text(SITE.replace('kind = "noise"', 'kind = "noise"\ncommissioning = false')) == text()
    known = SITE.replace('id = "slm-1"', 'id = "slm-1"\nserial = "00831274"')
    assert changes(text(), text(known)) == (['sensor/slm-1/serial "00831274"'], [])


def test_what_changes_no_measurement_leaves_it() -> None:
    for old, new in (
        ('name = "Fence"', 'name = "South"'), ("mqtt://127.0.0.1:1883", "mqtt://elsewhere:1883"),
        ("127.0.0.1:5022", "127.0.0.1:5099"), ("[plant]", "# a remark\n[plant]"),
    ):  # fmt: skip
        assert text(SITE.replace(old, new)) == text()
    assert text(gateway="gw-b") != text()


def test_the_registers_and_scales_of_a_profile_are_in_it() -> None:
    lines = [line for line in text().splitlines() if line.startswith("profile/emitwatch-noise/register/")]
    assert any('"scale": 0.1' in line for line in lines)
    assert text().splitlines() == sorted(text().splitlines())


def test_an_approval_is_of_one_text_and_one_gateway_by_a_key_that_counts() -> None:
    given, hash = approve("gw-a", hash_of(text()), 1, KEY), hash_of(text())
    keys = [OTHER.public_key(), KEY.public_key()]
    assert fault(given, "gw-a", hash, keys) == ""
    assert fault(b"", "gw-a", hash, keys) == "it is not signed"
    assert fault(given, "gw-b", hash, keys) == "it was signed for gateway gw-a"
    assert fault(given, "gw-a", hash_of("other"), keys) == "it was changed after it was signed"
    assert fault(given, "gw-a", hash, keys[:1]) == "no key of the collector signed it"
    assert fault(given[:-1], "gw-a", hash, keys) == "no key of the collector signed it"
    odd = seal.seal_statement(seal.Statement.CONFIG, msgspec.msgpack.encode(["gw-a"]), KEY)
    assert fault(odd, "gw-a", hash, keys) == "what was signed is no approval"
    # A signature made for something else is none.
    assert fault(seal.seal_ack(msgspec.msgpack.encode({"gw": "gw-a"}), KEY), "gw-a", hash, keys)


def test_a_record_of_the_longest_configuration_fits_into_a_batch() -> None:
    for size in (1, 100, 2000, 20_000):
        before, after = ("".join(f"{n} {'温' * 200}{tail}\n" for n in range(size)) for tail in "xy")
        fields = Configuration(after, bytes(300), "it is not signed", before).fields()
        sender = FakeGateway(seq=1)
        payload = sender.sealed(empty_columns(), fields, kind="config", cfg=hash_of(after))
        batch = wire.decode(payload[65:])
        assert batch.header.cfg == batch.fields["config"]["hash"] == hash_of(after)
        assert batch.fields["config"]["text"] in ("", after)
        assert len(batch.fields["config"]["added"]) <= 51


@pytest.mark.parametrize(
    "change",
    [
        {"mask": 0x00FF},
        {"interval_s": 0.1},
        {"told": ((1.0, 1.0, Status.STOPPED),)},
        {"by": (chooser(40, 1.0, 0.1),)},
        {"checks": Checks(soft_low=0.0)},
        {"checks": Checks(stuck_after=60)},
    ],
)
def test_the_rarer_keys_of_a_register_are_in_it_and_change_no_other_text(change: dict[str, Any]) -> None:
    def said(changed: dict[str, Any]) -> str:
        profiles = catalogue.profiles()
        whole = profiles["emitwatch-noise"]
        registers = tuple(replace(r, **changed) if r.parameter == "LAeq" else r for r in whole.registers)
        site, _ = parse_site(SITE, "site.toml")
        assert site is not None
        profiles[whole.name] = replace(whole, registers=registers)
        sensors, faults = resolve(site, profiles, catalogue.parameters())
        assert not faults
        return canonical(site, "gw-a", sensors)

    assert said({}) == text()
    before, after = set(text().splitlines()), set(said(change).splitlines())
    (removed,), (added,) = before - after, after - before
    assert added.split()[0] == removed.split()[0]
    assert f'"{next(iter(change))}"' in added
