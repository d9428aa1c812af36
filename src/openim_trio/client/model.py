"""What the SDK shows of messages and conversations.  Times are Unix ms; IDs are OpenIM's."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import attrs
import orjson

from openim_trio.wire.proto import sdkws_pb2


class LoginStatus(IntEnum):
    """As OpenIM's GetLoginStatus."""

    LOGGED_IN = 101
    LOGGING_IN = 102
    LOGIN_FAILED = 103
    LOGGED_OUT = 201


class MessageStatus(IntEnum):
    """1 to 4 as OpenIM's.

    SENDING   queued, or on its way
    SENT      stored by the server; also every received message
    FAILED    will never be delivered to anybody
    DELETED   emptied, by whoever may; or a slot of the conversation that holds no message
    UNKNOWN   its deadline passed without an answer: it may or may not be delivered, the server is
              being asked
    """

    SENDING = 1
    SENT = 2
    FAILED = 3
    DELETED = 4
    UNKNOWN = 6


@attrs.frozen(kw_only=True)
class Message:
    """A message as the local database has it.

    seq       its place in the conversation, 1 ...; 0 while the server's is not known
    content   the parsed JSON of `raw_content`; {} where that is no JSON object
    offline   it came by a sync: it was sent while this client was away
    """

    client_msg_id: str
    server_msg_id: str = ""
    conversation_id: str = ""
    send_id: str = ""
    recv_id: str = ""
    group_id: str = ""
    session_type: int = 0
    content_type: int = 0
    raw_content: bytes = attrs.field(default=b"", repr=False)
    seq: int = 0
    send_time: int = 0
    create_time: int = 0
    status: MessageStatus = MessageStatus.SENT
    is_read: bool = False
    sender_nickname: str = ""
    sender_face_url: str = ""
    sender_platform: int = 0
    at_user_ids: tuple[str, ...] = ()
    attached_info: str = attrs.field(default="", repr=False)
    ex: str = ""
    offline: bool = False

    @property
    def content(self) -> dict[str, Any]:
        try:
            value = orjson.loads(self.raw_content)
        except orjson.JSONDecodeError:
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def text(self) -> str:
        """What a person reads first: the text of the types that have one, else ''."""
        content = self.content
        for key in ("content", "text"):
            if isinstance(content.get(key), str):
                return str(content[key])
        return ""


def message_of(
    data: sdkws_pb2.MsgData,
    conversation_id: str,
    status: MessageStatus,
    *,
    offline: bool = False,
) -> Message:
    return Message(
        client_msg_id=data.clientMsgID,
        server_msg_id=data.serverMsgID,
        conversation_id=conversation_id,
        send_id=data.sendID,
        recv_id=data.recvID,
        group_id=data.groupID,
        session_type=data.sessionType,
        content_type=data.contentType,
        raw_content=data.content,
        seq=data.seq,
        send_time=data.sendTime,
        create_time=data.createTime,
        status=status,
        is_read=data.isRead,
        sender_nickname=data.senderNickname,
        sender_face_url=data.senderFaceURL,
        sender_platform=data.senderPlatformID,
        at_user_ids=tuple(data.atUserIDList),
        attached_info=data.attachedInfo,
        ex=data.ex,
        offline=offline,
    )


@attrs.frozen(kw_only=True)
class Conversation:
    """One of the user's conversations.

    max_seq      its end, as far as this client knows
    read_seq     the user has read up to there
    unread       max_seq - read_seq, never negative (as OpenIM counts)
    latest       its newest message that is still shown
    """

    conversation_id: str
    session_type: int = 0
    user_id: str = ""
    group_id: str = ""
    recv_msg_opt: int = 0
    is_pinned: bool = False
    is_private_chat: bool = False
    burn_duration: int = 0
    group_at_type: int = 0
    ex: str = ""
    attached_info: str = ""
    draft: str = ""
    max_seq: int = 0
    read_seq: int = 0
    unread: int = 0
    latest: Message | None = None


@attrs.frozen(kw_only=True)
class ReadReceipt:
    """`user_id` has read these of my messages of a single chat."""

    conversation_id: str
    user_id: str
    seqs: tuple[int, ...]
    read_time: int


@attrs.frozen(kw_only=True)
class Revocation:
    """`message` as it is now (contentType 2101); who took it back and when."""

    message: Message
    revoker_id: str
    revoke_time: int
    is_admin: bool = False
