"""Origin: how a derived value came about, told window by window for the evidence.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from collector.verdicts.screening import Booleans
from gateway.measurement import Float64


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What the windows of a derived table are made of.

    how: one of `gateway.parameters.DERIVED`, or what else was done. of: the parameters that went in.
    fixed: what was the same for all windows (settings, numbers of a pack).
    taken: what went in, by window, shape (n,), NaN = not known. lacking: by input, in how many shorter windows it was
    not there, shape (n,). doubtful: windows into which something went that was not verified, shape (n,), None = none.
    """

    how: str
    of: tuple[str, ...]
    cite: str
    verified: bool
    fixed: Mapping[str, Any] = field(default_factory=dict)
    taken: Mapping[str, Float64] = field(default_factory=dict)
    lacking: Mapping[str, Float64] = field(default_factory=dict)
    doubtful: Booleans | None = None

    def sure(self, row: int) -> bool:
        """Whether all that went into a window was verified."""
        return self.verified and (self.doubtful is None or not self.doubtful[row])

    def told(self, rows: Booleans) -> Iterator[dict[str, Any]]:
        """What to tell of each of some windows, as plain JSON."""
        same = {"how": self.how, "of": list(self.of), "cite": self.cite}
        taken = {name: column[rows].tolist() for name, column in self.taken.items()}
        lacking = {name: np.nan_to_num(column[rows]).astype(np.int64).tolist() for name, column in self.lacking.items()}
        for row, place in enumerate(np.flatnonzero(rows).tolist()):
            known = {name: None if column[row] != column[row] else column[row] for name, column in taken.items()}
            without = {name: column[row] for name, column in lacking.items() if column[row]}
            yield {
                **same,
                "verified": self.sure(place),
                **self.fixed,
                **known,
                **({"lacking": without} if without else {}),
            }
