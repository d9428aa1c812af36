"""Gob's types: reading definitions, and stepping over values of any type.

Everything is linear in the payload: no length, count or depth that the other side claims leads to
an allocation or a loop beyond the bytes that are really there.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

import attrs

FIRST_USER_TYPE = 64
MAX_DEPTH = 32
"""nesting of a value that is stepped over"""
MAX_SKIPPED = 10_000
"""values stepped over in one payload; a real client's envelope has none or a few"""
MAX_DEFINITIONS = 16_384
"""bytes of type definitions; a real client's take about a hundred"""


class GobError(ValueError):
    """The bytes are not a gob stream that fits."""


class Kind(IntEnum):
    """Kinds of our own fields, numbered by gob's predefined type ids."""

    INT = 2
    BYTES = 5
    STRING = 6


# Predefined type ids that a field may have beside those of Kind.
_ONE_UINT = frozenset({1, 2, 3, 4})  # bool, int, uint, float
_COMPLEX = 7
_INTERFACE = 8


@attrs.frozen(slots=True)
class StructType:
    fields: tuple[tuple[str, int], ...]


@attrs.frozen(slots=True)
class ListType:
    """slice or array"""

    element: int


@attrs.frozen(slots=True)
class MapType:
    key: int
    element: int


@attrs.frozen(slots=True)
class OpaqueType:
    """a type that encodes itself: a byte string"""


Type = StructType | ListType | MapType | OpaqueType


class Reader:
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
        return int.from_bytes(self.take(width(first)), "big")

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


def width(first: int) -> int:
    size = 256 - first
    if size > 8:
        raise GobError("an integer is wider than 64 bits")
    return size


# --- type definitions -----------------------------------------------------------------------------


def _common(reader: Reader) -> None:
    """The common part of a definition: name and id.  Neither is of use: the message has the id."""
    for index in reader.fields():
        if index == 0:
            reader.skip(reader.uint())
        elif index == 1:
            reader.signed()
        else:
            raise GobError("unknown part of a type definition")


def _ints(reader: Reader) -> dict[int, int]:
    """Array, slice, map, opaque: the common part and a few ints."""
    found: dict[int, int] = {}
    for index in reader.fields():
        if index == 0:
            _common(reader)
        else:
            found[index] = reader.signed()
    return found


def _struct_type(reader: Reader) -> StructType:
    fields: list[tuple[str, int]] = []
    for index in reader.fields():
        if index == 0:
            _common(reader)
        elif index == 1:
            fields = [_field(reader) for _ in range(reader.count())]
        else:
            raise GobError("unknown part of a struct definition")
    return StructType(tuple(fields))


def _field(reader: Reader) -> tuple[str, int]:
    name, type_id = "", 0
    for index in reader.fields():
        if index == 0:
            name = reader.text()
        elif index == 1:
            type_id = reader.signed()
        else:
            raise GobError("unknown part of a field definition")
    return name, type_id


def _wire_type(reader: Reader) -> Type:
    """Order of the alternatives: array, slice, struct, map, and three kinds of opaque."""
    found: Type | None = None
    for index in reader.fields():
        if found is not None or index > 6:
            raise GobError("a type definition of no known form")
        if index == 2:
            found = _struct_type(reader)
            continue
        ids = _ints(reader)
        if index in (0, 1):
            found = ListType(ids.get(1, 0))
        elif index == 3:
            found = MapType(ids.get(1, 0), ids.get(2, 0))
        else:
            found = OpaqueType()
    if found is None:
        raise GobError("an empty type definition")
    return found


def definitions(data: bytes) -> dict[int, Type]:
    """All definition messages of `data`, which holds nothing else."""
    types: dict[int, Type] = {}
    reader = Reader(data)
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


def skip_value(reader: Reader, type_id: int, types: dict[int, Type], depth: int) -> None:
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


def _skip_interface(reader: Reader) -> None:
    """Name of the concrete type (empty: nil), its id, the value's length, the value."""
    name_size = reader.uint()
    if not name_size:
        return
    reader.skip(name_size)
    if reader.signed() <= 0:
        raise GobError("a type definition inside a value")
    reader.skip(reader.uint())


def _skip_composite(reader: Reader, type_id: int, types: dict[int, Type], depth: int) -> None:
    kind = types.get(type_id)
    if isinstance(kind, StructType):
        for index in reader.fields():
            if index >= len(kind.fields):
                raise GobError("a field that the type does not have")
            skip_value(reader, kind.fields[index][1], types, depth)
    elif isinstance(kind, ListType):
        for _ in range(reader.count()):
            skip_value(reader, kind.element, types, depth)
    elif isinstance(kind, MapType):
        for _ in range(reader.count()):
            skip_value(reader, kind.key, types, depth)
            skip_value(reader, kind.element, types, depth)
    elif isinstance(kind, OpaqueType):
        reader.skip(reader.uint())
    else:
        raise GobError("a type that is not defined")
