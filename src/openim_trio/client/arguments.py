"""Checks of what an application hands over; each names the argument."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from openim_trio.client.errors import InvalidArgument

MAX_COUNT = 2**53 - 1
"""JavaScript clients read numbers as doubles"""


def text(name: str, value: object, longest: int | None = None) -> str:
    """A string that has an UTF-8 form, of at most `longest` characters."""
    if not isinstance(value, str):
        raise InvalidArgument(f"{name}: must be a string")
    if longest is not None and len(value) > longest:
        raise InvalidArgument(f"{name}: longer than {longest} characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(f"{name}: holds half a surrogate pair") from None
    return value


def filled(name: str, value: object, longest: int | None = None) -> str:
    """The same, and not empty."""
    if not text(name, value, longest):
        raise InvalidArgument(f"{name}: must not be empty")
    return str(value)


def items(name: str, values: object) -> tuple[Any, ...]:
    """Several, in anything that can be iterated over; not one string, whose characters would be
    taken for many."""
    if isinstance(values, str | bytes):
        raise InvalidArgument(f"{name}: must be several, not one string")
    if not isinstance(values, Iterable):
        raise InvalidArgument(f"{name}: must be several")
    return tuple(values)


def texts(name: str, values: object, most: int | None = None) -> tuple[str, ...]:
    """Several strings, none of them empty."""
    found = items(name, values)
    if most is not None and len(found) > most:
        raise InvalidArgument(f"{name}: holds more than {most}")
    return tuple(filled(f"{name}[{i}]", value) for i, value in enumerate(found))


def count(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_COUNT:
        raise InvalidArgument(f"{name}: must be an integer from 0 to 2**53 - 1")
    return value


def between(name: str, value: object, low: float, high: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise InvalidArgument(f"{name}: must be a finite number")
    if not low <= value <= high:
        raise InvalidArgument(f"{name}: must be from {low:g} to {high:g}")
    return value


def flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidArgument(f"{name}: must be True or False")
    return value
