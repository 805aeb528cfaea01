"""The evidence of an exceedance as a page of its own, beside the data of `api.routes`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, Query, Response

from api.evidence_page import content_policy, evidence_page
from api.queries import MAX_ID, find_exceedance
from api.sources import Sources
from api.times import format_time
from api.told import Told, parse_words, preferred
from api.trail import trail
from api.views import names

Language = Annotated[Literal["", "en", "zh"], Query(description="en or zh; what the browser accepts if absent")]


@dataclass(frozen=True, slots=True)
class PageSource:
    """What the page is made of besides evidence. style: CSS. words: the script with the app's words. version: ours."""

    style: str
    words: str
    version: str


def evidence_page_route(sources: Sources, source: PageSource) -> APIRouter:
    """The one page."""
    router = APIRouter()
    words = parse_words(source.words)
    headers = {"Content-Security-Policy": f"{content_policy(source.style)}; frame-ancestors 'none'"}

    @router.get("/evidence/{exceedance}.html", response_class=Response, responses={200: {"content": {"text/html": {}}}})
    def page(
        exceedance: Annotated[int, Path(le=MAX_ID)],
        lang: Language = "",
        accept_language: Annotated[str, Header()] = "",
    ) -> Response:
        """The same as a page to read without the app, to print and to keep: no script, nothing from elsewhere."""
        row = find_exceedance(sources.book, exceedance)
        found = row.exceedance
        place = sources.inventory.places.get((found.plant, found.point))
        told = Told(
            words=words, language=preferred(lang, accept_language),
            timezone=place.site.plant.timezone if place else "UTC",
        )  # fmt: skip
        html = evidence_page(
            trail(sources, row), told, plant=names(place.site.plant.name) if place else found.plant,
            point=names(place.point.name) if place else found.point, style=source.style, version=source.version,
            made=format_time(sources.now_ns() // 10**9 * 10**9),
        )  # fmt: skip
        return Response(html, media_type="text/html", headers=headers)

    return router
