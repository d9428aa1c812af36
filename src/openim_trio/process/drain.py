"""Ending a worker: once to drain, twice at once."""

from __future__ import annotations

import os
import signal

import structlog
import trio

GOING_AWAY = 1001
"""WebSocket close code: this server ends, connect elsewhere or again later"""

_log = structlog.get_logger()


class Drain:
    """`requested` is set by the first signal, or when the supervisor has ended."""

    def __init__(self) -> None:
        self.requested = trio.Event()

    def request(self, reason: str) -> None:
        if not self.requested.is_set():
            _log.info("draining", reason=reason)
            self.requested.set()

    async def watch_signals(self, *, task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            async for number in signals:
                if self.requested.is_set():
                    _log.warning("ending_at_once")
                    os._exit(1)
                self.request(signal.Signals(number).name)
