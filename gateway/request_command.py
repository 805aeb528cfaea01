"""`emitwatch request SITE [GATEWAY]`: makes a gateway's keys where they stay, and what the collector has to sign.

Both keys are made on the gateway and never leave it: the one that seals batches (DATA_DIR/gateways/ID/key) and the
one that opens the broker's door (identity/key.pem beside the site file). What travels is a certificate request: it
names the gateway and the sealing key's public half, and `emitwatch enroll SITE ID --request FILE` signs it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from gateway import catalogue
from gateway.identity import IdentityError, load_or_create_key, public_hex, sync_folder, write_durably
from gateway.spooler import outbox_folder

KEY_URI = "urn:emitwatch:key:"


def request(
    site: Annotated[Path, typer.Argument(help="The gateway's site file.")],
    gateway: Annotated[str, typer.Argument(help=r"Id of its [\[gateway]]; may be left out where there is one.")] = "",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to write; ID.csr where not given.")] = None,
) -> None:
    """Make a gateway's keys on the gateway, and the request that its certificate is made of."""
    sites = catalogue.load_sites(str(site))
    known = {settings.id: one for one in sites for settings in one.gateways}
    gateway = gateway or (next(iter(known)) if len(known) == 1 else "")
    if gateway not in known:
        sys.stderr.write(f"{site}: which gateway? there is: {', '.join(known)}\n")
        raise typer.Exit(2)
    found = known[gateway]
    try:
        sealing, _ = load_or_create_key(outbox_folder(found.data_dir, gateway) / "key")
        door = _door_key(Path(found.path(found.broker.key or "identity/key.pem")))
        path = out or Path(f"{gateway}.csr")
        path.write_bytes(_request(gateway, public_hex(sealing), door).public_bytes(Encoding.PEM))
    except (IdentityError, OSError, ValueError, TypeError) as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(2) from error
    sys.stdout.write(
        f"{path}: nothing in it is secret; at the collector: emitwatch enroll SITE {gateway} --request {path.name}\n"
        f'    public key, to be compared there: "{public_hex(sealing)}"\n'
    )


def _door_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The key to the broker; made where there is none."""
    if path.exists():
        if path.stat().st_mode & 0o077:
            raise IdentityError(f"{path}: others may read this key; run: chmod 600 {path}")
        loaded = load_pem_private_key(path.read_bytes(), None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise IdentityError(f"{path}: not an elliptic curve key; move it away to have one made")
        return loaded
    key = ec.generate_private_key(ec.SECP256R1())
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    write_durably(draft, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
    os.link(draft, path)  # unlike a rename it does not replace a key made meanwhile
    draft.unlink()
    sync_folder(path.parent)
    return key


def _request(gateway: str, public: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateSigningRequest:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, gateway)])
    sealing = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"{KEY_URI}{public}")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(sealing, critical=False)
    return builder.sign(key, hashes.SHA256())
