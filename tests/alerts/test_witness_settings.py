"""The tables `[[witness]]`: what is right, and what is said of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from alerts.witness_settings import parse_witnesses
from collector.proof.cosignature import WitnessKey
from tests.alerts.kit import site

KEY = WitnessKey("witness.example", Ed25519PrivateKey.from_private_bytes(b"w" * 32).public_key())
MAIL = '[[channel]]\nid = "mail"\nkind = "email"\nsmtp = "mail.example.com:25"\nsender = "a@b.example"\n'
GOOD = f"""{MAIL}
[[witness]]
id = "usb"
kind = "file"
path = "share"
plants = ["*"]
[[witness]]
id = "authority"
kind = "https"
url = "https://witness.example/"
key = "{KEY}"
ca = "ca.pem"
[[witness]]
id = "box"
kind = "email"
address = "box@authority.example"
channel = "mail"
"""


def test_three_kinds_of_witness(tmp_path: Path) -> None:
    found, faults = parse_witnesses([site(tmp_path, GOOD)])
    assert (faults, list(found or {})) == ([], ["usb", "authority", "box"])
    usb, authority, box = (found or {}).values()
    assert (usb.path, usb.plants, usb.every_h) == (str(tmp_path / "share"), ("riverside",), 1)
    assert (authority.url, authority.key, authority.ca) == ("https://witness.example", KEY, str(tmp_path / "ca.pem"))
    assert (box.address, box.every_h) == ("box@authority.example", 24)
    assert box.channel
    assert box.channel.smtp == "mail.example.com:25"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('kind = "telex"', "witness[0].kind: 'telex' is not known"),
        ('kind = "file"', "witness[0].path: missing"),
        ('kind = "file"\npath = "x"\nplants = ["y"]', "witness[0].plants[0]: plant 'y' is not defined"),
        ('kind = "https"\nurl = "http://w.example"', "witness[0].url: http is not encrypted"),
        ('kind = "https"\nurl = "https://w.example"\nkey = "w+1+AAAA"', "witness[0].key: not a verifier key"),
        ('kind = "https"\nurl = "https://w.example"\npath = "x"', "witness[0].path: "),
        ('kind = "email"\naddress = "a@b.example"\nchannel = "post"', "e-mail channel 'post' is not defined"),
        ('kind = "file"\npath = "x"\nevery_h = 0', "witness[0].every_h: 0 is outside"),
        ('kind = "file"\npath = "x"\n[[witness]]\nid = "w"\nkind = "file"\npath = "y"', "defined twice"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, table: str, said: str) -> None:
    found, faults = parse_witnesses([site(tmp_path, f'{MAIL}[[witness]]\nid = "w"\n{table}\n')])
    assert found is None
    assert said in "\n".join(map(str, faults))
