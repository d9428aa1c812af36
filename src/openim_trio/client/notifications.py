"""What the server's notifications say: contents in, effects out.

Notifications are stored in `n_` conversations, or told once without a seq.  Their content is JSON
in JSON: `{"detail": "<tips as JSON text>"}`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import attrs
import structlog

from openim_trio.client.members import Members, WrongShape, members_of
from openim_trio.client.model import Message
from openim_trio.domain.content_types import ContentType
from openim_trio.domain.notifications import detail_content
from openim_trio.domain.send_rules import STATUS_DELETED
from openim_trio.wire.proto import sdkws_pb2
from openim_trio.wire.proto_json import to_dict

log = structlog.get_logger()

PRIVATE_CHAT = 1701
"""contentType: a single chat was made private, or is no longer"""


@attrs.frozen(kw_only=True)
class Revoked:
    """The message at `seq` was taken back (2101).  `revoke_time`: Unix ms."""

    conversation_id: str
    seq: int
    revoker_id: str
    revoke_time: int
    client_msg_id: str
    is_admin: bool
    session_type: int


@attrs.frozen(kw_only=True)
class Deleted:
    """Messages are to be emptied (2102): `user_id` deleted them, for all or on another device."""

    conversation_id: str
    seqs: tuple[int, ...]
    user_id: str


@attrs.frozen(kw_only=True)
class HasRead:
    """`user_id` has read (2200).  `seqs`: the messages of a single chat that were read by it;
    `time`: Unix ms, the server's, 0 if it gave none."""

    conversation_id: str
    user_id: str
    seqs: tuple[int, ...]
    has_read_seq: int
    time: int


@attrs.frozen(kw_only=True)
class Cleared:
    """All messages of these conversations, as far as they go now, are to be emptied (1703)."""

    user_id: str
    conversation_ids: tuple[str, ...]


@attrs.frozen(kw_only=True)
class ConversationsChanged:
    """Settings of these conversations changed (1300, 1701): ask for the changes.  It may name
    none."""

    conversation_ids: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Business:
    """The application's own (2001)."""

    key: str
    data: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Other:
    """Any other content type: friends 1201 to 1210, users 1303 ff., groups 1501 ff. and so on.
    `detail`: the tips, as the server wrote them."""

    content_type: int
    detail: dict[str, Any] = attrs.field(repr=False, hash=False)


Effect = Revoked | Deleted | HasRead | Cleared | ConversationsChanged | Business | Other


def parse(message: sdkws_pb2.MsgData) -> Effect | None:
    """None: a slot that holds nothing, or not what its content type says, which is logged; a sync
    goes on behind it."""
    if message.status == STATUS_DELETED:
        return None
    read = _READERS.get(message.contentType, _other)
    try:
        detail = members_of(members_of(message.content, "content").text("detail"), "detail")
        return read(message, detail)
    except WrongShape as problem:
        log.warning(
            "notification_malformed",
            content_type=message.contentType,
            seq=message.seq,
            problem=str(problem),
        )
        return None


def revoked_content(
    effect: Revoked, message: Message, *, revoker_nickname: str = "", revoker_role: int = 0
) -> bytes:
    """What stands in place of the revoked message's content, its content type being 2101; the same
    as the server shows to those who pull it later."""
    content = sdkws_pb2.MessageRevokedContent(
        revokerID=effect.revoker_id,
        revokerRole=revoker_role,
        clientMsgID=message.client_msg_id,
        revokerNickname=revoker_nickname,
        revokeTime=effect.revoke_time,
        sourceMessageSendTime=message.send_time,
        sourceMessageSendID=message.send_id,
        sourceMessageSenderNickname=message.sender_nickname,
        sessionType=message.session_type or effect.session_type,
        seq=effect.seq,
        ex=message.ex,
    )
    return detail_content({**to_dict(content), "isAdminRevoke": effect.is_admin})


def _revoked(_: sdkws_pb2.MsgData, detail: Members) -> Revoked:
    return Revoked(
        conversation_id=detail.filled("conversationID"),
        seq=detail.integer("seq", 1),
        revoker_id=detail.text("revokerUserID"),
        revoke_time=detail.integer("revokeTime"),
        client_msg_id=detail.text("clientMsgID"),
        is_admin=detail.flag("isAdminRevoke"),
        session_type=detail.integer("sesstionType", 0),  # the protocol spells it so
    )


def _deleted(_: sdkws_pb2.MsgData, detail: Members) -> Deleted:
    return Deleted(
        conversation_id=detail.filled("conversationID"),
        seqs=detail.integers("seqs", 1),
        user_id=detail.text("userID"),
    )


def _has_read(message: sdkws_pb2.MsgData, detail: Members) -> HasRead:
    return HasRead(
        conversation_id=detail.filled("conversationID"),
        user_id=detail.filled("markAsReadUserID"),
        seqs=detail.integers("seqs", 1),
        has_read_seq=detail.integer("hasReadSeq", 0),
        time=message.sendTime,
    )


def _cleared(_: sdkws_pb2.MsgData, detail: Members) -> Cleared:
    return Cleared(user_id=detail.text("userID"), conversation_ids=detail.texts("conversationIDs"))


def _changed(_: sdkws_pb2.MsgData, detail: Members) -> ConversationsChanged:
    return ConversationsChanged(conversation_ids=detail.texts("conversationIDList"))


def _private_chat(_: sdkws_pb2.MsgData, detail: Members) -> ConversationsChanged:
    return ConversationsChanged(conversation_ids=(detail.filled("conversationID"),))


def _business(_: sdkws_pb2.MsgData, detail: Members) -> Business:
    return Business(key=detail.text("key"), data=detail.text("data"))


def _other(message: sdkws_pb2.MsgData, detail: Members) -> Other:
    return Other(content_type=message.contentType, detail=detail.value)


_READERS: Mapping[int, Callable[[sdkws_pb2.MsgData, Members], Effect]] = MappingProxyType(
    {
        ContentType.CONVERSATION_CHANGE: _changed,
        PRIVATE_CHAT: _private_chat,
        ContentType.CLEAR_CONVERSATION: _cleared,
        ContentType.BUSINESS: _business,
        ContentType.MSG_REVOKE: _revoked,
        ContentType.DELETE_MSGS: _deleted,
        ContentType.HAS_READ_RECEIPT: _has_read,
    }
)
