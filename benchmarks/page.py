"""How long a warm start takes until the page answers, and until it shows a live value."""

from __future__ import annotations

from benchmarks import demonstration
from benchmarks.figure import Figure

LIMIT_S = 60.0


def measure() -> list[Figure]:
    """Seconds from the command to the page, and to the first live value on it."""
    timings = demonstration.run("--hours", "0.1")["timings"]
    return [
        Figure(name=name, value=timings[mark], unit="s", reference=LIMIT_S, reference_name="the limit")
        for name, mark in (("page answers", "page_s"), ("first live value", "live_s"))
    ]
