"""The API document (OpenAPI 3.1), made from the route declarations.

python -m openim_trio.api.openapi > schemas/openapi.json
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import attrs
import orjson

from openim_trio import __version__
from openim_trio.api.compatibility import DESCRIPTION
from openim_trio.api.converter import fields_of, is_required, marks_of
from openim_trio.api.permissions import Who
from openim_trio.api.routes import Empty, Route

_SCALARS: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    bytes: {"type": ["string", "null"], "contentEncoding": "base64"},
    Any: {},
}


class _Schemas:
    """Component schemas, collected while the routes are described."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}
        self._types: dict[str, type] = {}

    def of(self, hint: Any) -> dict[str, Any]:
        if get_origin(hint) is Annotated:
            schema = self.of(get_args(hint)[0])
            for mark in marks_of(hint):
                schema = {**schema, **mark.keywords()}
            return _filled(schema) if is_required(hint) else schema
        if get_origin(hint) in (Union, UnionType):
            return self._nullable(hint)
        if get_origin(hint) is list:
            return {"type": ["array", "null"], "items": self.of(get_args(hint)[0])}
        if get_origin(hint) is dict:
            inner = self.of(get_args(hint)[1])
            return {"type": ["object", "null"], "additionalProperties": inner or True}
        if attrs.has(hint):
            return self._reference(hint)
        return dict(_SCALARS[hint])

    def _nullable(self, hint: Any) -> dict[str, Any]:
        (inner,) = (item for item in get_args(hint) if item is not NoneType)
        return {"anyOf": [self.of(inner), {"type": "null"}]}

    def _reference(self, cls: type) -> dict[str, Any]:
        name = cls.__name__
        if self._types.setdefault(name, cls) is not cls:
            raise ValueError(f"two types are named {name}")
        if name not in self.found:
            schema: dict[str, Any] = {"type": "object"}
            self.found[name] = schema  # before its fields: a type may hold itself
            hints = fields_of(cls)
            if cls.__doc__ and not cls.__doc__.startswith("Method generated"):
                schema["description"] = " ".join(cls.__doc__.split())
            schema["properties"] = {field: self.of(hint) for field, hint in hints.items()}
            if required := [field for field, hint in hints.items() if is_required(hint)]:
                schema["required"] = required
        return {"$ref": f"#/components/schemas/{name}"}


def _filled(schema: dict[str, Any]) -> dict[str, Any]:
    """What is required is not null."""
    kind = schema.get("type")
    if isinstance(kind, list):
        schema = {**schema, "type": kind[0]}
    return {**schema, "minLength": 1} if kind == "string" else schema


def _envelope(data: dict[str, Any] | None) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"$ref": "#/components/schemas/Envelope"}]
    if data is not None:
        parts.append({"type": "object", "properties": {"data": data}})
    return {"allOf": parts}


def _headers(route: Route) -> list[dict[str, Any]]:
    names = [] if route.operation_id_in_body else ["operationID"]
    if route.permission.who is not Who.NONE:
        names.append("token")
    return [{"$ref": f"#/components/parameters/{name}"} for name in names]


def _operation(route: Route, schemas: _Schemas) -> dict[str, Any]:
    _, area, name = route.path.split("/")
    content = {"application/json": {"schema": schemas.of(route.request)}}
    if route.protobuf is not None:
        content["application/x-protobuf"] = {"schema": {"type": "string", "format": "binary"}}
    data = None if route.response is Empty else schemas.of(route.response)
    words = [f"Who: {route.permission}."]
    if route.note:
        words.append(route.note)
    answer = {"application/json": {"schema": _envelope(data)}}
    operation: dict[str, Any] = {
        "operationId": f"{area}_{name}",
        "tags": [area],
        "description": " ".join(words),
        "parameters": _headers(route),
        "requestBody": {"required": True, "content": content},
        "responses": {
            "200": {"description": "Success, or an error with its code.", "content": answer}
        },
    }
    if route.bad_body != 200:
        operation["responses"][str(route.bad_body)] = {"$ref": "#/components/responses/BadBody"}
    return operation


_ENVELOPE = {
    "type": "object",
    "properties": {
        "errCode": {"type": "integer", "description": "0: success."},
        "errMsg": {"type": "string", "description": "Name of the error."},
        "errDlt": {"type": "string", "description": "What is wrong, in English."},
    },
    "required": ["errCode", "errMsg", "errDlt"],
}


def _header_parameter(name: str, text: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1}
    return {"name": name, "in": "header", "required": True, "description": text, "schema": schema}


PLAIN = {
    "/healthz": "200 while the process runs.",
    "/readyz": "200 if both engines answer, otherwise 503; JSON says which one does not.",
    "/metrics": "Prometheus text of all workers; with `?by=worker` of each.",
}


def _plain(text: str) -> dict[str, Any]:
    return {"tags": ["health"], "description": text, "responses": {"200": {"description": text}}}


def document(routes: Sequence[Route]) -> dict[str, Any]:
    schemas = _Schemas()
    paths = {route.path: {"post": _operation(route, schemas)} for route in routes}
    paths |= {path: {"get": _plain(text)} for path, text in PLAIN.items()}
    envelope = {"application/json": {"schema": {"$ref": "#/components/schemas/Envelope"}}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "openim-trio",
            "version": __version__,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": {"Envelope": _ENVELOPE, **dict(sorted(schemas.found.items()))},
            "parameters": {
                "operationID": _header_parameter("operationID", "Trace ID; any text."),
                "token": _header_parameter("token", "The JWT, plain."),
            },
            "responses": {
                "BadBody": {"description": "A body that is not valid.", "content": envelope}
            },
        },
    }


def render(routes: Sequence[Route]) -> bytes:
    return orjson.dumps(document(routes), option=orjson.OPT_INDENT_2) + b"\n"


if __name__ == "__main__":
    from openim_trio.api.route_table import ROUTES

    sys.stdout.buffer.write(render(ROUTES))
