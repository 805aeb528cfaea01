"""How many examples, seeds and cycles the tests try: every such count comes from here.

`EFFORT` is `default` (all of the suite within 15 minutes on two cores) or `full` (the counts the
project's goals name, within 75 minutes).
"""

from __future__ import annotations

import os

FULL = os.environ.get("EFFORT", "default") == "full"


def examples(default: int, full: int | None = None) -> int:
    """The number of examples to try: `default`, or with EFFORT=full `full` (ten times as many if not said)."""
    return (full or default * 10) if FULL else default
