"""The custodian: seals each month of the journal that is over, and lets those expire that are old enough.

One thread that looks once an hour. What it cannot do now, since an export reads the file, it does later.
"""

from __future__ import annotations

import threading

import structlog

from collector.intake.cellar import Cellar
from collector.intake.journal import JournalError

PERIOD_S = 3600.0

log = structlog.get_logger(__name__)


class Custodian:
    """Keeps the months that are over. trouble: what it could not do, "" = nothing."""

    def __init__(self, cellar: Cellar, keep_months: int) -> None:
        """keep_months: how many stay before the newest; 0 = all."""
        self.trouble = ""
        self._cellar, self._keep = cellar, keep_months
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="custodian", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End after the month at hand."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _supervise(self) -> None:
        try:
            while not self._stop.is_set():
                self.look()
                self._stop.wait(PERIOD_S)
        except Exception as error:
            self.trouble = f"months of the journal are not sealed any more: {error}"
            log.exception("The custodian ended: months are not sealed until the next start; nothing is lost.")

    def look(self) -> None:
        """Seal what is over, let go what is old."""
        try:
            for month in self._cellar.seal():
                log.info("A month of the journal is sealed.", month=month.name, sha256=month.sha256)
            for month in self._cellar.expire_older(self._keep):
                log.warning("A month of the journal has expired, as [collector] keep_months says.", month=month.name)
            self.trouble = ""
        except JournalError as error:
            self.trouble = f"a month of the journal cannot be sealed or expire: {error}"
            log.error("A month of the journal cannot be sealed or expire; trying again.", reason=str(error))
