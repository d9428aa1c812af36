"""Marks on field types: what a field must be, for the check and for the API document alike.

userID: Annotated[str, REQUIRED]
hasReadSeq: Annotated[Int64, REQUIRED, AtLeast(1)]
"""

from __future__ import annotations

from typing import Annotated, Any, Protocol, runtime_checkable

import attrs


@runtime_checkable
class Mark(Protocol):
    def problem(self, value: Any) -> str:
        """What is wrong with the value, or "" if nothing is."""
        ...

    def keywords(self) -> dict[str, Any]:
        """The JSON Schema keywords that say the same."""
        ...


@attrs.frozen
class Required:
    """Missing and null are refused; so are "", 0 and [] unless `empty` is true."""

    empty: bool = False

    def problem(self, value: Any) -> str:
        return "" if value or self.empty else "is required"

    def keywords(self) -> dict[str, Any]:
        return {}


@attrs.frozen
class IntRange:
    name: str
    low: int
    high: int

    def problem(self, value: int) -> str:
        return "" if self.low <= value <= self.high else f"is out of range for {self.name}"

    def keywords(self) -> dict[str, Any]:
        return {"format": self.name}


@attrs.frozen
class AtLeast:
    low: int

    def problem(self, value: int) -> str:
        return "" if value >= self.low else f"must be at least {self.low}"

    def keywords(self) -> dict[str, Any]:
        return {"minimum": self.low}


@attrs.frozen
class AtMost:
    high: int

    def problem(self, value: int) -> str:
        return "" if value <= self.high else f"must be at most {self.high}"

    def keywords(self) -> dict[str, Any]:
        return {"maximum": self.high}


class OneOf:
    def __init__(self, *values: int) -> None:
        self.values = values

    def problem(self, value: int) -> str:
        return "" if value in self.values else f"must be one of {', '.join(map(str, self.values))}"

    def keywords(self) -> dict[str, Any]:
        return {"enum": list(self.values)}


@attrs.frozen
class MaxItems:
    count: int

    def problem(self, value: list[Any]) -> str:
        return "" if len(value) <= self.count else f"holds more than {self.count} items"

    def keywords(self) -> dict[str, Any]:
        return {"maxItems": self.count}


@attrs.frozen
class MaxLength:
    """Of a string, in characters."""

    count: int

    def problem(self, value: str) -> str:
        return "" if len(value) <= self.count else f"is longer than {self.count} characters"

    def keywords(self) -> dict[str, Any]:
        return {"maxLength": self.count}


class Unique:
    """Of a list of strings or numbers."""

    def problem(self, value: list[Any]) -> str:
        return "" if len(set(value)) == len(value) else "holds an item twice"

    def keywords(self) -> dict[str, Any]:
        return {"uniqueItems": True}


class Filled:
    """Of a list: no item is "" or 0."""

    def problem(self, value: list[Any]) -> str:
        return "" if all(value) else "holds an empty item"

    def keywords(self) -> dict[str, Any]:
        return {}


@attrs.frozen
class Note:
    """Words for the API document; checks nothing."""

    text: str

    def problem(self, value: Any) -> str:
        return ""

    def keywords(self) -> dict[str, Any]:
        return {"description": self.text}


REQUIRED = Required()
PRESENT = Required(empty=True)
UNIQUE = Unique()
FILLED = Filled()

Int32 = Annotated[int, IntRange("int32", -(2**31), 2**31 - 1)]
Int64 = Annotated[int, IntRange("int64", -(2**63), 2**63 - 1)]
UInt32 = Annotated[int, IntRange("uint32", 0, 2**32 - 1)]
UInt64 = Annotated[int, IntRange("uint64", 0, 2**64 - 1)]

Text = Annotated[str, REQUIRED]
"""A string that may not be empty."""

MAX_ID = 256
"""characters; the IDs of two users make a conversation's"""
AnyID = Annotated[str, MaxLength(MAX_ID)]
ID = Annotated[str, REQUIRED, MaxLength(MAX_ID)]
"""Of a user, a group or a conversation."""
