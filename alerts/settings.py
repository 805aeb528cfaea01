"""Who is told, and over which channels: the tables `[[recipient]]`, `[[channel]]` and `[alerts]` of the site files.

A site file is one plant's, so a recipient in it is told about that plant unless `plants` names others
(`"*"` = every plant of the folder). Recipients and channels of all files form one list: a channel may
be written in one file and used in another, and every id is used once. `[alerts]` is given once, or
equal everywhere. Pure: sites in, settings and faults out.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from collector.verdicts.records import Standing
from gateway.document import Fault, Table
from gateway.settings import Label, Site, label

ROLES = ("plant", "regulator", "duty officer", "admin")
LANGUAGES = ("en", "zh")
CHANNEL_KINDS = ("console", "email", "webhook")
TLS = ("auto", "starttls", "tls", "none")

# An authority is told what can count before the law; an early warning is for those who can act on it at once.
DEFAULT_STANDING: Mapping[str, Standing] = dict.fromkeys(ROLES, Standing.EARLY_WARNING) | {
    "regulator": Standing.EVIDENCE
}
DEFAULT_QUIET_H = 6.0
TWICE = "ids are unique over all files; define it once"

MAILBOX = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,255}")
_HOST_PORT = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\]):(\d{1,5})")
_CLAUSE = re.compile(r"[^\s/]+/[^\s/]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """A person or office that is told.

    plants: ids, or "*" for all. address: e-mail, "" = none. channels: ids of channels, in order.
    min_standing: the least a verdict must be worth. unverified: "pack/clause" of unverified clauses a
    regulator is told about all the same.
    """

    id: str
    name: Label
    role: str
    language: str
    channels: tuple[str, ...]
    plants: tuple[str, ...]
    address: str = ""
    min_standing: Standing = Standing.EARLY_WARNING
    unverified: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A way a notice can take.

    kind: console, email or webhook. late: takes notices about back-filled data too (a console always does).
    email: smtp = "host:port", sender, tls = auto (encrypt where the server offers it), starttls, tls or none,
    user, password_file ("" = none). webhook: url; secret_file: path of the signing secret, made when it is
    the default one and missing; allow_private: may lead to addresses that are not on the public internet.
    """

    id: str
    kind: str
    late: bool = False
    smtp: str = ""
    sender: str = ""
    tls: str = "auto"
    user: str = ""
    password_file: str = ""
    url: str = ""
    secret_file: str = ""
    secret_default: bool = False
    allow_private: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    """All recipients and channels, by id.

    quiet_ns: an incident is over when its point was judged for so long without a new exceedance. [ns]
    closing: whether those who were told are told too when it is over.
    link: where people reach the page, without a slash at its end. link_named: the site files say so themselves.
    """

    recipients: Mapping[str, Recipient]
    channels: Mapping[str, Channel]
    quiet_ns: int
    closing: bool
    link: str
    link_named: bool


def parse_alerts(sites: Sequence[Site]) -> tuple[AlertSettings | None, list[Fault]]:
    """The settings of all sites together, or None and what is wrong."""
    faults: list[Fault] = []
    roots = [(site, Table.root(site.document, faults)) for site in sites]
    channels = _channels(roots)
    plants = [site.plant.id for site in sites]
    # Where a file or an id could not be read, a name that is not known may be defined there.
    whole = all(plants) and "" not in channels and all(site.document.tree for site in sites)
    recipients = _recipients(roots, channels, plants, whole=whole)
    general = _general(roots)
    if faults:
        return None, faults
    quiet_h, closing, link = general or (DEFAULT_QUIET_H, True, "")
    return AlertSettings(
        recipients=recipients, channels=channels, quiet_ns=round(quiet_h * 3600) * 1_000_000_000, closing=closing,
        link=(link or _page(sites)).rstrip("/"), link_named=bool(link),
    ), []  # fmt: skip


def _channels(roots: Sequence[tuple[Site, Table]]) -> dict[str, Channel]:
    found: dict[str, Channel] = {}
    for site, root in roots:
        for table in root.tables("channel"):
            channel = _channel(site, table)
            if channel.id and channel.id in found:
                table.fault("id", f"channel {channel.id!r} is defined twice", TWICE)
            found.setdefault(channel.id, channel)
    return found


def _channel(site: Site, table: Table) -> Channel:
    with table:
        id = table.identifier("id") or ""
        kind = table.choice("kind", CHANNEL_KINDS) or ""
        channel = Channel(id=id, kind=kind, late=table.boolean("late", kind == "console"))
        if kind == "console":
            if not channel.late:
                table.fault("late", "a console shows everything", "leave late out")
        elif kind == "email":
            channel = _email(site, table, channel)
        elif kind == "webhook":
            channel = _webhook(site, table, channel)
        else:
            table.skip(*table.values)
        return channel


def _email(site: Site, table: Table, channel: Channel) -> Channel:
    smtp = table.text("smtp", hint='smtp = "mail.example.com:587"') or ""
    found = _HOST_PORT.fullmatch(smtp)
    if smtp and not (found and 0 < int(found.group(1)) < 65536):
        table.fault("smtp", f"{smtp!r} is not HOST:PORT", 'smtp = "mail.example.com:587"')
    user, password_file = table.text("user", ""), table.text("password_file", "")
    if bool(user) != bool(password_file):
        table.fault("user", "user and password_file belong together", "give both or none")
    tls = table.choice("tls", TLS, "auto")
    if user and tls == "none":
        table.fault("tls", "a password is not sent in the clear", 'tls = "starttls" or "tls"')
    sender = table.text("sender", pattern=MAILBOX, hint='sender = "emitwatch@example.com"') or ""
    return replace(
        channel, smtp=smtp, sender=sender, tls=tls, user=user,
        password_file=site.path(password_file) if password_file else "",
    )  # fmt: skip


