"""The data of the HTTP interface, `/api/v1`: each function reads its sources and answers one request.

Answers are encoded by msgspec straight from the views; the models of `api.schemas` describe them for
OpenAPI and are held against real answers by the tests.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from alerts.ledger import UnknownIncident
from api import schemas, views
from api.answers import Json
from api.coverage import MOST, MOST_NS, coverage_item
from api.inventory import Judged, Latest, Place, judging_span, latest_by_parameter, plant_item, point_item, states
from api.mark_routes import mark_routes
from api.mark_schemas import Coverage
from api.problems import Problem
from api.queries import (
    DAY_NS,
    LIMIT,
    MAX_ID,
    Span,
    describe,
    event_page,
    find_exceedance,
    find_place,
    raw_page,
    read_cursor,
    read_span,
    standing,
)  # fmt: skip
from api.sources import Sources
from api.trail import trail
from collector.commissioning import periods
from collector.verdicts.records import Average
from collector.verdicts.windows import windows
from gateway.measurement import Series

From = Annotated[str, Query(alias="from", description="RFC 3339, inclusive; a day before `to` if absent")]
To = Annotated[str, Query(description="RFC 3339, exclusive; now if absent")]
Cursor = Annotated[str, Query(description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=LIMIT, description="items of one answer at most")]
Text = Annotated[str, Query(max_length=64)]
Id = Annotated[int, Path(le=MAX_ID)]
INTERVALS = {"1m": "1m", "1h": "1h", "1d": "24h"}


NAMELESS = "token holder"  # who acknowledges, where nobody gives a name


def data_routes(sources: Sources) -> APIRouter:
    """Everything that is read or acknowledged."""
    router = APIRouter(default_response_class=Json)
    _plant_routes(router, sources)
    _series_routes(router, sources)
    _coverage_route(router, sources)
    _verdict_routes(router, sources)
    _incident_routes(router, sources)
    mark_routes(router, sources)
    _event_routes(router, sources)
    return router


def _now(sources: Sources) -> tuple[Latest, dict[tuple[str, str], str]]:
    """Newest values and the state of every point."""
    latest = latest_by_parameter(sources.store.latest())
    exceeded = {
        (incident.plant, incident.point)
        for state in ("open", "acknowledged")
        for incident in sources.alerts.incidents(state=state, limit=1000)
    }
    return latest, states(sources.inventory, latest, exceeded, sources.now_ns())


def _judged(sources: Sources, place: Place) -> Judged:
    """The newest average that each clause of a point could judge."""
    found: dict[str, Average] = {}
    for clause in place.clauses:
        span = judging_span(place, clause, sources.now_ns())
        rows = sources.book.averages(
            plant=place.site.plant.id, point=place.point.id, parameter=clause.parameter, window=clause.window,
            from_ns=span[0], to_ns=span[1],
        )  # fmt: skip
        if rows:
            found[clause.key] = max((row.average for row in rows), key=lambda average: average.from_ns)
    return found


def _plant_routes(router: APIRouter, sources: Sources) -> None:
    inventory = sources.inventory

    @router.get("/plants", response_model=schemas.Page[schemas.Plant])
    def plants() -> Json:
        """Every plant, with its state."""
        _, now = _now(sources)
        return Json(views.page_of(plant_item(site, now) for site in inventory.sites))

    @router.get("/points", response_model=schemas.Page[schemas.Point])
    def points(plant: Text = "") -> Json:
        """Every point, with newest values, limits as they hold now, and its state."""
        latest, now = _now(sources)
        chosen = [place for place in inventory.places.values() if plant in ("", place.site.plant.id)]
        return Json(
            views.page_of(
                point_item(inventory, place, latest=latest, judged=_judged(sources, place), state=now[place.key])
                for place in chosen
            )
        )

    @router.get("/parameters", response_model=schemas.Page[schemas.Parameter])
    def parameters() -> Json:
        """Every quantity the product knows."""
        return Json(views.page_of(map(views.parameter_item, inventory.parameters.values())))

    @router.get("/periods", response_model=schemas.Page[schemas.Period])
    def periods(
        plant: Text, point: Text, from_: From = "", to: To = "", period: Literal["day", "night"] = "night"
    ) -> Json:
        """The nights (or days) of a point that overlap a span, as its rules count them."""
        place = find_place(inventory, plant, point)
        span = read_span(from_, to, sources.now_ns())
        if span.to_ns - span.from_ns > (LIMIT - 2) * DAY_NS:  # there may be one more at each end
            raise Problem(422, f"{describe(span)} has more than {LIMIT} of them", "ask for a shorter span")
        found = windows(period, place.site.plant.timezone, span.from_ns, span.to_ns, place.night)
        pairs = zip(found.from_ns.tolist(), found.to_ns.tolist(), strict=True)
        return Json(views.page_of(views.period_item(period, begin, end) for begin, end in pairs))


def _series_routes(router: APIRouter, sources: Sources) -> None:
    @router.get("/measurements", response_model=schemas.Page[schemas.Measurement])
    def measurements(
        plant: Text,
        point: Text,
        parameter: Text,
        sensor: Text = "",
        from_: From = "",
        to: To = "",
        interval: Literal["raw", "1m", "1h", "1d"] = "raw",
        cursor: Cursor = "",
        limit: Limit = LIMIT,
    ) -> Json:
        """One parameter of a point: as measured (by one sensor, if it is named), or thinned to averages."""
        span = read_span(from_, to, sources.now_ns())
        begin = max(span.from_ns, read_cursor(cursor)) if cursor else span.from_ns
        series = _series(sources, plant, point, parameter, sensor)
        if interval == "raw":
            parts = [sources.store.measurements(one, begin, span.to_ns, limit + 1) for one in series]
            marks = standing(sources.book, series[0], begin, span.to_ns)
            return Json(raw_page(series[0], parts, limit, marks))
        curve = sources.book.curve(
            plant, point, parameter=series[0].parameter, window=INTERVALS[interval], from_ns=begin, to_ns=span.to_ns,
            limit=limit,
        )  # fmt: skip
        next = str(int(curve.from_ns[-1]) + 1) if len(curve.from_ns) == limit else None
        return Json(views.page_of(views.curve_items(series[0], curve), next))

    @router.get("/averages", response_model=schemas.Page[schemas.Average])
    def averages(
        plant: Text = "",
        point: Text = "",
        parameter: Text = "",
        window: Text = "",
        from_: From = "",
        to: To = "",
        cursor: Cursor = "",
        limit: Limit = LIMIT,
    ) -> Json:
        """Averages of windows that start in a span, newest versions, with coverage and validity."""
        span = read_span(from_, to, sources.now_ns())
        found = sources.book.averages(
            plant=plant, point=point, parameter=parameter, window=window, from_ns=span.from_ns, to_ns=span.to_ns,
            after_id=read_cursor(cursor), limit=limit,
        )  # fmt: skip
        return Json(views.page_of(map(views.average_item, found), str(found[-1].id) if len(found) == limit else None))


def _coverage_route(router: APIRouter, sources: Sources) -> None:
    @router.get("/coverage", response_model=schemas.Page[Coverage])
    def coverage(plant: Text, point: Text, from_: From = "", to: To = "") -> Json:
        """How much of what the sensors of a point should have measured in a span is there, and is good."""
        place, span = find_place(sources.inventory, plant, point), read_span(from_, to, sources.now_ns())
        if span.to_ns - span.from_ns > MOST_NS:
            raise Problem(422, f"{describe(span)} is too long to be counted", "ask for at most two days")
        return Json(
            views.page_of(
                coverage_item(
                    sources.store.measurements(series, span.from_ns, span.to_ns, MOST),
                    sensor.intervals_ns[series.parameter], span.from_ns, span.to_ns,
                )
                for series, sensor in place.series()
            )
        )  # fmt: skip


def _series(sources: Sources, plant: str, point: str, parameter: str, sensor: str) -> list[Series]:
    """All series of a parameter at a point: those of the site's sensors, and those of sensors that were replaced."""
    place = find_place(sources.inventory, plant, point)
    known = sources.inventory.parameters.find(parameter)
    code = known.code if known else parameter
    found = {one for one, _ in place.series() if one.parameter == code}
    found |= {one for one in sources.store.series() if (one.plant, one.point, one.parameter) == (plant, point, code)}
    found = {one for one in found if sensor in ("", one.sensor)}
    if not found:
        of = f" of sensor {sensor!r}" if sensor else ""
        raise Problem(404, f"{plant}/{point} has no parameter {parameter!r}{of}", "`points` lists what each measures")
    return sorted(found)


