"""What became of a REST send, by its operationID, for 24 hours."""

from __future__ import annotations

from datetime import UTC, datetime

from openim_trio.store.collections import Rows, relaxed
from openim_trio.store.threads import Threads

KEPT_SECONDS = 24 * 3600
UNKNOWN = 0


class SendStatus:
    """{_id: operationID, status, at (date, TTL index)}; 1 sending, 2 sent, 3 failed."""

    def __init__(self, collection: Rows, threads: Threads) -> None:
        self._statuses = relaxed(collection)
        self._threads = threads

    async def create_indexes(self) -> None:
        await self._threads.update(
            lambda: self._statuses.create_index([("at", 1)], expireAfterSeconds=KEPT_SECONDS)
        )

    async def put(self, operation_id: str, status: int) -> None:
        """Not waited for on a majority: it is a hint, the message itself is the truth."""
        change = {"$set": {"status": status, "at": datetime.now(UTC)}}
        await self._threads.update(
            lambda: self._statuses.update_one({"_id": operation_id}, change, upsert=True)
        )

    async def get(self, operation_id: str) -> int:
        """0: unknown."""
        document = await self._threads.read(lambda: self._statuses.find_one({"_id": operation_id}))
        return int(document["status"]) if document else UNKNOWN
