"""The supervisor's side of one worker: its process, the orders to it, the reports from it."""

from __future__ import annotations

import math
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence

import structlog
import trio

from openim_trio.engines.child import wait_for_end
from openim_trio.process.status import (
    LineError,
    Lines,
    Order,
    Report,
    decode_report,
    encode_order,
)

_log = structlog.get_logger()
_ORDERS_WAITING = 256


class WorkerProcess:
    """A running worker.  Orders wait in a bounded queue; when it is full (a worker that has hung),
    they are dropped and said to be."""

    def __init__(
        self, command: Sequence[str], environ: Mapping[str, str], worker: str, fds: Sequence[int]
    ) -> None:
        """Start it; it inherits `fds`."""
        self.worker = worker
        orders_read, orders_write = os.pipe()
        reports_read, reports_write = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603
                [*command, str(orders_read), str(reports_write)],
                stdin=subprocess.DEVNULL,
                stdout=2,  # stdout is for the supervisor's one line
                env=dict(environ),
                pass_fds=[*fds, orders_read, reports_write],
                start_new_session=True,  # a terminal's ^C is for the supervisor alone
            )
        except BaseException:
            os.close(orders_write)
            os.close(reports_read)
            raise
        finally:
            os.close(orders_read)
            os.close(reports_write)
        self._orders = trio.lowlevel.FdStream(orders_write)
        self._reports = trio.lowlevel.FdStream(reports_read)
        self._send, self._waiting = trio.open_memory_channel[Order](_ORDERS_WAITING)

    @property
    def pid(self) -> int:
        return self._process.pid

    def order(self, order: Order) -> None:
        try:
            self._send.send_nowait(order)
        except trio.WouldBlock:
            _log.error("order_dropped", worker=self.worker, order=type(order).__name__)

    def signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)

    async def run(self, on_report: Callable[[Report], None]) -> int:
        """Serve it until it has ended; its return code (negative: the signal)."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write_orders)
            nursery.start_soon(self._read_reports, on_report)
            while (code := self._process.poll()) is None:
                await wait_for_end(self._process.pid)
            nursery.cancel_scope.cancel()
        return code if code is not None else 0

    async def close(self) -> None:
        """Kill it if it still runs, and let go of the pipes."""
        with trio.CancelScope(shield=True):
            self.signal(signal.SIGKILL)
            while self._process.poll() is None:
                await wait_for_end(self._process.pid)
            await trio.aclose_forcefully(self._orders)
            await trio.aclose_forcefully(self._reports)

    async def _write_orders(self) -> None:
        try:
            async for order in self._waiting:
                await self._orders.send_all(encode_order(order))
        except trio.BrokenResourceError:
            await trio.sleep(math.inf)  # it has ended or soon will

    async def _read_reports(self, on_report: Callable[[Report], None]) -> None:
        lines = Lines(self._reports)
        try:
            while (line := await lines.next()) is not None:
                on_report(decode_report(line))
        except (LineError, trio.BrokenResourceError) as error:
            _log.error("report_lost", worker=self.worker, problem=str(error))
            self.signal(signal.SIGKILL)
