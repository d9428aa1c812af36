"""Members of a JSON object that came from outside, each asked for by its type.

null and a missing member are the zero value of their type; letter case of names does not matter,
as with the Go programs that write them; members that nobody asks for are ignored.  A number in a
string is none.
"""

from __future__ import annotations

from typing import Any, TypeVar

import orjson

T = TypeVar("T")

_INT64 = range(-(2**63), 2**63)


class WrongShape(Exception):
    """The text names the member and what it should be; nothing of its value."""


class Members:
    """`path` stands before the members' names in errors."""

    def __init__(self, value: object, path: str = "") -> None:
        if not isinstance(value, dict):
            raise WrongShape(f"{path or 'it'} must be object")
        self.value: dict[str, Any] = value
        self._path = path
        self._folded: dict[str, Any] | None = None

    def text(self, name: str) -> str:
        return self._typed(name, str, "string", "")

    def filled(self, name: str) -> str:
        """A text that is not empty."""
        found = self.text(name)
        if not found:
            raise WrongShape(f"{self._name(name)} must not be empty")
        return found

    def flag(self, name: str) -> bool:
        return self._typed(name, bool, "boolean", False)

    def integer(self, name: str, at_least: int = _INT64.start) -> int:
        """64 bits with sign, so that a database takes it."""
        found = self._find(name)
        return 0 if found is None and at_least <= 0 else self._integer(found, name, at_least)

    def required_integer(self, name: str) -> int:
        return self._integer(self._find(name), name, _INT64.start)

    def integers(self, name: str, at_least: int = _INT64.start) -> tuple[int, ...]:
        items = self._list(name)
        return tuple(self._integer(item, f"{name}[{i}]", at_least) for i, item in enumerate(items))

    def texts(self, name: str) -> tuple[str, ...]:
        items = self._list(name)
        for i, item in enumerate(items):
            if not isinstance(item, str):
                raise WrongShape(f"{self._name(name)}[{i}] must be string")
        return tuple(items)

    def object(self, name: str) -> Members:
        found = self._find(name)
        return Members({} if found is None else found, self._name(name))

    def objects(self, name: str) -> list[Members]:
        prefix = self._name(name)
        return [Members(item, f"{prefix}[{i}]") for i, item in enumerate(self._list(name))]

    def _find(self, name: str) -> Any:
        if name in self.value:
            return self.value[name]
        if self._folded is None:
            self._folded = {key.lower(): value for key, value in self.value.items()}
        return self._folded.get(name.lower())

    def _name(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def _typed(self, name: str, wanted: type[T], called: str, zero: T) -> T:
        found = self._find(name)
        if found is None:
            return zero
        if not isinstance(found, wanted):
            raise WrongShape(f"{self._name(name)} must be {called}")
        return found

    def _integer(self, value: Any, name: str, at_least: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value not in _INT64:
            raise WrongShape(f"{self._name(name)} must be a 64-bit integer")
        if value < at_least:
            raise WrongShape(f"{self._name(name)} must be at least {at_least}")
        return value

    def _list(self, name: str) -> list[Any]:
        found: list[Any] = self._typed(name, list, "array", [])
        return found


def members_of(text: bytes | str, path: str = "") -> Members:
    """Raises WrongShape where it is no JSON object."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise WrongShape(f"{path or 'it'} must be JSON") from None
    return Members(value, path)
