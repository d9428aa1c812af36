"""A subset of Go's gob: one struct per stream, with fields of kind int, string and []byte.

A stream is a sequence of messages, each `uint length | int type id | body`; a negative id defines
the type -id, a positive one is a value.  Clients start a new stream in every frame, so the same
definitions come again and again: they are parsed once and found again by their bytes.

Fields are matched by name.  Fields that we do not know are stepped over by their type, whatever
that is.  Everything here is linear in the payload: no length, count or depth that the other side
claims leads to an allocation or a loop beyond the bytes that are really there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Any

import attrs

FIRST_USER_TYPE = 64
MAX_DEPTH = 32
"""nesting of a value that is stepped over"""
MAX_SKIPPED = 10_000
"""values stepped over in one payload; a real client's envelope has none or a few"""
MAX_DEFINITIONS = 16_384
"""bytes of type definitions; a real client's take about a hundred"""
_CACHED_PLANS = 256
_CACHED_SIZE = 2048
"""bytes: longer definitions are parsed each time, so that the cache stays under 512 KB"""
_MISMATCH = -1
"""in place of a type id: a field of ours with another kind"""
_SMALL = [bytes((number,)) for number in range(0x80)]


class GobError(ValueError):
    """The bytes are not a gob stream that fits."""


class Kind(IntEnum):
    """Kinds of our own fields, numbered by gob's predefined type ids."""

    INT = 2
    BYTES = 5
    STRING = 6


_ZERO: dict[Kind, int | bytes | str] = {Kind.INT: 0, Kind.BYTES: b"", Kind.STRING: ""}

# Predefined type ids that a field may have beside those of Kind.
_ONE_UINT = frozenset({1, 2, 3, 4})  # bool, int, uint, float
_COMPLEX = 7
_INTERFACE = 8


def encode_uint(value: int) -> bytes:
    """Below 128 the byte itself; else 256 - n and n bytes, big-endian."""
    if value < 0x80:
        return bytes((value,))
    size = (value.bit_length() + 7) >> 3
    return bytes((256 - size,)) + value.to_bytes(size, "big")


def encode_int(value: int) -> bytes:
    """Sign in the lowest bit, then as uint."""
    return encode_uint(value << 1 if value >= 0 else (~value << 1) | 1)


@attrs.frozen(slots=True)
class _StructType:
    fields: tuple[tuple[str, int], ...]


@attrs.frozen(slots=True)
class _ListType:
    """slice or array"""

    element: int


@attrs.frozen(slots=True)
class _MapType:
    key: int
    element: int


@attrs.frozen(slots=True)
class _OpaqueType:
    """a type that encodes itself: a byte string"""


_Type = _StructType | _ListType | _MapType | _OpaqueType


class _Reader:
    """A cursor over the payload.  Reading past the end raises IndexError or GobError."""

    __slots__ = ("at", "data", "steps")

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at
        self.steps = 0

    def uint(self) -> int:
        first = self.data[self.at]
        self.at += 1
        if first < 0x80:
            return first
        return int.from_bytes(self.take(_width(first)), "big")

    def signed(self) -> int:
        value = self.uint()
        return ~(value >> 1) if value & 1 else value >> 1

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise GobError("a length goes beyond the payload")
        chunk = self.data[self.at : end]
        self.at = end
        return chunk

    def skip(self, size: int) -> None:
        self.at += size
        if self.at > len(self.data):
            raise GobError("a length goes beyond the payload")

    def text(self) -> str:
        return self.take(self.uint()).decode()

    def count(self) -> int:
        """Number of elements; each takes at least one byte, so more cannot be there."""
        count = self.uint()
        if count > len(self.data) - self.at:
            raise GobError("a count goes beyond the payload")
        return count

    def fields(self) -> Iterator[int]:
        """Indices of the fields present in the struct that starts here."""
        index = -1
        while delta := self.uint():
            index += delta
            yield index


def _width(first: int) -> int:
    size = 256 - first
    if size > 8:
        raise GobError("an integer is wider than 64 bits")
    return size


# --- type definitions -----------------------------------------------------------------------------


def _common(reader: _Reader) -> None:
    """The common part of a definition: name and id.  Neither is of use: the message has the id."""
    for index in reader.fields():
        if index == 0:
            reader.skip(reader.uint())
        elif index == 1:
            reader.signed()
        else:
            raise GobError("unknown part of a type definition")


def _ints(reader: _Reader) -> dict[int, int]:
    """Array, slice, map, opaque: the common part and a few ints."""
    found: dict[int, int] = {}
    for index in reader.fields():
        if index == 0:
            _common(reader)
        else:
            found[index] = reader.signed()
    return found


def _struct_type(reader: _Reader) -> _StructType:
    fields: list[tuple[str, int]] = []
    for index in reader.fields():
        if index == 0:
            _common(reader)
        elif index == 1:
            fields = [_field(reader) for _ in range(reader.count())]
        else:
            raise GobError("unknown part of a struct definition")
    return _StructType(tuple(fields))


def _field(reader: _Reader) -> tuple[str, int]:
    name, type_id = "", 0
    for index in reader.fields():
        if index == 0:
            name = reader.text()
        elif index == 1:
            type_id = reader.signed()
        else:
            raise GobError("unknown part of a field definition")
    return name, type_id


def _wire_type(reader: _Reader) -> _Type:
    """Order of the alternatives: array, slice, struct, map, and three kinds of opaque."""
    found: _Type | None = None
    for index in reader.fields():
        if found is not None or index > 6:
            raise GobError("a type definition of no known form")
        if index == 2:
            found = _struct_type(reader)
            continue
        ids = _ints(reader)
        if index in (0, 1):
            found = _ListType(ids.get(1, 0))
        elif index == 3:
            found = _MapType(ids.get(1, 0), ids.get(2, 0))
        else:
            found = _OpaqueType()
    if found is None:
        raise GobError("an empty type definition")
    return found


