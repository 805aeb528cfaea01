"""`emitwatch enroll SITE GATEWAY [--rotate | --revoke]`: gives a gateway its identity, and takes it away.

Order of an enrolment: the bundle is written, then the register gets its line (from here on the collector
believes the key), then the broker's files follow and a running mosquitto is told. Order of a revocation:
the register first, so that nothing that fails later leaves the gateway trusted. Run again after a failure,
either goes on where it was.
"""

from __future__ import annotations

import getpass
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import structs

from collector.proof import broker_files, identities
from collector.proof.authority_files import AuthorityFiles, write_bundle
from collector.proof.broker_link import Door, cut, reload
from collector.proof.identities import Record, Refused, Register, RegisterBroken
from collector.proof.register_file import FILE, append, load_register, locked
from gateway import catalogue
from gateway.document import Fault, FaultyFiles
from gateway.identity import IdentityError, load_or_create_key, public_hex
from gateway.settings import KEY_HINT, PUBLIC_KEY, GatewaySettings, Site

TLS_PORT = 8883
DAY_NS = 86400 * 1_000_000_000


def enroll(
    site: Annotated[Path, typer.Argument(help="The collector's site file, or its folder of them.")],
    gateway: Annotated[str, typer.Argument(help="Id of a [[gateway]] there.")],
    rotate: Annotated[bool, typer.Option("--rotate", help="Give it a new key and certificate.")] = False,
    revoke: Annotated[bool, typer.Option("--revoke", help="Refuse it from now on, at collector and broker.")] = False,
    public_key: Annotated[str, typer.Option(help="Its public key, when it made its key itself (64 hex digits).")] = "",
    days: Annotated[int, typer.Option(min=1, max=3650, help="How long its certificate is good.")] = 730,
    keep_days: Annotated[int, typer.Option(min=0, max=3650, help="With --rotate: how long the old ones are.")] = 30,
    reason: Annotated[str, typer.Option(help="Why; kept in the register.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="Folder for the bundle, instead of DATA_DIR/collector/bundles.")
    ] = None,
) -> None:
    """Give a gateway key and certificate, bind it to its plant, and write the broker's configuration."""
    if public_key and not PUBLIC_KEY.fullmatch(public_key):
        _fail(f"--public-key: {public_key!r} is not a public key; {KEY_HINT}", 2)
    if rotate and revoke:
        _fail("--rotate and --revoke exclude each other: a revoked gateway is enrolled anew instead", 2)
    try:
        office = Office(catalogue.load_sites(str(site)), gateway, time.time_ns())
        with locked(office.folder):
            if revoke:
                told = office.revoke(reason)
            else:
                kind = "rotated" if rotate else "enrolled"
                told = office.give(kind, public_key, days=days, keep_days=keep_days, reason=reason, out=out)
    except FaultyFiles:
        raise
    except (Refused, RegisterBroken, IdentityError) as error:
        _fail(str(error), 1)
    except OSError as error:
        _fail(str(error), 2)
    sys.stdout.write("".join(f"{line}\n" for line in told))
    if office.trouble:
        _fail(office.trouble, 1)


def _fail(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"{message}\n")
    raise typer.Exit(code)


@dataclass(frozen=True, slots=True)
class _Given:
    """A gateway's signing key: public, hex, and the private half where it was made here."""

    public: str
    private: Ed25519PrivateKey | None


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

    def give(self, kind: str, wanted: str, *, days: int, keep_days: int, reason: str, out: Path | None) -> list[str]:
        """Enrol or rotate; what to tell. wanted: the gateway's own public key, "" = make one unless it is known."""
        register = load_register(self.folder / FILE)
        key = self._key(register, wanted, new=kind == "rotated")
        record = Record(
            kind="rotated" if kind == "rotated" else "enrolled", at=self._now_ns, gateway=self._gateway,
            plant=self._site.plant.id, key=key.public, by=getpass.getuser(), reason=reason,
            until=self._now_ns + keep_days * DAY_NS if kind == "rotated" else 0,
        )  # fmt: skip
        (identities.rotate if kind == "rotated" else identities.enrol)(register, record)
        files = AuthorityFiles(self.folder, self._now_ns)
        files.provide_own()
        issued = files.client(self._gateway, days=days, plant=self._site.plant.id, signing_key=key.public)
        bundle = out or self.folder / "bundles" / self._gateway
        texts = {"ca.pem": files.certificate, "cert.pem": issued.certificate, "key.pem": issued.key}
        if key.private:
            texts["signing.key"] = key.private.private_bytes_raw().hex() + "\n"
        texts["site-tables.toml"] = self._tables(key.public)
        write_bundle(bundle, texts)
        register = append(self.folder / FILE, register, structs.replace(record, serial=issued.serial))
        told = [f"gateway {self._gateway} of plant {self._site.plant.id}: {kind}, public key {key.public}"]
        told += _about_bundle(bundle, key, self._gateway)
        if kind == "rotated":
            told += [f"    its old key and certificate stay good for {keep_days} days"]
        return told + self._tell_broker(files, register) + self._about_collector()

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

    def _key(self, register: Register, wanted: str, *, new: bool) -> _Given:
        """The wanted key, else that of the site file where it may still be used, else a new one."""
        known = register.identities.get(self._gateway)
        of_site = self._settings.public_key
        if not wanted and not new and not (known and of_site in known.burnt):
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

    def _collector_key(self) -> str:
        return public_hex(load_or_create_key(self.folder / "key")[0])

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


def _about_bundle(bundle: Path, key: _Given, gateway: str) -> list[str]:
    told = [f"    its bundle: {bundle} (secret: carry it there, then delete it here)"]
    if key.private:
        told += [f"    signing.key becomes DATA_DIR/gateways/{gateway}/key on the gateway"]
    return [*told, "    site-tables.toml holds the tables of its site file"]
