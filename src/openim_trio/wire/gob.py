"""A subset of Go's gob: one struct per stream, with fields of kind int, string and []byte.

A stream is a sequence of messages, each `uint length | int type id | body`; a negative id defines
the type -id, a positive one is a value.  Clients start a new stream in every frame, so the same
definitions come again and again: they are parsed once and found again by their bytes.

Fields are matched by name.  Fields that we do not know are stepped over by their type, whatever
that is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from openim_trio.wire.gob_types import (
    FIRST_USER_TYPE,
    MAX_DEFINITIONS,
    GobError,
    Kind,
    Reader,
    StructType,
    Type,
    definitions,
    skip_value,
    width,
)

__all__ = ["GobError", "Kind", "Struct", "encode_int", "encode_uint"]

_CACHED_PLANS = 256
_CACHED_SIZE = 2048
"""bytes: longer definitions are parsed each time, so that the cache stays under 512 KB"""
_MISMATCH = -1
"""in place of a type id: a field of ours with another kind"""
_SMALL = [bytes((number,)) for number in range(0x80)]
# Members of an Enum are slow to look up, and these are looked up for every field.
_INT, _STRING = Kind.INT, Kind.STRING
_ZERO: dict[Kind, int | bytes | str] = {Kind.INT: 0, Kind.BYTES: b"", Kind.STRING: ""}


def encode_uint(value: int) -> bytes:
    """Below 128 the byte itself; else 256 - n and n bytes, big-endian."""
    if value < 0x80:
        return bytes((value,))
    size = (value.bit_length() + 7) >> 3
    return bytes((256 - size,)) + value.to_bytes(size, "big")


def encode_int(value: int) -> bytes:
    """Sign in the lowest bit, then as uint."""
    return encode_uint(value << 1 if value >= 0 else (~value << 1) | 1)


_Layout = list[tuple[Kind | None, int]]
"""for each field of a struct: (kind, our slot), or (None, its type id) for one that is not ours"""


@attrs.frozen(slots=True)
class _Plan:
    """How to read values after one set of definitions.  `layouts` is keyed by the struct's type id
    as it stands on the wire (sign in the lowest bit), so definitions are never found in it."""

    types: dict[int, Type]
    layouts: dict[int, _Layout]


def _wide(data: bytes, at: int, first: int) -> tuple[int, int]:
    """A uint of several bytes whose first one was read: the value, and where it ends."""
    end = at + width(first)
    if end > len(data):
        raise GobError("cut short in an integer")
    return int.from_bytes(data[at:end], "big"), end


def _skip_field(data: bytes, at: int, type_id: int, types: dict[int, Type]) -> int:
    if type_id == _MISMATCH:
        raise GobError("a field has another kind than ours")
    reader = Reader(data, at)
    skip_value(reader, type_id, types, 0)
    return reader.at


class Struct:
    """A struct of our own: its constant definition going out, a tolerant decoder coming in."""

    def __init__(
        self, name: str, fields: Sequence[tuple[str, Kind]], type_id: int = FIRST_USER_TYPE
    ) -> None:
        self._slots = {field: slot for slot, (field, _) in enumerate(fields)}
        self._kinds = tuple(kind for _, kind in fields)
        self._zeros = [_ZERO[kind] for kind in self._kinds]
        self._value_id = encode_int(type_id)
        self.definition = _definition(name, fields, type_id)
        self._plans: dict[bytes, _Plan] = {}
        self._last = b"", _Plan({}, {})
        """the definitions seen last, which mostly are those that come next"""

    def encode(self, values: Sequence[Any]) -> bytes:
        """A whole stream: definition and value.  `values` in the order of the fields; zero ones
        are left out, as gob wants it."""
        parts = [self._value_id]
        last = -1
        for slot, value in enumerate(values):
            if not value:
                continue
            parts.append(_SMALL[slot - last])
            last = slot
            kind = self._kinds[slot]
            if kind is _INT:
                parts.append(encode_int(value))
                continue
            chunk = value.encode() if kind is _STRING else value
            size = len(chunk)
            parts.append(_SMALL[size] if size < 0x80 else encode_uint(size))
            parts.append(chunk)
        parts.append(b"\0")
        body = b"".join(parts)
        return b"".join((self.definition, encode_uint(len(body)), body))

    def decode(self, payload: bytes) -> list[Any]:
        """Values in the order of our fields; absent ones are zero.  Raises GobError."""
        try:
            return self._decode(payload)
        except (IndexError, UnicodeDecodeError) as error:
            raise GobError("cut short, a field beyond the type, or text not in UTF-8") from error

    def _decode(self, data: bytes) -> list[Any]:
        plan, layout, at = self._open(data)
        values: list[Any] = self._zeros.copy()
        end = len(data)
        index = -1
        while delta := data[at]:
            at += 1
            if delta >= 0x80:
                delta, at = _wide(data, at, delta)
            index += delta
            kind, slot = layout[index]
            if kind is None:
                at = _skip_field(data, at, slot, plan.types)
                continue
            number = data[at]
            at += 1
            if number >= 0x80:
                number, at = _wide(data, at, number)
            if kind is _INT:
                values[slot] = ~(number >> 1) if number & 1 else number >> 1
                continue
            start = at
            at += number
            if at > end:
                raise GobError("a length goes beyond the payload")
            chunk = data[start:at]
            values[slot] = chunk.decode() if kind is _STRING else chunk
        if at + 1 != end:
            raise GobError("bytes after the value")
        return values

    def _open(self, data: bytes) -> tuple[_Plan, _Layout, int]:
        """Step over the definitions: the plan for them, the value's layout, where it starts."""
        prefix, plan = self._last
        at = len(prefix)
        if not at or not data.startswith(prefix):
            plan, at = self._find(data)
        size = data[at]
        at += 1
        if size >= 0x80:
            size, at = _wide(data, at, size)
        if at + size != len(data):
            raise GobError("not exactly one value message behind the definitions")
        code = data[at]
        at += 1
        if code >= 0x80:
            code, at = _wide(data, at, code)
        layout = plan.layouts.get(code)
        if layout is None:
            raise GobError("the value is not a struct of a defined type")
        return plan, layout, at

    def _find(self, data: bytes) -> tuple[_Plan, int]:
        """The plan for the definitions at the start of `data`, and where they end."""
        reader = Reader(data)
        start = 0
        while True:
            end = reader.uint() + reader.at
            if reader.signed() >= 0:
                break
            reader.at = start = end
        prefix = data[:start]
        plan = self._plans.get(prefix) or self._learn(prefix)
        if start <= _CACHED_SIZE:
            self._last = prefix, plan
        return plan, start

    def _learn(self, prefix: bytes) -> _Plan:
        if len(prefix) > MAX_DEFINITIONS:
            raise GobError("too many type definitions")
        types = definitions(prefix)
        layouts = {
            type_id << 1: [self._place(name, field) for name, field in kind.fields]
            for type_id, kind in types.items()
            if isinstance(kind, StructType)
        }
        plan = _Plan(types, layouts)
        if len(prefix) <= _CACHED_SIZE:
            if len(self._plans) >= _CACHED_PLANS:
                del self._plans[next(iter(self._plans))]
            self._plans[prefix] = plan
        return plan

    def _place(self, name: str, type_id: int) -> tuple[Kind | None, int]:
        slot = self._slots.get(name)
        if slot is None:
            return None, type_id
        kind = self._kinds[slot]
        # Refused when a value has it, as Go does; a definition alone does no harm.
        return (kind, slot) if type_id == kind else (None, _MISMATCH)


def _definition(name: str, fields: Sequence[tuple[str, Kind]], type_id: int) -> bytes:
    """The definition message of a struct, as Go's own encoder writes it."""
    parts = [encode_int(-type_id), b"\x03\x01\x01", _chunk(name), b"\x01", encode_int(type_id)]
    parts += [b"\0\x01", encode_uint(len(fields))]
    for field, kind in fields:
        parts += [b"\x01", _chunk(field), b"\x01", encode_int(kind), b"\0"]
    parts.append(b"\0\0")
    body = b"".join(parts)
    return encode_uint(len(body)) + body


def _chunk(text: str) -> bytes:
    raw = text.encode()
    return encode_uint(len(raw)) + raw
