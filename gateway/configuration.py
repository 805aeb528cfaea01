"""What a gateway measures by, as one text: its hash, what changed in it, and whether the collector approved it.

A plant that may set its own scale factors measures what it likes, so every batch names the configuration it was
made by, and each change is a record in the journal. Rules of this file:

- the text has one line a setting, `path value`, sorted: it can be read, and what changed is a set of lines;
- in it is what makes a register a value and decides when it is asked: points, sensors, links, intervals and the
  registers of their profiles; the instruments' serial numbers, and which points are in commissioning, where it says so.
  Not in it is what may change without changing a measurement: names, the broker;
- an approval is the collector's signature over gateway and hash. It approves one text, and no other gateway's.

A gateway without approval measures all the same, as an hour lost is worse, and says that it has none.
Pure: settings in, texts and bytes out. Source: docs/reference/wire.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from gateway import seal, wire
from gateway.inputs import Input
from gateway.profiles import NO_CHECKS, Profile, Register, StatusRule
from gateway.sensors import Sensor
from gateway.settings import Site

FORMAT = 1  # of the text; another one gives every configuration another hash
# Of text and changes in a record, so that it fits into a batch. Ten sensors with their profiles need some 10 kB;
# a configuration that is longer than this travels as hash and changes.
MAX_BYTES = 56_000
MAX_CHANGES = 50  # lines of each kind that a record names
_MAX_LINE = 120


class Approval(msgspec.Struct, frozen=True):
    """The collector's word on a configuration. at: when it was given. [ns since 1970 UTC]"""

    gw: wire.Name
    hash: wire.Hash
    at: wire.Number


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a gateway measures by.

    approval: as signed, b"" = none. problem: why it does not count, "" = it does.
    before: the text that was told before, at the last start or reload, "" = there was none.
    """

    text: str
    approval: bytes = b""
    problem: str = ""
    before: str = ""

    @property
    def hash(self) -> bytes:
        """SHA-256 of the text: `cfg` of every batch."""
        return hash_of(self.text)

    def fields(self) -> dict[str, Any]:
        """What a config record adds to its header."""
        added, removed = changes(self.before, self.text) if self.before else ([], [])
        size = sum(len(text.encode()) for text in (self.text, *added, *removed))
        return {
            "config": {
                "hash": self.hash, "before": hash_of(self.before) if self.before else wire.NO_HASH,
                "signed": not self.problem, "approval": self.approval,
                "text": self.text if size <= MAX_BYTES else "",
                "added": added, "removed": removed,
            }
        }  # fmt: skip


def canonical(site: Site, gateway: str, sensors: Sequence[Sensor]) -> str:
    """The text of a gateway's part of a site file. sensors: of the whole site, resolved."""
    mine = [sensor for sensor in sensors if sensor.settings.gateway == gateway]
    lines = [("format", FORMAT), ("gateway", gateway), ("plant/id", site.plant.id)]
    lines += [("plant/timezone", site.plant.timezone)]
    for sensor in mine:
        link, settings = sensor.settings.link, sensor.settings
        at = f"sensor/{settings.id}"
        lines += [
            (f"{at}/point", settings.point), (f"{at}/profile", settings.profile), (f"{at}/unit", link.unit),
            (f"{at}/link", [link.kind, link.address, link.port, dict(sorted(link.options.items()))]),
            (f"{at}/interval_s", settings.interval_s), (f"{at}/parameters", sensor.plan.parameters),
        ]  # fmt: skip
        lines += [(f"{at}/input/{number:03}", _input(item)) for number, item in enumerate(settings.inputs)]
        lines += [(f"{at}/serial", settings.serial)] if settings.serial else []
    for point in {sensor.point.id: sensor.point for sensor in mine}.values():
        lines += [(f"point/{point.id}/kind", point.kind), (f"point/{point.id}/rules", point.rules)]
        lines += [(f"point/{point.id}/{key}", value) for key, value in point.settings.items()]
        # A state in which nobody is told is told to the journal, and has to be approved like a scale factor.
        lines += [(f"point/{point.id}/commissioning", True)] if point.commissioning else []
    for profile in {sensor.profile.name: sensor.profile for sensor in mine}.values():
        lines += _profile(profile)
    return "".join(sorted(f"{path} {json.dumps(value, ensure_ascii=False, default=str)}\n" for path, value in lines))


