"""The default transport: own framing on the non-blocking socket, one task per connection.

That task only reads.  What is put leaves by `socket.send` at the end of the tick; a second task,
with a deadline, exists only while the kernel's buffer is full.
"""

from __future__ import annotations

import socket

import trio

from openim_trio.gateway.http_upgrade import (
    Headers,
    UpgradeRequest,
    send_all,
    switching_protocols,
)
from openim_trio.gateway.machines.deliver import STORED, Put
from openim_trio.gateway.outgoing import Opcode, OutFrame, close_frame
from openim_trio.gateway.transports.base import CLOSE_GRACE, TAKE_BYTES, TransportContext
from openim_trio.wire.frames import Close, FrameReader, Message, Ping, ProtocolError

RECEIVE_BYTES = 65_536
FLUSH_FRAMES = 64
_PING = OutFrame(b"", Opcode.PING)
_ECHOED = range(1000, 1004)
"""close codes of a peer that are sent back as they came"""


async def accept(
    sock: socket.socket, request: UpgradeRequest, context: TransportContext, headers: Headers
) -> LeanTransport:
    await send_all(sock, switching_protocols(request, headers))
    return LeanTransport(sock, request.trailing, context)


class LeanTransport:
    __slots__ = (
        "_close_at",
        "_closed",
        "_context",
        "_dirty",
        "_draining",
        "_events",
        "_outbox",
        "_partial",
        "_reader",
        "_sealed",
        "_sock",
        "failure",
        "last_heard",
    )

    def __init__(self, sock: socket.socket, trailing: bytes, context: TransportContext) -> None:
        self.last_heard = trio.current_time()
        self.failure = ""
        self._sock = sock
        self._context = context
        self._outbox = context.outbox()
        self._reader = FrameReader(context.config.max_frame)
        self._events: list[Message | Close | ProtocolError] = []  # the next one last
        self._partial = b""
        self._dirty = False
        self._draining = False
        self._sealed = False
        self._closed = False
        self._close_at = 0.0
        if trailing:
            self._feed(trailing)

    @property
    def closing(self) -> bool:
        return self._sealed or self._closed

    @property
    def waiting(self) -> int:
        return len(self._outbox) + bool(self._partial)

    # -- receiving

    async def receive(self) -> Message | None:
        while True:
            while self._events:
                event = self._events.pop()
                if isinstance(event, Close):
                    self._peer_closed(event.code)
                elif isinstance(event, ProtocolError):
                    self._peer_failed(event)
                elif not self._sealed:
                    return event
            if self._closed:
                return None
            try:
                await trio.lowlevel.wait_readable(self._sock)
                data = self._sock.recv(RECEIVE_BYTES)
            except BlockingIOError:
                continue
            except (OSError, ValueError, trio.ClosedResourceError):
                self.abort()
                return None
            if not data:
                self.abort()
                return None
            self.last_heard = trio.current_time()
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        """Sort what came: messages and the peer's close in order, pings are answered here.
        Called when all earlier events were taken."""
        error: ProtocolError | None = None
        try:
            events = self._reader.feed(data)
        except ProtocolError as broken:
            error = broken
            events = broken.events
        for event in events:
            if isinstance(event, Message | Close):
                self._events.append(event)
            elif isinstance(event, Ping):
                self._put_own(OutFrame(event.data, Opcode.PONG))
        if error is not None:
            self._events.append(error)
        self._events.reverse()

    def _peer_closed(self, code: int) -> None:
        if self._sealed:
            self.abort()  # both sides have said goodbye
            return
        self.close(code if code in _ECHOED else 1000)
        self._close_at = trio.current_time()

    def _peer_failed(self, error: ProtocolError) -> None:
        if not self._sealed:
            self.failure = f"frame_{error.close_code}"
        self.close(error.close_code, error.reason)

    # -- sending

    def put(self, frame: OutFrame) -> Put:
        if self._sealed or self._closed:
            return STORED
        if not self._draining and (
            len(self._outbox) >= FLUSH_FRAMES or self._outbox.size >= TAKE_BYTES
        ):
            self._send_or_drain()  # a burst in one tick says nothing about the reader
        verdict = self._outbox.put(frame)
        if not self._dirty and not verdict.overflow:
            self._mark_dirty()
        return verdict

    def ping(self) -> None:
        self._put_own(_PING)

    def _put_own(self, frame: OutFrame) -> None:
        if self.put(frame).overflow:
            self.failure = "ping_flood"
            self.abort()

    def _mark_dirty(self) -> None:
        if not self._dirty and not self._draining:
            self._dirty = True
            self._context.flusher.add(self._flush)

    def _flush(self) -> None:
        self._dirty = False
        if not self._draining:
            self._send_or_drain()

    def _send_or_drain(self) -> None:
        if not self._send_waiting():
            self._draining = True
            self._context.nursery.start_soon(self._drain)

    def _send_waiting(self) -> bool:
        """Give the kernel what it takes.  False: its buffer is full."""
        while data := self._partial or self._next_portion():
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.abort()
                return True
            if sent < len(data):
                self._partial = data[sent:]
                return False
            self._partial = b""
        if self._sealed and not self._closed:
            self._sent_everything()
        return True

    def _next_portion(self) -> bytes:
        if not self._outbox:
            return b""
        taken = self._outbox.take(TAKE_BYTES)
        if len(taken) == 1:
            return taken[0].wire
        return b"".join([frame.wire for frame in taken])

    async def _drain(self) -> None:
        """While the kernel's buffer is full; a peer that takes nothing for long is closed."""
        try:
            while not self._closed:
                with trio.move_on_after(self._context.config.write_timeout) as limit:
                    await trio.lowlevel.wait_writable(self._sock)
                if limit.cancelled_caught:
                    self._context.metrics.slow_reader_closes.inc()
                    self.abort()
                elif self._send_waiting():
                    return
        except (OSError, ValueError, trio.ClosedResourceError):
            self.abort()
        finally:
            self._draining = False

    # -- ending

    def close(self, code: int | None, reason: str = "") -> None:
        if self._sealed or self._closed:
            return
        if code is not None:
            self._outbox.put(close_frame(code, reason))
        self._sealed = True
        now = trio.current_time()
        self._close_at = now + self._context.config.write_timeout + CLOSE_GRACE
        self._mark_dirty()

    def _sent_everything(self) -> None:
        """After the last byte: no more comes from here; the peer's close or end is awaited."""
        now = trio.current_time()
        if self._close_at <= now:
            self.abort()
            return
        self._close_at = min(self._close_at, now + CLOSE_GRACE)
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.abort()

    def abort(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._outbox.clear()
        self._events.clear()
        self._partial = b""
        trio.lowlevel.notify_closing(self._sock)
        self._sock.close()

    def sweep(self, now: float) -> None:
        if self._sealed and now >= self._close_at:
            self.abort()
