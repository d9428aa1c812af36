"""Calls over one live connection: pipelined in call order, replies matched by order.

Commands of one tick are joined: the first caller yields once and then sends for all.  A drain task
sleeps unless the kernel's buffer is full (or the connection is TLS).
"""

from __future__ import annotations

from collections import deque
from typing import Any

import attrs
import trio

from openim_trio.append.ports import SequencerUnavailable
from openim_trio.redisio.errors import ConnectionLost, RedisReplyError
from openim_trio.redisio.stream import RedisStream


@attrs.define(slots=True, eq=False)
class _Call:
    """A place in the order of replies.  It stays there when its caller was cancelled, so that the
    replies behind it still go to the right callers."""

    wanted: int
    replies: list[Any] = attrs.field(factory=list)
    done: trio.Event = attrs.field(factory=trio.Event)
    lost: str = ""


class Link:
    """Full (`max_calls` without reply, or `max_unsent` bytes not yet taken by the kernel): a call
    fails at once.  Waiting would only hide that Redis is too slow."""

    def __init__(self, stream: RedisStream, max_calls: int, max_unsent: int) -> None:
        self._stream = stream
        self._max_calls = max_calls
        self._max_unsent = max_unsent
        self._calls: deque[_Call] = deque()
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0
        self._flush_due = False
        self._draining = False
        self._wake = trio.Event()
        self._scope = trio.CancelScope()
        self.lost = ""

    async def run(self) -> str:
        """Serve until the connection is lost; returns why."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._read)
                    nursery.start_soon(self._drain)
        finally:
            self.drop("shut down")
            with trio.CancelScope(shield=True):
                await self._stream.close()
        return self.lost

    def drop(self, reason: str) -> None:
        """Give the connection up: every call without reply fails, its outcome is unclear."""
        if self.lost:
            return
        self.lost = reason
        self._scope.cancel()
        self._unsent.clear()
        for call in self._calls:
            call.lost = reason
            call.done.set()
        self._calls.clear()

    async def call(self, packed: bytes, count: int, timeout: float) -> list[Any]:
        """Send `count` packed commands, return their replies.  A reply that does not come in time
        ends the connection: later replies could not be told apart any more."""
        call = self._put(packed, count)
        if not self._flush_due:
            self._flush_due = True
            await trio.lowlevel.cancel_shielded_checkpoint()
            self._flush()
        with trio.move_on_after(timeout):
            await call.done.wait()
        if not call.done.is_set():
            self.drop(f"no reply in {timeout:g} s")
        if call.lost:
            raise SequencerUnavailable(f"Redis: {call.lost}")
        return call.replies

    def _put(self, packed: bytes, count: int) -> _Call:
        if self.lost:
            raise SequencerUnavailable(f"Redis: {self.lost}")
        if len(self._calls) >= self._max_calls or self._unsent_bytes >= self._max_unsent:
            raise SequencerUnavailable("too many calls wait for Redis")
        call = _Call(count)
        self._calls.append(call)
        self._unsent.append(packed)
        self._unsent_bytes += len(packed)
        return call

    def _flush(self) -> None:
        self._flush_due = False
        if self._draining or not self._unsent:
            return
        rest = self._stream.send_now(self._take())
        if rest:
            self._unsent.insert(0, rest)
            self._unsent_bytes += len(rest)
            self._draining = True
            self._wake.set()

    def _take(self) -> bytes:
        data = self._unsent[0] if len(self._unsent) == 1 else b"".join(self._unsent)
        self._unsent.clear()
        self._unsent_bytes = 0
        return data

    async def _drain(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake = trio.Event()
                while self._unsent:
                    await self._stream.send_all(self._take())
                self._draining = False
        except ConnectionLost as error:
            self.drop(str(error))

    async def _read(self) -> None:
        try:
            while True:
                for reply in await self._stream.receive():
                    self._deliver(reply)
        except ConnectionLost as error:
            self.drop(str(error))

    def _deliver(self, reply: Any) -> None:
        if not self._calls:
            raise ConnectionLost("a reply that nobody asked for")
        call = self._calls[0]
        call.replies.append(reply)
        if len(call.replies) == call.wanted:
            self._calls.popleft()
            call.done.set()
        if isinstance(reply, RedisReplyError) and reply.ends_connection:
            raise ConnectionLost(reply.code)
