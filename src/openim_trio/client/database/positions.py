"""Positions: which seqs of each conversation are held, and how far they were shown."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from openim_trio.client.machines.position import Position, SeqRange

_SAVE = """
    INSERT INTO positions (conversation, head, top, handed, shown) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (conversation) DO UPDATE
    SET head = excluded.head, top = excluded.top, handed = excluded.handed, shown = excluded.shown
"""


def load(connection: sqlite3.Connection) -> list[Position]:
    """All of them."""
    gaps: dict[str, list[SeqRange]] = {}
    for name, first, last in connection.execute(
        "SELECT conversation, first, last FROM gaps ORDER BY conversation, first"
    ):
        gaps.setdefault(name, []).append(SeqRange(first, last))
    return [
        Position(name, head, top, tuple(gaps.get(name, ())), handed, shown)
        for name, head, top, handed, shown in connection.execute(
            "SELECT conversation, head, top, handed, shown FROM positions"
        )
    ]


def save(connection: sqlite3.Connection, positions: Iterable[Position]) -> None:
    """As they are now.  Of the gaps only those that changed are written."""
    for position in positions:
        name = position.conversation_id
        connection.execute(
            _SAVE, (name, position.head, position.top, position.handed, position.shown)
        )
        old = set(
            connection.execute("SELECT first, last FROM gaps WHERE conversation = ?", (name,))
        )
        new = {(gap.first, gap.last) for gap in position.gaps}
        connection.executemany(
            "DELETE FROM gaps WHERE conversation = ? AND first = ?",
            [(name, first) for first, _ in old - new],
        )
        connection.executemany(
            "INSERT INTO gaps (conversation, first, last) VALUES (?, ?, ?)",
            [(name, first, last) for first, last in new - old],
        )
