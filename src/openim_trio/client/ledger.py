"""Positions of all conversations, changed only together with the database.

What is in memory is what the database has committed: a change is computed on a draft inside the
transaction and adopted after it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import trio

from openim_trio.client.database import positions
from openim_trio.client.database.database import Database
from openim_trio.client.machines.position import Position

RETRY_EVERY = 5.0
"""seconds until a database that failed is tried again, by whoever cannot go on without it"""

T = TypeVar("T")


class Draft:
    """Positions as a transaction is about to leave them."""

    def __init__(self, committed: dict[str, Position]) -> None:
        self._committed = committed
        self.changed: dict[str, Position] = {}

    def __getitem__(self, conversation_id: str) -> Position:
        position = self.changed.get(conversation_id) or self._committed.get(conversation_id)
        return position or Position(conversation_id)

    def put(self, position: Position) -> None:
        if position != self[position.conversation_id]:
            self.changed[position.conversation_id] = position


class Ledger:
    def __init__(self, database: Database, loaded: Iterable[Position]) -> None:
        self.database = database
        self._positions = {position.conversation_id: position for position in loaded}
        self._lock = trio.Lock()

    def __getitem__(self, conversation_id: str) -> Position:
        return self._positions.get(conversation_id) or Position(conversation_id)

    def __iter__(self) -> Iterator[Position]:
        return iter(self._positions.values())

    def __len__(self) -> int:
        return len(self._positions)

    async def commit(self, work: Callable[[sqlite3.Connection, Draft], T]) -> T:
        """Run `work` in a transaction and adopt what it put into the draft.  Not cancelled half
        way: what is committed is adopted.  Raises DatabaseError; then nothing has changed."""

        def op(connection: sqlite3.Connection) -> tuple[Draft, T]:
            draft = Draft(self._positions)
            result = work(connection, draft)
            if draft.changed:
                positions.save(connection, draft.changed.values())
            return draft, result

        async with self._lock:
            with trio.CancelScope(shield=True):
                draft, result = await self.database.write(op)
            self._positions.update(draft.changed)
            return result
