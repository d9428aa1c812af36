"""Rows of the table `messages`, and the messages they stand for."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from enum import IntEnum

from openim_trio.client.database.texts import fold, text_of
from openim_trio.client.model import Message, MessageStatus, message_of
from openim_trio.wire.proto import sdkws_pb2


class Kind(IntEnum):
    """MESSAGE    shown
    EMPTY      holds no message, or one that was erased (then it still has its key)
    DUPLICATE  its message stands at another seq
    """

    MESSAGE = 1
    EMPTY = 2
    DUPLICATE = 3


class Origin(IntEnum):
    """Whose: somebody else's, the user's from another device, the user's from here."""

    OTHERS = 0
    ELSEWHERE = 1
    HERE = 2


COLUMNS = "conversation, seq, status, is_read, offline, data"
"""what `message` takes"""
Row = tuple[str, int | None, int, int, int, bytes]

_INSERT = """
    INSERT INTO messages (
        conversation, seq, kind, send_id, client_msg_id, origin, status, is_read, offline,
        content_type, time, text, data
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_REWRITE = """
    UPDATE messages
    SET seq = ?, kind = ?, status = ?, is_read = ?, content_type = ?, time = ?, text = ?, data = ?
    WHERE id = ?
"""


def message(row: Row) -> Message:
    """Of `COLUMNS`."""
    conversation, seq, status, is_read, offline, stored = row
    data = sdkws_pb2.MsgData.FromString(stored)
    data.seq = seq or 0
    data.isRead = bool(is_read)
    return message_of(data, conversation, MessageStatus(status), offline=bool(offline))


def messages(rows: Iterable[Row]) -> list[Message]:
    return [message(row) for row in rows]


def insert(
    connection: sqlite3.Connection,
    conversation_id: str,
    data: sdkws_pb2.MsgData,
    *,
    kind: Kind,
    origin: Origin,
    status: MessageStatus,
    offline: bool = False,
    keyed: bool = True,
) -> None:
    """keyed=False: its key stands elsewhere, or it has none."""
    keyed = keyed and bool(data.clientMsgID)
    if kind is not Kind.MESSAGE:
        data = erased(data)
    connection.execute(
        _INSERT,
        (
            conversation_id,
            data.seq or None,
            kind,
            data.sendID if keyed else None,
            data.clientMsgID if keyed else None,
            origin,
            status,
            data.isRead,
            offline,
            *_derived(data, kind),
        ),
    )


def rewrite(
    connection: sqlite3.Connection,
    row_id: int,
    data: sdkws_pb2.MsgData,
    *,
    kind: Kind,
    status: MessageStatus,
) -> None:
    """The row becomes this; whose it is, and its key, stay."""
    if kind is not Kind.MESSAGE:
        data = erased(data)
    derived = _derived(data, kind)
    connection.execute(_REWRITE, (data.seq or None, kind, status, data.isRead, *derived, row_id))


def erased(data: sdkws_pb2.MsgData) -> sdkws_pb2.MsgData:
    """Without anything that somebody wrote."""
    left = sdkws_pb2.MsgData()
    left.CopyFrom(data)
    for field in ("content", "attachedInfo", "ex", "atUserIDList", "offlinePushInfo"):
        left.ClearField(field)
    return left


def json_list(values: Iterable[object]) -> str:
    """For `IN (SELECT value FROM json_each(?))`: lists of any length in one statement."""
    return json.dumps(list(values))


def _derived(data: sdkws_pb2.MsgData, kind: Kind) -> tuple[int, int, str, bytes]:
    text = fold(text_of(data.contentType, data.content)) if kind is Kind.MESSAGE else ""
    return data.contentType, data.sendTime or data.createTime, text, data.SerializeToString()
