"""Request bodies made from the declared types: valid ones, and ones that are wrong in every way."""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

import attrs

from openim_trio.api.converter import fields_of, is_required, marks_of
from openim_trio.api.marks import AtLeast, OneOf

WRONG: tuple[Any, ...] = (
    None, "", "x", "\0", "0", 0, 1, -1, 2**31, 2**63, 2**64, 2**70, 1.5, 1e300, True, False,
    [], {}, [None], [""], [0], [[]], [{}], ["a", "a"], {"": None}, {"a": {"a": []}}, "x" * 70_000,
)  # fmt: skip


def plain(hint: Any) -> Any:
    """The type without marks and without None."""
    if get_origin(hint) is Annotated:
        return plain(get_args(hint)[0])
    inner = [item for item in get_args(hint) if item is not NoneType]
    if NoneType in get_args(hint):
        return plain(inner[0])
    return hint


def _value(hint: Any) -> Any:
    kind = plain(hint)
    for mark in marks_of(hint):
        if isinstance(mark, OneOf):
            return next(value for value in mark.values if value)
        if isinstance(mark, AtLeast):
            return max(mark.low, 1)
    if attrs.has(kind):
        return example(kind)
    if get_origin(kind) is list:
        return [_value(get_args(kind)[0])]
    if get_origin(kind) is dict:
        return {"content": "x"}
    return {str: "x", int: 1, bool: True, bytes: "eA=="}[kind]


def example(cls: type) -> dict[str, Any]:
    """The smallest valid body: required fields only."""
    return {name: _value(hint) for name, hint in fields_of(cls).items() if is_required(hint)}


def with_value(cls: type, body: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The body with another value at a path like `reqList.groupID`."""
    name, _, rest = path.partition(".")
    if not rest:
        return {**body, name: value}
    kind = plain(fields_of(cls)[name])
    if get_origin(kind) is list:
        inner = plain(get_args(kind)[0])
        return {**body, name: [with_value(inner, example(inner), rest, value)]}
    return {**body, name: with_value(kind, body.get(name) or example(kind), rest, value)}


def malformed(cls: type) -> Iterator[Any]:
    """Bodies in which one field at a time is missing or has a value that hardly fits."""
    base = example(cls)
    yield from (None, [], "x", 5, True)
    for path, hint in _paths(cls):
        if is_required(hint) and "." not in path:
            yield {key: value for key, value in base.items() if key != path}
        for value in WRONG:
            yield with_value(cls, base, path, value)


def _paths(cls: type, depth: int = 2) -> Iterator[tuple[str, Any]]:
    for name, hint in fields_of(cls).items():
        yield name, hint
        kind = plain(hint)
        if get_origin(kind) is list:
            kind = plain(get_args(kind)[0])
        if attrs.has(kind) and depth > 1:
            yield from ((f"{name}.{path}", inner) for path, inner in _paths(kind, depth - 1))
