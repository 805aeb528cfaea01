"""The demonstration's site files: the plants that come with the product, with doors of their own."""

from __future__ import annotations

import tomllib
from copy import deepcopy

import tomli_w

from alerts.settings import parse_alerts
from api.settings import parse_api
from collector.settings import parse_collector
from gateway.settings import Site, parse_site
from simulators.line import given_sites
from simulators.stage import HISTORY, Doors, Keys, Tree, addresses, gateways, staged


def all_staged() -> tuple[list[Tree], list[Site]]:
    trees = list(given_sites().values())
    links = {address: 20_000 + n for n, address in enumerate(addresses(trees))}
    doors = Doors(broker=1, api=2, smtp=3, web=4, links=links)
    keys = Keys(collector="c" * 64, gateways=dict.fromkeys(gateways(trees), "a" * 64))
    result = staged(trees, data_dir="/somewhere", protocol="3.1.1", doors=doors, keys=keys)
    sites = []
    for number, tree in enumerate(result):
        site, faults = parse_site(tomli_w.dumps(tree), f"{number}.toml")
        assert site, faults
        sites.append(site)
    return result, sites


def test_every_part_of_the_product_can_read_them() -> None:
    _, sites = all_staged()
    for parse in (parse_alerts, parse_api, parse_collector):
        assert parse(sites)[1] == []  # type: ignore[operator]
    settings, _ = parse_alerts(sites)
    assert settings is not None
    assert {channel.kind for channel in settings.channels.values()} == {"console", "email", "webhook"}
    assert all(channel.late for channel in settings.channels.values())
    plants = {site.plant.id for site in sites}
    assert all(set(recipient.plants) in ({"*"}, plants) for recipient in settings.recipients.values())


def test_what_is_measured_and_judged_stays() -> None:
    given = list(given_sites().values())
    found, sites = all_staged()
    for before, after in zip(given, found, strict=True):
        assert after["point"] == before["point"]
        assert [s["profile"] for s in after["sensor"]] == [s["profile"] for s in before["sensor"]]
        assert [s["interval_s"] for s in after["sensor"]] == [s["interval_s"] for s in before["sensor"]]
    assert {site.plant.id for site in sites} == {"riverside", "harbour"}
    assert all(site.data_dir == "/somewhere" for site in sites)


def test_every_gateway_has_a_past_and_sensors_stay_with_the_live_one() -> None:
    _, sites = all_staged()
    for site in sites:
        live = [g.id for g in site.gateways if not g.id.endswith(HISTORY)]
        assert {g.id for g in site.gateways} == {*live, *(id + HISTORY for id in live)}
        assert {s.gateway for s in site.sensors} == set(live)
        assert all(g.public_key for g in site.gateways)


def test_instruments_that_shared_a_port_share_one_still() -> None:
    given = list(given_sites().values())
    found, _ = all_staged()
    for before, after in zip(given, found, strict=True):
        old = [s["link"].split("?")[0] for s in before["sensor"]]
        new = [s["link"].split("?")[0] for s in after["sensor"]]
        assert len(set(old)) == len(set(new)) == len(set(zip(old, new, strict=True)))
        assert [s["link"].split("?")[1] for s in before["sensor"]] == [s["link"].split("?")[1] for s in after["sensor"]]


def test_the_given_files_are_not_changed() -> None:
    given = list(given_sites().values())
    before = deepcopy(given)
    links = dict.fromkeys(addresses(given), 9)
    doors = Doors(broker=1, api=2, smtp=3, web=4, links=links)
    keys = Keys(collector="", gateways=dict.fromkeys(gateways(given), ""))
    staged(given, data_dir="x", protocol="5", doors=doors, keys=keys)
    assert given == before


def test_the_reference_plant_comes_first() -> None:
    assert next(iter(given_sites().values()))["plant"]["id"] == "riverside"
    assert tomllib.loads(tomli_w.dumps(next(iter(given_sites().values()))))
