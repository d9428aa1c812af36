"""Opening the store: one MongoDB client per worker and everything that is kept in it.

Works with a standalone mongod, a replica set and a sharded cluster: no transactions, every
collection is found by `_id`, and `{_id: 1}` is the shard key where a cluster is sharded.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import attrs
import pymongo
import trio
from pymongo.errors import PyMongoError

from openim_trio.config.model import MongoConfig
from openim_trio.observability.metrics import Metrics
from openim_trio.store.bounds import Bounds
from openim_trio.store.collections import Document, durable
from openim_trio.store.conversations import Conversations
from openim_trio.store.groups import Groups
from openim_trio.store.hidden import Hidden
from openim_trio.store.rows import MongoRows
from openim_trio.store.send_status import SendStatus
from openim_trio.store.threads import Threads
from openim_trio.store.tokens import Tokens
from openim_trio.store.users import Users
from openim_trio.store.versions import Versions

CLOSE_TIMEOUT = 2.0


@attrs.frozen(slots=True)
class Store:
    """All methods that touch MongoDB raise `StoreUnavailable` when it does not answer in time."""

    rows: MongoRows
    users: Users
    groups: Groups
    conversations: Conversations
    versions: Versions
    tokens: Tokens
    hidden: Hidden
    bounds: Bounds
    send_status: SendStatus
    _client: pymongo.MongoClient[Document]
    _threads: Threads

    async def ping(self) -> None:
        """Asks the primary."""
        await self._threads.read(lambda: self._client.admin.command("ping"))

    async def create_indexes(self) -> None:
        """Idempotent, also when several workers start at once."""
        await self.users.prepare()
        await self.groups.create_indexes()
        await self.conversations.create_indexes()
        await self.tokens.create_indexes()
        await self.send_status.create_indexes()


@asynccontextmanager
async def open_store(config: MongoConfig, metrics: Metrics) -> AsyncIterator[Store]:
    """Connects in the background: an unreachable server shows at the first call."""
    client = await trio.to_thread.run_sync(_connect, config)
    try:
        yield _build(client, config, metrics)
    finally:
        with trio.CancelScope(shield=True):  # bounded by CLOSE_TIMEOUT
            await trio.to_thread.run_sync(_close, client)


def _connect(config: MongoConfig) -> pymongo.MongoClient[Document]:
    milliseconds = max(int(config.timeout * 1000), 1)
    return pymongo.MongoClient(
        config.uri,
        appname="openim-trio",
        serverSelectionTimeoutMS=milliseconds,
        connectTimeoutMS=milliseconds,
        maxPoolSize=2 * config.store_threads + config.read_threads,
        tz_aware=True,
    )


def _close(client: pymongo.MongoClient[Document]) -> None:
    with suppress(PyMongoError), pymongo.timeout(CLOSE_TIMEOUT):
        client.close()


def _build(client: pymongo.MongoClient[Document], config: MongoConfig, metrics: Metrics) -> Store:
    threads = Threads(config, metrics)
    database = client[config.database]

    def collection(name: str) -> pymongo.collection.Collection[Document]:
        return durable(database, name, config.timeout)

    versions = Versions(collection("versions"), threads)
    return Store(
        rows=MongoRows(collection("rows"), threads),
        users=Users(collection("users"), collection("registrations"), threads),
        groups=Groups(collection("groups"), collection("members"), threads),
        conversations=Conversations(collection("conversations"), versions, threads),
        versions=versions,
        tokens=Tokens(collection("tokens"), threads),
        hidden=Hidden(collection("hidden"), threads),
        bounds=Bounds(collection("bounds"), threads),
        send_status=SendStatus(collection("send_status"), threads),
        client=client,
        threads=threads,
    )
