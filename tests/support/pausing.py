"""Stalls and crashes at named points: wrappers around the ports of the append pipeline.

A point is "<method>:before" or "<method>:after", for instance "advance:before".  A worker that is
cancelled while it stands at a point has crashed there.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio

from openim_trio.append.ports import (
    AdvanceBlock,
    Advanced,
    Behind,
    Head,
    ReserveBlock,
    Reserved,
    RowStore,
    SeedBlock,
    Sequencer,
    Tail,
    Unknown,
)
from openim_trio.domain.rows import Row

PATIENCE = 20.0
"""seconds; only a broken test waits so long"""


class Stop:
    """One pause: somebody `reached` it and waits until `go`."""

    def __init__(self, point: str) -> None:
        self._point = point
        self._reached = trio.Event()
        self._released = trio.Event()

    async def reached(self) -> None:
        with trio.move_on_after(PATIENCE):
            await self._reached.wait()
            return
        raise AssertionError(f"nobody came to {self._point}")

    def go(self) -> None:
        self._released.set()

    async def hold(self) -> None:
        self._reached.set()
        await self._released.wait()


class Pauses:
    def __init__(self) -> None:
        self._stops: dict[str, deque[Stop]] = defaultdict(deque)
        self.passed: list[str] = []

    def at(self, point: str) -> Stop:
        """The next call that comes to this point stops there; a second stop is for the next."""
        stop = Stop(point)
        self._stops[point].append(stop)
        return stop

    @asynccontextmanager
    async def around(self, method: str) -> AsyncIterator[None]:
        await self._pass(f"{method}:before")
        yield
        await self._pass(f"{method}:after")

    async def _pass(self, point: str) -> None:
        self.passed.append(point)
        if self._stops[point]:
            await self._stops[point].popleft().hold()


class PausingSequencer:
    def __init__(self, inner: Sequencer, pauses: Pauses) -> None:
        self._inner = inner
        self._pauses = pauses

    async def reserve(
        self, token: bytes, blocks: Sequence[ReserveBlock]
    ) -> list[Reserved | Unknown]:
        async with self._pauses.around("reserve"):
            return await self._inner.reserve(token, blocks)

    async def advance(
        self, token: bytes, blocks: Sequence[AdvanceBlock]
    ) -> list[Advanced | Behind | Unknown]:
        async with self._pauses.around("advance"):
            return await self._inner.advance(token, blocks)

    async def seed(self, seeds: Sequence[SeedBlock]) -> list[bool]:
        async with self._pauses.around("seed"):
            return await self._inner.seed(seeds)

    async def heads(self, conversations: Sequence[str]) -> list[Head | Unknown]:
        async with self._pauses.around("heads"):
            return await self._inner.heads(conversations)

    async def release(self, token: bytes, conversations: Sequence[str]) -> None:
        async with self._pauses.around("release"):
            await self._inner.release(token, conversations)


class PausingRows:
    def __init__(self, inner: RowStore, pauses: Pauses) -> None:
        self._inner = inner
        self._pauses = pauses

    async def insert(self, blocks: Sequence[Sequence[Row]]) -> list[bool]:
        async with self._pauses.around("insert"):
            return await self._inner.insert(blocks)

    async def read_above(self, conversation: str, seq: int, limit: int) -> list[Row]:
        async with self._pauses.around("read_above"):
            return await self._inner.read_above(conversation, seq, limit)

    async def tails(self, conversations: Sequence[str], limit: int) -> list[Tail]:
        async with self._pauses.around("tails"):
            return await self._inner.tails(conversations, limit)

    async def find_key(self, conversation: str, key: bytes, since: int, upto: int) -> Row | None:
        async with self._pauses.around("find_key"):
            return await self._inner.find_key(conversation, key, since, upto)
