"""Sends without a definite end, and ends that the application has not been told."""

# ruff: noqa: S608 -- statements are put together from this package's own texts; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping

import attrs

from openim_trio.client.errors import InvalidArgument
from openim_trio.client.machines.outgoing import PendingSend
from openim_trio.wire.proto import sdkws_pb2

COLUMNS = (
    "client_msg_id, conversation, data, place, create_time, deadline_at, giving_up, reason_code, "
    "reason"
)
"""what `send_of` takes"""


@attrs.frozen
class Outcome:
    """A definite end.  `code`, `reason`: why it was not sent."""

    client_msg_id: str
    conversation_id: str
    sent: bool
    code: int = 0
    reason: str = ""


def queue(connection: sqlite3.Connection, send: PendingSend) -> PendingSend:
    """Behind all others; returned with its order.  Raises InvalidArgument when it is queued
    already."""
    try:
        place = connection.execute(
            "INSERT INTO sends (client_msg_id, conversation, data, create_time, deadline_at, "
            "giving_up, reason_code, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                send.client_msg_id,
                send.conversation_id,
                send.data,
                send.create_time,
                send.deadline_at,
                send.giving_up,
                send.reason_code,
                send.reason,
            ),
        ).lastrowid
    except sqlite3.IntegrityError as error:
        raise InvalidArgument(f"clientMsgID: {send.client_msg_id} is queued already") from error
    assert place is not None
    return attrs.evolve(send, order=place)


def pending(connection: sqlite3.Connection) -> list[PendingSend]:
    """In the order in which they were queued."""
    return [
        send_of(row) for row in connection.execute(f"SELECT {COLUMNS} FROM sends ORDER BY place")
    ]


def stamp(connection: sqlite3.Connection, times: Mapping[str, int]) -> dict[str, int]:
    """clientMsgID -> createTime, Unix ms: from now on it may have been transmitted.  One that has
    a time keeps it.  Returns the times of those that are pending."""
    kept: dict[str, int] = {}
    for client_msg_id, create_time in times.items():
        found = connection.execute(
            "SELECT create_time, data FROM sends WHERE client_msg_id = ?", (client_msg_id,)
        ).fetchone()
        if found is None:
            continue
        kept[client_msg_id] = found[0] or create_time
        if found[0]:
            continue
        connection.execute(
            "UPDATE sends SET create_time = ?, data = ? WHERE client_msg_id = ?",
            (create_time, _stamped(found[1], create_time), client_msg_id),
        )
        for row_id, data in connection.execute(
            "SELECT id, data FROM messages WHERE client_msg_id = ? AND origin = 2", (client_msg_id,)
        ).fetchall():
            connection.execute(
                "UPDATE messages SET data = ? WHERE id = ?", (_stamped(data, create_time), row_id)
            )
    return kept


def give_up(connection: sqlite3.Connection, client_msg_id: str, code: int, reason: str) -> None:
    """The server is going to be asked for its end; `code` and `reason` are what to tell if that is
    "never"."""
    connection.execute(
        "UPDATE sends SET giving_up = 1, reason_code = ?, reason = ? WHERE client_msg_id = ?",
        (code, reason, client_msg_id),
    )


def settle(
    connection: sqlite3.Connection,
    client_msg_id: str,
    *,
    sent: bool,
    code: int = 0,
    reason: str = "",
) -> None:
    """It has its definite end, which is kept until it is told.  Once only: of what is not pending
    nothing changes."""
    connection.execute(
        "INSERT INTO outcomes (client_msg_id, conversation, sent, code, reason) "
        "SELECT client_msg_id, conversation, ?, ?, ? FROM sends WHERE client_msg_id = ?",
        (sent, code, reason, client_msg_id),
    )
    connection.execute("DELETE FROM sends WHERE client_msg_id = ?", (client_msg_id,))


def untold(connection: sqlite3.Connection) -> list[Outcome]:
    """In the order in which they were settled."""
    return [
        Outcome(client_msg_id, conversation_id, bool(sent), code, reason)
        for client_msg_id, conversation_id, sent, code, reason in connection.execute(
            "SELECT client_msg_id, conversation, sent, code, reason FROM outcomes ORDER BY place"
        )
    ]


def told(connection: sqlite3.Connection, client_msg_ids: Collection[str]) -> None:
    """The application knows; they are forgotten."""
    connection.executemany(
        "DELETE FROM outcomes WHERE client_msg_id = ?", [(name,) for name in client_msg_ids]
    )


def send_of(row: tuple[str, str, bytes, int, int, int, int, int, str]) -> PendingSend:
    """Of `COLUMNS`."""
    name, conversation_id, data, place, create_time, deadline_at, giving_up, code, reason = row
    return PendingSend(
        client_msg_id=name,
        conversation_id=conversation_id,
        data=data,
        order=place,
        create_time=create_time,
        deadline_at=deadline_at,
        giving_up=bool(giving_up),
        reason_code=code,
        reason=reason,
    )


def _stamped(data: bytes, create_time: int) -> bytes:
    message = sdkws_pb2.MsgData.FromString(data)
    message.createTime = create_time
    return message.SerializeToString()
