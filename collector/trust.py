"""Whose batches are believed: the site files and the register of identities together.

The site file's key of a gateway counts as long as the register does not say otherwise. Rules of this file:

- a gateway that the register has as revoked, or of another plant, is refused whatever the site file says;
- the register's key comes first; keys before it and the site file's own stay good as the register allows;
- a key belongs to a new machine in place of an old one where the collector has signed that.

Pure: site files' keys and register in, trusted gateways out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from collector.intake.gate import Trusted
from collector.proof.identities import FOREVER_NS, Identity, Register
from collector.proof.mandates import Approver, replacements
from gateway.identity import public_hex, public_key


def trusted_now(
    of_sites: Mapping[str, Trusted], register: Register, authority: Sequence[Approver] = ()
) -> dict[str, Trusted]:
    """Gateway id -> plant and keys, of all gateways of the site files. authority: the collector's keys."""
    found = replacements(register, [key for key, _ in authority])
    return {
        gateway: _join(trusted, identity, found.get(gateway, frozenset()))
        if (identity := register.identities.get(gateway))
        else trusted
        for gateway, trusted in of_sites.items()
    }


def _join(trusted: Trusted, identity: Identity, replacements: frozenset[str]) -> Trusted:
    if identity.revoked_ns:
        since = datetime.fromtimestamp(identity.revoked_ns // 1_000_000_000, UTC)
        return Trusted(trusted.plant, None, refused=f"its identity was revoked at {since:%Y-%m-%dT%H:%M:%SZ}")
    if identity.plant != trusted.plant:
        why = f"it is enrolled for plant {identity.plant}, and the site file has it in plant {trusted.plant}"
        return Trusted(trusted.plant, None, refused=why)
    older = dict(identity.older)
    if trusted.key is not None and (own := public_hex(trusted.key)) not in (identity.key, *identity.burnt):
        older.setdefault(own, FOREVER_NS)
    keys = tuple((public_key(key), until_ns) for key, until_ns in older.items())
    return Trusted(trusted.plant, public_key(identity.key), older=keys, replacements=replacements)
