"""The demonstration's site files: the given plants, moved onto this machine and given keys and doors.

Pure: parsed site files in, parsed site files out. What is measured and judged stays as it is; ports,
data folder, broker, keys and the receivers of notices are the demonstration's own. Each gateway gets a
second identity beside it, under which its past is sent in a stream of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

HISTORY = "-history"
Tree = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """Local ports. links: of each instrument address "HOST:PORT" in the given files."""

    broker: int
    api: int
    smtp: int
    web: int
    links: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Public keys, hex. gateways: by gateway id, those that send the past included."""

    collector: str
    gateways: Mapping[str, str]


def addresses(trees: Iterable[Tree]) -> list[str]:
    """Every instrument address "HOST:PORT" of some site files, once."""
    links = (sensor["link"] for tree in trees for sensor in tree.get("sensor", ()))
    return list(dict.fromkeys(urlsplit(link).netloc for link in links))


def gateways(trees: Iterable[Tree]) -> list[str]:
    """Every gateway id of some site files, followed by the one that sends its past."""
    return [id for tree in trees for own in tree["gateway"] for id in (own["id"], own["id"] + HISTORY)]


def staged(trees: Iterable[Tree], *, data_dir: str, protocol: str, doors: Doors, keys: Keys) -> list[Tree]:
    """The site files of the demonstration, in the order given."""
    result = [_staged(tree, data_dir, protocol, doors, keys) for tree in trees]
    # Receivers of notices are one list for all plants, so one file says it.
    result[0] |= _receivers(doors)
    return result


def _staged(given: Tree, data_dir: str, protocol: str, doors: Doors, keys: Keys) -> Tree:
    tree = deepcopy(given)
    tree["plant"]["data_dir"] = data_dir
    tree["broker"] = {"url": f"mqtt://127.0.0.1:{doors.broker}", "protocol": protocol}
    tree["api"] = {"host": "127.0.0.1", "port": doors.api}
    tree["store"] = {"kind": "duckdb"}
    tree["collector"] = {"public_key": keys.collector}
    only = tree["gateway"][0]["id"]
    tree["gateway"] = [
        {"id": id, "public_key": keys.gateways[id], "history": id.endswith(HISTORY)} for id in gateways([given])
    ]
    for sensor in tree.get("sensor", ()):
        sensor.setdefault("gateway", only)
        parts = urlsplit(sensor["link"])
        sensor["link"] = urlunsplit(parts._replace(netloc=f"127.0.0.1:{doors.links[parts.netloc]}"))
    for table in ("recipient", "channel", "alerts"):
        tree.pop(table, None)
    return tree


def _receivers(doors: Doors) -> Tree:
    """A duty officer and an authority, reached over the console and the demonstration's own mail box and hook."""
    # late: the past arrives hours after it happened, and these receivers are there to show it.
    mail = {"id": "mail", "kind": "email", "smtp": f"127.0.0.1:{doors.smtp}", "tls": "none", "late": True}
    hook = {"id": "hook", "kind": "webhook", "url": f"http://127.0.0.1:{doors.web}/notices", "late": True}
    return {
        "channel": [
            {"id": "console", "kind": "console"},
            mail | {"sender": "emitwatch@demo.invalid"},
            hook | {"allow_private": True},
        ],
        "recipient": [
            {
                "id": "duty",
                "name": {"en": "Duty officer", "zh": "值班人员"},
                "role": "duty officer",
                "channels": ["console", "mail", "hook"],
                "address": "duty@demo.invalid",
                "plants": ["*"],
            },
            {
                "id": "authority",
                "name": {"en": "Ecology and environment bureau", "zh": "生态环境局"},
                "role": "regulator",
                "language": "zh",
                "channels": ["mail"],
                "address": "bureau@demo.invalid",
                "plants": ["*"],
            },
        ],
    }
