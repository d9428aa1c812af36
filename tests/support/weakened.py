"""The protocol with one condition taken out: wrappers around the ports that break exactly one.

Each of them lets the scenario of its condition end in a violation that the invariants must find;
otherwise the scenario would prove nothing about the real protocol.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import redis
from pymongo.read_concern import ReadConcern

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
    Unknown,
)
from openim_trio.domain.rows import Row
from openim_trio.store.rows import MongoRows
from tests.support.wrapping import WrappedRows, WrappedSequencer

EVERYTHING = 2**40


class UnorderedInsert(WrappedRows):
    """Without C1: rows behind a duplicate key go in."""

    async def insert(self, blocks: Sequence[Sequence[Row]]) -> list[bool]:
        return [all([(await self._inner.insert([[row]]))[0] for row in block]) for block in blocks]


def read_from_primary_alone(inner: RowStore) -> RowStore:
    """Without C3: what the primary has counts, on a majority or not."""
    assert isinstance(inner, MongoRows)
    local = inner._rows.with_options(read_concern=ReadConcern("local"))
    return MongoRows(local, inner._threads)


class Facts(WrappedSequencer):
    """`client` and `prefix` reach the hashes behind the scripts' back."""

    def __init__(self, inner: Sequencer, client: redis.Redis, prefix: str) -> None:
        super().__init__(inner)
        self._redis = client
        self._prefix = prefix

    def _hash(self, conversation: str) -> str:
        return f"{self._prefix}c:{conversation}"


class JumpingAdvance(Facts):
    """Without C2: n jumps over rows that nobody told of."""

    async def advance(
        self, token: bytes, blocks: Sequence[AdvanceBlock]
    ) -> list[Advanced | Behind | Unknown]:
        results = await self._inner.advance(token, blocks)
        for block, result in zip(blocks, results, strict=True):
            if isinstance(result, Behind):
                name = self._hash(block.conversation)
                self._redis.hset(name, "n", str(block.first_seq - 1))
                self._redis.hset(name, "ta", str(block.rows[0].send_time))
        return await self._inner.advance(token, blocks)


class UncoveredKeys(Facts):
    """Without C4: a key that is not in the map counts as new, however old it is."""

    async def reserve(
        self, token: bytes, blocks: Sequence[ReserveBlock]
    ) -> list[Reserved | Unknown]:
        looked = [
            attrs.evolve(
                block,
                keys=tuple(attrs.evolve(key, looked_through=EVERYTHING) for key in block.keys),
            )
            for block in blocks
        ]
        return await self._inner.reserve(token, looked)


class TrustedLookUp(UncoveredKeys):
    """Without the second half of C4: one look-up is enough, whatever came after it."""

    async def reserve(
        self, token: bytes, blocks: Sequence[ReserveBlock]
    ) -> list[Reserved | Unknown]:
        if any(key.looked_through for block in blocks for key in block.keys):
            return await super().reserve(token, blocks)
        return await self._inner.reserve(token, blocks)


class BoastfulSeed(Facts):
    """Without C5: a seed claims the keys of rows that it has not read."""

    async def seed(self, seeds: Sequence[SeedBlock]) -> list[bool]:
        return await self._inner.seed([attrs.evolve(s, floor_time=-EVERYTHING) for s in seeds])


class ForcedSeed(Facts):
    """Without C7: the seed overwrites what is known by now."""

    async def seed(self, seeds: Sequence[SeedBlock]) -> list[bool]:
        for seed in seeds:
            self._redis.hdel(self._hash(seed.conversation), "n")
            self._redis.hset(self._hash(seed.conversation), "tk", seed.ticket)
        return await self._inner.seed(seeds)


class TicketlessSeed(Facts):
    """Without C8: any "unknown" will do, also a later one."""

    async def seed(self, seeds: Sequence[SeedBlock]) -> list[bool]:
        heads = await self._inner.heads([seed.conversation for seed in seeds])
        for seed, head in zip(seeds, heads, strict=True):
            if isinstance(head, Unknown):
                self._redis.hset(self._hash(seed.conversation), "tk", seed.ticket)
        return await self._inner.seed(seeds)


class SilentSeed(Facts):
    """Without C9: the seed does not publish the head."""

    async def seed(self, seeds: Sequence[SeedBlock]) -> list[bool]:
        return await self._inner.seed([attrs.evolve(seed, channels=()) for seed in seeds])


class EarlyAnswer(Facts):
    """Without C10: the sender is answered before the advance (which a crash then prevents)."""

    async def advance(
        self, token: bytes, blocks: Sequence[AdvanceBlock]
    ) -> list[Advanced | Behind | Unknown]:
        return [Advanced(block.rows[-1].seq) for block in blocks]


class BlindToServers(Facts):
    """Without C11: a hash that another incarnation of Redis wrote counts as this one's."""

    async def _adopt(self, conversations: Sequence[str]) -> None:
        await self._inner.heads(["of this server"])
        inc = self._redis.hget(self._hash("of this server"), "inc")
        for name in conversations:
            if inc and self._redis.exists(self._hash(name)):
                self._redis.hset(self._hash(name), "inc", inc)

    async def heads(self, conversations: Sequence[str]) -> list[Head | Unknown]:
        await self._adopt(conversations)
        return await self._inner.heads(conversations)

    async def reserve(
        self, token: bytes, blocks: Sequence[ReserveBlock]
    ) -> list[Reserved | Unknown]:
        await self._adopt([block.conversation for block in blocks])
        return await self._inner.reserve(token, blocks)
