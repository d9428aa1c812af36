"""What a message must look like to be sent, and what the server sets in it.

Beyond OpenIM v3.8's own checks, ordinary clients may not send what only the server says: content
types 1000-5000, messages into notification conversations, and msgFrom "system".  Official clients
send 101-110, 113-115 and 117-120, so they do not notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from openim_trio.domain import options
from openim_trio.domain.actors import Actor
from openim_trio.domain.content_types import NOTIFICATION_RANGE, ContentType
from openim_trio.domain.conversations import SessionType, conversation_of
from openim_trio.domain.errors import Code, ServiceError, args_error
from openim_trio.wire.proto import sdkws_pb2

MAX_CLIENT_MSG_ID = 64
MAX_USER_ID = 64
MAX_GROUP_ID = 64
MAX_CONTENT = 256 * 1024
MAX_MESSAGE = 384 * 1024
"""bytes of the whole MsgData; official clients read frames of at most 1 MiB"""
MAX_MENTIONS = 1000
MAX_OPTIONS = 32

FROM_USER = 100
FROM_SYSTEM = 200

STATUS_SENT = 2
STATUS_DELETED = 4

RECEIVE = 0
DO_NOT_RECEIVE = 1
RECEIVE_SILENTLY = 2

_FORCED: Mapping[int, tuple[str, ...]] = MappingProxyType(
    {
        ContentType.TYPING: options.ONLINE_ONLY,
        ContentType.REVOKE_LEGACY: (options.UNREAD_COUNT, options.OFFLINE_PUSH),
        ContentType.HAS_READ_RECEIPT: (
            options.CONVERSATION_UPDATE,
            options.SENDER_CONVERSATION_UPDATE,
            options.UNREAD_COUNT,
            options.OFFLINE_PUSH,
        ),
    }
)


def forced_off(content_type: int) -> tuple[str, ...]:
    """The options that the server switches off for a content type."""
    return _FORCED.get(content_type, ())


def is_notification(message: sdkws_pb2.MsgData) -> bool:
    return not options.is_on(message.options, options.IS_NOT_NOTIFICATION)


def is_stored(message: sdkws_pb2.MsgData) -> bool:
    return options.is_on(message.options, options.HISTORY)


def conversation(message: sdkws_pb2.MsgData) -> str:
    return conversation_of(
        message.sessionType,
        message.sendID,
        message.recvID,
        message.groupID,
        notification=is_notification(message),
    )


def check_message(message: sdkws_pb2.MsgData, actor: Actor) -> None:
    """The checks that need nothing but the message, in the protocol's order."""
    if not message.sendID:
        raise args_error("sendID", "is required")
    if not message.content:
        raise args_error("content", "is required")
    system_session = message.sessionType == SessionType.NOTIFICATION
    if system_session != (message.contentType == ContentType.OA_NOTIFICATION):
        raise args_error("sessionType", "4 goes with contentType 1400, and with no other")
    if not actor.may_act_for(message.sendID):
        raise ServiceError(Code.NO_PERMISSION, "sendID: is not the caller")
    _check_target(message)
    _check_sizes(message)
    if not actor.is_admin:
        _check_ordinary(message)


def _check_target(message: sdkws_pb2.MsgData) -> None:
    if message.sessionType in (SessionType.SINGLE, SessionType.NOTIFICATION):
        if not message.recvID:
            raise args_error("recvID", "is required")
    elif message.sessionType == SessionType.GROUP:
        if not message.groupID:
            raise args_error("groupID", "is required")
    else:
        raise args_error("sessionType", "must be 1, 3 or 4")
    if message.contentType <= 0:
        raise args_error("contentType", "must be positive")


def _check_sizes(message: sdkws_pb2.MsgData) -> None:
    if not message.clientMsgID:
        raise args_error("clientMsgID", "is required")
    if len(message.clientMsgID) > MAX_CLIENT_MSG_ID:
        raise args_error("clientMsgID", f"longer than {MAX_CLIENT_MSG_ID} characters")
    if len(message.content) > MAX_CONTENT:
        raise args_error("content", f"larger than {MAX_CONTENT} bytes")
    if len(message.atUserIDList) > MAX_MENTIONS:
        raise args_error("atUserIDList", f"holds more than {MAX_MENTIONS} items")
    if len(message.options) > MAX_OPTIONS:
        raise args_error("options", f"holds more than {MAX_OPTIONS} keys")
    if message.ByteSize() > MAX_MESSAGE:
        raise args_error("MsgData", f"larger than {MAX_MESSAGE} bytes")


def _check_ordinary(message: sdkws_pb2.MsgData) -> None:
    if message.contentType in NOTIFICATION_RANGE:
        raise ServiceError(
            Code.NO_PERMISSION, f"contentType: {message.contentType} is the server's own"
        )
    if is_notification(message):
        raise ServiceError(Code.NO_PERMISSION, "options.isNotNotification: may not be false")


def settle(message: sdkws_pb2.MsgData, actor: Actor) -> None:
    """Set what the server decides: status, origin, forced options; seq is nobody's to choose."""
    message.status = STATUS_SENT
    message.seq = 0
    message.isRead = False
    if not actor.is_admin:
        message.msgFrom = FROM_USER
    if message.sessionType == SessionType.GROUP:
        message.recvID = message.groupID if message.contentType in NOTIFICATION_RANGE else ""
    else:
        message.groupID = ""
    for key in forced_off(message.contentType):
        message.options[key] = False
