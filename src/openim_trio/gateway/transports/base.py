"""The seam between a session and its socket.

A transport carries one accepted WebSocket connection.  Frames are put without waiting; they leave
in order.  Pings of the peer are answered inside, with the same payload.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import Protocol

import attrs
import structlog
import trio

from openim_trio.config.model import GatewayConfig
from openim_trio.gateway.http_upgrade import Headers, UpgradeRequest
from openim_trio.gateway.machines.deliver import Outbox, Put
from openim_trio.gateway.outgoing import OutFrame
from openim_trio.observability.metrics import Metrics
from openim_trio.wire.frames import Message

log = structlog.get_logger()

CLOSE_GRACE = 3.0
"""seconds that a peer has to answer a close frame"""
TAKE_BYTES = 65_536
"""frames are handed to the kernel in portions of about so many bytes; the rest can be let go"""


class Transport(Protocol):
    """`last_heard`: trio.current_time() when bytes last came.  `failure`: why what the peer sent
    could not be read, as a short label; empty while it could."""

    last_heard: float

    @property
    def failure(self) -> str: ...

    @property
    def closing(self) -> bool:
        """close() or abort() was called, or the peer went away: nothing more can be put."""
        ...

    @property
    def waiting(self) -> int:
        """Frames that were put and not yet given to the kernel."""
        ...

    async def receive(self) -> Message | None:
        """The next message; None once the connection is over.  Called by one task only."""
        ...

    def put(self, frame: OutFrame) -> Put:
        """Queue a frame; it leaves at the end of this tick.  On overflow the caller closes."""
        ...

    def ping(self) -> None:
        """Send a ping frame with no payload."""
        ...

    def close(self, code: int | None, reason: str = "") -> None:
        """Let what was put leave, then a close frame (None: without one), then end.  The peer has
        `CLOSE_GRACE` seconds to answer."""
        ...

    def abort(self) -> None:
        """End at once."""
        ...

    def sweep(self, now: float) -> None:
        """Called about once a second: ends what outlived its close."""
        ...


class TickFlusher:
    """Joins what is put in one tick of the scheduler: connections with new frames are listed, and
    one task sends for all of them in the next tick."""

    YIELD_AFTER = 256

    def __init__(self) -> None:
        self._dirty: list[Callable[[], None]] = []
        self._wake = trio.Event()

    def add(self, flush: Callable[[], None]) -> None:
        """The caller adds itself once until it was flushed."""
        if not self._dirty:
            self._wake.set()
        self._dirty.append(flush)

    def flush(self) -> None:
        """Send now for the first `YIELD_AFTER` of the list."""
        batch = self._dirty[: self.YIELD_AFTER]
        del self._dirty[: self.YIELD_AFTER]
        for flush in batch:
            try:
                flush()
            except Exception:
                # The others of the batch count on being sent.
                log.exception("flush_failed")

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            while self._dirty:
                self.flush()
                await trio.lowlevel.checkpoint()
            self._wake = trio.Event()


@attrs.frozen
class TransportContext:
    """What the connections of a worker share.  `nursery` outlives every connection."""

    config: GatewayConfig
    metrics: Metrics
    flusher: TickFlusher
    nursery: trio.Nursery

    def outbox(self) -> Outbox:
        return Outbox(self.config.outbox_frames, self.config.outbox_bytes)


Accept = Callable[[socket.socket, UpgradeRequest, TransportContext, Headers], Awaitable[Transport]]
"""Answers the upgrade with 101 and these further headers, and takes the non-blocking socket over.
Raises http_upgrade.Disconnected."""
