"""What the supervisor does in the store once, before any worker starts."""

from __future__ import annotations

import time

import attrs
import structlog
import trio

from openim_trio.append.ports import StoreUnavailable
from openim_trio.config.hiding import hide_password
from openim_trio.config.model import Config
from openim_trio.domain.records import UserRecord
from openim_trio.observability.metrics import Metrics
from openim_trio.store.client import Store, open_store

_log = structlog.get_logger()
_PAUSE = 1.0
_ADMIN_LEVEL = 2
"""appMangerLevel of an application administrator (the protocol's spelling)"""


class PrepareError(Exception):
    """The store cannot be made ready."""


async def prepare_store(config: Config) -> None:
    """Indexes and administrators.  Waits for a store that is not up yet, at most
    `engines.start_timeout`.  Raises PrepareError."""
    limit = config.engines.start_timeout
    async with open_store(config.mongo, Metrics()) as store:
        with trio.move_on_after(limit):
            while True:
                try:
                    await store.create_indexes()
                    await _create_administrators(store, config.auth.admins)
                    return
                except StoreUnavailable as error:
                    _log.warning("store_not_ready", problem=str(error))
                await trio.sleep(_PAUSE)
    where = hide_password(config.mongo.uri)
    raise PrepareError(f"MongoDB at {where} does not answer after {limit:g} s (mongo.uri)")


async def _create_administrators(store: Store, admins: tuple[str, ...]) -> None:
    """Those that exist stay as they are, but for the level."""
    known = await store.users.get_many(admins)
    for user_id in admins:
        record = known.get(user_id)
        if record is not None and record.app_manger_level == _ADMIN_LEVEL:
            continue
        if record is None:
            now = time.time_ns() // 1_000_000
            record = UserRecord(user_id, nickname=user_id, create_time=now)
        await store.users.upsert(_as_administrator(record))
        _log.info("administrator_made", user=user_id)


def _as_administrator(record: UserRecord) -> UserRecord:
    return attrs.evolve(record, app_manger_level=_ADMIN_LEVEL)
