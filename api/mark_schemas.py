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


class Swap(Shape):
    """An instrument that took another one's place. as_found, as_left, reference: in `unit`; null = there was none."""

    serial: str
    old_serial: str
    as_found: float
    as_left: float
    reference: float | None
    unit: str


class SoundCheck(Shape):
    """A sound level meter held against a calibrator. [dB] before: what the check before it left, null = none."""

    level: float
    as_found: float
    as_left: float
    tolerance: float
    tolerance_cite: str
    before: float | None
    drift_max: float | None
    drift_cite: str
    serial: str
    calibrator: str
    passed: bool


class SheetFile(Shape):
    """An acceptance sheet that was made: name, size and SHA-256 of its file."""

    name: str
    bytes: int
    sha256: str


class Mark(Shape):
    """What a person says of measurements. id: its position in the journal. payload: as signed, in base64.

    revokes: the mark that it takes back. revoked_by: the mark that took it back.
    """

    id: int
    kind: Literal[
        "maintenance",
        "calibration",
        "invalid",
        "correction",
        "note",
        "revocation",
        "swap",
        "sound_check",
        "sheet",
        "operating",
        "start_up",
        "shut_down",
        "stopped",
        "drying",
        "cool_down",
        "breakdown",
        "accident",
        "otnoc",
    ]
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
    swap: Swap | None
    sound_check: SoundCheck | None
    sheet: SheetFile | None
    old: MarkOld
    prev: str
    sha256: str
    revokes: int | None
    revoked_by: int | None
    payload: str


class Instrument(Shape):
    """An instrument at its place. from, to: null = since ever, until now. serial: "" = nobody said it.

    mark: id of the swap that it came by, with what was found and left then; null = it was there. site_serial: another
    serial number that the site file gives it, "" = they agree.
    """

    sensor: str
    serial: str
    maker: str
    model: str
    profile: str
    from_: Annotated[str | None, Field(alias="from")]
    to: str | None
    mark: int | None
    author: str
    reason: str
    as_found: float | None
    as_left: float | None
    reference: float | None
    unit: str
    site_serial: str


class Coverage(Shape):
    """How much of one series is there in a span. awaited: by its interval; good: usable; newest: null = nothing."""

    sensor: str
    parameter: str
    unit: str
    interval_s: float
    from_: Annotated[str, Field(alias="from")]
    to: str
    awaited: int
    received: int
    good: int
    coverage: float
    newest: str | None


class Filed(Shape):
    """A mark that is in the journal. new: false where it was there already."""

    id: int
    new: bool
