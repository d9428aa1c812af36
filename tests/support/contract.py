"""The engines behind the append pipeline's ports, in memory and real, opened in the same way."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import attrs
import redis

from openim_trio.append.ports import RowStore, Sequencer
from openim_trio.config.model import AppendConfig, MongoConfig, RedisConfig
from openim_trio.observability.metrics import Metrics
from openim_trio.store.client import open_store
from tests.support.engines import free_port
from tests.support.memory_ports import MemoryRows, MemorySequencer
from tests.support.rediskit import open_sequencer

Published = list[tuple[str, bytes]]


@attrs.frozen
class Opened:
    """`published()`: (channel, payload) of what was published since the last call, in order;
    `forget()`: the engine loses all facts."""

    sequencer: Sequencer
    published: Callable[[], Published]
    forget: Callable[[], None]


class Engines(Protocol):
    """Those that are `away` do not answer."""

    def sequencer(
        self, config: AppendConfig, *, away: bool = False
    ) -> AbstractAsyncContextManager[Opened]: ...

    def rows(self, *, away: bool = False) -> AbstractAsyncContextManager[RowStore]: ...


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class InMemory:
    @asynccontextmanager
    async def sequencer(self, config: AppendConfig, *, away: bool = False) -> AsyncIterator[Opened]:
        sequencer = MemorySequencer(now_ms, config)
        sequencer.down = away

        def published() -> Published:
            got, sequencer.published = sequencer.published, []
            return got

        yield Opened(sequencer, published, sequencer.wipe)

    @asynccontextmanager
    async def rows(self, *, away: bool = False) -> AsyncIterator[RowStore]:
        rows = MemoryRows()
        rows.down = away
        yield rows


@attrs.frozen
class Real:
    mongo: MongoConfig
    redis: RedisConfig

    @asynccontextmanager
    async def sequencer(self, config: AppendConfig, *, away: bool = False) -> AsyncIterator[Opened]:
        url = f"redis://127.0.0.1:{free_port()}/0" if away else self.redis.url
        prefix = self.redis.prefix
        with redis.from_url(self.redis.url) as client, client.pubsub() as listener:
            listener.psubscribe(f"{prefix}*")
            assert listener.get_message(timeout=5)

            def published() -> Published:
                """All that came before a mark."""
                client.publish(f"{prefix}mark", b"")
                got: Published = []
                while message := listener.get_message(timeout=5):
                    channel = message["channel"].decode().removeprefix(prefix)
                    if channel == "mark":
                        return got
                    got.append((channel, message["data"]))
                raise AssertionError("the mark did not come")

            def forget() -> None:
                for name in client.scan_iter(f"{prefix}c:*"):
                    client.delete(name)

            async with open_sequencer(attrs.evolve(self.redis, url=url), config) as sequencer:
                yield Opened(sequencer, published, forget)

    @asynccontextmanager
    async def rows(self, *, away: bool = False) -> AsyncIterator[RowStore]:
        config = self.mongo
        if away:
            config = attrs.evolve(config, uri=f"mongodb://127.0.0.1:{free_port()}", timeout=0.2)
        async with open_store(config, Metrics()) as store:
            yield store.rows