def _profile(profile: Profile) -> Iterator[tuple[str, Any]]:
    for number, register in enumerate(profile.registers):
        yield f"profile/{profile.name}/register/{number:03}", _register(register)
    for number, rule in enumerate(profile.status):
        yield f"profile/{profile.name}/status/{number:03}", _rule(rule)


def _register(register: Register) -> Mapping[str, Any]:
    names = ("parameter", "fc", "address", "type", "order", "scale", "offset", "unit", "sentinels", "low", "high")
    # What few registers have stands there only where it says something, so that no other text changes.
    few = {
        "added": register.added, "mask": register.mask, "interval_s": register.interval_s,
        "by": [(by.fc, by.address, by.mask, [(c.word, c.scale, c.unit) for c in by.cases]) for by in register.by],
        "told": [(low, high, status.name) for low, high, status in register.told],
        "checks": {k: v for k, v in asdict(register.checks).items() if v != getattr(NO_CHECKS, k)},
    }  # fmt: skip
    return {name: getattr(register, name) for name in names} | {name: value for name, value in few.items() if value}


def _rule(rule: StatusRule) -> Mapping[str, Any]:
    names = ("fc", "address", "mask", "values", "negated", "parameters")
    return {name: getattr(rule, name) for name in names} | {"status": rule.status.name}


def _input(item: Input) -> Mapping[str, Any]:
    link = item.link
    place = [link.kind, link.address, link.port, link.unit, dict(sorted(link.options.items()))] if link else []
    return {"link": place, "status": item.status.name, "parameters": item.parameters, **asdict(item.condition)}


def hash_of(text: str) -> bytes:
    """SHA-256 of a configuration's text."""
    return hashlib.sha256(text.encode()).digest()


def changes(before: str, after: str) -> tuple[list[str], list[str]]:
    """The lines that are new in a text, and those that went; each list cut at MAX_CHANGES, each line too."""
    old, new = before.splitlines(), after.splitlines()
    return _cut(sorted(set(new) - set(old))), _cut(sorted(set(old) - set(new)))


def _cut(lines: list[str]) -> list[str]:
    shown = [line if len(line) <= _MAX_LINE else line[: _MAX_LINE - 1] + "…" for line in lines[:MAX_CHANGES]]
    return shown if len(lines) <= MAX_CHANGES else [*shown, f"… and {len(lines) - MAX_CHANGES} more"]


def approve(gateway: str, hash: bytes, now_ns: int, key: seal.Signer) -> bytes:
    """The approval of a configuration by its hash, signed with the collector's key."""
    return seal.seal_statement(seal.Statement.CONFIG, msgspec.msgpack.encode(Approval(gateway, hash, now_ns)), key)


_approval = msgspec.msgpack.Decoder(Approval).decode


def fault(approval: bytes, gateway: str, hash: bytes, keys: Sequence[seal.Verifier]) -> str:
    """Why an approval does not cover a configuration, "" = it does. keys: of the collector, as far as they are good."""
    if not approval:
        return "it is not signed"
    for key in keys:
        try:
            raw = seal.verify_statement(seal.Statement.CONFIG, approval, key)
            found = _approval(raw)
        except seal.SealError:
            continue
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return "what was signed is no approval"
        if found.gw != gateway:
            return f"it was signed for gateway {found.gw}"
        return "" if found.hash == hash else "it was changed after it was signed"
    return "no key of the collector signed it"
