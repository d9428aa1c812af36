"""Messages: what comes is stored at its place, what was queued here learns its place.

Functions over a connection, called inside a transaction.  A key is (sender, clientMsgID): within a
conversation it stands for one message.
"""

# ruff: noqa: S608 -- statements are put together from this package's own texts; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from enum import Enum

import attrs

from openim_trio.client.database import rows
from openim_trio.client.database.reading import at, get, latest, page, search, to_show
from openim_trio.client.database.rows import Kind, Origin
from openim_trio.client.errors import InvalidArgument
from openim_trio.client.model import Message, MessageStatus
from openim_trio.domain.content_types import ContentType
from openim_trio.wire.proto import sdkws_pb2

__all__ = [
    "Stored", "Verdict", "acknowledge", "at", "clear", "get", "insert_own", "latest",
    "mark_deleted", "mark_read", "page", "remove_unsent", "revoke", "search", "set_status", "store",
    "to_show",
]  # fmt: skip


class Verdict(Enum):
    """NEW          stored: somebody else's, or the user's from another device
    OWN          it was queued on this device: now it has its seq, serverMsgID and sendTime, and is
                 SENT
    DUPLICATE    a message of the same sender and clientMsgID stands at another seq, so this slot
                 shows nothing
    PLACEHOLDER  an empty slot: given up, not for this user, erased (then it has a clientMsgID) or
                 cleared
    KNOWN        the seq is held already; nothing was changed
    """

    NEW = "new"
    OWN = "own"
    DUPLICATE = "duplicate"
    PLACEHOLDER = "placeholder"
    KNOWN = "known"


@attrs.frozen
class Stored:
    seq: int
    verdict: Verdict
    client_msg_id: str


def store(
    connection: sqlite3.Connection,
    conversation_id: str,
    messages: Sequence[sdkws_pb2.MsgData],
    *,
    own_user: str,
    offline: bool,
) -> list[Stored]:
    """Put what the server gave, in any order, at its place; seqs must be positive.  The user has
    read up to the last of their own messages.  One entry a message, in their order."""
    cleared = _cleared(connection, conversation_id)
    done: list[Stored] = []
    read_seq = 0
    for data in messages:
        if data.seq < 1:
            raise InvalidArgument(f"messages: seq {data.seq} is no place in a conversation")
        verdict = _store_one(
            connection,
            conversation_id,
            data,
            origin=Origin.ELSEWHERE if data.sendID == own_user else Origin.OTHERS,
            gone=data.status == MessageStatus.DELETED or data.seq <= cleared,
            offline=offline,
        )
        if verdict in (Verdict.NEW, Verdict.OWN) and data.sendID == own_user:
            read_seq = max(read_seq, data.seq)
        done.append(Stored(data.seq, verdict, data.clientMsgID))
    if read_seq:
        raise_read_seq(connection, conversation_id, read_seq)
    return done


def raise_read_seq(connection: sqlite3.Connection, conversation_id: str, read_seq: int) -> bool:
    """False: the user has read as far already."""
    if read_seq < 1:
        return False
    changed = connection.execute(
        "INSERT INTO marks (conversation, read_seq) VALUES (?, ?) ON CONFLICT (conversation) "
        "DO UPDATE SET read_seq = excluded.read_seq WHERE excluded.read_seq > read_seq",
        (conversation_id, read_seq),
    )
    return changed.rowcount > 0


def insert_own(
    connection: sqlite3.Connection, conversation_id: str, data: sdkws_pb2.MsgData
) -> Message:
    """A message that is queued here.  Raises InvalidArgument when its sender has one with that
    clientMsgID already, in any conversation."""
    if not data.clientMsgID:
        raise InvalidArgument("clientMsgID: must not be empty")
    known = connection.execute(
        "SELECT 1 FROM messages WHERE client_msg_id = ? AND send_id = ?",
        (data.clientMsgID, data.sendID),
    )
    if known.fetchone() is not None:
        raise InvalidArgument(f"clientMsgID: {data.clientMsgID} exists already")
    unplaced = _copy(data)
    unplaced.seq = 0
    rows.insert(
        connection,
        conversation_id,
        unplaced,
        kind=Kind.MESSAGE,
        origin=Origin.HERE,
        status=MessageStatus.SENDING,
    )
    found = get(connection, data.clientMsgID, data.sendID)
    assert found is not None
    return found


