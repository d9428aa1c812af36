"""The worker's side of the pipes to its supervisor."""

from __future__ import annotations

from collections.abc import AsyncIterator

import trio

from openim_trio.process.status import (
    LineError,
    Lines,
    Order,
    Report,
    Start,
    decode_order,
    encode_report,
)


class SupervisorLink:
    """Use inside `trio.run`.  `orders_fd` and `reports_fd` are the inherited pipes."""

    def __init__(self, orders_fd: int, reports_fd: int) -> None:
        self._orders = trio.lowlevel.FdStream(orders_fd)
        self._reports = trio.lowlevel.FdStream(reports_fd)
        self._lines = Lines(self._orders)

    async def start(self) -> Start:
        """The first order.  Raises LineError."""
        line = await self._lines.next()
        if line is None:
            raise LineError("the supervisor has ended")
        order = decode_order(line)
        if not isinstance(order, Start):
            raise LineError("the first order is not to start")
        return order

    async def orders(self) -> AsyncIterator[Order]:
        """Ends when the supervisor has ended."""
        while True:
            try:
                line = await self._lines.next()
            except trio.BrokenResourceError:
                return
            if line is None:
                return
            yield decode_order(line)

    async def report(self, report: Report) -> None:
        try:
            await self._reports.send_all(encode_report(report))
        except trio.BrokenResourceError:
            return  # `orders` ends too