def _webhook(site: Site, table: Table, channel: Channel) -> Channel:
    url = table.text("url", hint='url = "https://example.com/hook"') or ""
    allow_private = table.boolean("allow_private", False)
    if url and (problem := url_problem(url, allow_private=allow_private)):
        table.fault("url", *problem)
    secret = table.text("secret_file", "", hint="a file with the secret that signs; left out, one is made")
    default = f"{site.data_dir}/collector/{channel.id}.secret"
    return replace(
        channel, url=url, allow_private=allow_private, secret_file=site.path(secret) if secret else default,
        secret_default=not secret,
    )  # fmt: skip


def url_problem(url: str, *, allow_private: bool) -> tuple[str, str] | None:
    """What is wrong with an address that something is sent to, and a hint; None = nothing."""
    form = "https://HOST/PATH"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return f"{url!r} is not an address", form
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or not url.isascii() or " " in url:
        return f"{url!r} is not a web address", form
    if parts.username is not None or parts.fragment:
        return "user, password and fragment do not belong into the address", form
    if parts.scheme == "http" and not allow_private:
        return "http is not encrypted", "use https, or allow_private = true for a receiver in your own network"
    return None


def _recipients(
    roots: Sequence[tuple[Site, Table]], channels: Mapping[str, Channel], plants: Collection[str], *, whole: bool
) -> dict[str, Recipient]:
    found: dict[str, Recipient] = {}
    for site, root in roots:
        for table in root.tables("recipient"):
            new = _recipient(table, site.plant.id, channels, plants, whole=whole)
            if new.id and new.id in found:
                table.fault("id", f"recipient {new.id!r} is defined twice", f"{TWICE}; `plants` names several plants")
            elif new.id:
                found[new.id] = new
    return found


def _recipient(
    table: Table, plant: str, channels: Mapping[str, Channel], plants: Collection[str], *, whole: bool
) -> Recipient:
    with table:
        id = table.identifier("id") or ""
        role = table.choice("role", ROLES) or ""
        names = table.texts("channels", hint='channels = ["console"]')
        address = table.text("address", "", pattern=MAILBOX, hint='address = "someone@example.com"')
        if whole:
            require_known(table, "channels", names, channels, "channel")
        if not address and any(n in channels and channels[n].kind == "email" for n in names):
            table.fault("address", "missing", "an e-mail channel needs the recipient's address")
        where = table.texts("plants", [], hint='ids of plants; "*" = all of the folder')
        if whole:
            require_known(table, "plants", where, [*plants, "*"], "plant")
        unverified = table.texts("unverified", [], hint='"pack/clause"')
        for number, clause in enumerate(unverified):
            if not _CLAUSE.fullmatch(clause):
                table.fault(f"unverified[{number}]", f"{clause!r} is not a clause", 'as "gb12348-2008/night-level"')
        standing = table.choice("min_standing", [s.value for s in Standing], None)
        return Recipient(
            id=id, name=label(table, "name", id), role=role, language=table.choice("language", LANGUAGES, "en"),
            channels=tuple(dict.fromkeys(names)), plants=where or (plant,), address=address, unverified=unverified,
            min_standing=Standing(standing) if standing else DEFAULT_STANDING.get(role, Standing.EARLY_WARNING),
        )  # fmt: skip


def require_known(table: Table, key: str, names: Sequence[str], known: Collection[str], what: str) -> None:
    """Note each name of a list that is not known."""
    for number, name in enumerate(names):
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known)) or 'none'}"
            table.fault(f"{key}[{number}]", f"{what} {name!r} is not defined", hint)


def _general(roots: Sequence[tuple[Site, Table]]) -> tuple[float, bool, str] | None:
    found: list[tuple[str, tuple[float, bool, str]]] = []
    for site, root in roots:
        if "alerts" not in root:
            continue
        with root.table("alerts") as table:
            link = table.text("link", "", hint='where people reach the page, as "https://emissions.example.com"')
            if link and urlsplit(link).scheme not in ("http", "https"):
                table.fault("link", f"{link!r} is not a web address", "https://HOST")
            quiet_h = table.number("quiet_h", DEFAULT_QUIET_H, low=0.0, high=24.0 * 31, hint="hours")
            general = (quiet_h if quiet_h is not None else DEFAULT_QUIET_H, table.boolean("closing", True), link)
        if found and general != found[0][1]:
            table.fault(
                "", f"differs from [alerts] in {found[0][0]}", "alerts are one for all plants; say it in one file"
            )
        found.append((site.document.file, general))
    return found[0][1] if found else None


def _page(sites: Sequence[Site]) -> str:
    """The page's address as the `[api]` tables have it, whose faults api.settings notes."""
    for site in sites:
        table: Any = site.document.tree.get("api")
        if isinstance(table, dict):
            return f"http://{table.get('host', '127.0.0.1')}:{table.get('port', 8080)}"
    return "http://127.0.0.1:8080"