def acknowledge(
    connection: sqlite3.Connection,
    own_user: str,
    client_msg_id: str,
    server_msg_id: str,
    send_time: int,
) -> Message | None:
    """The server has stored a message of this device; `send_time`: Unix ms.  What the answer leaves
    empty stays, and so does a seq that is known already.  None: there is no such message."""
    own = _own(connection, own_user, client_msg_id)
    if own is None:
        return None
    own.data.serverMsgID = server_msg_id or own.data.serverMsgID
    own.data.sendTime = send_time or own.data.sendTime
    status = MessageStatus.SENT if own.kind is Kind.MESSAGE else MessageStatus.DELETED
    rows.rewrite(connection, own.row_id, own.data, kind=own.kind, status=status)
    return _by_id(connection, own.row_id)


def set_status(
    connection: sqlite3.Connection, own_user: str, client_msg_id: str, status: MessageStatus
) -> Message | None:
    """Of a message of this device; one that has its place is SENT for good, or erased.  None: there
    is no such."""
    own = _own(connection, own_user, client_msg_id)
    if own is None:
        return None
    connection.execute(
        "UPDATE messages SET status = ? WHERE id = ? AND seq IS NULL", (status, own.row_id)
    )
    return _by_id(connection, own.row_id)


def revoke(
    connection: sqlite3.Connection, conversation_id: str, seq: int, content: bytes
) -> Message | None:
    """Its content becomes `content`, its contentType 2101.  None: nothing is shown at that seq."""
    found = connection.execute(
        "SELECT id, status, is_read, data FROM messages "
        "WHERE conversation = ? AND seq = ? AND kind = 1",
        (conversation_id, seq),
    ).fetchone()
    if found is None:
        return None
    row_id, status, is_read, stored = found
    data = sdkws_pb2.MsgData.FromString(stored)
    data.contentType = ContentType.MSG_REVOKE
    data.content = content
    data.seq = seq
    data.isRead = bool(is_read)
    del data.atUserIDList[:]
    rows.rewrite(connection, row_id, data, kind=Kind.MESSAGE, status=MessageStatus(status))
    return _by_id(connection, row_id)


def mark_deleted(
    connection: sqlite3.Connection, conversation_id: str, seqs: Sequence[int]
) -> list[Message]:
    """Those that were shown, as they were, ascending.  Their contents are gone."""
    gone = at(connection, conversation_id, seqs)
    for message in gone:
        _erase(connection, conversation_id, message.seq, message.seq)
    return gone


def mark_read(
    connection: sqlite3.Connection, conversation_id: str, seqs: Sequence[int]
) -> list[int]:
    """Seqs of the user's own messages that had not been read before, ascending."""
    wanted = (conversation_id, rows.json_list(seqs))
    where = (
        "WHERE conversation = ? AND seq IN (SELECT value FROM json_each(?)) "
        "AND kind = 1 AND origin <> 0 AND NOT is_read"
    )
    newly = connection.execute(f"SELECT seq FROM messages {where} ORDER BY seq", wanted).fetchall()
    if newly:
        connection.execute(f"UPDATE messages SET is_read = 1 {where}", wanted)
    return [seq for (seq,) in newly]


def clear(connection: sqlite3.Connection, conversation_id: str, upto_seq: int) -> None:
    """Nothing up to there is shown any more, nor what comes later for a seq up to there.  Messages
    without a seq stay."""
    connection.execute(
        "INSERT INTO marks (conversation, cleared_seq) VALUES (?, ?) ON CONFLICT (conversation) "
        "DO UPDATE SET cleared_seq = max(cleared_seq, excluded.cleared_seq)",
        (conversation_id, upto_seq),
    )
    _erase(connection, conversation_id, 1, upto_seq)


