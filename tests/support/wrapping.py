"""The ports of the append pipeline, handed on call by call: wrappers override what they change."""

from __future__ import annotations

from collections.abc import Sequence

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


class WrappedSequencer:
    def __init__(self, inner: Sequencer) -> None:
        self._inner = inner

    async def reserve(
        self, token: bytes, blocks: Sequence[ReserveBlock]
    ) -> list[Reserved | Unknown]:
        return await self._inner.reserve(token, blocks)

    async def advance(
        self, token: bytes, blocks: Sequence[AdvanceBlock]
    ) -> list[Advanced | Behind | Unknown]:
        return await self._inner.advance(token, blocks)

    async def seed(self, seeds: Sequence[SeedBlock]) -> list[bool]:
        return await self._inner.seed(seeds)

    async def heads(self, conversations: Sequence[str]) -> list[Head | Unknown]:
        return await self._inner.heads(conversations)

    async def release(self, token: bytes, conversations: Sequence[str]) -> None:
        await self._inner.release(token, conversations)


class WrappedRows:
    def __init__(self, inner: RowStore) -> None:
        self._inner = inner

    async def insert(self, blocks: Sequence[Sequence[Row]]) -> list[bool]:
        return await self._inner.insert(blocks)

    async def read_above(self, conversation: str, seq: int, limit: int) -> list[Row]:
        return await self._inner.read_above(conversation, seq, limit)

    async def tails(self, conversations: Sequence[str], limit: int) -> list[Tail]:
        return await self._inner.tails(conversations, limit)

    async def find_key(self, conversation: str, key: bytes, since: int, upto: int) -> Row | None:
        return await self._inner.find_key(conversation, key, since, upto)
