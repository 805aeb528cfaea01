"""What the interface reads from, and writes to: shared by the server and its routes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from alerts.records import Event, Incident, Member, Notice
from api.inventory import Inventory
from collector.registrar import Registrar
from collector.store import Entry, JournalReader, Store
from collector.verdicts.book import Book
from collector.verdicts.records import Exceedance


class AlertsPort(Protocol):
    """What alerts let others read, and the one thing a person may tell them. Safe to call from any thread."""

    def incidents(
        self, *, after: int | None = None, state: str = "", limit: int = 100, plant: str = "", point: str = ""
    ) -> list[Incident]:
        """Incidents with id < after, newest first."""

    def incident(self, id: int) -> Incident | None:
        """The newest version of an incident."""

    def members(self, incident: int) -> list[Member]:
        """The exceedances an incident gathers, by time."""

    def events(self, incident: int) -> list[Event]:
        """The history of an incident, oldest first."""

    def incident_of(self, exceedance: Exceedance) -> Incident | None:
        """The incident that gathers an exceedance."""

    def notices(self, incident: int | None = None, *, after: int | None = None, limit: int = 1000) -> list[Notice]:
        """Notices with id < after, newest first."""

    def acknowledge(self, incident: int, who: str, note: str = "", now_ns: int | None = None) -> int:
        """Write down that a person takes care of an incident. Raises UnknownIncident."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Everything an answer is made from.

    registrar: takes marks in. channels: id -> kind, of the channels notices take.
    health: how the parts of the process are.
    events: up to so many (second) events of the journal below a position (first), the newest first.
    now_ns: the clock. [ns since 1970 UTC]
    """

    inventory: Inventory
    journal: JournalReader
    store: Store
    book: Book
    alerts: AlertsPort
    registrar: Registrar
    channels: Mapping[str, str]
    health: Callable[[], Mapping[str, Any]]
    events: Callable[[int, int], list[Entry]]
    now_ns: Callable[[], int]
