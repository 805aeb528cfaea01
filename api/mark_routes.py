"""Marks over HTTP: what is needed to make one, taking one in, and the list of them.

The interface never signs: it takes the bytes that an author has signed, whoever brings them, and the registrar
believes their signature alone.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from api import mark_schemas, schemas, views
from api.answers import Json
from api.instruments import history, instrument_item
from api.problems import Problem
from api.queries import LIMIT, find_place, read_cursor, read_span
from api.sources import Sources
from collector.marks import MAX_BYTES, Kind, MarkError, decode
from collector.registrar import MarkRefused, Why
from collector.verdicts.marks import Layer

Text = Annotated[str, Query(max_length=64)]
From = Annotated[str, Query(alias="from", description="RFC 3339, inclusive; the beginning of all if absent")]
To = Annotated[str, Query(description="RFC 3339, exclusive; the end of all if absent")]
_ALWAYS = ("1970-01-01T00:00:00Z", "2262-01-01T00:00:00Z")
_STATUS = {Why.MALFORMED: 422, Why.FORBIDDEN: 403, Why.CONFLICT: 409, Why.BUSY: 503}
_BODY = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"format": "binary"}}}}}


async def _payload(request: Request) -> bytes:
    """The body of a request, no more of it than a mark may have."""
    found = bytearray()
    async for part in request.stream():
        found += part
        if len(found) > MAX_BYTES:
            raise Problem(413, f"a mark has at most {MAX_BYTES} bytes", "make several")
    return bytes(found)


def mark_routes(router: APIRouter, sources: Sources) -> None:
    """Add the routes of marks."""

    @router.get("/marks", response_model=schemas.Page[mark_schemas.Mark])
    def marks(
        plant: Text = "",
        point: Text = "",
        from_: From = _ALWAYS[0],
        to: To = _ALWAYS[1],
        kind: Annotated[Kind | None, Query(description="only those of a kind")] = None,
        sensor: Annotated[str, Query(max_length=64, description="only those of a sensor, or of all of its point")] = "",
        cursor: Annotated[str, Query(description="`next` of the page before")] = "",
        limit: Annotated[int, Query(ge=1, le=LIMIT, description="items of one answer at most")] = 1000,
    ) -> Json:
        """Marks that speak of a moment in a span, in the order of the journal; those taken back too."""
        span = read_span(from_, to, sources.now_ns())
        found = sources.book.marks(plant=plant, point=point, from_ns=span.from_ns, to_ns=span.to_ns)
        layer, after = Layer(found), read_cursor(cursor)
        mine = [one for one in found if kind in (None, one.mark.kind) and sensor in ("", one.mark.sensor or sensor)]
        part = [one for one in mine if one.position > after][:limit]
        items = (views.mark_item(one, layer.revoked_by(one.position)) for one in part)
        return Json(views.page_of(items, str(part[-1].position) if len(part) == limit else None))

    @router.get("/instruments", response_model=schemas.Page[mark_schemas.Instrument])
    def instruments(plant: Text, point: Text, sensor: Text = "") -> Json:
        """Which instrument stood behind each sensor of a point, and when, by the records of swaps."""
        place = find_place(sources.inventory, plant, point)
        chosen = [one for one in place.sensors if sensor in ("", one.settings.id)]
        found = history(chosen, sources.book.marks(plant=plant, point=point))
        return Json(views.page_of(map(instrument_item, found)))

    @router.get("/marks/basis", response_model=mark_schemas.MarkBasis)
    def basis(plant: Text, point: Text, from_: From, to: To) -> Json:
        """What a mark of a span has to name when it is made now: what the journal holds, and the mark before it."""
        find_place(sources.inventory, plant, point)
        span = read_span(from_, to, sources.now_ns())
        found = sources.registrar.basis(plant, span.from_ns, span.to_ns)
        old = {"position": found.old.position, "batches": found.old.batches, "sha256": found.old.sha256}
        return Json({"old": old, "prev": found.prev, "from_ns": span.from_ns, "to_ns": span.to_ns})

    @router.post("/marks", status_code=201, response_model=mark_schemas.Filed, openapi_extra=_BODY)
    def mark(payload: Annotated[bytes, Depends(_payload)]) -> Json:
        """Take in a mark: version, signature and body as its author made them. It is on the disk when this answers."""
        try:
            _require_known(sources, payload)
            position, new = sources.registrar.take(payload)
        except MarkRefused as error:
            raise Problem(_STATUS[error.why], str(error), error.hint) from error
        return Json({"id": position, "new": new}, status_code=201 if new else 200)


def _require_known(sources: Sources, payload: bytes) -> None:
    """Raise MarkRefused for a parameter or sensor that a point does not have: such a mark would say nothing."""
    try:
        mark = decode(payload)
    except MarkError as error:
        raise MarkRefused(Why.MALFORMED, str(error)) from error
    place = find_place(sources.inventory, mark.plant, mark.point)
    series = [one for one, _ in place.series()]
    series += [one for one in sources.store.series() if (one.plant, one.point) == (mark.plant, mark.point)]
    for what, name, known in (
        ("parameter", mark.parameter, {one.parameter for one in series}),
        ("sensor", mark.sensor, {one.sensor for one in series}),
    ):
        if name and name not in known:
            raise MarkRefused(Why.MALFORMED, f"point {mark.point!r} has no {what} {name!r}", "`points` lists them")
