"""Messages as REST callers describe them, made into MsgData.  Nothing is sent here."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from openim_trio.api import json_body
from openim_trio.api.proto_bridge import to_proto
from openim_trio.api.types.messages import OfflinePushInfo
from openim_trio.api.types.sending import LegacySendReq, Outgoing
from openim_trio.domain import options
from openim_trio.domain.content import validate_element, validate_legacy_element
from openim_trio.domain.content_types import ContentType
from openim_trio.domain.conversations import SessionType
from openim_trio.domain.errors import args_error
from openim_trio.domain.platforms import Platform
from openim_trio.domain.send_rules import FROM_SYSTEM, FROM_USER
from openim_trio.wire.proto import sdkws_pb2

MEDIA_ELEMENTS = ("pictureElem", "soundElem", "videoElem", "fileElem")


def new_client_msg_id() -> str:
    """32 hex digits, as the official server makes them."""
    return secrets.token_hex(16)


def message_of(
    request: Outgoing,
    *,
    recv_id: str = "",
    group_id: str = "",
    client_msg_id: str,
    create_time: int,
) -> sdkws_pb2.MsgData:
    """The message of /msg/send_msg and /msg/batch_send_msg.  Raises ARGS for a content element
    that is not what its contentType says."""
    element = validate_element(request.contentType, request.content)
    oa = request.contentType == ContentType.OA_NOTIFICATION
    message = sdkws_pb2.MsgData(
        sendID=request.sendID,
        recvID=recv_id,
        groupID=group_id,
        clientMsgID=client_msg_id,
        senderPlatformID=request.senderPlatformID,
        senderNickname=request.senderNickname,
        senderFaceURL=request.senderFaceURL,
        sessionType=SessionType.NOTIFICATION if oa else request.sessionType,
        msgFrom=FROM_SYSTEM,
        contentType=request.contentType,
        content=content_bytes(request.contentType, element),
        sendTime=request.sendTime,
        createTime=create_time,
        options=options_of(
            online_only=request.isOnlineOnly, offline_push=not request.notOfflinePush
        ),
        ex=request.ex,
    )
    _add_push_text(message, request.offlinePushInfo)
    _add_mentions(message, request.content)
    return message


def content_bytes(content_type: int, element: object) -> bytes:
    """JSON text with sorted keys; an OA notification's element is the text in `detail`."""
    text = json_body.dump(element, sort_keys=True)
    if content_type == ContentType.OA_NOTIFICATION:
        return json_body.dump({"detail": text.decode()})
    return text


def options_of(*, online_only: bool, offline_push: bool) -> dict[str, bool]:
    out = dict.fromkeys(options.ONLINE_ONLY, False) if online_only else {}
    if not offline_push:
        out[options.OFFLINE_PUSH] = False
    return out


def _add_push_text(message: sdkws_pb2.MsgData, info: OfflinePushInfo | None) -> None:
    if info is not None:
        message.offlinePushInfo.CopyFrom(to_proto(info, sdkws_pb2.OfflinePushInfo))


def _add_mentions(message: sdkws_pb2.MsgData, element: Mapping[str, Any]) -> None:
    if message.contentType == ContentType.AT_TEXT:
        named = next((v for k, v in element.items() if k.lower() == "atuserlist"), None) or []
        message.atUserIDList.extend(item for item in named if isinstance(item, str))


def simple_message(
    send_id: str,
    content: str,
    push: OfflinePushInfo | None,
    ex: str,
    *,
    recv_id: str = "",
    group_id: str = "",
    create_time: int,
) -> sdkws_pb2.MsgData:
    """The Markdown message of /msg/send_simple_msg."""
    message = sdkws_pb2.MsgData(
        sendID=send_id,
        recvID=recv_id,
        groupID=group_id,
        clientMsgID=new_client_msg_id(),
        senderPlatformID=Platform.ADMIN,
        sessionType=SessionType.GROUP if group_id else SessionType.SINGLE,
        msgFrom=FROM_USER,
        contentType=ContentType.MARKDOWN,
        content=json_body.dump({"content": content}),
        createTime=create_time,
        ex=ex,
    )
    _add_push_text(message, push)
    return message


def legacy_message(request: LegacySendReq, create_time: int) -> sdkws_pb2.MsgData:
    """The message of the 2022 endpoint, in the form that today's clients read."""
    element = legacy_element(request)
    oa = request.contentType == ContentType.OA_NOTIFICATION
    if oa != (request.sessionType == SessionType.NOTIFICATION):
        raise args_error("sessionType", "4 goes with contentType 1400, and with no other")
    group = request.sessionType == SessionType.GROUP
    message = sdkws_pb2.MsgData(
        sendID=request.sendID,
        recvID="" if group else request.recvID,
        groupID=request.recvID if group else "",
        clientMsgID=new_client_msg_id(),
        senderPlatformID=request.senderPlatformID,
        senderNickname=request.senderNickname,
        senderFaceURL=request.senderFaceURL,
        sessionType=request.sessionType,
        msgFrom=FROM_SYSTEM,
        contentType=request.contentType,
        content=content_bytes(request.contentType, element),
        createTime=create_time,
        options=options_of(online_only=request.isOnlineOnly, offline_push=True),
    )
    _add_push_text(message, request.offlinePushInfo)
    _add_mentions(message, request.content)
    return message


def legacy_element(request: LegacySendReq) -> dict[str, Any]:
    """The 2022 element in today's form; what was there is kept.  Raises ARGS."""
    element = dict(validate_legacy_element(request.contentType, request.content))
    if request.contentType == ContentType.TEXT and "text" in element:
        element.setdefault("content", element["text"])
    if request.contentType == ContentType.OA_NOTIFICATION:
        for key in MEDIA_ELEMENTS:
            if key in element and _is_blank(element[key]):
                del element[key]
        if "externalUrl" in element:
            element.setdefault("url", element["externalUrl"])
    return element


def _is_blank(value: Any) -> bool:
    """Nothing in it but "", 0, false and null, however deep."""
    if isinstance(value, dict):
        return all(_is_blank(item) for item in value.values())
    return not value
