"""`emitwatch enroll SITE GATEWAY [--rotate | --replace | --sign | --revoke]`: gives and takes identities.

Order of an enrolment: the bundle is written, then the register gets its line (from here on the collector
believes the key), then the broker's files follow and a running mosquitto is told. Order of a revocation:
the register first, so that nothing that fails later leaves the gateway trusted. Run again after a failure,
either goes on where it was.
"""

from __future__ import annotations

import getpass
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID
from msgspec import structs

from collector.proof import broker_files, collector_key, identities
from collector.proof.authority_files import OWNER, AuthorityFiles, put, write_bundle
from collector.proof.broker_link import Door, cut, reload
from collector.proof.identities import Record, Refused, Register, RegisterBroken
from collector.proof.mandates import Replacement, seal_replacement
from collector.proof.register_file import FILE, append, load_register, locked
from gateway import catalogue
from gateway.configuration import approve, canonical, hash_of
from gateway.document import Fault, FaultyFiles
from gateway.identity import IdentityError, public_hex
from gateway.request_command import KEY_URI
from gateway.sensors import resolve
from gateway.settings import KEY_HINT, PUBLIC_KEY, GatewaySettings, Site

TLS_PORT = 8883
DAY_NS = 86400 * 1_000_000_000


def enroll(
    site: Annotated[Path, typer.Argument(help="The collector's site file, or its folder of them.")],
    gateway: Annotated[str, typer.Argument(help="Id of a gateway of that site.")] = "",
    rotate: Annotated[bool, typer.Option("--rotate", help="Give it a new key and certificate.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Give its place to another machine.")] = False,
    sign: Annotated[bool, typer.Option("--sign", help="Approve its configuration as the site file has it.")] = False,
    revoke: Annotated[bool, typer.Option("--revoke", help="Refuse it from now on, at collector and broker.")] = False,
    rotate_collector: Annotated[
        bool, typer.Option("--rotate-collector", help="Give the collector itself a new key.")
    ] = False,
    request: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its certificate request, made by `emitwatch request`.")
    ] = None,
    public_key: Annotated[str, typer.Option(help="Its public key, when it made its key itself (64 hex digits).")] = "",
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long its certificate is good.")] = 730,
    keep_days: Annotated[
        int, typer.Option(min=0, max=3650, help="How long a key is good after it was rotated or replaced.")
    ] = 30,
    reason: Annotated[str, typer.Option(help="Why; kept in the register.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="Folder for the bundle, instead of DATA_DIR/collector/bundles.")
    ] = None,
) -> None:
    """Give a gateway key and certificate, bind it to its plant, and write the broker's configuration."""
    if public_key and not PUBLIC_KEY.fullmatch(public_key):
        _fail(f"--public-key: {public_key!r} is not a public key; {KEY_HINT}", 2)
    wanted = [name for name, flag in (("rotated", rotate), ("replaced", replace), ("approved", sign),
                                      ("revoked", revoke), ("handed_over", rotate_collector)) if flag]  # fmt: skip
    if len(wanted) > 1:
        _fail("--rotate, --replace, --sign, --revoke and --rotate-collector exclude each other", 2)
    if rotate_collector == bool(gateway):
        _fail("say which gateway, or --rotate-collector without one", 2)
    order = Order(kind=wanted[0] if wanted else "enrolled", public_key=public_key, request=request, days=days,
                  keep_days=keep_days, reason=reason, out=out)  # fmt: skip
    trouble = ""
    try:
        sites = catalogue.load_sites(str(site))
        if rotate_collector:
            told = rotate_own(sites, order)
        else:
            office = Office(sites, gateway, time.time_ns())
            with locked(office.folder):
                told = office.serve(order)
            trouble = office.trouble
    except FaultyFiles:
        raise
    except (Refused, RegisterBroken, IdentityError) as error:
        _fail(str(error), 1)
    except OSError as error:
        _fail(str(error), 2)
    sys.stdout.write("".join(f"{line}\n" for line in told))
    if trouble:
        _fail(trouble, 1)


