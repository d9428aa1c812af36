"""The one place where the store hops to threads: pymongo blocks, so a batch goes to a thread.

A hop is bounded: every command inside shares one time budget (`MongoConfig.timeout`), and a
cancelled caller waits for the thread to come back, so that no thread outlives its caller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pymongo
import trio
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)

from openim_trio.append.ports import StoreUnavailable
from openim_trio.config.model import MongoConfig
from openim_trio.observability.metrics import Metrics

DUPLICATE_KEY = 11000

_UNAVAILABLE_CODES = frozenset({
    6, 7, 50, 64, 89, 91, 112, 133, 134, 189, 202, 246, 262, 9001, 10107, 11600, 11602, 13435,
    13436,
})  # fmt: skip
"""Server error codes that say "not now": unreachable hosts, no primary, stepping down, shutting
down, time limit, write concern time-out, snapshot or majority point not available yet."""

T = TypeVar("T")


def is_unavailable(error: PyMongoError) -> bool:
    """True when the same command may succeed later, unchanged."""
    if isinstance(error, BulkWriteError):
        details = error.details
        failed = [*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())]
        return any(entry.get("code") in _UNAVAILABLE_CODES for entry in failed)
    if isinstance(error, ConnectionFailure | WriteConcernError) or error.timeout:
        return True
    return isinstance(error, OperationFailure) and error.code in _UNAVAILABLE_CODES


class Threads:
    """Three limiters, so that slow reads never hold up inserts, nor do single updates."""

    def __init__(self, config: MongoConfig, metrics: Metrics) -> None:
        self._timeout = config.timeout
        self._errors = metrics.engine_errors.labels("mongo")
        self._inserts = trio.CapacityLimiter(config.store_threads)
        self._updates = trio.CapacityLimiter(config.store_threads)
        self._reads = trio.CapacityLimiter(config.read_threads)

    async def insert(self, work: Callable[[], T]) -> T:
        """Message rows only."""
        return await self._hop(work, self._inserts)

    async def update(self, work: Callable[[], T]) -> T:
        return await self._hop(work, self._updates)

    async def read(self, work: Callable[[], T]) -> T:
        return await self._hop(work, self._reads)

    async def _hop(self, work: Callable[[], T], limiter: trio.CapacityLimiter) -> T:
        def bounded() -> T:
            with pymongo.timeout(self._timeout):
                return work()

        try:
            return await trio.to_thread.run_sync(bounded, abandon_on_cancel=False, limiter=limiter)
        except PyMongoError as error:
            if not is_unavailable(error):
                raise
            self._errors.inc()
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
