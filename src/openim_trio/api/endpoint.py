"""From an HTTP request to an answer, the same for every route.

Order of the checks: operationID, token header, token, body, permission.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import attrs
import structlog
import trio
from google.protobuf.message import DecodeError
from quart import Response, request
from werkzeug.exceptions import RequestEntityTooLarge, RequestTimeout

from openim_trio.api import envelope, json_body
from openim_trio.api.converter import unstructure
from openim_trio.api.permissions import Who, check_permission
from openim_trio.api.proto_bridge import from_proto, to_proto
from openim_trio.api.routes import Call, Empty, Route
from openim_trio.config.model import Config
from openim_trio.domain.actors import Actor
from openim_trio.domain.errors import Code, ServiceError, args_error
from openim_trio.domain.platforms import Platform
from openim_trio.observability.metrics import Metrics

if TYPE_CHECKING:
    from openim_trio.services.services import Services

NOBODY = Actor("", Platform.ADMIN, is_admin=False)
"""who calls a route that needs no token"""
MAX_OPERATION_ID = 256
PROTOBUF = ("application/protobuf", "application/x-protobuf")
JSON_TYPE = "application/json; charset=utf-8"


@attrs.frozen
class Answer:
    body: bytes
    code: int = 0
    status: int = 200


@attrs.frozen
class Surroundings:
    services: Services
    config: Config
    metrics: Metrics


def endpoint(route: Route, around: Surroundings) -> Callable[[], Awaitable[Response]]:
    """The view of a declared route: with log context and metrics; whatever is raised on the way
    becomes an answer."""

    async def view() -> Response:
        started = trio.current_time()
        with structlog.contextvars.bound_contextvars(route=route.path):
            try:
                out = await _answer(route, around)
            except Exception as error:
                out = refusal(error)
        around.metrics.rest_requests.labels(route.path, str(out.code)).inc()
        around.metrics.rest_seconds.labels(route.path).observe(trio.current_time() - started)
        return Response(out.body, status=out.status, content_type=JSON_TYPE)

    return view


def refusal(error: Exception) -> Answer:
    known = envelope.as_service_error(error)
    status = 500 if known.code is Code.INTERNAL else 200
    return Answer(envelope.failure(known), int(known.code), status)


async def read_body(max_body: int) -> bytes:
    """Raises ServiceError ARGS for a body that is too large or does not arrive."""
    try:
        return await request.get_data(cache=False, as_text=False, parse_form_data=False)
    except RequestEntityTooLarge:
        raise args_error("body", f"larger than {max_body} bytes") from None
    except RequestTimeout:
        raise args_error("body", "did not arrive in time") from None


async def within(seconds: float, work: Callable[[], Awaitable[Any]]) -> Any:
    """Let `work` finish even if the client goes away: nothing is left half done."""
    with trio.move_on_after(seconds, shield=True):
        return await work()
    raise ServiceError(Code.DATABASE, "no answer in time; try again", retriable=True)


async def _answer(route: Route, around: Surroundings) -> Answer:
    operation_id = request.headers.get("operationID", "")
    if not operation_id and not route.operation_id_in_body:
        raise ServiceError(Code.ARGS, "header must have operationID")
    bind_operation_id(operation_id)
    actor = await _caller(route, around)
    body = await read_body(around.config.api.max_body)
    try:
        wanted = _structure(route, body)
    except ServiceError as error:
        return Answer(envelope.failure(error), int(error.code), route.bad_body)
    if route.operation_id_in_body:
        operation_id = wanted.operationID
        bind_operation_id(operation_id)
    call = Call(
        around.services, around.config, actor, operation_id[:MAX_OPERATION_ID], request.args
    )

    async def work() -> Any:
        await check_permission(route.permission, actor, wanted, around.services.groups)
        return await route.handler(call, wanted)

    return Answer(_render(route, await within(route.seconds, work)))


def bind_operation_id(operation_id: str) -> None:
    """For the log; each request has a context of its own."""
    structlog.contextvars.bind_contextvars(operation_id=operation_id[:MAX_OPERATION_ID])


async def _caller(route: Route, around: Surroundings) -> Actor:
    if route.permission.who is Who.NONE:
        return NOBODY
    token = request.headers.get("token", "")
    if not token:
        raise ServiceError(Code.ARGS, "header must have token")
    return await around.services.tokens.check(token)


def _structure(route: Route, body: bytes) -> Any:
    if route.protobuf is None or request.mimetype not in PROTOBUF:
        return json_body.request_of(json_body.parse(body), route.request)
    try:
        message = route.protobuf[0].FromString(body)
    except DecodeError:
        raise args_error("body", f"not a {route.protobuf[0].DESCRIPTOR.name} in protobuf") from None
    # through the JSON types, so that the same checks hold for both kinds of body
    plain = unstructure(from_proto(route.request, message), route.request)
    return json_body.request_of(plain, route.request)


def _render(route: Route, result: Any) -> bytes:
    if route.response is Empty:
        return envelope.success()
    if route.protobuf is not None and request.mimetype in PROTOBUF:
        message = to_proto(result, route.protobuf[1])
        return envelope.success(base64.b64encode(message.SerializeToString()).decode())
    return envelope.success(unstructure(result, route.response))