def _verdict_routes(router: APIRouter, sources: Sources) -> None:
    @router.get("/exceedances", response_model=schemas.Page[schemas.Exceedance])
    def exceedances(
        plant: Text = "",
        point: Text = "",
        parameter: Text = "",
        pack: Text = "",
        clause: Text = "",
        from_: From = "",
        to: To = "",
        cursor: Cursor = "",
        limit: Limit = LIMIT,
    ) -> Json:
        """Exceedances of windows that start in a span (all there are if none is given), newest versions."""
        now_ns = sources.now_ns()
        span = read_span(from_, to, now_ns) if from_ or to else read_span("1970-01-01T00:00:00Z", "", now_ns)
        found = sources.book.exceedances(
            plant=plant, point=point, parameter=parameter, pack=pack, clause=clause, from_ns=span.from_ns,
            to_ns=span.to_ns, after_id=read_cursor(cursor), limit=limit, newest=True,
        )  # fmt: skip
        return Json(
            views.page_of(map(views.exceedance_item, found), str(found[-1].id) if len(found) == limit else None)
        )

    @router.get("/evidence/{exceedance}", response_model=schemas.Trail)
    def evidence(exceedance: Id) -> Json:
        """What an exceedance stands on, walked backwards: notices, clause, average, measurements, registers, manual."""
        return Json(trail(sources, find_exceedance(sources.book, exceedance)))


