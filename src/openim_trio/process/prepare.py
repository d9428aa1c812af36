"""What the supervisor does in the store once, before any worker starts."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
import trio

from openim_trio.append.ports import StoreUnavailable
from openim_trio.config.hiding import hide_password
from openim_trio.config.model import Config
from openim_trio.observability.metrics import Metrics
from openim_trio.services.announcer import Announcer
from openim_trio.services.users import UserService
from openim_trio.store.client import open_store

_log = structlog.get_logger()
_PAUSE = 1.0


class PrepareError(Exception):
    """The store cannot be made ready."""


async def prepare_store(config: Config) -> None:
    """Indexes and administrators.  Waits for a store that is not up yet, at most
    `engines.start_timeout`.  Raises PrepareError."""
    limit = config.engines.start_timeout
    async with open_store(config.mongo, Metrics()) as store:
        users = UserService(store.users, config.auth, Announcer(_NoWorkers()))
        with trio.move_on_after(limit):
            while True:
                try:
                    await store.create_indexes()
                    await users.ensure_admins()
                    return
                except StoreUnavailable as error:
                    _log.warning("store_not_ready", problem=str(error))
                await trio.sleep(_PAUSE)
    where = hide_password(config.mongo.uri)
    raise PrepareError(f"MongoDB at {where} does not answer after {limit:g} s (mongo.uri)")


class _NoWorkers:
    """A publisher for when no worker runs yet, and nobody has cached anything."""

    async def publish(self, channel: str, payload: bytes) -> int:
        return 0

    async def publish_many(self, items: Sequence[tuple[str, bytes]]) -> list[int]:
        return [0] * len(items)
