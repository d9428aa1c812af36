"""The list of conversations with their settings, kept in step by its version on the server."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable

import structlog
import trio

from openim_trio.client.calls import Calls
from openim_trio.client.database import conversations, lists
from openim_trio.client.database.database import Database
from openim_trio.client.errors import ClientError, TokenRefused

LIST = "conversations"
FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0
"""seconds to rest after a refresh that failed, doubling"""

log = structlog.get_logger()


class Roster:
    """Messages don't wait for it: it only adds settings and conversations without messages."""

    def __init__(
        self,
        user_id: str,
        calls: Calls,
        database: Database,
        on_changed: Callable[[Iterable[str], Iterable[str]], None],
    ) -> None:
        """`on_changed(changed, new)`: conversation IDs."""
        self._user_id = user_id
        self._calls = calls
        self._database = database
        self._on_changed = on_changed
        self._wake = trio.Event()

    def refresh(self) -> None:
        """Soon, if there is a connection."""
        self._wake.set()

    async def run(self) -> None:
        """While connected."""
        wait = FIRST_WAIT
        while True:
            try:
                await self._sync()
            except TokenRefused:
                return  # the WebSocket says so, too
            except ClientError as error:
                log.info("conversations_not_synced", reason=str(error))
                await trio.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT)
                continue
            wait = FIRST_WAIT
            await self._wake.wait()
            self._wake = trio.Event()

    async def _sync(self) -> None:
        version_id, version = await self._database.read(lambda c: lists.version(c, LIST))
        changes = await self._calls.incremental_conversations(self._user_id, version_id, version)
        if changes.full:
            found, deleted = await self._calls.all_conversations(self._user_id), None
        else:
            found, deleted = [*changes.inserted, *changes.updated], changes.deleted
            if not found and not deleted:
                return

        def work(connection: sqlite3.Connection) -> tuple[list[str], list[str]]:
            changed: list[str] = []
            new: list[str] = []
            for item in found:
                name = item.conversation_id
                parties = (item.session_type, item.user_id, item.group_id)
                (new if conversations.ensure(connection, name, *parties) else changed).append(name)
                conversations.put(connection, item)
            for name in deleted or ():
                conversations.remove(connection, name)
            lists.set_version(connection, LIST, changes.version_id, changes.version)
            return changed, new

        self._on_changed(*await self._database.write(work))