def remove_unsent(connection: sqlite3.Connection, own_user: str, client_msg_id: str) -> bool:
    """Delete a message of this device that FAILED.  False: there is no such."""
    removed = connection.execute(
        "DELETE FROM messages WHERE client_msg_id = ? AND send_id = ? "
        "AND origin = 2 AND seq IS NULL AND status = ?",
        (client_msg_id, own_user, MessageStatus.FAILED),
    )
    return removed.rowcount > 0


# -- parts -----------------------------------------------------------------------------------------


def _store_one(
    connection: sqlite3.Connection,
    conversation_id: str,
    data: sdkws_pb2.MsgData,
    *,
    origin: Origin,
    gone: bool,
    offline: bool,
) -> Verdict:
    held = connection.execute(
        "SELECT 1 FROM messages WHERE conversation = ? AND seq = ?", (conversation_id, data.seq)
    )
    if held.fetchone() is not None:
        return Verdict.KNOWN
    kind = Kind.EMPTY if gone else Kind.MESSAGE
    status = MessageStatus.DELETED if gone else MessageStatus.SENT
    twin = connection.execute(
        "SELECT id, seq FROM messages WHERE client_msg_id = ? AND send_id = ? AND conversation = ?",
        (data.clientMsgID, data.sendID, conversation_id),
    ).fetchone()
    if twin is not None and twin[1] is None:
        # Only what was queued here has no seq.
        rows.rewrite(connection, twin[0], data, kind=kind, status=status)
        return Verdict.PLACEHOLDER if gone else Verdict.OWN
    if twin is not None:
        kind, status = Kind.DUPLICATE, MessageStatus.DELETED
    rows.insert(
        connection,
        conversation_id,
        data,
        kind=kind,
        origin=origin,
        status=status,
        offline=offline,
        keyed=twin is None,
    )
    if gone:
        return Verdict.PLACEHOLDER
    return Verdict.NEW if twin is None else Verdict.DUPLICATE


@attrs.frozen
class _Own:
    row_id: int
    kind: Kind
    data: sdkws_pb2.MsgData


def _own(connection: sqlite3.Connection, own_user: str, client_msg_id: str) -> _Own | None:
    found = connection.execute(
        "SELECT id, kind, seq, is_read, data FROM messages "
        "WHERE client_msg_id = ? AND send_id = ? AND origin = 2",
        (client_msg_id, own_user),
    ).fetchone()
    if found is None:
        return None
    row_id, kind, seq, is_read, stored = found
    data = sdkws_pb2.MsgData.FromString(stored)
    data.seq = seq or 0
    data.isRead = bool(is_read)
    return _Own(row_id, Kind(kind), data)


def _by_id(connection: sqlite3.Connection, row_id: int) -> Message:
    return rows.message(
        connection.execute(
            f"SELECT {rows.COLUMNS} FROM messages WHERE id = ?", (row_id,)
        ).fetchone()
    )


def _erase(connection: sqlite3.Connection, conversation_id: str, first: int, last: int) -> None:
    found = connection.execute(
        "SELECT id, data FROM messages WHERE conversation = ? AND kind = 1 AND seq BETWEEN ? AND ?",
        (conversation_id, first, last),
    ).fetchall()
    connection.executemany(
        "UPDATE messages SET kind = 2, status = 4, text = '', data = ? WHERE id = ?",
        [
            (rows.erased(sdkws_pb2.MsgData.FromString(data)).SerializeToString(), row_id)
            for row_id, data in found
        ],
    )


def _cleared(connection: sqlite3.Connection, conversation_id: str) -> int:
    found = connection.execute(
        "SELECT cleared_seq FROM marks WHERE conversation = ?", (conversation_id,)
    ).fetchone()
    return found[0] if found else 0


def _copy(data: sdkws_pb2.MsgData) -> sdkws_pb2.MsgData:
    copied = sdkws_pb2.MsgData()
    copied.CopyFrom(data)
    return copied
