"""The REST application, and a second one for the port of the 2022 endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from quart import Response, request
from quart_trio import QuartTrio

from openim_trio.api import json_body, openapi
from openim_trio.api.at_once import limit_requests
from openim_trio.api.endpoint import Surroundings, endpoint
from openim_trio.api.health import Health
from openim_trio.api.route_table import LEGACY, ROUTES
from openim_trio.api.routes import Route
from openim_trio.api.transport import bare_app
from openim_trio.config.model import Config
from openim_trio.observability.metrics import Metrics

if TYPE_CHECKING:
    from openim_trio.services.services import Services

EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def build_app(
    services: Services,
    config: Config,
    metrics: Metrics,
    health: Health,
    routes: Sequence[Route] = ROUTES,
) -> QuartTrio:
    """The whole REST API."""
    app = bare_app("openim_trio.api", config.api.max_body)
    _add_routes(app, routes, Surroundings(services, config, metrics))
    _add_health(app, health)
    _add_document(app, routes)
    limit_requests(app, metrics)
    return app


def build_legacy_app(services: Services, config: Config, metrics: Metrics) -> QuartTrio:
    """Only POST /manager/send_msg, for `api.legacy_port`."""
    app = bare_app("openim_trio.api.legacy", config.api.max_body)
    _add_routes(app, [LEGACY], Surroundings(services, config, metrics))
    limit_requests(app, metrics)
    return app


def _add_routes(app: QuartTrio, routes: Sequence[Route], around: Surroundings) -> None:
    for route in routes:
        app.add_url_rule(route.path, route.path, endpoint(route, around), methods=["POST"])


def _add_health(app: QuartTrio, health: Health) -> None:
    async def healthz() -> Response:
        return Response(b'{"status":"ok"}', content_type="application/json")

    async def readyz() -> Response:
        engines = await health.engines()
        ready = not any(engines.values())
        body = {
            "status": "ready" if ready else "not ready",
            "engines": {name: problem or "ok" for name, problem in engines.items()},
        }
        status = 200 if ready else 503
        return Response(json_body.dump(body), status=status, content_type="application/json")

    async def metrics() -> Response:
        text = await health.exposition(request.args.get("by") == "worker")
        return Response(text, content_type=EXPOSITION_TYPE)

    for path, view in (("/healthz", healthz), ("/readyz", readyz), ("/metrics", metrics)):
        app.add_url_rule(path, path, view, methods=["GET"])


def _add_document(app: QuartTrio, routes: Sequence[Route]) -> None:
    document = openapi.render(routes)

    async def view() -> Response:
        return Response(document, content_type="application/json")

    app.add_url_rule("/openapi.json", "/openapi.json", view, methods=["GET"])
