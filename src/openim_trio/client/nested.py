"""Messages inside messages: the quoted and the forwarded, as OpenIM nests them.

A nested message has its content as an object under the name of its type (`textElem` and so on);
members that are empty are left out.
"""

from __future__ import annotations

from typing import Any

import orjson

from openim_trio.client.errors import InvalidArgument
from openim_trio.client.model import Message, MessageStatus
from openim_trio.domain.content import validate_content
from openim_trio.domain.content_types import NOTIFICATION_RANGE, ContentType
from openim_trio.domain.errors import ServiceError
from openim_trio.domain.send_rules import FROM_SYSTEM, FROM_USER

_ELEMENTS: dict[int, str] = {
    ContentType.TEXT: "textElem",
    ContentType.PICTURE: "pictureElem",
    ContentType.VOICE: "soundElem",
    ContentType.VIDEO: "videoElem",
    ContentType.FILE: "fileElem",
    ContentType.AT_TEXT: "atTextElem",
    ContentType.MERGER: "mergeElem",
    ContentType.CARD: "cardElem",
    ContentType.LOCATION: "locationElem",
    ContentType.CUSTOM: "customElem",
    ContentType.TYPING: "typingElem",
    ContentType.QUOTE: "quoteElem",
    ContentType.FACE: "faceElem",
    ContentType.ADVANCED_TEXT: "advancedTextElem",
    ContentType.MARKDOWN: "markdownTextElem",
    ContentType.CUSTOM_NOT_TRIGGER_CONVERSATION: "customElem",
    ContentType.CUSTOM_ONLINE_ONLY: "customElem",
}


def quoted(name: str, message: Message) -> dict[str, Any]:
    """Without what it quotes itself: a quote becomes the text of its answer."""
    found = nested(name, message)
    if message.content_type == ContentType.QUOTE:
        answer = found.pop("quoteElem", {}).get("text") or ""
        found["contentType"] = int(ContentType.TEXT)
        found["textElem"] = {"content": answer}
    found.get("atTextElem", {}).pop("quoteMessage", None)
    return found


def nested(name: str, message: Message) -> dict[str, Any]:
    """`name`: the argument, for errors.  Raises InvalidArgument: a deleted message, which has
    nothing to show."""
    if not isinstance(message, Message):
        raise InvalidArgument(f"{name}: must be a Message")
    if message.status is MessageStatus.DELETED:
        raise InvalidArgument(f"{name}: was deleted")
    notification = message.content_type in NOTIFICATION_RANGE
    unknown = message.status is MessageStatus.UNKNOWN  # ours; to others it is under way
    texts = {
        "clientMsgID": message.client_msg_id,
        "serverMsgID": message.server_msg_id,
        "sendID": message.send_id,
        "recvID": message.recv_id,
        "groupID": message.group_id,
        "senderNickname": message.sender_nickname,
        "senderFaceUrl": message.sender_face_url,  # spelt Url here, unlike everywhere else
        "attachedInfo": message.attached_info,
        "ex": message.ex,
    }
    return {
        **{key: value for key, value in texts.items() if value},
        "createTime": message.create_time,
        "sendTime": message.send_time,
        "sessionType": message.session_type,
        "msgFrom": FROM_SYSTEM if notification else FROM_USER,
        "contentType": message.content_type,
        "senderPlatformID": message.sender_platform,
        "seq": message.seq,
        "isRead": message.is_read,
        "status": int(MessageStatus.SENDING if unknown else message.status),
        **_content(message),
    }


def _content(message: Message) -> dict[str, Any]:
    """The content as an object, or else as a text, or else none: an old or foreign message may have
    any bytes."""
    element = _ELEMENTS.get(message.content_type)
    if message.content_type in NOTIFICATION_RANGE:
        element = "notificationElem"
    if element is not None and _fits(message):
        return {element: orjson.loads(message.raw_content)}
    text = message.raw_content.decode(errors="replace")
    return {"content": text} if text else {}


def _fits(message: Message) -> bool:
    try:
        validate_content(message.content_type, message.raw_content)
    except ServiceError:
        return False
    return True
