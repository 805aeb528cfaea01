"""A process that does nothing but alerts, to be killed: alerts_process.py FOLDER. Not a test."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from alerts import notifier
from alerts.notifier import Alerts
from collector.verdicts.book import Book
from gateway.catalogue import load_sites


def main(folder: Path) -> None:
    """Run until killed."""
    notifier.RETRY_S = (0.05,) * 1000
    alerts = Alerts(load_sites(str(folder / "site.toml")), Book(folder / "verdicts.db"), folder / "alerts")
    alerts.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