def _fail(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"{message}\n")
    raise typer.Exit(code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is wanted. kind: of the register's record. public_key: the gateway's own, hex, "" = not given.

    request: a file with its certificate request, None = the key to the certificate is made here.
    days, keep_days: how long the new certificate, and the old key, are good.
    """

    kind: str
    public_key: str = ""
    request: Path | None = None
    days: int = 730
    keep_days: int = 30
    reason: str = ""
    out: Path | None = None


@dataclass(frozen=True, slots=True)
class _Given:
    """A gateway's signing key: public, hex, and the private half where it was made here. door: of its request."""

    public: str
    private: Ed25519PrivateKey | None
    door: EllipticCurvePublicKey | None = None


def rotate_own(sites: Sequence[Site], order: Order) -> list[str]:
    """Give the collector another key; what to tell."""
    folder, now_ns = Path(sites[0].data_dir) / "collector", time.time_ns()
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        old, new = collector_key.rotate(folder, now_ns, now_ns + order.keep_days * DAY_NS, order.reason)
    return [
        f"the collector has a new key: {new}",
        f"    gateways learn it from the next acknowledgement; {old}, the last one, is good for {order.keep_days} days",
        *collector_key.enter(sites, old, new),
        "    start the collector again, so that it signs with the new key",
        "    approve the configuration of each gateway anew within that time: emitwatch enroll SITE GATEWAY --sign",
    ]


class Office:
    """Where identities are given. trouble: what was not done and how to do it by hand, "" = nothing."""

    def __init__(self, sites: Sequence[Site], gateway: str, now_ns: int) -> None:
        """Raises FaultyFiles when the gateway is of none of these sites."""
        self.trouble = ""
        self._gateway, self._now_ns = gateway, now_ns
        self._site, self._settings = _find(sites, gateway)
        self.folder = Path(self._site.data_dir) / "collector"
        self.folder.mkdir(parents=True, exist_ok=True)
        broker = self._site.broker
        self._port = broker.port if broker.tls else TLS_PORT
        self._url = f"mqtts://{broker.host}:{self._port}"
        self._bundle = self.folder / "bundles" / gateway

    def serve(self, order: Order) -> list[str]:
        """Do what is wanted; what to tell."""
        if order.kind == "revoked":
            return self.revoke(order.reason)
        return self.approve(order) if order.kind == "approved" else self.give(order)

    def give(self, order: Order) -> list[str]:
        """Enrol, rotate or replace; what to tell."""
        register = load_register(self.folder / FILE)
        key, own = self._key(register, order), self._own_key()
        record = Record(
            kind=order.kind, at=self._now_ns, gateway=self._gateway,  # type: ignore[arg-type]
            plant=self._site.plant.id, key=key.public, by=getpass.getuser(), reason=order.reason,
            until=0 if order.kind == "enrolled" else self._now_ns + order.keep_days * DAY_NS,
        )  # fmt: skip
        (identities.enrol if order.kind == "enrolled" else identities.rotate)(register, record)
        if order.kind == "replaced":
            word = Replacement(self._gateway, self._site.plant.id, bytes.fromhex(key.public), self._now_ns)
            record = structs.replace(record, signed=seal_replacement(word, own).hex())
        files = AuthorityFiles(self.folder, self._now_ns)
        files.provide_own()
        issued = files.client(
            self._gateway, days=order.days, plant=self._site.plant.id, signing_key=key.public, public=key.door
        )
        texts = {
            "ca.pem": files.certificate,
            "cert.pem": issued.certificate,
            "site-tables.toml": self._tables(key.public),
        }
        if issued.key:
            texts["key.pem"] = issued.key
        if key.private:
            texts["signing.key"] = key.private.private_bytes_raw().hex() + "\n"
        text, faults = self._configuration()
        if text:
            texts["config.sig"] = approve(self._gateway, hash_of(text), self._now_ns, own).hex() + "\n"
            record = structs.replace(record, config=hash_of(text).hex())
        bundle = order.out or self._bundle
        write_bundle(bundle, texts)
        register = append(self.folder / FILE, register, structs.replace(record, serial=issued.serial))
        told = [f"gateway {self._gateway} of plant {self._site.plant.id}: {order.kind}, public key {key.public}"]
        told += _about_bundle(bundle, texts, self._gateway)
        told += [f"    its configuration is not approved: {fault}" for fault in faults]
        if order.kind == "rotated":
            told += [f"    its old key and certificate stay good for {order.keep_days} days"]
        elif order.kind == "replaced":
            told += [
                f"    what the old machine sealed counts for {order.keep_days} days; it gets into the broker no more"
            ]
        return told + self._tell_broker(files, register) + self._about_collector()

    def approve(self, order: Order) -> list[str]:
        """Sign what the gateway is to measure by; what to tell."""
        text, faults = self._configuration()
        if not text:
            raise FaultyFiles(faults)
        register = load_register(self.folder / FILE)
        signed = approve(self._gateway, hash_of(text), self._now_ns, self._own_key()).hex()
        bundle = order.out or self._bundle
        bundle.mkdir(mode=0o700, parents=True, exist_ok=True)
        put(bundle / "config.sig", f"{signed}\n", OWNER)
        record = Record(
            kind="approved", at=self._now_ns, gateway=self._gateway, plant=self._site.plant.id,
            config=hash_of(text).hex(), by=getpass.getuser(), reason=order.reason,
        )  # fmt: skip
        append(self.folder / FILE, register, record)
        return [
            f"gateway {self._gateway}: configuration {record.config} approved, {len(text.splitlines())} settings",
            f"    {bundle}/config.sig becomes DATA_DIR/gateways/{self._gateway}/config.sig; start the gateway again",
        ]

    def _configuration(self) -> tuple[str, list[Fault]]:
        """What the gateway measures by, as this site file has it; "" and why where that cannot be told."""
        site = self._site
        try:
            profiles = catalogue.profiles([site.path(folder) for folder in site.folders.profiles])
        except FaultyFiles as error:
            return "", list(error.faults)
        sensors, faults = resolve(site, profiles, catalogue.parameters())
        mine = any(sensor.settings.gateway == self._gateway for sensor in sensors)
        return (canonical(site, self._gateway, sensors), []) if mine and not faults else ("", faults)

    def revoke(self, reason: str) -> list[str]:
        """Revoke, at the collector and at the broker; what to tell."""
        register = load_register(self.folder / FILE)
        known = register.identities.get(self._gateway)
        if known is None or not known.revoked_ns:
            record = Record(
                kind="revoked", at=self._now_ns, gateway=self._gateway, plant=self._site.plant.id,
                by=getpass.getuser(), reason=reason,
            )  # fmt: skip
            record = identities.revoke(register, record, [self._settings.public_key])
            register = append(self.folder / FILE, register, record)
            told = [f"gateway {self._gateway}: revoked; a running collector refuses its batches within seconds"]
        else:
            told = [f"gateway {self._gateway}: revoked already; the broker is told again"]
        files = AuthorityFiles(self.folder, self._now_ns)
        self._provide(files, register)
        self.trouble = self._shut_out(files)
        return told if self.trouble else [*told, "    the broker refuses it, and has no session of it any more"]

    def _shut_out(self, files: AuthorityFiles) -> str:
        """Have the broker refuse the gateway, and see that it does; what remains to be done, "" = nothing."""
        problem = reload(files.broker / "state" / "mosquitto.pid")
        if not problem:
            door = Door(self._site.broker.host, self._port, files.broker / "ca.pem")
            problem = cut(door, self._gateway, files.client(self._gateway, days=1))
        if not problem:
            return ""
        return (
            f"the broker may still let gateway {self._gateway} in: {problem}\n"
            f"    hint: give it acl and crl.pem of {files.broker}, send it SIGHUP, and run this again"
        )

    def _key(self, register: Register, order: Order) -> _Given:
        """The wanted key, else that of the site file where it may still be used, else a new one."""
        if order.request:
            return _requested(order.request, self._gateway)
        known = register.identities.get(self._gateway)
        of_site, wanted = self._settings.public_key, order.public_key
        if not wanted and order.kind == "enrolled" and not (known and of_site in known.burnt):
            wanted = of_site
        if wanted:
            return _Given(wanted, None)
        private = Ed25519PrivateKey.generate()
        return _Given(public_hex(private), private)

    def _tables(self, key: str) -> str:
        bundle = broker_files.Bundle(
            gateway=self._gateway, plant=self._site.plant.id, url=self._url, key=key,
            collector_key=self._collector_key(),
        )  # fmt: skip
        return broker_files.site_tables(bundle)

    def _own_key(self) -> Ed25519PrivateKey:
        return collector_key.settled(self.folder, load_register(self.folder / FILE))[0]

    def _collector_key(self) -> str:
        return public_hex(self._own_key())

    def _provide(self, files: AuthorityFiles, register: Register) -> list[str]:
        same = files.provide_broker(register, host=self._site.broker.host, port=self._port)
        return [] if same else ["    its mosquitto.conf is not as it would be made now, and was left as it is"]

    def _tell_broker(self, files: AuthorityFiles, register: Register) -> list[str]:
        told = self._provide(files, register)
        problem = reload(files.broker / "state" / "mosquitto.pid")
        state = f"{problem}; start it with: mosquitto -c {files.broker / 'mosquitto.conf'}" if problem else "told"
        return [f"    the broker: {state}", *told]

    def _about_collector(self) -> list[str]:
        told = []
        if not self._site.broker.tls:
            told += [f'    the site file of the collector: [broker] url = "{self._url}"']
        if not self._site.collector_access.cert:
            tables = broker_files.collector_tables(
                f"{self._site.plant.data_dir}/collector/identity", self._collector_key()
            )
            told += ["    the site file of the collector needs these keys:", "", tables]
        return told


def _find(sites: Sequence[Site], gateway: str) -> tuple[Site, GatewaySettings]:
    for site in sites:
        for settings in site.gateways:
            if settings.id == gateway:
                if gateway in broker_files.RESERVED:
                    hint = "that is the name of another user of the broker; choose another id"
                    raise FaultyFiles([Fault(site.document.file, "gateway", None, f"{gateway!r} is taken", hint)])
                return site, settings
    there = ", ".join(settings.id for site in sites for settings in site.gateways)
    hint = f"there are: {there}; enter it as [[gateway]] first, which also says of which plant it is"
    raise FaultyFiles([Fault(sites[0].document.file, "gateway", None, f"no gateway {gateway!r}", hint)])


def _about_bundle(bundle: Path, texts: Collection[str], gateway: str) -> list[str]:
    secret = "secret: carry it there, then delete it here" if {"key.pem", "signing.key"} & set(texts) else "not secret"
    told = [f"    its bundle: {bundle} ({secret})"]
    for name, place in (("signing.key", "key"), ("config.sig", "config.sig")):
        if name in texts:
            told += [f"    {name} becomes DATA_DIR/gateways/{gateway}/{place} on the gateway"]
    return [*told, "    site-tables.toml holds the tables of its site file"]


def _requested(path: Path, gateway: str) -> _Given:
    """The keys of a certificate request; raises Refused."""
    try:
        request = x509.load_pem_x509_csr(path.read_bytes())
        names = [part.value for part in request.subject if part.oid == NameOID.COMMON_NAME]
        alternatives = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = alternatives.get_values_for_type(x509.UniformResourceIdentifier)
        genuine = request.is_signature_valid
    except (ValueError, x509.ExtensionNotFound, UnsupportedAlgorithm) as error:
        raise Refused(f"{path}: not a request of `emitwatch request`: {error}") from error
    keys = [uri.removeprefix(KEY_URI) for uri in uris if PUBLIC_KEY.fullmatch(uri.removeprefix(KEY_URI))]
    door = request.public_key()
    if not (genuine and len(keys) == 1 and isinstance(door, EllipticCurvePublicKey) and door.curve.name == "secp256r1"):
        raise Refused(f"{path}: not a request of `emitwatch request`; have it made again")
    if names != [gateway]:
        raise Refused(f"{path}: a request of gateway {', '.join(map(str, names))}, not of {gateway}")
    return _Given(keys[0], None, door)
