"""A message before it has a sender, and how it becomes one that can be sent."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import attrs

from openim_trio.client import arguments
from openim_trio.client.errors import InvalidArgument
from openim_trio.domain.actors import Actor
from openim_trio.domain.content import validate_content
from openim_trio.domain.conversations import SessionType
from openim_trio.domain.errors import ServiceError
from openim_trio.domain.platforms import Platform
from openim_trio.domain.send_rules import (
    FROM_USER,
    MAX_CLIENT_MSG_ID,
    MAX_GROUP_ID,
    MAX_USER_ID,
    check_message,
)
from openim_trio.wire.compression import compress
from openim_trio.wire.proto import sdkws_pb2

MAX_FRAME = 51_200
"""bytes, compressed: a server closes a connection that sends it a larger frame"""
FRAME_ROOM = 1_024
"""of these for what stands around the message: the envelope, and a createTime that comes later"""

_SENDING = 1

_ARGUMENTS = {"atUserIDList": "at_user_ids", "contentType": "content_type", "MsgData": "draft"}
"""names of the wire -> ours"""


@attrs.frozen(kw_only=True)
class OfflinePush:
    """What a vendor's push shows on a phone that is not connected, where the server has such.

    ios_push_sound    name of the sound
    ios_badge_count   the badge counts it
    """

    title: str = ""
    desc: str = ""
    ex: str = ""
    ios_push_sound: str = ""
    ios_badge_count: bool = False

    def __attrs_post_init__(self) -> None:
        for name in ("title", "desc", "ex", "ios_push_sound"):
            arguments.text(f"offline_push.{name}", getattr(self, name))
        arguments.flag("offline_push.ios_badge_count", self.ios_badge_count)


def _options(options: Mapping[str, bool]) -> Mapping[str, bool]:
    for key, on in options.items():
        arguments.filled("options", key)
        arguments.flag(f"options[{key!r}]", on)
    return MappingProxyType(dict(options))


def _mentions(user_ids: Iterable[str]) -> tuple[str, ...]:
    return arguments.texts("at_user_ids", user_ids)


@attrs.frozen(kw_only=True)
class Draft:
    """What is to be sent, checked.  The functions of `contents` make them; change one with
    `attrs.evolve(draft, ex="...")`.

    content         UTF-8 JSON, shaped as `content_type` says
    at_user_ids     who is mentioned
    options         the protocol's switches; a missing one is on
    attached_info, ex   JSON text; free text that goes along
    """

    content_type: int
    content: bytes = attrs.field(repr=False)
    at_user_ids: tuple[str, ...] = attrs.field(default=(), converter=_mentions)
    options: Mapping[str, bool] = attrs.field(
        factory=dict, converter=_options, eq=lambda options: tuple(sorted(options.items()))
    )
    attached_info: str = attrs.field(default="", repr=False)
    ex: str = attrs.field(default="", repr=False)
    offline_push: OfflinePush | None = attrs.field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.content, bytes):
            raise InvalidArgument("content: must be bytes")
        arguments.text("attached_info", self.attached_info)
        arguments.text("ex", self.ex)
        try:
            validate_content(self.content_type, self.content)
        except ServiceError as error:
            raise InvalidArgument(error.detail) from None


def message_data(
    draft: Draft,
    *,
    sender: str,
    sender_nickname: str,
    sender_face_url: str,
    platform: int,
    to: str = "",
    group: str = "",
    client_msg_id: str = "",
) -> sdkws_pb2.MsgData:
    """The message as it goes to the server, to a user or to a group.  createTime is 0 until it is
    stamped.  Raises InvalidArgument: what the server would refuse whatever its state."""
    if bool(to) == bool(group):
        raise InvalidArgument("to, group: exactly one of them")
    arguments.text("to", to, MAX_USER_ID)
    arguments.text("group", group, MAX_GROUP_ID)
    message = sdkws_pb2.MsgData(
        sendID=arguments.filled("sender", sender, MAX_USER_ID),
        recvID=to,
        groupID=group,
        clientMsgID=arguments.text("client_msg_id", client_msg_id, MAX_CLIENT_MSG_ID)
        or secrets.token_hex(16),
        senderPlatformID=platform,
        senderNickname=arguments.text("sender_nickname", sender_nickname),
        senderFaceURL=arguments.text("sender_face_url", sender_face_url),
        sessionType=SessionType.GROUP if group else SessionType.SINGLE,
        msgFrom=FROM_USER,
        contentType=draft.content_type,
        content=draft.content,
        status=_SENDING,
        options=draft.options,
        atUserIDList=draft.at_user_ids,
        attachedInfo=draft.attached_info,
        ex=draft.ex,
    )
    if draft.offline_push is not None:
        message.offlinePushInfo.CopyFrom(_push(draft.offline_push))
    _check(message, _platform(platform))
    return message


def _platform(number: int) -> Platform:
    try:
        return Platform(number)
    except ValueError:
        raise InvalidArgument("platform: no such number") from None


def _push(push: OfflinePush) -> sdkws_pb2.OfflinePushInfo:
    return sdkws_pb2.OfflinePushInfo(
        title=push.title,
        desc=push.desc,
        ex=push.ex,
        iOSPushSound=push.ios_push_sound,
        iOSBadgeCount=push.ios_badge_count,
    )


def _check(message: sdkws_pb2.MsgData, platform: Platform) -> None:
    try:
        check_message(message, Actor(message.sendID, platform, is_admin=False))
    except ServiceError as error:
        field, _, problem = error.detail.partition(": ")
        raise InvalidArgument(f"{_ARGUMENTS.get(field, field)}: {problem}") from None
    room = MAX_FRAME - FRAME_ROOM
    if message.ByteSize() > room and len(compress(message.SerializeToString())) > room:
        raise InvalidArgument(f"draft: larger than {room} bytes when compressed")
