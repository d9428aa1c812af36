"""From the bus to the connections.

What the bus brings is queued and handed out by one task, in order, with a yield after 256 pushes.
The queue is bounded, in messages and bytes: when it is full its contents are dropped and everything
is looked through as after a lost subscription.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

import structlog
import trio

from openim_trio.domain.rows import RowKind
from openim_trio.gateway.hub import Hub, LocalUser
from openim_trio.gateway.published import Published
from openim_trio.gateway.session import Session
from openim_trio.gateway.transports.base import TickFlusher
from openim_trio.observability.metrics import Metrics
from openim_trio.services import control
from openim_trio.services.control import ControlMessage
from openim_trio.wire import bus_message
from openim_trio.wire.bus_message import BusKind, BusMessage

QUEUE_LIMIT = 20_000
QUEUE_BYTES = 64 * 1024 * 1024
YIELD_AFTER = 256
RECENT_LIMIT = 10_000

log = structlog.get_logger()


class Fanout:
    """on_control(channel, message)   every control message, in its place among the messages
    on_overflow(since)             the queue was dropped; it was complete until then (trio time)
    recent                         conversation -> (when a message came last, channels); the one
                                   heard of longest ago first
    """

    def __init__(self, hub: Hub, flusher: TickFlusher, metrics: Metrics) -> None:
        self.on_control: Callable[[str, ControlMessage], None] = lambda channel, message: None
        self.on_overflow: Callable[[float], None] = lambda since: None
        self.recent: dict[str, tuple[float, frozenset[str]]] = {}
        self._hub = hub
        self._flusher = flusher
        self._metrics = metrics
        self._queue: deque[tuple[str, bytes]] = deque()
        self._queued_bytes = 0
        self._wake = trio.Event()
        self._last: tuple[bytes, BusMessage, Published] | None = None
        self._now = 0.0
        self._pushed = 0

    def on_message(self, channel: str, payload: bytes) -> None:
        if len(self._queue) >= QUEUE_LIMIT or self._queued_bytes >= QUEUE_BYTES:
            log.warning("fan_out_overflow", dropped=len(self._queue))
            self._queue.clear()
            self._queued_bytes = 0
            self.on_overflow(trio.current_time())
        self._queue.append((channel, payload))
        self._queued_bytes += len(payload)

    def on_chunk_end(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            self._now = trio.current_time()
            while self._queue:
                channel, payload = self._queue.popleft()
                self._queued_bytes -= len(payload)
                try:
                    await self._hand_out(channel, payload)
                except Exception:
                    log.exception("bus_message_failed", channel=channel)
            self._flusher.flush()
            self._metrics.pushes.inc(self._pushed)
            self._pushed = 0

    async def _hand_out(self, channel: str, payload: bytes) -> None:
        # A single chat's message comes on two channels with the same payload: decode it once.
        if self._last is not None and self._last[0] == payload:
            _, message, published = self._last
        else:
            message = bus_message.decode(payload)
            published = _as_published(message)
            self._last = (payload, message, published)
        if message.kind is BusKind.CONTROL:
            note = control.decode(message.body)
            if note is not None:
                self.on_control(channel, note)
            return
        self._remember(channel, message)
        if message.kind is BusKind.HEAD:
            for session in self.listeners(channel):
                session.offer_head(
                    message.conversation, message.seq, not_before=session.connected_at - 10_000
                )
            return
        for number, session in enumerate(self.listeners(channel), 1):
            self._pushed += session.offer(published)
            if number % YIELD_AFTER == 0:
                self._flusher.flush()
                await trio.lowlevel.checkpoint()

    def listeners(self, channel: str) -> list[Session]:
        kind, _, name = channel.partition(":")
        users: Iterable[LocalUser] = ()
        if kind == "u":
            user = self._hub.users.get(name)
            return list(user.sessions) if user is not None else []
        if kind == "g":
            users = self._hub.groups.get(name, ())
        return [session for user in users for session in user.sessions]

    def _remember(self, channel: str, message: BusMessage) -> None:
        if not message.seq:
            return
        known = self.recent.pop(message.conversation, None)
        channels = known[1] if known is not None else frozenset[str]()
        if channel not in channels:
            channels |= {channel}
        self.recent[message.conversation] = (self._now, channels)
        if len(self.recent) > RECENT_LIMIT:
            del self.recent[next(iter(self.recent))]


def _as_published(message: BusMessage) -> Published:
    kind = RowKind.TOMBSTONE if message.kind is BusKind.TOMBSTONE else RowKind.MESSAGE
    return Published(message.conversation, message.seq, message.body, message.operation_id, kind)
