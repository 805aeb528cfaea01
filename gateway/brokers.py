"""The broker's table of a site file, and the way from one broker to the next.

A gateway may name alternates beside its broker. It goes on to the next of them after TRIES in a row
that brought no acknowledgement - the broker cannot be reached, or it takes batches and nobody
acknowledges them - and looks back at the first after a while, once, so that a fleet does not stay
where it fled to. The collector connects to the first alone, so the others have to be bridged to it:
which broker brought a batch makes no difference. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from gateway.document import Table
from gateway.measurement import SECOND_NS

TRIES = 5  # connections in a row without an acknowledgement, after which the next broker is tried
BACK_NS = 900 * SECOND_NS  # how long a gateway stays with an alternate that serves it


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """The MQTT broker. protocol: "5" or "3.1.1". Files are paths relative to the site file, "" = none.

    alternates: addresses of brokers to go to when this one brings no acknowledgements; everything else is theirs too.
    """

    url: str
    protocol: str
    ca: str
    cert: str
    key: str
    user: str
    password_file: str
    alternates: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        """Host name of the url."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """Port of the url; 1883 for mqtt, 8883 for mqtts."""
        return urlsplit(self.url).port or (8883 if self.tls else 1883)

    @property
    def tls(self) -> bool:
        """Whether the url asks for TLS."""
        return urlsplit(self.url).scheme == "mqtts"


class Route:
    """Which broker to use. now_ns is monotonic. [ns]"""

    def __init__(self, broker: Broker) -> None:
        self._brokers: Sequence[Broker] = [broker, *(replace(broker, url=url) for url in broker.alternates)]
        self._place, self._failed = 0, 0
        self._left_ns = 0  # when the first broker was left, or looked at in vain
        self._served: int | None = None  # the alternate to return to when looking back was in vain

    @property
    def broker(self) -> Broker:
        """The broker to use now."""
        return self._brokers[self._place]

    def heard(self) -> None:
        """An acknowledgement came by this broker."""
        self._failed, self._served = 0, None

    def failed(self, now_ns: int) -> bool:
        """A connection failed or brought no acknowledgement; whether another broker is to be used now."""
        self._failed += 1
        if len(self._brokers) == 1 or (self._failed < TRIES and self._served is None):
            return False
        if self._place == 0:
            self._left_ns = now_ns
        following = (self._place + 1) % len(self._brokers)
        self._place, self._failed, self._served = following if self._served is None else self._served, 0, None
        return True

    def back(self, now_ns: int) -> bool:
        """Whether it is time to look at the first broker again; then that is the one to use, for one try."""
        if not self._place or now_ns - self._left_ns < BACK_NS:
            return False
        self._served, self._place, self._failed = self._place, 0, 0
        return True


def read_broker(table: Table) -> Broker:
    """The table [broker]."""
    with table:
        url = table.convert("url", _address, hint="mqtt://HOST:PORT or mqtts://HOST:PORT") or ""
        user = table.text("user", "")
        password_file = table.text("password_file", "")
        if password_file and not user:
            table.fault("user", "missing", "a password needs a user")
        cert, key = table.text("cert", ""), table.text("key", "")
        if bool(cert) != bool(key):
            table.fault("key" if cert else "cert", "missing", "a client certificate and its key belong together")
        return Broker(
            url=url, user=user, password_file=password_file, protocol=table.choice("protocol", ("5", "3.1.1"), "5"),
            ca=table.text("ca", ""), cert=cert, key=key, alternates=_alternates(table, url),
        )  # fmt: skip


def _alternates(table: Table, url: str) -> tuple[str, ...]:
    found = table.texts("alternates", [], hint='further brokers: ["mqtts://HOST:PORT"]')
    for other in found:
        try:
            _address(other)
        except ValueError as error:
            table.fault("alternates", str(error), "mqtt://HOST:PORT or mqtts://HOST:PORT")
            return ()
        if url and urlsplit(other).scheme != urlsplit(url).scheme:
            table.fault(
                "alternates", f"{other!r} and {url!r} are not both mqtt or both mqtts", "TLS for all or for none"
            )
    return tuple(found)


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.username is not None:  # not shown: it may hold a password
        raise ValueError("user and password do not belong into the address; see user and password_file")
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.port == 0:
        raise ValueError(f"{url!r} is not a broker address")
    return url
