"""The declaration of a route: one line says all of it.

From it come the validation, the permission check, the API document and the permission tests.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
from google.protobuf.message import Message

from openim_trio.api.permissions import Permission
from openim_trio.domain.actors import Actor

if TYPE_CHECKING:
    from openim_trio.config.model import Config
    from openim_trio.services.services import Services

DEFAULT_SECONDS = 15.0

Req = TypeVar("Req")
Resp = TypeVar("Resp")


@attrs.frozen
class Call:
    """What a handler knows beside the request's body."""

    services: Services
    config: Config
    actor: Actor
    operation_id: str
    query: Mapping[str, str]


@attrs.frozen
class Empty:
    """No fields."""


@attrs.frozen
class Route:
    """What a route takes, gives and allows.

    bad_body              HTTP status of an answer to a body that is not what the route takes
    protobuf              request and response message, where a body may be protobuf
    operation_id_in_body  the operationID is a field of the request instead of a header
    seconds               longest time the handler is given
    note                  for the API document
    """

    path: str
    request: type
    response: Any
    permission: Permission
    handler: Callable[[Call, Any], Awaitable[Any]]
    bad_body: int = 200
    protobuf: tuple[type[Message], type[Message]] | None = None
    operation_id_in_body: bool = False
    seconds: float = DEFAULT_SECONDS
    note: str = ""


def route(
    path: str,
    request: type[Req],
    response: type[Resp],
    permission: Permission,
    handler: Callable[[Call, Req], Awaitable[Resp]],
    **more: Any,
) -> Route:
    """Checks by type that the handler takes and gives what is declared."""
    return Route(path, request, response, permission, handler, **more)
