"""Site files: the reference ones are good, what a person gets wrong is named, nothing makes the reader fall."""

from __future__ import annotations

import random
import tomllib
from pathlib import Path

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.retention import Limits
from gateway.settings import Access, Label, parse_site
from tests.effort import examples

ROOT = Path(__file__).parent.parent.parent
REFERENCE = [ROOT / "site.toml", *sorted((ROOT / "simulators/sites").glob("*.toml"))]
SITE = """
[plant]
id = "p"
name = { en = "Plant", zh = "厂" }
timezone = "Asia/Shanghai"
position = [30.0, 120.0]
[broker]
url = "mqtts://broker.example"
user = "p"
password_file = "secret"
[[gateway]]
id = "g"
[[point]]
id = "fence"
kind = "noise"
[[sensor]]
id = "meter"
point = "fence"
link = "tcp://127.0.0.1:502?unit=7"
profile = "emitwatch-noise"
interval_s = 1
"""


def paths(text: str) -> list[str]:
    site, faults = parse_site(text, "here/site.toml")
    assert (site is None) == bool(faults)
    assert all(fault.file == "here/site.toml" and fault.message for fault in faults)
    return [fault.path for fault in faults]


@pytest.mark.parametrize("file", REFERENCE, ids=lambda file: file.name)
def test_the_reference_sites_are_good(file: Path) -> None:
    assert paths(file.read_text("utf-8")) == []


def test_defaults_and_paths() -> None:
    site, faults = parse_site(SITE, "here/site.toml")
    assert not faults
    assert site is not None
    assert site.data_dir == "here/data"
    assert site.path("x/y") == "here/x/y"
    assert (site.broker.host, site.broker.port, site.broker.tls) == ("broker.example", 8883, True)
    assert site.broker.protocol == "5"
    assert site.broker.alternates == ()
    assert site.plant.name == Label("Plant", "厂")
    assert (site.plant.name.of("zh"), site.plant.name.of("en")) == ("厂", "Plant")
    assert site.point("fence").name == Label("fence", "fence")
    assert site.sensors[0].gateway == "g"
    assert site.outbox == Limits(days=30.0, bytes=2048 << 20)
    assert site.sensors[0].parameters == ()
    with pytest.raises(KeyError):
        site.point("nix")


def test_what_an_outbox_keeps_is_set() -> None:
    site, faults = parse_site(SITE.replace("[[gateway]]", "[outbox]\ndays = 7\nmax_mb = 100\n[[gateway]]"), "s.toml")
    assert not faults
    assert site is not None
    assert site.outbox == Limits(days=7.0, bytes=100 << 20)


def test_absolute_paths_stay() -> None:
    site, _ = parse_site(SITE.replace('id = "p"', 'id = "p"\ndata_dir = "/var/lib/x"'), "here/site.toml")
    assert site is not None
    assert site.data_dir == "/var/lib/x"


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ('id = "p"\n', "", ["plant.id"]),
        ('name = { en = "Plant", zh = "厂" }', "name = { fr = 1 }", ["plant.name"]),
        ('"Asia/Shanghai"', '"Asia/Atlantis"', ["plant.timezone"]),
        ('"Asia/Shanghai"', '"../../etc/passwd"', ["plant.timezone"]),
        ("[30.0, 120.0]", "[91, 0]", ["plant.position"]),
        ("[30.0, 120.0]", '["a", "b"]', ["plant.position"]),
        ('"mqtts://broker.example"', '"http://broker"', ["broker.url"]),
        ('"mqtts://broker.example"', '"mqtt://broker:0"', ["broker.url"]),
        ('"mqtts://broker.example"', '"mqtt://broker:99999"', ["broker.url"]),
        ("[[gateway]]", "[outbox]\nmax_mb = 3\ndays = 0\n[[gateway]]", ["outbox.days", "outbox.max_mb"]),
        ('user = "p"\n', "", ["broker.user"]),
        ('user = "p"\n', 'user = "p"\nalternates = ["broker"]\n', ["broker.alternates"]),
        ('user = "p"\n', 'user = "p"\nalternates = ["mqtt://other"]\n', ["broker.alternates"]),
        ('user = "p"', 'user = "p"\nprotocol = "4"', ["broker.protocol"]),
        ('[[gateway]]\nid = "g"\n', "", ["gateway"]),
        ('id = "g"', 'id = "g"\npublic_key = "abc"', ["gateway[0].public_key"]),
        ('kind = "noise"', 'kind = "light"', ["point[0].kind"]),
        ('point = "fence"', 'point = "fenc"', ["sensor[0].point"]),
        ("tcp://127.0.0.1:502?unit=7", "udp://x", ["sensor[0].link"]),
        ("interval_s = 1", "interval_s = 0", ["sensor[0].interval_s"]),
        ("interval_s = 1", 'gateway = "h"', ["sensor[0].gateway", "sensor[0].interval_s"]),
        ('id = "meter"', 'id = "a/b"', ["sensor[0].id"]),
        ('kind = "noise"', 'kind = "noise"\ncolour = 1', ["point[0].colour"]),
        ("[broker]", "[brokre]\n[broker]", ["brokre"]),
    ],
)
def test_faults_name_the_field(old: str, new: str, wanted: list[str]) -> None:
    assert old in SITE
    assert sorted(paths(SITE.replace(old, new, 1))) == wanted


