"""New keys, new machines, approved configurations, certificate requests: what `emitwatch enroll` says and signs."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from api.cli import main
from collector.proof.collector_key import current_key
from collector.proof.identities import Record
from collector.proof.mandates import FOREVER_NS, authority, replacements
from collector.proof.register_file import append, load_register
from collector.settings import parse_collector
from collector.trust import trusted_now
from gateway.configuration import fault, hash_of
from gateway.identity import IdentityError, load_or_create_key, public_hex, public_key
from gateway.succession import Trust
from tests.collector.proof.places import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, 8884)


def own(place: Place) -> str:
    return public_hex(load_or_create_key(place.collector / "key")[0])


def rotate_collector(place: Place, *words: str) -> int:
    return main(["enroll", str(place.file), "--rotate-collector", *words])


def test_a_new_collector_key_is_appointed_by_the_old_one_and_entered(place: Place) -> None:
    first = own(place)
    place.file.write_text(
        place.file.read_text().replace("[collector]\n", f'[collector]\npublic_key = "{first}"  # ours\n')
    )
    assert rotate_collector(place, "--keep-days", "3", "--reason", "yearly") == 0
    second = own(place)
    assert rotate_collector(place) == 0
    third = own(place)
    assert len({first, second, third}) == 3
    assert f'public_key = "{third}"  # ours' in place.file.read_text()
    register = load_register(place.register)
    assert register.collector_keys == (first, second, third)
    assert Trust(public_key(first)).learn(register.handovers).newest.public_bytes_raw().hex() == third
    found = [(key.public_bytes_raw().hex(), until) for key, until in authority(register, public_key(third))]
    assert found == [(third, FOREVER_NS), (second, register.records[1].until), (first, register.records[0].until)]
    assert [path.name for path in place.collector.glob("key*")] == ["key"]


def test_a_rotation_that_was_cut_off_is_finished_or_taken_back(place: Place) -> None:
    place.collector.mkdir(parents=True)
    first = own(place)
    load_or_create_key(place.collector / "key.new")  # the register does not know it yet
    assert public_hex(current_key(place.collector)[0]) == first
    assert not (place.collector / "key.new").exists()
    assert rotate_collector(place) == 0
    second = (place.collector / "key").read_text()
    (place.collector / "key").rename(place.collector / "key.new")  # as before the last step
    assert current_key(place.collector)[0].private_bytes_raw().hex() == second.strip()
    (place.collector / "key").unlink()
    with pytest.raises(IdentityError, match="restore it"):
        current_key(place.collector)


def test_another_machine_takes_the_place_of_a_gateway_only_with_the_collectors_word(place: Place) -> None:
    assert place.enroll("gw-a") == 0
    old = public_hex(place.signing_key("gw-a"))
    assert place.enroll("gw-a", "--replace", "--reason", "lightning") == 0
    new = public_hex(place.signing_key("gw-a"))
    register, key = load_register(place.register), public_key(own(place))
    first, second = register.records
    assert (second.kind, second.key, second.reason) == ("replaced", new, "lightning")
    assert register.revoked_serials(second.at) == {int(first.serial, 16): second.at}, "the old machine gets in no more"
    assert dict(register.identities["gw-a"].older) == {old: second.until}
    assert replacements(register, [key]) == {"gw-a": frozenset({new})}
    settings, _ = parse_collector([place.site()])
    assert settings
    trusted = trusted_now(settings.trusted, register, authority(register, key))
    assert trusted["gw-a"].replacements == frozenset({new})
    # Who can write into the register alone cannot do the same.
    for signed in ("", second.signed, "00" * 80):
        forged = Record(kind="replaced", at=1, gateway="gw-a", plant="riverside", key=old, serial="1", signed=signed)
        assert replacements(append(place.register, load_register(place.register), forged), [key]) == {
            "gw-a": frozenset({new})
        }


def test_a_configuration_is_approved_as_the_site_file_has_it(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.enroll("gw-a") == 0
    given = bytes.fromhex((place.bundle("gw-a") / "config.sig").read_text())
    record = load_register(place.register).records[-1]
    keys = [public_key(own(place))]
    assert fault(given, "gw-a", bytes.fromhex(record.config), keys) == ""
    place.file.write_text(place.file.read_text().replace("interval_s = 1", "interval_s = 2"))
    assert place.enroll("gw-a", "--sign", "--reason", "slower") == 0
    later = load_register(place.register).records[-1]
    assert (later.kind, later.reason) == ("approved", "slower")
    assert later.config != record.config
    again = bytes.fromhex((place.bundle("gw-a") / "config.sig").read_text())
    assert fault(again, "gw-a", bytes.fromhex(later.config), keys) == ""
    assert fault(again, "gw-a", hash_of("another"), keys) == "it was changed after it was signed"
    assert load_register(place.register).identities["gw-a"].key == record.key, "who it is stays"
    capsys.readouterr()
    assert place.enroll("gw-b") == 0, "a gateway without sensors has nothing to approve"
    assert not (place.bundle("gw-b") / "config.sig").exists()


def test_the_keys_of_a_request_never_leave_the_gateway(place: Place, tmp_path: Path) -> None:
    gateway = tmp_path / "gateway"
    gateway.mkdir()
    (gateway / "site.toml").write_text(place.file.read_text())
    file = tmp_path / "gw-a.csr"
    assert main(["request", str(gateway / "site.toml"), "gw-a", "--out", str(file)]) == 0
    again = file.read_bytes()
    assert main(["request", str(gateway / "site.toml"), "gw-a", "--out", str(file)]) == 0
    assert x509.load_pem_x509_csr(again).public_key() == x509.load_pem_x509_csr(file.read_bytes()).public_key()
    assert place.enroll("gw-a", "--request", str(file)) == 0
    bundle = place.bundle("gw-a")
    assert {path.name for path in bundle.iterdir()} == {"ca.pem", "cert.pem", "config.sig", "site-tables.toml"}
    door = load_pem_private_key((gateway / "identity/key.pem").read_bytes(), None)
    assert x509.load_pem_x509_certificate((bundle / "cert.pem").read_bytes()).public_key() == door.public_key()
    sealing = load_or_create_key(gateway / "data/gateways/gw-a/key")[0]
    assert load_register(place.register).identities["gw-a"].key == public_hex(sealing)
    for path in (gateway / "identity/key.pem", gateway / "data/gateways/gw-a/key"):
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_request_of_another_or_an_altered_one_is_refused(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "gw-a.csr"
    assert main(["request", str(place.file), "gw-a", "--out", str(file)]) == 0
    good = file.read_text()
    raw = bytearray(base64.b64decode("".join(good.splitlines()[1:-1])))
    raw[-1] ^= 1  # the last byte of its signature
    altered = (
        f"-----BEGIN CERTIFICATE REQUEST-----\n{base64.b64encode(raw).decode()}\n-----END CERTIFICATE REQUEST-----\n"
    )
    for gateway, text, said in (
        ("gw-b", good, "a request of gateway gw-a"),
        ("gw-a", "nonsense", "not a request"),
        ("gw-a", altered, "not a request"),
    ):
        file.write_text(text)
        assert place.enroll(gateway, "--request", str(file)) == 1
        assert said in capsys.readouterr().err
    assert main(["request", str(place.file)]) == 2  # which one?
    assert not place.register.exists()


def test_one_thing_at_a_time(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["gw-a", "--rotate-collector"], ["gw-a", "--replace", "--rotate"], ["--sign", "gw-a", "--revoke"]):
        assert main(["enroll", str(place.file), *words]) == 2
    assert main(["enroll", str(place.file)]) == 2
    assert place.enroll("gw-b", "--replace") == 1
    assert "enrol it without --replace" in capsys.readouterr().err
