"""The reference transport: trio-websocket does the framing, a writer task sends.

It costs several times the memory and CPU of the lean one; it is there to compare with.  One
difference shows: a peer that breaks the framing (1002, 1007) is cut off without a close frame.
"""

from __future__ import annotations

import socket

import structlog
import trio
import trio_websocket

from openim_trio.gateway.http_upgrade import Disconnected, Headers, UpgradeRequest
from openim_trio.gateway.machines.deliver import STORED, Put
from openim_trio.gateway.outgoing import Opcode, OutFrame
from openim_trio.gateway.transports.base import CLOSE_GRACE, TransportContext
from openim_trio.wire.frames import Message

log = structlog.get_logger()


async def accept(
    sock: socket.socket, request: UpgradeRequest, context: TransportContext, headers: Headers
) -> TrioWebSocketTransport:
    transport = TrioWebSocketTransport(sock, request, context)
    await context.nursery.start(transport.run, headers)
    return transport


class _Replayed(trio.abc.Stream):
    """The socket as a stream that begins with what was read of it before.  What came behind the
    request is held back until `accepted`: wsproto would let it lie otherwise."""

    def __init__(self, sock: socket.socket, request: UpgradeRequest) -> None:
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        self._head = request.raw.removesuffix(request.trailing)
        self._trailing = request.trailing
        self.accepted = trio.Event()
        self.last_heard = trio.current_time()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._head:
            await trio.lowlevel.checkpoint()
            head, self._head = self._head, b""
            return head
        await self.accepted.wait()
        if self._trailing:
            trailing, self._trailing = self._trailing, b""
            return trailing
        received = await self._stream.receive_some(max_bytes)
        self.last_heard = trio.current_time()
        return bytes(received)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


class TrioWebSocketTransport:
    def __init__(
        self, sock: socket.socket, request: UpgradeRequest, context: TransportContext
    ) -> None:
        self._context = context
        self._stream = _Replayed(sock, request)
        self._outbox = context.outbox()
        self._filled = trio.Event()
        self._scope = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._websocket: trio_websocket.WebSocketConnection | None = None
        self._sealed = False
        self._close_with: tuple[int, str] | None = None
        self._pinging = False
        self._over = trio.Event()

    async def run(self, headers: Headers, task_status: trio.TaskStatus[None]) -> None:
        """Accept, then write until the end.  Never raises: it runs in the worker's nursery."""
        started = False
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    self._nursery = nursery
                    upgrade = await trio_websocket.wrap_server_stream(
                        nursery,
                        self._stream,
                        max_message_size=self._context.config.max_frame,
                    )
                    self._websocket = await upgrade.accept(
                        extra_headers=[(name.encode(), value.encode()) for name, value in headers]
                    )
                    self._stream.accepted.set()
                    started = True
                    task_status.started()
                    await self._write()
                    nursery.cancel_scope.cancel()
        except* (trio_websocket.ConnectionClosed, trio_websocket.HandshakeError):
            pass
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        except* Exception:
            log.exception("trio_websocket_transport_failed")
        finally:
            self._sealed = True
            self._over.set()
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self._stream)
        if not started:
            raise Disconnected

    @property
    def last_heard(self) -> float:
        return self._stream.last_heard

    @last_heard.setter
    def last_heard(self, at: float) -> None:
        self._stream.last_heard = at

    @property
    def failure(self) -> str:
        closed = self._websocket.closed if self._websocket is not None else None
        if closed is None or closed.code not in (1002, 1007, 1009):
            return ""
        return f"frame_{closed.code}"

    @property
    def closing(self) -> bool:
        return self._sealed

    @property
    def waiting(self) -> int:
        return len(self._outbox)

    async def receive(self) -> Message | None:
        assert self._websocket is not None
        while True:
            try:
                message = await self._websocket.get_message()
            except trio_websocket.ConnectionClosed:
                self._seal()
                await self._over.wait()
                return None
            if not self._sealed:
                break
        if isinstance(message, str):
            return Message(True, message.encode())
        return Message(False, bytes(message))

    def put(self, frame: OutFrame) -> Put:
        if self._sealed:
            return STORED
        verdict = self._outbox.put(frame)
        if not verdict.overflow:
            self._filled.set()
        return verdict

    def ping(self) -> None:
        if self._nursery is not None and not self._pinging and not self._sealed:
            self._pinging = True
            self._nursery.start_soon(self._ping)

    async def _ping(self) -> None:
        assert self._websocket is not None
        try:
            await self._websocket.ping(b"")
        except trio_websocket.ConnectionClosed:
            pass
        finally:
            self._pinging = False

    def close(self, code: int | None, reason: str = "") -> None:
        if not self._sealed:
            self._close_with = None if code is None else (code, reason)
            self._seal()

    def _seal(self) -> None:
        self._sealed = True
        self._filled.set()

    def abort(self) -> None:
        self._sealed = True
        self._outbox.clear()
        self._scope.cancel()

    def sweep(self, now: float) -> None:
        """The writer keeps its own deadlines."""

    async def _write(self) -> None:
        """Send in order, one frame at a time, until sealed and empty; then say goodbye."""
        assert self._websocket is not None
        while True:
            for frame in self._outbox.take(1):
                with trio.move_on_after(self._context.config.write_timeout) as limit:
                    await self._send(frame)
                if limit.cancelled_caught:
                    self._context.metrics.slow_reader_closes.inc()
                    return
            if len(self._outbox):
                continue
            if self._sealed:
                break
            await self._filled.wait()
            self._filled = trio.Event()
        with trio.move_on_after(CLOSE_GRACE):
            if self._close_with is not None:
                code, reason = self._close_with
                await self._websocket.aclose(code, reason)

    async def _send(self, frame: OutFrame) -> None:
        assert self._websocket is not None
        is_text = frame.opcode is Opcode.TEXT
        await self._websocket.send_message(frame.payload.decode() if is_text else frame.payload)
