"""One figure of a benchmark, beside what it has to stay below."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What was measured. reference: a limit, or a peer measured in the same run. [unit]"""

    name: str
    value: float
    unit: str
    reference: float
    reference_name: str

    @property
    def ratio(self) -> float:
        """Value over reference; below 1 is better."""
        return self.value / self.reference

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.value:.4g} {self.unit}, {self.ratio:.2f} of {self.reference_name} "
            f"({self.reference:.4g} {self.unit})"
        )
