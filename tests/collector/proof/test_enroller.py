"""`emitwatch enroll`: what it writes, for whom, and what it refuses."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from structlog.testing import capture_logs

from collector.proof import identities
from collector.proof.identities import Record
from collector.proof.register_file import Watcher, append, load_register
from gateway.identity import public_hex
from gateway.settings import parse_site
from tests.collector.proof.places import SITE, Place

KEY = public_hex(Ed25519PrivateKey.generate())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, 8884)


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_a_bundle_binds_the_gateway_to_its_plant_and_key(place: Place) -> None:
    assert place.enroll("gw-a", "--reason", "first site") == 0
    bundle = place.bundle("gw-a")
    found, authority = certificate(bundle / "cert.pem"), certificate(bundle / "ca.pem")
    key = public_hex(place.signing_key("gw-a"))
    name = {part.oid: part.value for part in found.subject}
    assert name == {NameOID.COMMON_NAME: "gw-a", NameOID.ORGANIZATION_NAME: "riverside"}
    bound = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = bound.get_values_for_type(x509.UniformResourceIdentifier)
    assert uris == ["urn:emitwatch:plant:riverside", f"urn:emitwatch:key:{key}"]
    usage = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    signer = authority.public_key()
    assert isinstance(signer, EllipticCurvePublicKey)
    signer.verify(found.signature, found.tbs_certificate_bytes, ECDSA(SHA256()))

    (record,) = load_register(place.register).records
    assert (record.kind, record.gateway, record.plant, record.key) == ("enrolled", "gw-a", "riverside", key)
    assert int(record.serial, 16) == found.serial_number
    assert record.reason == "first site"
    assert record.by


def test_the_tables_to_paste_are_of_a_site_file(place: Place) -> None:
    assert place.enroll("gw-a") == 0
    tables = (place.bundle("gw-a") / "site-tables.toml").read_text()
    pasted = tomllib.loads(tables)
    assert pasted["broker"]["url"] == "mqtts://127.0.0.1:8884"
    assert pasted["gateway"] == [{"id": "gw-a", "public_key": public_hex(place.signing_key("gw-a"))}]
    site, faults = parse_site('[plant]\nid = "riverside"\ntimezone = "UTC"\n' + tables, "site.toml")
    assert not faults
    assert site
    assert len(site.collector_key) == 64


def test_what_is_secret_is_the_owners_alone(place: Place) -> None:
    assert place.enroll("gw-a") == place.enroll("gw-b") == 0
    for path in place.collector.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        if path.is_relative_to(place.broker):
            assert not mode & 0o007, path  # the broker's group reads these
        elif path.suffix in (".pem", ".key", ".jsonl") or path.name == "key":
            assert mode == 0o600, path
    assert (place.collector / "ca" / "key.pem").stat().st_mode & 0o077 == 0


def test_a_gateway_may_keep_its_private_key_to_itself(place: Place) -> None:
    assert place.enroll("gw-a") == 0
    assert place.enroll("gw-a", "--rotate", "--public-key", KEY) == 0
    assert not (place.bundle("gw-a") / "signing.key").exists()
    assert load_register(place.register).identities["gw-a"].key == KEY
    place.file.write_text(place.file.read_text().replace('id = "gw-b"', f'id = "gw-b"\npublic_key = "{KEY[::-1]}"'))
    assert place.enroll("gw-b") == 0
    assert load_register(place.register).identities["gw-b"].key == KEY[::-1]


def test_the_authority_and_the_operators_own_changes_stay(place: Place) -> None:
    assert place.enroll("gw-a") == 0
    kept = [
        "ca/cert.pem",
        "ca/key.pem",
        "identity/collector.pem",
        "identity/tap.pem",
        "broker/cert.pem",
        "broker/key.pem",
    ]
    before = {name: (place.collector / name).read_bytes() for name in kept}
    config = place.broker / "mosquitto.conf"
    config.write_text(config.read_text() + "log_type none\n")
    assert place.enroll("gw-b") == 0
    assert {name: (place.collector / name).read_bytes() for name in kept} == before
    assert config.read_text().endswith("log_type none\n")


def test_a_revocation_counts_at_once_and_says_what_the_broker_was_not_told(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert place.enroll("gw-a") == 0
    capsys.readouterr()
    assert place.enroll("gw-a", "--revoke", "--reason", "stolen") == 1
    said = capsys.readouterr()
    assert "gateway gw-a: revoked" in said.out
    assert "no mosquitto runs here" in said.err
    assert load_register(place.register).refused() == ["gw-a"]
    assert "user gw-a\ntopic deny em/v1/gw-a/#\n" in (place.broker / "acl").read_text()
    serial = certificate(place.bundle("gw-a") / "cert.pem").serial_number
    crl = x509.load_pem_x509_crl((place.broker / "crl.pem").read_bytes())
    assert crl.get_revoked_certificate_by_serial_number(serial) is not None
    assert place.enroll("gw-a", "--revoke") == 1  # tells the broker again
    assert len(load_register(place.register).records) == 2
    assert place.enroll("gw-a") == 0
    assert "gw-a" not in (place.broker / "acl").read_text()


def test_refusals_say_what_to_do(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.enroll("gw-a") == 0
    for words, code, said in (
        (["gw-a"], 1, "--rotate"),
        (["gw-b", "--rotate"], 1, "not enrolled"),
        (["nobody"], 1, "there are: gw-a, gw-b"),
        (["gw-b", "--public-key", "abc"], 2, "64 hex digits"),
        (["gw-a", "--rotate", "--revoke"], 2, "exclude each other"),
        (["gw-b", "--public-key", public_hex(place.signing_key("gw-a"))], 1, "key of gateway gw-a"),
    ):
        assert place.enroll(*words) == code, words
        assert said in capsys.readouterr().err
    assert len(load_register(place.register).records) == 1
    (place.collector / "ca" / "key.pem").chmod(0o644)
    assert place.enroll("gw-b") == 1
    assert "chmod 600" in capsys.readouterr().err


def test_no_gateway_has_the_name_of_another_user_of_the_broker(place: Place) -> None:
    place.file.write_text(SITE.format(port=8884).replace("gw-b", "collector"))
    assert place.enroll("collector") == 1


def test_the_register_is_followed_and_a_broken_one_is_not(place: Place) -> None:
    assert place.enroll("gw-a") == 0
    seen = []
    watcher = Watcher(place.register, seen.append)
    watcher.look()
    assert seen == []
    good = place.register.read_text()
    found = load_register(place.register)
    append(place.register, found, identities.revoke(found, Record(kind="revoked", at=1, gateway="gw-a", plant="p"), []))
    with capture_logs() as logs:
        watcher.look()
        assert seen[-1].refused() == ["gw-a"]
        place.register.write_text(good)  # as if it had never been revoked
        watcher.look()
        place.register.write_text("nonsense\n")
        watcher.look()
    assert len(seen) == 1
    assert watcher.register is seen[0]
    assert "not a record" in watcher.trouble
    assert [entry["log_level"] for entry in logs] == ["warning", "error", "error"]
