"""Messages as they are read: pages, searches, what is next to be shown."""

# ruff: noqa: S608 -- statements are put together from this package's own texts; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence

from openim_trio.client.database import rows
from openim_trio.client.database.texts import fold
from openim_trio.client.model import Message, MessageStatus

_SELECT = f"SELECT {rows.COLUMNS} FROM messages"
_SHOWN_IN = "conversation = ? AND kind = 1"


def get(connection: sqlite3.Connection, client_msg_id: str, send_id: str = "") -> Message | None:
    """An erased one has status DELETED and no content.  Where several senders or conversations have
    the ID: the one that was stored last."""
    sender, arguments = ("AND send_id = ?", (send_id,)) if send_id else ("", ())
    found = connection.execute(
        f"{_SELECT} WHERE client_msg_id = ? {sender} ORDER BY id DESC LIMIT 1",
        (client_msg_id, *arguments),
    ).fetchone()
    return rows.message(found) if found else None


def at(connection: sqlite3.Connection, conversation_id: str, seqs: Sequence[int]) -> list[Message]:
    """Those of the seqs at which something is shown, ascending."""
    return rows.messages(
        connection.execute(
            f"{_SELECT} WHERE {_SHOWN_IN} AND seq IN (SELECT value FROM json_each(?)) ORDER BY seq",
            (conversation_id, rows.json_list(seqs)),
        )
    )


def to_show(
    connection: sqlite3.Connection, conversation_id: str, after: int, upto: int, limit: int
) -> list[Message]:
    """Messages from others and from the user's other devices, after < seq <= upto, ascending, the
    first `limit` of them."""
    return rows.messages(
        connection.execute(
            f"{_SELECT} WHERE {_SHOWN_IN} AND seq > ? AND seq <= ? AND origin <> 2 "
            "ORDER BY seq LIMIT ?",
            (conversation_id, after, upto, limit),
        )
    )


def page(
    connection: sqlite3.Connection, conversation_id: str, before_seq: int, count: int
) -> list[Message]:
    """The newest `count` that have a seq, below `before_seq`, ascending.  before_seq=0: the newest
    of all, and after them, beyond `count`, all those of this device that have no seq (yet)."""
    upper = "AND seq < ?" if before_seq else "AND seq IS NOT NULL"
    found = rows.messages(
        connection.execute(
            f"{_SELECT} WHERE {_SHOWN_IN} {upper} ORDER BY seq DESC LIMIT ?",
            (conversation_id, *([before_seq] if before_seq else []), count),
        )
    )
    found.reverse()
    if not before_seq:
        found += rows.messages(
            connection.execute(
                f"{_SELECT} WHERE {_SHOWN_IN} AND seq IS NULL ORDER BY id", (conversation_id,)
            )
        )
    return found


def latest(connection: sqlite3.Connection, conversation_id: str) -> Message | None:
    """The newest that is shown: one on its way from this device, else the later of the last stored
    and the last failed one."""
    placed = connection.execute(NEWEST_PLACED.format("?"), (conversation_id,)).fetchone()
    unplaced = connection.execute(NEWEST_UNPLACED.format("?"), (conversation_id,)).fetchone()
    ids = [found[0] for found in (placed, unplaced) if found]
    return newest(messages_by_id(connection, ids).values())


NEWEST_PLACED = (
    "SELECT id FROM messages WHERE conversation = {} AND kind = 1 AND seq IS NOT NULL "
    "ORDER BY seq DESC LIMIT 1"
)
NEWEST_UNPLACED = (
    "SELECT id FROM messages WHERE conversation = {} AND kind = 1 AND seq IS NULL "
    "ORDER BY status = 3, id DESC LIMIT 1"
)
"""`{}`: the conversation"""


def messages_by_id(connection: sqlite3.Connection, ids: Collection[int]) -> dict[int, Message]:
    found = connection.execute(
        f"SELECT id, {rows.COLUMNS} FROM messages WHERE id IN (SELECT value FROM json_each(?))",
        (rows.json_list(ids),),
    )
    return {row[0]: rows.message(row[1:]) for row in found}


def newest(candidates: Collection[Message]) -> Message | None:
    """Of the newest with a seq and the newest without."""

    def rank(message: Message) -> tuple[bool, int]:
        on_its_way = not message.seq and message.status is not MessageStatus.FAILED
        return on_its_way, message.send_time or message.create_time

    return max(candidates, key=rank, default=None)


def search(
    connection: sqlite3.Connection,
    text: str,
    *,
    conversation_id: str = "",
    content_types: Collection[int] = (),
    sender: str = "",
    since: int = 0,
    until: int = 0,
    offset: int = 0,
    count: int = 100,
) -> list[Message]:
    """Messages in whose readable text `text` occurs, in whatever case, newest first; '' occurs in
    all.  Empty filters let everything pass; `since` and `until` are inclusive, Unix ms."""
    conditions = ["kind = 1"]
    arguments: list[object] = []

    def require(condition: str, value: object) -> None:
        if value:
            conditions.append(condition)
            arguments.append(value)

    require("conversation = ?", conversation_id)
    require("send_id = ?", sender)
    require("time >= ?", since)
    require("time <= ?", until)
    if content_types:
        kinds = rows.json_list(map(int, content_types))
        require("content_type IN (SELECT value FROM json_each(?))", kinds)
    # Not LIKE: it knows no case beyond ASCII, and wildcards.
    require("instr(text, ?)", fold(text.encode(errors="replace").decode()))
    return rows.messages(
        connection.execute(
            f"{_SELECT} WHERE {' AND '.join(conditions)} "
            "ORDER BY time DESC, id DESC LIMIT ? OFFSET ?",
            (*arguments, count, offset),
        )
    )
