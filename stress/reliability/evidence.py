"""What clients hold in their databases and the server in its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import attrs
import orjson

from openim_trio.client.database.database import database_path
from openim_trio.client.database.opening import connect_read_only
from openim_trio.client.model import MessageStatus
from openim_trio.domain.rows import Row, RowKind
from openim_trio.wire.proto import sdkws_pb2


@attrs.frozen
class Held:
    """A message in somebody's database.  `seq` 0: not known, or never stored."""

    client_msg_id: str
    conversation: str
    seq: int
    sender: str
    text: str
    status: MessageStatus


@attrs.frozen
class Slot:
    """One of the server's rows."""

    seq: int
    client_msg_id: str
    sender: str
    is_message: bool


def held_by(data_dir: Path, user: str) -> list[Held]:
    """In no order; empty where there is no database yet.  Nobody has it open."""
    path = database_path(data_dir, user)
    if not path.exists():
        return []
    with closing(connect_read_only(path)) as connection:
        return [
            Held(client_msg_id, conversation, seq or 0, sender, _text(data), MessageStatus(status))
            for client_msg_id, conversation, seq, sender, data, status in connection.execute(
                "SELECT client_msg_id, conversation, seq, send_id, data, status FROM messages"
                " WHERE client_msg_id IS NOT NULL"
            )
        ]


def _text(data: bytes) -> str:
    try:
        content = orjson.loads(sdkws_pb2.MsgData.FromString(data).content)
    except orjson.JSONDecodeError:
        return ""
    return str(content.get("content", "")) if isinstance(content, dict) else ""


def slots_of(stored: Mapping[str, Sequence[Row]]) -> dict[str, list[Slot]]:
    """By conversation, in order."""
    return {name: [_slot(row) for row in rows] for name, rows in stored.items()}


def _slot(row: Row) -> Slot:
    data = sdkws_pb2.MsgData.FromString(row.data)
    return Slot(row.seq, data.clientMsgID, data.sendID, row.kind is RowKind.MESSAGE)
