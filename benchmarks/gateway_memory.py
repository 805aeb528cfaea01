"""What the gateway process of the reference site holds in memory while it polls and publishes."""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path

from benchmarks.figure import Figure
from simulators.children import Children
from simulators.line import Line, Setting

LIMIT_MB = 80.0
RUN_S = 70.0  # every sensor is polled at least once, the slowest every 60 s


def measure() -> list[Figure]:
    """Resident memory after a minute, and the highest until then. [MB]"""
    with tempfile.TemporaryDirectory() as folder:
        children = Children(Path(folder) / "logs")
        line = Line(Path(folder), Setting(broker=None, port=0, seed=1, hours=0.1), children)
        try:
            line.prepare()
            line.start_broker()
            line.start_plant()
            gateway = line.start_gateway("riverside.toml", "riverside-gw")
            time.sleep(RUN_S)
            assert gateway.running, f"the gateway ended; see {gateway.log}"
            status = Path(f"/proc/{gateway.process.pid}/status").read_text("ascii")
        finally:
            children.stop_all(8.0)
    return [
        Figure(name=name, value=_mb(status, field), unit="MB", reference=LIMIT_MB, reference_name="the limit")
        for name, field in (("gateway, resident", "VmRSS"), ("gateway, highest", "VmHWM"))
    ]


def _mb(status: str, field: str) -> float:
    found = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
    assert found, f"the kernel does not say {field}"
    return int(found.group(1)) / 1000.0
