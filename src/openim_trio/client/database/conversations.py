"""The user's conversations: settings, how far they were read, and what is newest in each."""

# ruff: noqa: S608 -- statements are put together from this package's own texts; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence

from openim_trio.client.database import reading, rows
from openim_trio.client.database.messages import raise_read_seq
from openim_trio.client.model import Conversation, Message

_IS_CHAT = "substr(c.conversation, 1, 2) <> 'n_'"
_MAX_SEQ = "max(coalesce(p.head, 0), coalesce(p.top, 0))"
_READ_SEQ = "coalesce(m.read_seq, 0)"
_FROM = """
    FROM conversations AS c
    LEFT JOIN positions AS p ON p.conversation = c.conversation
    LEFT JOIN marks AS m ON m.conversation = c.conversation
"""
_SETTINGS = (
    "session_type", "user_id", "group_id", "recv_msg_opt", "is_pinned", "is_private_chat",
    "burn_duration", "group_at_type", "ex", "attached_info",
)  # fmt: skip
_LISTED = f"""
    SELECT {", ".join(f"c.{name}" for name in ("conversation", "draft", *_SETTINGS))},
        {_MAX_SEQ}, {_READ_SEQ},
        ({reading.NEWEST_PLACED.format("c.conversation")}),
        ({reading.NEWEST_UNPLACED.format("c.conversation")})
    {_FROM}
"""
_PUT = f"""
    INSERT INTO conversations (conversation, {", ".join(_SETTINGS)})
    VALUES (?{", ?" * len(_SETTINGS)})
    ON CONFLICT (conversation) DO UPDATE
    SET {", ".join(f"{name} = excluded.{name}" for name in _SETTINGS)}
"""


def ensure(
    connection: sqlite3.Connection,
    conversation_id: str,
    session_type: int,
    user_id: str,
    group_id: str,
) -> bool:
    """True: it is new."""
    added = connection.execute(
        "INSERT INTO conversations (conversation, session_type, user_id, group_id) "
        "VALUES (?, ?, ?, ?) ON CONFLICT (conversation) DO NOTHING",
        (conversation_id, session_type, user_id, group_id),
    )
    return added.rowcount > 0


def put(connection: sqlite3.Connection, conversation: Conversation) -> None:
    """Settings as the server has them.  The draft and what is known of messages stay."""
    settings = (getattr(conversation, name) for name in _SETTINGS)
    connection.execute(_PUT, (conversation.conversation_id, *settings))


def get(connection: sqlite3.Connection, conversation_id: str) -> Conversation | None:
    found = listed(connection, [conversation_id])
    return found[0] if found else None


def listed(connection: sqlite3.Connection, ids: Sequence[str] | None = None) -> list[Conversation]:
    """Those of `ids`, or all chats: pinned ones first, then by the time of the latest message,
    newest first."""
    if ids is None:
        found = connection.execute(f"{_LISTED} WHERE {_IS_CHAT}").fetchall()
    else:
        found = connection.execute(
            f"{_LISTED} WHERE c.conversation IN (SELECT value FROM json_each(?))",
            (rows.json_list(ids),),
        ).fetchall()
    newest_ids = {row_id for row in found for row_id in row[-2:] if row_id is not None}
    newest = reading.messages_by_id(connection, newest_ids)
    result = [_conversation(row, newest) for row in found]
    result.sort(key=lambda one: one.conversation_id)
    result.sort(key=lambda one: (one.is_pinned, _time(one.latest)), reverse=True)
    return result


def set_read(connection: sqlite3.Connection, conversation_id: str, read_seq: int) -> bool:
    """The user has read up to there.  False: nothing new, it never goes back."""
    return raise_read_seq(connection, conversation_id, read_seq)


def set_pinned(connection: sqlite3.Connection, ids: Collection[str]) -> None:
    """Exactly these are pinned."""
    connection.execute(
        "UPDATE conversations SET is_pinned = NOT is_pinned "
        "WHERE is_pinned <> (conversation IN (SELECT value FROM json_each(?)))",
        (rows.json_list(ids),),
    )


def set_draft(connection: sqlite3.Connection, conversation_id: str, draft: str) -> bool:
    """False: there is no such conversation."""
    changed = connection.execute(
        "UPDATE conversations SET draft = ? WHERE conversation = ?", (draft, conversation_id)
    )
    return changed.rowcount > 0


def remove(connection: sqlite3.Connection, conversation_id: str) -> None:
    """From the list, with its settings and draft.  Its messages, its position and how far it was
    read stay."""
    connection.execute("DELETE FROM conversations WHERE conversation = ?", (conversation_id,))


def total_unread(connection: sqlite3.Connection) -> int:
    """Of the chats whose messages the user wants to be told of (recv_msg_opt 0)."""
    (total,) = connection.execute(
        f"SELECT coalesce(sum(max({_MAX_SEQ} - {_READ_SEQ}, 0)), 0) {_FROM} "
        f"WHERE c.recv_msg_opt = 0 AND {_IS_CHAT}"
    ).fetchone()
    return int(total)


def _conversation(row: Sequence[object], newest: dict[int, Message]) -> Conversation:
    name, draft, *settings, max_seq, read_seq, placed, unplaced = row
    assert isinstance(max_seq, int)
    assert isinstance(read_seq, int)
    values: dict[str, object] = dict(zip(_SETTINGS, settings, strict=True))
    for flag in ("is_pinned", "is_private_chat"):
        values[flag] = bool(values[flag])
    candidates = [newest[key] for key in (placed, unplaced) if isinstance(key, int)]
    return Conversation(
        conversation_id=str(name),
        draft=str(draft),
        max_seq=max_seq,
        read_seq=read_seq,
        unread=max(0, max_seq - read_seq),
        latest=reading.newest(candidates),
        **values,  # type: ignore[arg-type]
    )


def _time(message: Message | None) -> int:
    return message.send_time or message.create_time if message else 0
