"""Where a message is published, and as what."""

from __future__ import annotations

from openim_trio.append.ports import Publication
from openim_trio.domain import options
from openim_trio.domain.conversations import SessionType
from openim_trio.domain.rows import Row, RowKind
from openim_trio.wire import bus_message
from openim_trio.wire.bus_message import BusKind, BusMessage
from openim_trio.wire.proto import sdkws_pb2


def user_channel(user_id: str) -> str:
    return f"u:{user_id}"


def group_channel(group_id: str) -> str:
    return f"g:{group_id}"


def channels_of(message: sdkws_pb2.MsgData) -> tuple[str, ...]:
    """A group's message goes out once; a single chat's to the receiver and, unless senderSync is
    off, to the sender's own connections (that is how a sender learns its seq)."""
    if message.sessionType == SessionType.GROUP:
        return (group_channel(message.groupID),)
    receiver = user_channel(message.recvID)
    if message.sendID == message.recvID or not options.is_on(message.options, options.SENDER_SYNC):
        return (receiver,)
    return (receiver, user_channel(message.sendID))


def publication(row: Row, channels: tuple[str, ...], operation_id: str = "") -> Publication:
    tombstone = row.kind is RowKind.TOMBSTONE
    kind = BusKind.TOMBSTONE if tombstone else BusKind.MESSAGE
    body = b"" if tombstone else row.data
    payload = bus_message.encode(BusMessage(kind, row.conversation, row.seq, operation_id, body))
    return Publication(channels, payload)


def publication_from_row(row: Row) -> Publication:
    """For rows that another worker stored: the channels come from the message itself."""
    return publication(row, channels_of(sdkws_pb2.MsgData.FromString(row.data)))