def _incident_routes(router: APIRouter, sources: Sources) -> None:
    @router.get("/incidents", response_model=schemas.Page[schemas.Incident])
    def incidents(
        state: Literal["", "open", "acknowledged", "closed"] = "",
        plant: Text = "",
        point: Text = "",
        cursor: Cursor = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
    ) -> Json:
        """Incidents, newest first."""
        found = sources.alerts.incidents(
            state=state, plant=plant, point=point, after=read_cursor(cursor) or None, limit=limit
        )
        return Json(views.page_of(map(views.incident_item, found), str(found[-1].id) if len(found) == limit else None))

    @router.get("/incidents/{id}", response_model=schemas.IncidentFile)
    def incident(id: Id) -> Json:
        """One incident with its exceedances and its history."""
        found = sources.alerts.incident(id)
        if found is None:
            raise Problem(404, f"there is no incident {id}", "`incidents` lists them")
        return Json(
            views.incident_item(found)
            | {
                "members": [views.member_item(member) for member in sources.alerts.members(id)],
                "events": [views.event_item(event) for event in sources.alerts.events(id)],
            }
        )

    @router.post("/incidents/{id}/acknowledge", status_code=202, response_model=schemas.Accepted)
    def acknowledge(id: Id, word: schemas.Acknowledgement | None = None) -> Json:
        """Say that somebody takes care of an incident; without a body it is the holder of the token."""
        who, note = (word.who.strip(), word.note.strip()) if word else ("", "")
        try:
            command = sources.alerts.acknowledge(id, who or NAMELESS, note)
        except UnknownIncident as error:
            raise Problem(404, str(error), "`incidents` lists them") from error
        return Json({"command": command, "incident": id}, status_code=202)

    @router.get("/notices", response_model=schemas.Page[schemas.Notice])
    def notices(
        incident: Annotated[int | None, Query(le=MAX_ID)] = None,
        cursor: Cursor = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
    ) -> Json:
        """Notices, newest first, each with what became of it."""
        found = sources.alerts.notices(incident, after=read_cursor(cursor) or None, limit=limit)
        items = (views.notice_item(notice, sources.channels.get(notice.channel, "")) for notice in found)
        return Json(views.page_of(items, str(found[-1].id) if len(found) == limit else None))


def _event_routes(router: APIRouter, sources: Sources) -> None:
    @router.get("/events", response_model=schemas.Page[schemas.JournalEvent])
    def events(
        gateway: Text = "",
        what: Text = "",
        security: Annotated[
            bool | None, Query(description="only those that may mean tampering, or only others")
        ] = None,
        from_: From = "",
        to: To = "",
        cursor: Cursor = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
    ) -> Json:
        """What the collector noticed (all there is if no span is given), newest first, by time of receipt."""
        now_ns = sources.now_ns()
        span = read_span(from_, to, now_ns) if from_ or to else Span(0, MAX_ID)

        def wanted(item: views.Item) -> bool:
            return (
                gateway in ("", item["gateway"]) and what in ("", item["what"]) and security in (None, item["security"])
            )

        return Json(event_page(sources.events, read_cursor(cursor) or MAX_ID, span, wanted, limit))

    @router.get("/commissioning", response_model=schemas.Page[schemas.Commissioning])
    def commissioning(plant: Text = "", point: Text = "") -> Json:
        """From when to when nobody was told of incidents at a point, as the journal has it."""
        found = periods(reversed(sources.events(MAX_ID, MAX_ID)))
        mine = [one for one in found if plant in ("", one.plant) and point in ("", one.point)]
        return Json(views.page_of(map(views.commissioning_item, mine)))
