"""What the supervisor and a worker say to each other: one JSON object a line, through two inherited
pipes.  The first order carries the configuration, secrets included: it is in no argument list, no
environment and no file.
"""

from __future__ import annotations

import json
from typing import Any, Protocol

import attrs
import cattrs
from cattrs.strategies import configure_tagged_union

LONGEST_LINE = 1024 * 1024


@attrs.frozen
class Start:
    """The first order.  Descriptors are the listening sockets; -1: none."""

    worker: str
    """unique among all workers that ever were"""
    slot: int
    gateway_fd: int
    api_fd: int
    legacy_fd: int
    config: dict[str, Any]


@attrs.frozen
class Gone:
    """Another worker has ended: tell all workers of the installation."""

    worker: str


@attrs.frozen
class CrashLoops:
    """These slots' workers die again and again; empty: all is well again."""

    slots: tuple[int, ...]


Order = Start | Gone | CrashLoops
"""supervisor -> worker; the end of the pipe is the end of the supervisor"""


@attrs.frozen
class Ready:
    """The worker accepts."""


@attrs.frozen
class Draining:
    """The worker accepts no more."""


Report = Ready | Draining
"""worker -> supervisor"""


class LineError(Exception):
    """The other side says what is not understood."""


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=False)
    configure_tagged_union(Order, converter, tag_name="is")
    configure_tagged_union(Report, converter, tag_name="is")
    return converter


_CONVERTER = _make_converter()


def encode_order(order: Order) -> bytes:
    return _encode(order, Order)


def encode_report(report: Report) -> bytes:
    return _encode(report, Report)


def decode_order(line: bytes) -> Order:
    """Raises LineError."""
    return _decode(line, Order)  # type: ignore[no-any-return]


def decode_report(line: bytes) -> Report:
    """Raises LineError."""
    return _decode(line, Report)  # type: ignore[no-any-return]


def _encode(message: object, union: Any) -> bytes:
    return json.dumps(_CONVERTER.unstructure(message, unstructure_as=union)).encode() + b"\n"


def _decode(line: bytes, union: Any) -> Any:
    try:
        return _CONVERTER.structure(json.loads(line), union)
    except Exception as error:  # cattrs raises groups of anything
        # The line may hold secrets: only the kind of error is told.
        raise LineError(f"not understood: {type(error).__name__}") from None


class ByteSource(Protocol):
    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray: ...


class Lines:
    """Whole lines of a byte stream."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._rest = bytearray()

    async def next(self) -> bytes | None:
        """None: the other side has closed.  Raises LineError for a line without end."""
        while True:
            line, end, rest = self._rest.partition(b"\n")
            if end:
                self._rest = rest
                return bytes(line)
            if len(self._rest) > LONGEST_LINE:
                raise LineError("line too long")
            chunk = await self._source.receive_some(65536)
            if not chunk:
                return None
            self._rest += chunk
