"""System messages: what tells clients that something changed (OpenIM v3.8, notifications).

Level 1 is not stored: whoever is connected gets it, with seq 0.  Level 2 is stored in the `n_`
conversation and has a seq there.  With `send_msg` a copy is stored as a message of the chat.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from google.protobuf.message import Message

from openim_trio.domain import options
from openim_trio.domain.conversations import SessionType
from openim_trio.domain.send_rules import FROM_SYSTEM, STATUS_SENT
from openim_trio.wire.proto import sdkws_pb2
from openim_trio.wire.proto_json import dumps, to_dict

ALWAYS_OFF = (
    options.IS_NOT_NOTIFICATION,
    options.CONVERSATION_UPDATE,
    options.NOT_PRIVATE,
    options.SENDER_CONVERSATION_UPDATE,
    options.REACTION_FROM_CACHE,
)


@attrs.frozen(slots=True)
class Delivery:
    """stored: level 2; send_msg: with a copy in the chat, that counts as unread if `unread_count`
    and goes to vendor push if `offline_push`."""

    stored: bool = False
    send_msg: bool = False
    unread_count: bool = True
    offline_push: bool = False


def detail_content(tips: Message | Mapping[str, object] | str) -> bytes:
    """The content of a system message: JSON in JSON.  A string is taken as the inner JSON text."""
    if isinstance(tips, str):
        detail = tips
    else:
        detail = dumps(to_dict(tips) if isinstance(tips, Message) else tips)
    return dumps({"detail": detail}).encode()


def system_message(
    content_type: int,
    content: bytes,
    *,
    send_id: str,
    recv_id: str,
    group_id: str,
    session_type: int,
    client_msg_id: str,
    create_time: int,
    delivery: Delivery,
) -> sdkws_pb2.MsgData:
    """The message for the `n_` conversation."""
    message = sdkws_pb2.MsgData(
        sendID=send_id,
        recvID=group_id if session_type == SessionType.GROUP else recv_id,
        groupID=group_id,
        clientMsgID=client_msg_id,
        sessionType=session_type,
        msgFrom=FROM_SYSTEM,
        contentType=content_type,
        content=content,
        createTime=create_time,
        status=STATUS_SENT,
    )
    flags = message.options
    for key in ALWAYS_OFF:
        flags[key] = False
    flags[options.HISTORY] = delivery.stored
    flags[options.PERSISTENT] = delivery.stored
    flags[options.SENDER_SYNC] = True
    flags[options.IS_SEND_MSG] = delivery.send_msg
    flags[options.UNREAD_COUNT] = False
    flags[options.OFFLINE_PUSH] = delivery.offline_push and not delivery.send_msg
    return message


def chat_copy(message: sdkws_pb2.MsgData, delivery: Delivery) -> sdkws_pb2.MsgData:
    """The same as an ordinary message of the chat."""
    copy = sdkws_pb2.MsgData()
    copy.CopyFrom(message)
    copy.options.clear()
    copy.options[options.OFFLINE_PUSH] = delivery.offline_push
    copy.options[options.UNREAD_COUNT] = delivery.unread_count
    return copy