def _definitions(data: bytes) -> dict[int, _Type]:
    """All definition messages of `data`, which holds nothing else."""
    types: dict[int, _Type] = {}
    reader = _Reader(data)
    while reader.at < len(data):
        size = reader.uint()
        end = reader.at + size
        type_id = -reader.signed()
        if type_id < FIRST_USER_TYPE or type_id in types:
            raise GobError("a type is defined twice, or a predefined one anew")
        types[type_id] = _wire_type(reader)
        if reader.at != end:
            raise GobError("a type definition has the wrong length")
    return types


# --- stepping over values -------------------------------------------------------------------------


def _skip(reader: _Reader, type_id: int, types: dict[int, _Type], depth: int) -> None:
    reader.steps += 1
    if reader.steps > MAX_SKIPPED:
        raise GobError("too many values of unknown fields")
    if type_id in _ONE_UINT:
        reader.uint()
    elif type_id in (Kind.BYTES, Kind.STRING):
        reader.skip(reader.uint())
    elif type_id == _COMPLEX:
        reader.uint()
        reader.uint()
    elif type_id == _INTERFACE:
        _skip_interface(reader)
    elif depth >= MAX_DEPTH:
        raise GobError("a value is nested too deeply")
    else:
        _skip_composite(reader, type_id, types, depth + 1)


def _skip_interface(reader: _Reader) -> None:
    """Name of the concrete type (empty: nil), its id, the value's length, the value."""
    name_size = reader.uint()
    if not name_size:
        return
    reader.skip(name_size)
    if reader.signed() <= 0:
        raise GobError("a type definition inside a value")
    reader.skip(reader.uint())


def _skip_composite(reader: _Reader, type_id: int, types: dict[int, _Type], depth: int) -> None:
    kind = types.get(type_id)
    if isinstance(kind, _StructType):
        for index in reader.fields():
            if index >= len(kind.fields):
                raise GobError("a field that the type does not have")
            _skip(reader, kind.fields[index][1], types, depth)
    elif isinstance(kind, _ListType):
        for _ in range(reader.count()):
            _skip(reader, kind.element, types, depth)
    elif isinstance(kind, _MapType):
        for _ in range(reader.count()):
            _skip(reader, kind.key, types, depth)
            _skip(reader, kind.element, types, depth)
    elif isinstance(kind, _OpaqueType):
        reader.skip(reader.uint())
    else:
        raise GobError("a type that is not defined")


# --- our struct -----------------------------------------------------------------------------------


@attrs.frozen(slots=True)
class _Plan:
    """How to read values after one set of definitions.

    `layouts` maps the id of each struct type to its fields: (kind, our slot), or for a field that
    is none of ours (None, its type id).
    """

    types: dict[int, _Type]
    layouts: dict[int, list[tuple[Kind | None, int]]]


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
            if kind is Kind.INT:
                parts.append(encode_int(value))
                continue
            chunk = value.encode() if kind is Kind.STRING else value
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

    def _decode(self, payload: bytes) -> list[Any]:
        plan, reader, layout = self._open(payload)
        values: list[Any] = self._zeros.copy()
        data, at, end = payload, reader.at, len(payload)
        index = -1
        while delta := data[at]:
            at += 1
            if delta >= 0x80:
                start = at
                at += _width(delta)
                delta = int.from_bytes(data[start:at], "big")
            index += delta
            kind, slot = layout[index]
            if kind is None:
                if slot == _MISMATCH:
                    raise GobError("a field has another kind than ours")
                reader.at = at
                _skip(reader, slot, plan.types, 0)
                at = reader.at
                continue
            number = data[at]
            at += 1
            if number >= 0x80:
                start = at
                at += _width(number)
                number = int.from_bytes(data[start:at], "big")
            if kind is Kind.INT:
                values[slot] = ~(number >> 1) if number & 1 else number >> 1
                continue
            start = at
            at += number
            if at > end:
                raise GobError("a length goes beyond the payload")
            chunk = data[start:at]
            values[slot] = chunk.decode() if kind is Kind.STRING else chunk
        if at + 1 != end:
            raise GobError("bytes after the value")
        return values

    def _open(self, payload: bytes) -> tuple[_Plan, _Reader, list[tuple[Kind | None, int]]]:
        """Step over the definitions to the value message, and find the plan for them."""
        reader = _Reader(payload)
        total = len(payload)
        while True:
            start = reader.at
            size = reader.uint()
            end = reader.at + size
            if end > total:
                raise GobError("a message goes beyond the payload")
            type_id = reader.signed()
            if type_id >= 0:
                break
            reader.at = end
        if end != total:
            raise GobError("bytes after the value message")
        definitions = payload[:start]
        plan = self._plans.get(definitions) or self._learn(definitions)
        layout = plan.layouts.get(type_id)
        if layout is None:
            raise GobError("the value is not a struct of a defined type")
        return plan, reader, layout

    def _learn(self, definitions: bytes) -> _Plan:
        if len(definitions) > MAX_DEFINITIONS:
            raise GobError("too many type definitions")
        types = _definitions(definitions)
        layouts = {
            type_id: [self._place(name, field) for name, field in kind.fields]
            for type_id, kind in types.items()
            if isinstance(kind, _StructType)
        }
        plan = _Plan(types, layouts)
        if len(definitions) <= _CACHED_SIZE:
            if len(self._plans) >= _CACHED_PLANS:
                del self._plans[next(iter(self._plans))]
            self._plans[definitions] = plan
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
