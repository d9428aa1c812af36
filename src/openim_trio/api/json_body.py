"""Bytes to JSON values and back."""

from __future__ import annotations

from typing import Any, TypeVar

import orjson

from openim_trio.api.converter import FieldProblem, structure
from openim_trio.domain.errors import args_error

MAX_CONTAINERS = 200_000
"""Objects and lists in one body: each costs about 60 bytes of memory for 2 bytes of text."""

T = TypeVar("T")


def parse(body: bytes) -> Any:
    """The JSON value of a body; an empty body is an empty object.

    Raises ServiceError ARGS on anything that is not JSON in UTF-8, that nests deeper than 1,024
    levels, or that is made to fill the memory."""
    if not body.strip():
        return {}
    if body.count(b"{") + body.count(b"[") > MAX_CONTAINERS:
        raise args_error("body", f"holds more than {MAX_CONTAINERS} objects and lists")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        problem = f"not JSON at line {error.lineno}, column {error.colno}: {error.msg}"
        raise args_error("body", problem) from None


def request_of(value: object, cls: type[T]) -> T:
    """Raises ServiceError ARGS that names the field."""
    try:
        return structure(value, cls)
    except FieldProblem as problem:
        raise args_error(problem.path or "body", problem.problem) from None


def dump(value: Any, *, sort_keys: bool = False) -> bytes:
    """Compact, with <, > and & escaped, so that no browser takes it for HTML."""
    return (
        orjson.dumps(value, option=orjson.OPT_SORT_KEYS if sort_keys else None)
        .replace(b"<", b"\\u003c")
        .replace(b">", b"\\u003e")
        .replace(b"&", b"\\u0026")
    )
