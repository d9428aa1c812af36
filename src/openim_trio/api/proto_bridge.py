"""Between protobuf messages and the API's types, which bear the same field names."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import NoneType
from typing import Annotated, Any, TypeVar, get_args, get_origin

import attrs
from google.protobuf.message import Message

from openim_trio.api.converter import fields_of

T = TypeVar("T")
M = TypeVar("M", bound=Message)


def _plain(hint: Any) -> Any:
    """The type without marks and without `| None`."""
    if get_origin(hint) is Annotated:
        return _plain(get_args(hint)[0])
    inner = [item for item in get_args(hint) if item is not NoneType]
    if len(inner) < len(get_args(hint)):
        return _plain(inner[0])
    return hint


def _reader(hint: Any) -> Callable[[Any], Any]:
    plain = _plain(hint)
    if attrs.has(plain):
        return lambda value: from_proto(plain, value)
    if get_origin(plain) is list:
        item = _reader(get_args(plain)[0])
        return lambda value: [item(inner) for inner in value]
    if get_origin(plain) is dict:
        item = _reader(get_args(plain)[1])
        return lambda value: {key: item(value[key]) for key in value}
    return lambda value: value


@cache
def _readers(cls: Any) -> tuple[tuple[str, bool, Callable[[Any], Any]], ...]:
    return tuple(
        (name, bool(attrs.has(_plain(hint))), _reader(hint))
        for name, hint in fields_of(cls).items()
    )


def from_proto(cls: type[T], message: Message) -> T:
    """Sub-messages that are not set become None."""
    out: dict[str, Any] = {}
    wanted: Any = cls
    for name, is_message, read in _readers(wanted):
        if is_message and not message.HasField(name):
            out[name] = None
        else:
            out[name] = read(getattr(message, name))
    return cls(**out)


def to_proto(value: Any, cls: type[M]) -> M:
    message = cls()
    fill(message, value)
    return message


def fill(message: Message, value: Any) -> None:
    """Raises ValueError where a value does not fit its field."""
    for field in attrs.fields(type(value)):
        item = getattr(value, field.name)
        if item is None:
            continue
        if attrs.has(type(item)):
            target = getattr(message, field.name)
            target.SetInParent()
            fill(target, item)
        elif isinstance(item, list):
            target = getattr(message, field.name)
            for inner in item:
                if attrs.has(type(inner)):
                    fill(target.add(), inner)
                else:
                    target.append(inner)
        elif isinstance(item, dict):
            target = getattr(message, field.name)
            for key, inner in item.items():
                if attrs.has(type(inner)):
                    fill(target[key], inner)
                else:
                    target[key] = inner
        else:
            setattr(message, field.name, item)
