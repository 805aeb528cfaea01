"""The shapes of a verdict's history at the HTTP interface, beside `api.schemas`. Pure."""

from __future__ import annotations

from typing import Literal

from api.shape import Shape


class Cause(Shape):
    """Why a version came, as what differs from the one before shows it.

    mark: id of the mark or revocation. count: values that came, or that went to another time. change: values by status,
    more (+) or fewer (-) than before. Only where there is one.
    """

    what: Literal["mark", "revocation", "more_data", "fewer_data", "statuses", "values", "law", "settings", "rules"]
    mark: int | None = None
    count: int | None = None
    change: dict[str, int] | None = None


class ExceedanceVersion(Shape):
    """One version of an exceedance. average_version: of the average it was judged by; null = not written down."""

    id: int
    version: int
    change: Literal["opened", "amended", "withdrawn"]
    derived: str
    value: float
    limit: float
    low: float | None
    unit: str
    late: bool
    average_version: int | None
    because: list[Cause]


class AverageVersion(Shape):
    """One version of an average. statuses: how many values of each. marks: ids of those it was derived under."""

    id: int
    version: int
    derived: str
    value: float | None
    evaluated: float | None
    unit: str
    coverage: float
    valid: bool
    count: int
    statuses: dict[str, int]
    marks: list[int]
    because: list[Cause]


class Left(Shape):
    """How many older versions there are than those told."""

    exceedance: int
    average: int


class Versions(Shape):
    """Every version of an exceedance and of its average, oldest first."""

    exceedance: list[ExceedanceVersion]
    average: list[AverageVersion]
    left: Left
