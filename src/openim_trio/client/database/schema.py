"""The tables, as numbered migrations.  `PRAGMA user_version` says how many a file has had.

messages       one row a message or slot.  `seq`: NULL until the server's is known.  `send_id` and
               `client_msg_id` are NULL in slots that stand for no message.  `time`: Unix ms, by
               which search and lists of conversations sort.  `text`: what is searched, folded.
               `data`: MsgData; `seq`, `status`, `is_read` and `offline` stand in their columns
marks          read_seq: the user has read up to there.  cleared_seq: nothing up to there is shown
               any more
positions, gaps   see client/machines/position.py
sends          those without a definite end
outcomes       definite ends that the application has not been told yet
conversations  settings, as the server has them, and the draft
lists          version of each list that is synced by versions (64 bits unsigned, hence text)
meta           small values

Numbers of kinds and origins are those of `rows.py`.
"""

from __future__ import annotations

import sqlite3

APPLICATION_ID = 0x4F494D54
"""marks a file as ours ("OIMT")"""

_MESSAGES = """
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY,
        conversation TEXT NOT NULL,
        seq INTEGER,
        kind INTEGER NOT NULL,
        send_id TEXT,
        client_msg_id TEXT,
        origin INTEGER NOT NULL,
        status INTEGER NOT NULL,
        is_read INTEGER NOT NULL,
        offline INTEGER NOT NULL,
        content_type INTEGER NOT NULL,
        time INTEGER NOT NULL,
        text TEXT NOT NULL,
        data BLOB NOT NULL
    )
"""
# One key may stand in several conversations: servers keep them apart there.
_FIRST = (
    _MESSAGES,
    "CREATE UNIQUE INDEX messages_slot ON messages (conversation, seq)",
    "CREATE UNIQUE INDEX messages_key ON messages (client_msg_id, send_id, conversation)",
    "CREATE INDEX messages_shown ON messages (conversation, seq) WHERE kind = 1",
    """
    CREATE TABLE marks (
        conversation TEXT PRIMARY KEY,
        read_seq INTEGER NOT NULL DEFAULT 0,
        cleared_seq INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE positions (
        conversation TEXT PRIMARY KEY,
        head INTEGER NOT NULL,
        top INTEGER NOT NULL,
        handed INTEGER NOT NULL,
        shown INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE gaps (
        conversation TEXT NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        PRIMARY KEY (conversation, first)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE sends (
        place INTEGER PRIMARY KEY AUTOINCREMENT,
        client_msg_id TEXT NOT NULL UNIQUE,
        conversation TEXT NOT NULL,
        create_time INTEGER NOT NULL,
        deadline_at INTEGER NOT NULL,
        giving_up INTEGER NOT NULL,
        reason_code INTEGER NOT NULL,
        reason TEXT NOT NULL,
        data BLOB NOT NULL
    )
    """,
    """
    CREATE TABLE outcomes (
        place INTEGER PRIMARY KEY AUTOINCREMENT,
        client_msg_id TEXT NOT NULL UNIQUE,
        conversation TEXT NOT NULL,
        sent INTEGER NOT NULL,
        code INTEGER NOT NULL,
        reason TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE conversations (
        conversation TEXT PRIMARY KEY,
        session_type INTEGER NOT NULL,
        user_id TEXT NOT NULL,
        group_id TEXT NOT NULL,
        recv_msg_opt INTEGER NOT NULL DEFAULT 0,
        is_pinned INTEGER NOT NULL DEFAULT 0,
        is_private_chat INTEGER NOT NULL DEFAULT 0,
        burn_duration INTEGER NOT NULL DEFAULT 0,
        group_at_type INTEGER NOT NULL DEFAULT 0,
        ex TEXT NOT NULL DEFAULT '',
        attached_info TEXT NOT NULL DEFAULT '',
        draft TEXT NOT NULL DEFAULT ''
    ) WITHOUT ROWID
    """,
    "CREATE TABLE lists (name TEXT PRIMARY KEY, version_id TEXT NOT NULL, version TEXT NOT NULL)",
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    f"PRAGMA application_id = {APPLICATION_ID}",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST,)
"""Statements, from one version to the next.  Never change one that was released: append."""
VERSION = len(MIGRATIONS)


def version_of(connection: sqlite3.Connection) -> int:
    """How many migrations the file has had; 0: it is new and empty."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def is_ours(connection: sqlite3.Connection) -> bool:
    """False: another program's database."""
    if version_of(connection):
        (found,) = connection.execute("PRAGMA application_id").fetchone()
        return bool(found == APPLICATION_ID)
    return connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None


def migrate(connection: sqlite3.Connection) -> None:
    """All that are missing, in one transaction."""
    if version_of(connection) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statements in MIGRATIONS[version_of(connection) :]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
