"""The collector's small certificate authority: what its certificates say.

One authority signs the certificate of the broker, of the collector and of every gateway. Rules of this file:

- the common name of a client is its MQTT user name; the broker takes it from the certificate alone;
- a gateway's certificate binds it: organisation = plant, and URIs name plant and signing key, so that
  whoever holds the authority's certificate can tell which key speaks for which plant;
- a client's certificate serves no server, a server's no client, and only the authority's signs others;
- a certificate begins a day early, since clocks of gateways are not better than that.

Pure: keys, serial numbers and `now` come in.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_DAYS = 7300
EARLY = timedelta(days=1)
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Authority:
    """Who signs: its key and its certificate."""

    key: EllipticCurvePrivateKey
    certificate: x509.Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A certificate to be issued. serial: used once. days: how long it is good. now_ns: [ns since 1970 UTC]"""

    public: EllipticCurvePublicKey
    serial: int
    now_ns: int
    days: int


def make_authority(key: EllipticCurvePrivateKey, *, name: str, serial: int, now_ns: int) -> Authority:
    """A new authority that trusts itself, for CA_DAYS."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = Request(public=key.public_key(), serial=serial, now_ns=now_ns, days=CA_DAYS)
    builder = _builder(request, subject, subject, key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs=True), critical=True)
    return Authority(key, builder.sign(key, hashes.SHA256()))


def issue_client(
    authority: Authority, request: Request, *, name: str, plant: str = "", signing_key: str = ""
) -> x509.Certificate:
    """A client's certificate. plant, signing_key (hex): what a gateway is bound to; "" = it is no gateway."""
    names = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    names += [x509.NameAttribute(NameOID.ORGANIZATION_NAME, plant)] if plant else []
    builder = _builder(request, x509.Name(names), authority.certificate.subject, authority.key.public_key())
    uris = [f"urn:emitwatch:plant:{plant}"] if plant else []
    uris += [f"urn:emitwatch:key:{signing_key}"] if signing_key else []
    if uris:
        builder = builder.add_extension(_alternatives(x509.UniformResourceIdentifier(uri) for uri in uris), False)
    return _sign_leaf(builder, authority, ExtendedKeyUsageOID.CLIENT_AUTH)


def issue_server(authority: Authority, request: Request, *, hosts: Sequence[str]) -> x509.Certificate:
    """The broker's certificate for names and addresses it is reached at."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")])
    builder = _builder(request, subject, authority.certificate.subject, authority.key.public_key())
    builder = builder.add_extension(_alternatives(map(_host, hosts)), False)
    return _sign_leaf(builder, authority, ExtendedKeyUsageOID.SERVER_AUTH)


def serves(certificate: x509.Certificate, hosts: Iterable[str]) -> bool:
    """Whether a server's certificate names all these hosts."""
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return set(map(_host, hosts)) <= set(extension.value)


def days_left(certificate: x509.Certificate, now_ns: int) -> float:
    """How long a certificate is still good. [days]"""
    return (certificate.not_valid_after_utc - _time(now_ns)) / timedelta(days=1)


def revocation_list(authority: Authority, revoked: Mapping[int, int], now_ns: int) -> x509.CertificateRevocationList:
    """The list of certificates that are no longer good: serial number -> since when [ns since 1970 UTC].

    It never expires before the authority does: a broker that finds its list too old refuses everybody.
    """
    now = _time(now_ns)
    builder = x509.CertificateRevocationListBuilder()
    builder = builder.issuer_name(authority.certificate.subject)
    builder = builder.last_update(now - EARLY).next_update(authority.certificate.not_valid_after_utc)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = builder.add_extension(identifier, critical=False)
    for serial, since_ns in sorted(revoked.items()):
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(_time(since_ns))
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(authority.key, hashes.SHA256())


def _builder(
    request: Request, subject: x509.Name, issuer: x509.Name, issuer_key: EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = _time(request.now_ns)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(request.public)
    builder = builder.serial_number(request.serial)
    builder = builder.not_valid_before(now - EARLY).not_valid_after(now + timedelta(days=request.days))
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(request.public), critical=False)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key)
    return builder.add_extension(identifier, critical=False)


def _sign_leaf(
    builder: x509.CertificateBuilder, authority: Authority, purpose: x509.ObjectIdentifier
) -> x509.Certificate:
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    return builder.sign(authority.key, hashes.SHA256())


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=signs, crl_sign=signs, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _alternatives(names: Iterable[x509.GeneralName]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(list(names))


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _time(now_ns: int) -> datetime:
    return datetime.fromtimestamp(now_ns // _SECOND_NS, UTC)
