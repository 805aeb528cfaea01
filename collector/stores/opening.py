"""The store that the settings name, opened."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from collector.charts.feed import Feed
from collector.settings import CollectorSettings
from collector.store import Store, StoreError
from collector.store_settings import TOKEN, InfluxSettings
from collector.stores.duckdb import DuckdbStore

DEAD_LETTERS = "refused.db"


def open_store(settings: CollectorSettings) -> Store:
    """Open the store, making it where it is not there; raises StoreError."""
    if settings.influx is None:
        return DuckdbStore(settings.store_path)
    return _influx(settings.influx, Path(settings.folder) / DEAD_LETTERS)


class Follower(Protocol):
    """Something that copies points for charts, in a thread of its own. trouble: what is wrong now, "" = nothing."""

    trouble: str

    def follow(self, feed: Feed) -> None:
        """One more feed, before the start."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End."""


def open_mirror(store: Store, feeds: Sequence[Feed]) -> Follower | None:
    """What copies points for charts into the store; None where charts read them where they are."""
    if isinstance(store, DuckdbStore):
        return None
    from collector.stores.influxdb.store import InfluxStore

    return store.mirror(feeds) if isinstance(store, InfluxStore) else None


def store_name(settings: CollectorSettings) -> str:
    """The store as people name it."""
    influx = settings.influx
    return settings.store_path if influx is None else f"{influx.url} {influx.database}"


def has_store(settings: CollectorSettings) -> bool:
    """Whether there is a store already."""
    return settings.influx is not None or Path(settings.store_path).exists()


def _influx(settings: InfluxSettings, dead_letters: Path) -> Store:
    try:
        from collector.stores.influxdb.store import InfluxStore
        from collector.stores.influxdb.transport import Server
    except ModuleNotFoundError as error:
        raise StoreError(f"{error.name} is not installed here: pip install 'emitwatch[influxdb]'") from error
    server = Server(
        url=settings.url, database=settings.database, retention_policy=settings.retention_policy,
        bucket=settings.bucket, org=settings.org, api=settings.api, ca=settings.ca, token=_token(settings),
    )  # fmt: skip
    return InfluxStore(server, dead_letters)


def _token(settings: InfluxSettings) -> str:
    """The token, by environment or file; "" where the server asks for none."""
    if token := os.environ.get(TOKEN, ""):
        return token.strip()
    if not settings.token_file:
        return ""
    try:
        return Path(settings.token_file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        hint = f"write the token there, readable by its owner alone, or give it in {TOKEN}"
        raise StoreError(f"{settings.token_file}: [store] token_file cannot be read: {error}; {hint}") from error
