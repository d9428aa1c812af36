"""From a message to what the append pipeline takes, and back to the sender's answer."""

from __future__ import annotations

from openim_trio.append.publication import channels_of
from openim_trio.append.requests import Append, Appended
from openim_trio.domain import rows
from openim_trio.domain.rows import RowKind
from openim_trio.domain.send_rules import STATUS_DELETED, conversation
from openim_trio.wire.proto import msg_pb2, sdkws_pb2


def identify(message: sdkws_pb2.MsgData, target: str) -> bytes:
    """Sets serverMsgID, the same for every attempt to send this message; returns its key."""
    key = rows.message_key(message.sendID, message.clientMsgID)
    message.serverMsgID = rows.server_msg_id(key, target)
    return key


def append_of(
    message: sdkws_pb2.MsgData,
    operation_id: str,
    *,
    target: str = "",
    channels: tuple[str, ...] = (),
    send_time: int = 0,
) -> Append:
    """Completes the message.  Its own sendTime is let go: `send_time` or the sequencer's comes
    instead.  `target`: its conversation, where the caller knows it."""
    target = target or conversation(message)
    key = identify(message, target)
    message.seq = 0
    message.sendTime = 0
    return Append(
        conversation=target,
        key=key,
        fingerprint=rows.body_fingerprint(message.contentType, message.content),
        create_time=message.createTime,
        head=message.SerializeToString(),
        channels=channels or channels_of(message),
        operation_id=operation_id,
        send_time=send_time,
    )


def tombstone_of(message: sdkws_pb2.MsgData, operation_id: str) -> Append:
    """What takes the slot of a message that its sender gives up: the same key, and no body."""
    target = conversation(message)
    key = rows.message_key(message.sendID, message.clientMsgID)
    empty = sdkws_pb2.MsgData(
        sendID=message.sendID,
        recvID=message.recvID,
        groupID=message.groupID,
        clientMsgID=message.clientMsgID,
        serverMsgID=rows.server_msg_id(key, target),
        sessionType=message.sessionType,
        createTime=message.createTime,
        status=STATUS_DELETED,
        options=message.options,
    )
    return Append(
        conversation=target,
        key=key,
        fingerprint=rows.ANY_BODY,
        create_time=message.createTime,
        head=empty.SerializeToString(),
        channels=channels_of(empty),
        kind=RowKind.TOMBSTONE,
        operation_id=operation_id,
    )


def answer(append: Append, client_msg_id: str, appended: Appended) -> msg_pb2.SendMsgResp:
    return msg_pb2.SendMsgResp(
        serverMsgID=rows.server_msg_id(append.key, append.conversation),
        clientMsgID=client_msg_id,
        sendTime=appended.send_time,
    )
