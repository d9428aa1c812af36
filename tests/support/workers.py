"""A cluster for tests of the append protocol: several workers (pipelines) on real engines.

Every worker has a connection and a pipeline of its own and meets the others in Redis and MongoDB
only, as in production.  What the clients were told is in `Cluster.ledger`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import attrs
import pymongo
import redis
import trio
from pymongo.collection import Collection

from openim_trio.append.pipeline import AppendPipeline
from openim_trio.append.ports import RowStore, Sequencer
from openim_trio.append.requests import Append, Appended
from openim_trio.config.model import AppendConfig, MongoConfig, RedisConfig
from openim_trio.domain.errors import ServiceError
from openim_trio.domain.rows import Row
from openim_trio.observability.metrics import Metrics
from openim_trio.redisio.connection import RedisConnection
from openim_trio.redisio.sequencer import RedisSequencer
from openim_trio.store.client import Store, open_store
from openim_trio.store.collections import Document
from openim_trio.store.row_documents import block_documents, to_row
from tests.support.appends import CHAT
from tests.support.invariants import Facts, Ledger, Receiver, violations
from tests.support.pausing import PATIENCE, Pauses, PausingRows, PausingSequencer

Outcome = Appended | ServiceError

QUICK = AppendConfig(flush_ms=1, flush_max_ms=1, lease_ms=1)
"""Leases that run out at once: they are advisory, so every trace must go well without them."""


class NoEffects:
    async def apply(self, rows: Sequence[Row]) -> None:
        await trio.lowlevel.checkpoint()


class Asked:
    """A request on its way."""

    def __init__(self) -> None:
        self._outcome: Outcome | None = None
        self._answered = trio.Event()

    def done(self, outcome: Outcome) -> None:
        assert self._outcome is None, "answered twice"
        self._outcome = outcome
        self._answered.set()

    @property
    def is_answered(self) -> bool:
        return self._outcome is not None

    async def outcome(self) -> Outcome:
        with trio.move_on_after(PATIENCE):
            await self._answered.wait()
        assert self._outcome is not None, "no answer"
        return self._outcome

    async def appended(self) -> Appended:
        outcome = await self.outcome()
        assert isinstance(outcome, Appended), outcome
        return outcome

    async def refused(self) -> ServiceError:
        outcome = await self.outcome()
        assert isinstance(outcome, ServiceError), outcome
        return outcome


@attrs.define(eq=False)
class Worker:
    pipeline: AppendPipeline
    pauses: Pauses
    ledger: Ledger
    scope: trio.CancelScope
    gone: trio.Event

    def ask(self, append: Append) -> Asked:
        """Queue an append; several asked one after the other share a flush."""
        asked = Asked()

        def done(outcome: Outcome) -> None:
            self.ledger.note(append, outcome)
            asked.done(outcome)

        self.pipeline.try_submit(append, done)
        return asked

    async def append(self, append: Append) -> Appended:
        return await self.ask(append).appended()

    async def refused(self, append: Append) -> ServiceError:
        return await self.ask(append).refused()

    async def crash(self) -> None:
        """Cancelled where it stands; nothing of it goes on."""
        self.scope.cancel()
        await self.gone.wait()


Weaken = Callable[[Sequencer], Sequencer]
WeakenRows = Callable[[RowStore], RowStore]


@attrs.define(eq=False)
class Cluster:
    store: Store
    mongo_config: MongoConfig
    redis_config: RedisConfig
    config: AppendConfig
    redis: redis.Redis
    nursery: trio.Nursery
    receiver: Receiver
    ledger: Ledger = attrs.field(factory=Ledger)

    async def worker(
        self,
        *,
        config: AppendConfig | None = None,
        sequencer: Weaken = lambda inner: inner,
        rows: WeakenRows = lambda inner: inner,
        redis_config: RedisConfig | None = None,
        notices_servers: bool = True,
    ) -> Worker:
        config = config or self.config
        redis_config = redis_config or self.redis_config
        metrics, pauses = Metrics(), Pauses()
        connection = RedisConnection(redis_config, metrics)
        worker: Worker

        def server_changed() -> None:
            if notices_servers:
                worker.pipeline.server_changed()

        ports = RedisSequencer(connection, config, redis_config.prefix, server_changed)
        pipeline = AppendPipeline(
            PausingSequencer(sequencer(ports), pauses),
            PausingRows(rows(self.store.rows), pauses),
            NoEffects(),
            config,
            metrics,
        )
        worker = Worker(pipeline, pauses, self.ledger, trio.CancelScope(), trio.Event())
        await self.nursery.start(_run, worker, connection)
        return worker

    # -- faults ------------------------------------------------------------------------------------

    def hash_key(self, conversation: str = CHAT) -> str:
        return f"{self.redis_config.prefix}c:{conversation}"

    def wipe(self, conversation: str = CHAT) -> None:
        """Redis loses its data.  No connection breaks."""
        self.redis.delete(self.hash_key(conversation))

    def snapshot(self, conversation: str = CHAT) -> bytes:
        return bytes(self.redis.dump(self.hash_key(conversation)))  # type: ignore[arg-type]

    def roll_back(self, snapshot: bytes, conversation: str = CHAT) -> None:
        """Redis goes back to an earlier state, and nobody can notice."""
        self.redis.restore(self.hash_key(conversation), 0, snapshot, replace=True)

    def insert_on_primary_alone(self, row: Row) -> None:
        client: pymongo.MongoClient[Document]
        with pymongo.MongoClient(self.mongo_config.uri, w=1) as client:
            rows: Collection[Document] = client[self.mongo_config.database]["rows"]
            rows.insert_many(block_documents([row]))

    # -- what is true ------------------------------------------------------------------------------

    def rows(self, conversation: str = CHAT) -> list[Row]:
        """All rows in the store, holes and all."""
        client: pymongo.MongoClient[Document]
        with pymongo.MongoClient(self.mongo_config.uri) as client:
            rows: Collection[Document] = client[self.mongo_config.database]["rows"]
            found = rows.find({"c": conversation})
            return [to_row(conversation, doc["s"], doc) for doc in found.sort("s", 1)]

    def facts(self, conversation: str = CHAT) -> Facts | None:
        return Facts.parse(self.redis.hgetall(self.hash_key(conversation)))  # type: ignore[arg-type]

    def violations(self, conversation: str = CHAT) -> list[str]:
        shown = self.receiver.shown(conversation)
        rows, facts = self.rows(conversation), self.facts(conversation)
        return violations(conversation, rows, facts, shown, self.ledger)


async def _run(
    worker: Worker,
    connection: RedisConnection,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    try:
        with worker.scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(connection.run)
                await nursery.start(worker.pipeline.run)
                task_status.started()
    finally:
        worker.gone.set()


@asynccontextmanager
async def open_cluster(
    mongo_config: MongoConfig, redis_config: RedisConfig, config: AppendConfig = QUICK
) -> AsyncIterator[Cluster]:
    with (
        redis.Redis.from_url(redis_config.url) as client,
        Receiver(client, redis_config.prefix) as receiver,
    ):
        async with open_store(mongo_config, Metrics()) as store, trio.open_nursery() as nursery:
            yield Cluster(store, mongo_config, redis_config, config, client, nursery, receiver)
            nursery.cancel_scope.cancel()
