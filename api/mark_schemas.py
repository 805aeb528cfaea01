"""The shapes of marks at the HTTP interface, beside `api.schemas`. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from api.shape import Shape


class MarkOld(Shape):
    """What the journal held of a mark's span: up to which position, how many batches, one digest over them."""

    position: int
    batches: int
    sha256: str


class MarkBasis(Shape):
    """What a mark has to name. prev: SHA-256 of the plant's last mark, "" = none. from_ns, to_ns: of the span."""

    old: MarkOld
    prev: str
    from_ns: int
    to_ns: int


class MarkValue(Shape):
    """A new value of one instant."""

    time: str
    value: float


class Mark(Shape):
    """What a person says of measurements. id: its position in the journal. payload: as signed, in base64.

    revokes: the mark that it takes back. revoked_by: the mark that took it back.
    """

    id: int
    kind: Literal["maintenance", "calibration", "invalid", "correction", "note", "revocation"]
    plant: str
    point: str
    parameter: str
    sensor: str
    from_: Annotated[str, Field(alias="from")]
    to: str
    reason: str
    author: str
    role: str
    made: str
    received: str
    scale: float | None
    offset: float | None
    values: list[MarkValue]
    old: MarkOld
    prev: str
    sha256: str
    revokes: int | None
    revoked_by: int | None
    payload: str


class Filed(Shape):
    """A mark that is in the journal. new: false where it was there already."""

    id: int
    new: bool