def test_ids_are_unique_and_several_gateways_need_saying() -> None:
    point = '[[point]]\nid = "fence"\nkind = "noise"\n'
    assert paths(SITE + point) == ["point[1].id"]
    assert paths(SITE + '[[gateway]]\nid = "h"\n') == ["sensor[0].gateway"]
    assert paths(SITE + '[[gateway]]\nid = "g"\n')[-1] in ("gateway[1].id", "sensor[0].gateway")


def test_all_faults_are_found_at_once() -> None:
    text = SITE.replace('"Asia/Shanghai"', '"nowhere"').replace("mqtts", "ftp").replace('"noise"', '"x"')
    assert sorted(paths(text)) == ["broker.url", "plant.timezone", "point[0].kind"]
    assert "plant" in paths("")


def test_tables_of_other_packages_are_left_to_them() -> None:
    assert paths(SITE + '[store]\nkind = "anything"\n[[recipient]]\nid = "x"\n[[channel]]\nid = "y"\n') == []


def test_a_password_in_the_brokers_address_is_a_fault() -> None:
    assert paths(SITE.replace("mqtts://broker.example", "mqtts://gw:s3cret@broker.example")) == ["broker.url"]


def test_a_broker_address_that_is_no_url_is_a_fault() -> None:
    assert paths(SITE.replace("mqtts://broker.example", "mqtt://[::1")) == ["broker.url"]


ODD = [0, -1, 2**70, 1.5, float("nan"), "", "x" * 100, "tcp://h:x", [], [1], ["a", 1], {}, {"en": 1}, [{}], True]


@settings(max_examples=examples(200))
@given(st.sampled_from(REFERENCE), st.randoms(use_true_random=False), st.sampled_from(ODD))
def test_no_content_makes_the_reader_fall(file: Path, rng: random.Random, odd: object) -> None:
    tree = tomllib.loads(file.read_text("utf-8"))
    place: dict | list = tree  # type: ignore[type-arg]
    while True:
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.2:
            break
        place = inner
    place[key] = odd
    site, faults = parse_site(tomli_w.dumps(tree), file.name)
    assert (site is None) == bool(faults)


def test_the_collector_may_be_another_user_of_the_broker_than_the_gateway() -> None:
    site, faults = parse_site(
        SITE + '[collector]\nuser = "c"\npassword_file = "p"\ncert = "c.pem"\nkey = "c.key"\n', "s.toml"
    )
    assert not faults
    assert site
    assert site.collector_access == Access(user="c", password_file="p", cert="c.pem", key="c.key")
    _, faults = parse_site(SITE + '[collector]\npassword_file = "p"\nkey = "c.key"\n', "s.toml")
    assert sorted(fault.path for fault in faults) == ["collector.cert", "collector.user"]
    site, _ = parse_site(SITE, "s.toml")
    assert site
    assert not site.collector_access
