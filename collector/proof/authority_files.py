"""The certificate authority on disk: makes what is missing, leaves alone what is good.

    ca/        the authority: its key is the most precious file of the collector
    identity/  the collector's own certificate, and one for `emitwatch tap`
    broker/    what mosquitto reads; its group may be the broker's
    bundles/   one folder a gateway, to be carried to it

Every file is written under another name first and then takes its place, so that nobody reads half of one.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from collector.proof import broker_files
from collector.proof.certificates import (
    Authority,
    Request,
    days_left,
    issue_client,
    issue_server,
    make_authority,
    revocation_list,
    serves,
)
from collector.proof.identities import Register
from gateway.identity import IdentityError, sync_folder, write_durably

# Of the broker's and the collector's own certificates: made anew by whatever `enroll` runs in the last year.
OWN_DAYS, RENEW_DAYS = 3650, 365
OWNER, GROUP = 0o600, 0o640
BUNDLE = {"ca.pem", "cert.pem", "key.pem", "signing.key", "config.sig", "site-tables.toml"}


@dataclass(frozen=True, slots=True)
class Credentials:
    """A certificate and the private key to it, both PEM. key: "" = its owner has it. serial: hex."""

    certificate: str
    key: str
    serial: str


class AuthorityFiles:
    """The authority of a collector's folder, opened or made; raises IdentityError."""

    def __init__(self, folder: Path, now_ns: int) -> None:
        self.folder, self.broker, self._now_ns = folder, folder / "broker", now_ns
        try:
            self._authority = self._open()
        except (ValueError, TypeError) as error:
            hint = "restore both from a backup; a new authority would need new certificates everywhere"
            raise IdentityError(f"{folder / 'ca'}: key.pem and cert.pem cannot be used: {error}; {hint}") from error

    def _open(self) -> Authority:
        key_file, certificate_file = self.folder / "ca" / "key.pem", self.folder / "ca" / "cert.pem"
        if not key_file.exists() and not certificate_file.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            name = f"emitwatch {secrets.token_hex(4)}"
            made = make_authority(key, name=name, serial=_serial(), now_ns=self._now_ns)
            _folder(self.folder / "ca", 0o700)
            put(certificate_file, _pem(made.certificate), OWNER)
            put(key_file, _key_pem(key), OWNER)
            return made
        if key_file.stat().st_mode & 0o077:
            raise IdentityError(f"{key_file}: others may read this key; run: chmod 600 {key_file}")
        loaded = load_pem_private_key(key_file.read_bytes(), None)
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        if not isinstance(loaded, ec.EllipticCurvePrivateKey) or loaded.public_key() != certificate.public_key():
            raise ValueError("they do not belong together")
        return Authority(loaded, certificate)

    @property
    def certificate(self) -> str:
        """The authority's own certificate, PEM: whom everybody trusts."""
        return _pem(self._authority.certificate)

    def client(
        self,
        name: str,
        *,
        days: int,
        plant: str = "",
        signing_key: str = "",
        public: ec.EllipticCurvePublicKey | None = None,
    ) -> Credentials:
        """A new client certificate. public: the key it is for; None = one made here."""
        key = None if public else ec.generate_private_key(ec.SECP256R1())
        certified = public or (key and key.public_key())
        assert certified, "one of both"
        request = Request(public=certified, serial=_serial(), now_ns=self._now_ns, days=days)
        issued = issue_client(self._authority, request, name=name, plant=plant, signing_key=signing_key)
        return Credentials(_pem(issued), _key_pem(key) if key else "", f"{request.serial:x}")

    def provide_own(self) -> None:
        """The certificates of the collector and of `tap`, where they are missing or end soon."""
        folder = self.folder / "identity"
        _folder(folder, 0o700)
        put(folder / "ca.pem", self.certificate, OWNER)
        for name in broker_files.OWN:
            self._provide_client(folder, name, OWNER)

    def provide_broker(self, register: Register, *, host: str, port: int) -> bool:
        """The broker's files as the register wants them; whether mosquitto.conf is as it would be made now."""
        _folder(self.broker, 0o750)
        _folder(self.broker / "state", 0o770)
        hosts = list(dict.fromkeys([host, *broker_files.LOOPBACK]))
        certificate, key_file = self.broker / "cert.pem", self.broker / "key.pem"
        if not (self._good(certificate, key_file) and serves(_certificate(certificate), hosts)):
            key = ec.generate_private_key(ec.SECP256R1())
            request = Request(public=key.public_key(), serial=_serial(), now_ns=self._now_ns, days=OWN_DAYS)
            put(key_file, _key_pem(key), GROUP)
            put(certificate, _pem(issue_server(self._authority, request, hosts=hosts)), GROUP)
        put(self.broker / "ca.pem", self.certificate, GROUP)
        self._provide_client(self.broker, broker_files.HEALTH, GROUP)
        revoked = revocation_list(self._authority, register.revoked_serials(self._now_ns), self._now_ns)
        put(self.broker / "crl.pem", revoked.public_bytes(Encoding.PEM).decode(), GROUP)
        put(self.broker / "acl", broker_files.acl(register.refused()), GROUP)
        wanted = broker_files.mosquitto_conf(str(self.broker.resolve()), host=host, port=port)
        config = self.broker / "mosquitto.conf"
        if not config.exists():
            put(config, wanted, GROUP)
        return config.read_text("utf-8") == wanted

    def _provide_client(self, folder: Path, name: str, mode: int) -> None:
        """A client certificate in a folder, where it is missing or ends soon."""
        if not self._good(folder / f"{name}.pem", folder / f"{name}.key"):
            made = self.client(name, days=OWN_DAYS)
            put(folder / f"{name}.key", made.key, mode)
            put(folder / f"{name}.pem", made.certificate, mode)

    def _good(self, certificate: Path, key: Path) -> bool:
        if not (certificate.exists() and key.exists()):
            return False
        found = _certificate(certificate)
        ours = found.issuer == self._authority.certificate.subject
        return ours and days_left(found, self._now_ns) > RENEW_DAYS


def put(path: Path, text: str, mode: int) -> None:
    """Replace a file; the disk has it when this returns."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        write_durably(draft, text)
        draft.chmod(mode)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_bundle(folder: Path, files: dict[str, str]) -> None:
    """Write a gateway's bundle, readable by its owner alone; what an earlier one had more is taken out."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _folder(folder, 0o700)
    for name, text in files.items():
        put(folder / name, text, OWNER)
    for name in BUNDLE - set(files):
        (folder / name).unlink(missing_ok=True)


def _folder(path: Path, mode: int) -> None:
    """A folder; its mode is set when it is made, and the operator's own afterwards."""
    if not path.is_dir():
        path.mkdir(parents=True)
        path.chmod(mode)


def _certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def _serial() -> int:
    return int.from_bytes(secrets.token_bytes(16)) >> 1 | 1


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
