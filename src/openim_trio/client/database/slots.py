"""Which places of a conversation are in the database, whatever they hold."""

from __future__ import annotations

import sqlite3


def count(connection: sqlite3.Connection, conversation_id: str, first: int, last: int) -> int:
    """How many of first..last."""
    found = connection.execute(
        "SELECT count(*) FROM messages WHERE conversation = ? AND seq BETWEEN ? AND ?",
        (conversation_id, first, last),
    )
    return int(found.fetchone()[0])
