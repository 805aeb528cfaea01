"""What the collector takes from the site files, and every fault it finds there."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.settings import parse_collector
from collector.store_settings import InfluxSettings
from gateway.document import Fault
from gateway.identity import public_hex
from gateway.settings import Site, parse_site

ROOT = Path(__file__).parents[2]
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


def site(store: str = "", *, plant: str = "riverside", gateways: str = '[[gateway]]\nid = "gw"') -> Site:
    text = f'[plant]\nid = "{plant}"\ntimezone = "UTC"\n[broker]\nurl = "mqtt://127.0.0.1:1883"\n{gateways}\n{store}\n'
    parsed, faults = parse_site(text, f"sites/{plant}.toml")
    assert parsed is not None, faults
    return parsed


def second(store: str = "") -> Site:
    return site(store, plant="harbour", gateways='[[gateway]]\nid = "harbour-gw"')


def faults_of(*sites: Site) -> list[Fault]:
    settings, faults = parse_collector(sites)
    assert settings is None
    return faults


def test_the_files_of_the_repository_are_good() -> None:
    sites = []
    for name in ("site.toml", "simulators/sites/harbour.toml"):
        parsed, _ = parse_site((ROOT / name).read_text(), name)
        assert parsed is not None
        sites.append(parsed)
    settings, faults = parse_collector(sites)
    assert faults == []
    assert settings is not None
    assert settings.folder == "data/collector"
    assert settings.store_path == "data/collector/store.duckdb"
    assert {id: trusted.plant for id, trusted in settings.trusted.items()} == {
        "riverside-gw": "riverside",
        "harbour-gw": "harbour",
    }


def test_keys_are_trusted_as_they_stand() -> None:
    given = f'[[gateway]]\nid = "a"\npublic_key = "{public_hex(KEY)}"\n[[gateway]]\nid = "b"'
    settings, _ = parse_collector([site(gateways=given)])
    assert settings is not None
    trusted = settings.trusted["a"].key
    assert trusted is not None
    assert public_hex(trusted) == public_hex(KEY)
    assert settings.trusted["b"].key is None


@pytest.mark.parametrize("others", [[], ["[store]"], ['[store]\npath = "fast/s.duckdb"']])
def test_a_store_is_common_to_all_plants(others: list[str]) -> None:
    settings, _ = parse_collector([site('[store]\npath = "fast/s.duckdb"'), *map(second, others)])
    assert settings is not None
    assert settings.store_path == "sites/fast/s.duckdb"


def test_stores_that_differ_are_a_fault() -> None:
    (fault,) = faults_of(site('[store]\npath = "a.duckdb"'), second('[store]\npath = "b.duckdb"'))
    assert (fault.file, fault.path) == ("sites/harbour.toml", "store.path")
    assert "sites/riverside.toml" in fault.hint


@pytest.mark.parametrize(
    ("store", "path", "text"),
    [
        ('[store]\nkind = "influxdb"', "store.url", "missing"),
        ('[store]\nkind = "influxdb"\nurl = "x:8086"', "store.url", "http://HOST:8086"),
        ('[store]\nkind = "influxdb"\nurl = "http://u:p@x"', "store.url", "without user"),
        ('[store]\nkind = "influxdb"\nurl = "http://x:y"', "store.url", "not the address"),
        ('[store]\nkind = "influxdb"\nurl = "http://x"\npath = "p"', "store.path", "DuckDB store"),
        ('[store]\nkind = "influxdb"\nurl = "http://x"\ndatabase = "a b"', "store.database", "letters"),
        ('[store]\nkind = "influxdb"\nurl = "http://x"\napi = "v3"', "store.api", "v2"),
        ('[store]\nkind = "influxdb"\nurl = "http://x"\napi = "v1"\nbucket = "b"', "store.bucket", "2.x"),
        ('[store]\nkind = "duck"', "store.kind", "duckdb"),
        ("[store]\npath = 5", "store.path", "not a text"),
        ('[store]\npth = "x"', "store.pth", "unknown key"),
        ('[store]\nurl = "http://x"', "store.url", "InfluxDB"),
        ("store = 1", "store", "not a table"),
    ],
)
def test_every_fault_of_a_store_is_named(store: str, path: str, text: str) -> None:
    parsed = site("", gateways=f'{store}\n[[gateway]]\nid = "gw"') if store[0] == "[" else bare(store)
    (fault,) = faults_of(parsed)
    assert fault.path == path
    assert fault.line
    assert text in str(fault)


def test_an_influxdb_store_is_read_with_its_files_where_they_are() -> None:
    given = '[store]\nkind = "influxdb"\nurl = "https://db:8086/"\nbucket = "air/raw"\norg = "plant"\ntoken_file = "t"'
    settings, _ = parse_collector([site(given)])
    assert settings is not None
    assert settings.influx == InfluxSettings(
        url="https://db:8086", database="air", retention_policy="", bucket="air/raw", org="plant", api="auto",
        token_file="sites/t", ca="",
    )  # fmt: skip
    other = second('[store]\nkind = "influxdb"\nurl = "https://db2:8086"')
    (fault,) = faults_of(site(given), other)
    assert "https://db2:8086 emitwatch differs" in fault.message


def bare(line: str) -> Site:
    rest = (
        '[plant]\nid = "riverside"\ntimezone = "UTC"\n[broker]\nurl = "mqtt://127.0.0.1:1883"\n[[gateway]]\nid = "gw"\n'
    )
    parsed, faults = parse_site(f"{line}\n{rest}", "sites/riverside.toml")
    assert parsed is not None, faults
    return parsed


def test_a_gateway_belongs_to_one_plant() -> None:
    (fault,) = faults_of(site(), site(plant="harbour"))
    assert (fault.file, fault.path, fault.line) == ("sites/harbour.toml", "gateway[0].id", 7)
    assert "riverside" in fault.message


def test_all_faults_are_found_at_once() -> None:
    bad = '[store]\nkind = "influxdb"\nextra = 1'
    assert len(faults_of(site(bad), site(bad, plant="harbour"))) == 5


def test_how_long_the_journal_stays_is_common_to_all_plants() -> None:
    for given, months in (("", 0), ("keep_months = 36", 36)):
        settings, _ = parse_collector([site(f"[collector]\n{given}"), second("")])
        assert settings is not None
        assert settings.keep_months == months
    (fault,) = faults_of(site("[collector]\nkeep_months = 36"), second("[collector]\nkeep_months = 12"))
    assert (fault.file, fault.path) == ("sites/harbour.toml", "collector.keep_months")
    (fault,) = faults_of(site("[collector]\nkeep_months = 0"))
    assert (fault.path, "to keep everything" in fault.hint) == ("collector.keep_months", True)
