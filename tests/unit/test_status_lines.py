"""What goes through the pipes between supervisor and workers."""

from __future__ import annotations

import pytest

from openim_trio.config.model import Config
from openim_trio.config.settings import to_document
from openim_trio.process import status
from openim_trio.process.status import (
    CrashLoops,
    Draining,
    Gone,
    LineError,
    Lines,
    Order,
    Ready,
    Report,
    Start,
)


@pytest.mark.parametrize(
    "order",
    [
        Start("w0", 0, 5, 6, -1, to_document(Config())),
        Gone("w1"),
        CrashLoops((0, 2)),
        CrashLoops(()),
    ],
)
def test_orders_come_through(order: Order) -> None:
    line = status.encode_order(order)
    assert line.count(b"\n") == 1
    assert status.decode_order(line) == order


@pytest.mark.parametrize("report", [Ready(), Draining()])
def test_reports_come_through(report: Report) -> None:
    assert status.decode_report(status.encode_report(report)) == report


@pytest.mark.parametrize("line", [b"", b"{}", b"[1]", b'{"is": "Nothing"}', b'{"is": "Gone"}'])
def test_anything_else_is_refused(line: bytes) -> None:
    with pytest.raises(LineError):
        status.decode_order(line)


class _Chunks:
    def __init__(self, *chunks: bytes) -> None:
        self._chunks = list(chunks)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return self._chunks.pop(0) if self._chunks else b""


async def test_lines_however_they_are_cut() -> None:
    lines = Lines(_Chunks(b"one\ntw", b"o", b"\nthree\n", b"rest"))
    assert [await lines.next() for _ in range(4)] == [b"one", b"two", b"three", None]


async def test_a_line_without_end_is_refused() -> None:
    lines = Lines(_Chunks(*[b"x" * 65536] * 100))
    with pytest.raises(LineError, match="too long"):
        await lines.next()
