"""Protobuf messages as OpenIM's JSON: REST answers and the `detail` of notifications.

Rules of OpenIM v3.8 (they differ from protobuf's own JSON mapping): exact field names, zero values
included, 64-bit integers and enums as numbers, bytes as base64, and null for an empty list, an
empty map, empty bytes and an unset sub-message.  `<`, `>` and `&` are escaped as Go does.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
_Convert = Callable[[Any], Json]
_Plan = tuple[tuple[str, bool, _Convert], ...]
"""for each field: name, whether it may be unset, conversion of its value"""


def to_dict(message: Message) -> dict[str, Json]:
    return {
        name: None if optional and not message.HasField(name) else convert(getattr(message, name))
        for name, optional, convert in _plan(message.DESCRIPTOR)
    }


def dumps(value: object) -> str:
    """Compact JSON text.  `value`: what `to_dict` returns, or any plain JSON value."""
    text = orjson.dumps(value).decode()
    # These five can only stand inside strings, so replacing them in the whole text is safe.
    for char in "<>&\u2028\u2029":
        if char in text:
            text = text.replace(char, f"\\u{ord(char):04x}")
    return text


@lru_cache(maxsize=1024)
def _plan(descriptor: Descriptor) -> _Plan:
    return tuple(
        (field.name, not field.is_repeated and field.has_presence, _conversion(field))
        for field in descriptor.fields
    )


def _conversion(field: FieldDescriptor) -> _Convert:
    if not field.is_repeated:
        return _single(field)
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        value = _single(entry.fields_by_name["value"])
        return lambda items: _object(items, value)
    element = _single(field)
    return lambda items: [element(item) for item in items] or None


def _single(field: FieldDescriptor) -> _Convert:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return to_dict
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _base64
    return _as_is


def _as_is(value: Any) -> Json:
    plain: Json = value
    return plain


def _base64(value: bytes) -> Json:
    return b64encode(value).decode() if value else None


def _object(items: Any, convert: _Convert) -> Json:
    return {_key(key): convert(items[key]) for key in sorted(items)} or None


def _key(key: str | int | bool) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)
