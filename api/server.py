"""The HTTP server: the page, the data, the live stream, metrics; and the guard before all of them.

- Every answer says what a browser may do with it (content policy, no sniffing, no frame).
- `/api/v1` and `/metrics` need the bearer token. Only the demo has none; it then takes requests that
  name this machine as their host, so that no page of another origin can read it.
- Errors are problem documents (RFC 9457), also those of the framework.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import schemas
from api.access import host_is_local, origin_fits, token_fits
from api.answers import Json
from api.assets import FOR_EVER, Asset, content_policy, load_assets
from api.evidence_routes import PageSource, evidence_page_route
from api.live import Listener, Live, TooManyListeners
from api.metrics import HealthCollector
from api.problems import MEDIA_TYPE, Problem, document
from api.routes import data_routes
from api.sources import Sources
from collector.store import StoreError

HEARTBEAT_S = 15.0
GUARDED = ("/api/", "/metrics")
HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}


def create_app(sources: Sources, live: Live, *, version: str, token: str) -> FastAPI:
    """The whole interface. token: what requests must carry; "" = the demo, for this machine alone."""
    app = FastAPI(
        title="emitwatch", version=version, docs_url=None, redoc_url=None,
        description="Measurements, averages, exceedances, incidents and their evidence.",
        responses={"4XX": {"model": schemas.Problem, "content": {MEDIA_TYPE: {}}}},
    )  # fmt: skip
    page, assets = load_assets()
    style, words = (assets[name].body.decode() for name in ("print.css", "words.js"))
    # Before the data: of two paths that fit, the first is taken.
    app.include_router(evidence_page_route(sources, PageSource(style, words, version)), prefix="/api/v1")
    app.include_router(data_routes(sources), prefix="/api/v1")
    _live_route(app, live)
    _health_routes(app, sources, live, version)
    _page_routes(app, page, assets)
    _problem_answers(app)
    app.add_middleware(GZipMiddleware, minimum_size=2048, compresslevel=4)
    app.add_middleware(Guard, token=token, policy=content_policy(style))
    return app


class Guard:
    """Lets requests in, and puts the headers on every answer."""

    def __init__(self, app: ASGIApp, token: str, policy: str) -> None:
        self._app = app
        self._token = token
        self._headers = HEADERS | {b"content-security-policy": policy.encode()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                message["headers"] += [(name, value) for name, value in self._headers.items() if name not in own]
            await send(message)

        problem = self._refuses(scope)
        app: ASGIApp = problem_answer(problem, scope["path"]) if problem else self._app
        await app(scope, receive, send_guarded)

    def _refuses(self, scope: Scope) -> Problem | None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host, origin = headers.get(b"host", ""), headers.get(b"origin", "")
        if not self._token and not host_is_local(host):
            return Problem(403, f"this demo answers on this machine alone, not as {host!r}", "open http://127.0.0.1")
        if scope["method"] not in ("GET", "HEAD") and not origin_fits(origin, host):
            return Problem(403, "a page of another origin may not change anything")
        guarded = self._token and scope["path"].startswith(GUARDED)
        if guarded and not token_fits(headers.get(b"authorization", ""), self._token):
            return Problem(401, "a bearer token is needed", "it is in <data_dir>/collector/api.token")
        return None


def problem_answer(problem: Problem, instance: str) -> Response:
    """A problem document as an answer."""
    headers = {"WWW-Authenticate": "Bearer"} if problem.status == 401 else None
    body = msgspec.json.encode(document(problem, instance))
    return Response(body, status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


def _problem_answers(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def ours(request: Request, problem: Problem) -> Response:
        return problem_answer(problem, request.url.path)

    @app.exception_handler(HTTPException)
    async def framework(request: Request, error: HTTPException) -> Response:
        hint = "the interface is described at /openapi.json" if error.status_code == 404 else ""
        return problem_answer(Problem(error.status_code, str(error.detail), hint), request.url.path)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        faults = [{"field": ".".join(map(str, fault["loc"])), "message": fault["msg"]} for fault in error.errors()]
        detail = "; ".join(f"{fault['field']}: {fault['message']}" for fault in faults)
        return problem_answer(Problem(422, detail, errors=faults), request.url.path)

    @app.exception_handler(StoreError)
    async def storeless(request: Request, error: StoreError) -> Response:
        return problem_answer(
            Problem(503, str(error), "the store is read again as soon as it answers"), request.url.path
        )

    @app.exception_handler(Exception)
    async def unexpected(request: Request, _: Exception) -> Response:
        return problem_answer(Problem(500, "the server failed; its log says why"), request.url.path)


def _live_route(app: FastAPI, live: Live) -> None:
    @app.get("/api/v1/live", response_class=StreamingResponse)
    async def follow() -> StreamingResponse:
        """Server-sent events: `measurements` as they arrive, `changed` when a list has news, `reload` after a lag."""
        try:
            listener = live.join()
        except TooManyListeners as error:
            raise Problem(503, str(error), "close one, and try again") from error
        return LiveAnswer(live, listener)


class LiveAnswer(StreamingResponse):
    """The stream of one listener, whose place is given back however it ends, be it before the first event."""

    def __init__(self, live: Live, listener: Listener) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(_events(listener), media_type="text/event-stream", headers=headers)
        self._live, self._listener = live, listener

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the page leaves or the server ends."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._live.leave(self._listener)


async def _events(listener: Listener) -> AsyncIterator[bytes]:
    yield b"event: hello\ndata: {}\n\n"
    while True:
        try:
            event = await asyncio.wait_for(listener.events.get(), HEARTBEAT_S)
        except TimeoutError:
            yield b": still here\n\n"
            continue
        if event is None:
            return
        name, data = event
        yield b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"


def _health_routes(app: FastAPI, sources: Sources, live: Live, version: str) -> None:
    def health_now() -> dict[str, Any]:
        found = sources.health()
        return {"status": "ok" if found["ok"] else "problems", "version": version, **found, "pages": live.count()}

    registry = CollectorRegistry(auto_describe=False)
    registry.register(HealthCollector(health_now))

    @app.get("/api/v1/health")
    def health() -> Json:
        """How the parts are: cursors, lags and counts."""
        return Json(health_now())

    @app.get("/metrics", response_class=Response)
    def metrics() -> Response:
        """The same for Prometheus."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def _page_routes(app: FastAPI, version: str, assets: Mapping[str, Asset]) -> None:
    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        return _asset(request, assets["index.html"], "no-cache")

    @app.get(f"/web/{version}/{{path:path}}", include_in_schema=False)
    async def file(request: Request, path: str) -> Response:
        if path not in assets or path == "index.html":
            raise Problem(404, f"the page has no file {path!r}")
        return _asset(request, assets[path], FOR_EVER)


def _asset(request: Request, asset: Asset, cache: str) -> Response:
    headers = {"ETag": asset.etag, "Cache-Control": cache, "Vary": "Accept-Encoding"}
    if asset.etag in _tags(request.headers.getlist("if-none-match")):
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.packed, media_type=asset.media_type, headers=headers | {"Content-Encoding": "gzip"})
    return Response(asset.body, media_type=asset.media_type, headers=headers)


def _tags(headers: Iterable[str]) -> set[str]:
    return {tag.strip().removeprefix("W/") for header in headers for tag in header.split(",")}
