"""A TCP proxy between clients and server that cuts, delays and silences connections.

It reads who connects from the upgrade request, and passes the server's frames on whole, so that it
can cut a connection exactly before the ack of a send.
"""

from __future__ import annotations

import math
import socket
import struct
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import partial

import attrs
import trio

from stress.reliability.answers import HEAD_END, Caller, Frames

CHUNK = 65536
LONGEST_HEAD = 65536
HANDSHAKE_LIMIT = 10.0
WRITE_LIMIT = 60.0
"""seconds; the server and the clients have shorter ones"""
_BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError, OSError)


@attrs.define(eq=False)
class _Pair:
    """`armed`: it is cut before the next ack."""

    client: trio.SocketStream
    server: trio.SocketStream
    caller: Caller
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    silent: bool = False
    armed: bool = False
    frames: Frames = attrs.field(factory=Frames)

    def reset(self) -> None:
        """Both sides see a connection that broke, not one that was closed."""
        for stream in (self.client, self.server):
            _reset_when_closed(stream)
        self.scope.cancel()


class Proxy:
    """`delay`: seconds that whatever comes is held up, in order.  `cut_before_ack`: how many
    connections were."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.delay = 0.0
        self.cut_before_ack = 0
        self._target = target
        self._pairs: set[_Pair] = set()
        self._blocked: dict[str, float] = {}
        self._armed: set[str] = set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery:
            serve = partial(trio.serve_tcp, self._serve, 0, host="127.0.0.1")
            [listener] = await nursery.start(serve)
            self.port = listener.socket.getsockname()[1]
            task_status.started()

    # -- orders; `users` None: everybody's connections ---------------------------------------------

    def cut(self, users: Collection[str] | None = None) -> int:
        """Break what is there; how many these were."""
        pairs = list(self._of(users))
        for pair in pairs:
            pair.reset()
        return len(pairs)

    def block(self, user: str, seconds: float) -> int:
        """Break the user's connections, and new ones for so long."""
        self._blocked[user] = trio.current_time() + seconds
        return self.cut([user])

    def silence(self, users: Collection[str] | None = None) -> int:
        """Nothing passes in either direction any more, not even a close.  New ones work."""
        pairs = [pair for pair in self._of(users) if not pair.silent]
        for pair in pairs:
            pair.silent = True
        return len(pairs)

    def arm(self, users: Collection[str]) -> int:
        """The next connection of each that is about to be told that a send was accepted is cut
        before it is told.  Replaces the order before."""
        self._armed = set(users)
        return len(self._armed)

    def _of(self, users: Collection[str] | None) -> Iterator[_Pair]:
        return (p for p in self._pairs if users is None or p.caller.user in users)

    # -- one connection ----------------------------------------------------------------------------

    async def _serve(self, client: trio.SocketStream) -> None:
        with suppress(*_BROKEN, ValueError, IndexError):
            with trio.move_on_after(HANDSHAKE_LIMIT) as limit:
                head, rest = await _head(client)
                caller = Caller.of(head)
                if trio.current_time() < self._blocked.get(caller.user, -math.inf):
                    _reset_when_closed(client)
                    return
                server = await trio.open_tcp_stream("127.0.0.1", self._target)
            if limit.cancelled_caught:
                return
            async with server:
                await self._relay(_Pair(client, server, caller), head + rest)

    async def _relay(self, pair: _Pair, first: bytes) -> None:
        self._pairs.add(pair)
        try:
            with pair.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._upwards, pair, first)
                    nursery.start_soon(self._downwards, pair)
        finally:
            self._pairs.discard(pair)

    async def _upwards(self, pair: _Pair, first: bytes) -> None:
        with suppress(*_BROKEN):
            await self._pass(pair, pair.server, first)
            async for data in pair.client:
                await self._pass(pair, pair.server, bytes(data))
        self._over(pair)

    async def _downwards(self, pair: _Pair) -> None:
        with suppress(*_BROKEN, ValueError):
            head, rest = await _head(pair.server)
            await self._pass(pair, pair.client, head)
            await self._frames(pair, rest)
            async for data in pair.server:
                await self._frames(pair, bytes(data))
        self._over(pair)

    async def _frames(self, pair: _Pair, data: bytes) -> None:
        frames = pair.frames.feed(data)
        user = pair.caller.user
        for at, frame in enumerate(frames):
            if user in self._armed and frame.accepts_a_send(pair.caller.encoding):
                self._armed.discard(user)
                self.cut_before_ack += 1
                await self._pass(pair, pair.client, b"".join(f.raw for f in frames[:at]))
                pair.reset()
                await trio.sleep_forever()
        await self._pass(pair, pair.client, b"".join(frame.raw for frame in frames))

    async def _pass(self, pair: _Pair, to: trio.SocketStream, data: bytes) -> None:
        if self.delay:
            await trio.sleep(self.delay)
        if data and not pair.silent:
            with trio.fail_after(WRITE_LIMIT):
                await to.send_all(data)

    def _over(self, pair: _Pair) -> None:
        """One side has ended.  Of a silent connection the other does not learn that: it ends when
        that side does, too."""
        if not pair.silent:
            pair.scope.cancel()


async def _head(stream: trio.SocketStream) -> tuple[bytes, bytes]:
    """Up to and with the empty line, and what came behind it.  ValueError if it is none."""
    data = b""
    while HEAD_END not in data:
        more = await stream.receive_some(CHUNK)
        data += more
        if not more or len(data) > LONGEST_HEAD:
            raise ValueError("no head")
    size = data.index(HEAD_END) + len(HEAD_END)
    return data[:size], data[size:]


def _reset_when_closed(stream: trio.SocketStream) -> None:
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
