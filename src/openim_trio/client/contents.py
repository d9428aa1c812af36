"""What can be sent: one function for each content type.

Each checks its arguments and raises InvalidArgument, which names the one that is wrong.  What comes
out is a `Draft`.  Files, pictures and so on are sent by URL: where they lie is the application's
affair.  Sizes are bytes, lengths of sounds and videos seconds, `mime` is a media type like
image/png, `uuid` what the store knows the file by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import attrs
import orjson

from openim_trio.client import arguments
from openim_trio.client.drafts import Draft, OfflinePush, message_data
from openim_trio.client.errors import InvalidArgument
from openim_trio.client.model import Message
from openim_trio.client.nested import nested, quoted
from openim_trio.domain import options
from openim_trio.domain.content_types import AT_ALL_TAG, ContentType
from openim_trio.domain.send_rules import MAX_USER_ID

__all__ = [
    "AT_ALL",
    "AtUser",
    "Draft",
    "Entity",
    "OfflinePush",
    "Picture",
    "advanced_text",
    "at_text",
    "card",
    "custom",
    "custom_not_trigger_conversation",
    "custom_online_only",
    "face",
    "file",
    "location",
    "markdown",
    "merger",
    "message_data",
    "picture",
    "quote",
    "sound",
    "text",
    "typing",
    "video",
]

AT_ALL = AT_ALL_TAG
"""mention everybody in the group"""
MAX_MENTIONS = 10
SNAPSHOT = 640
"""pixels: width and height of the small picture that OpenIM's store makes of a large one"""
_SNAPSHOT_QUERY = f"type=image&width={SNAPSHOT}&height={SNAPSHOT}"

_ONLINE_ONLY = dict.fromkeys(options.ONLINE_ONLY, False)
_BESIDE_CONVERSATION = dict.fromkeys(
    (options.CONVERSATION_UPDATE, options.SENDER_CONVERSATION_UPDATE, options.UNREAD_COUNT), False
)


@attrs.frozen(kw_only=True)
class AtUser:
    """Somebody mentioned, and the name that the text shows."""

    user_id: str
    group_nickname: str = ""

    def _json(self, name: str) -> dict[str, Any]:
        return {
            "atUserID": arguments.filled(f"{name}.user_id", self.user_id, MAX_USER_ID),
            "groupNickname": arguments.text(f"{name}.group_nickname", self.group_nickname),
        }


@attrs.frozen(kw_only=True)
class Entity:
    """A marked stretch of a text; what types there are, and what is counted, is the
    application's."""

    type: str
    offset: int
    length: int
    url: str = ""
    ex: str = ""

    def _json(self, name: str) -> dict[str, Any]:
        return {
            "type": arguments.filled(f"{name}.type", self.type),
            "offset": arguments.count(f"{name}.offset", self.offset),
            "length": arguments.count(f"{name}.length", self.length),
            "url": arguments.text(f"{name}.url", self.url),
            "ex": arguments.text(f"{name}.ex", self.ex),
        }


@attrs.frozen(kw_only=True)
class Picture:
    """One size of a picture.  Width and height are pixels, 0 if not known."""

    url: str
    width: int = 0
    height: int = 0
    size: int = 0
    mime: str = ""
    uuid: str = ""

    def _json(self, prefix: str = "") -> dict[str, Any]:
        return {
            "uuid": arguments.text(f"{prefix}uuid", self.uuid),
            "type": arguments.text(f"{prefix}mime", self.mime),
            "size": arguments.count(f"{prefix}size", self.size),
            "width": arguments.count(f"{prefix}width", self.width),
            "height": arguments.count(f"{prefix}height", self.height),
            "url": _url(f"{prefix}url", self.url),
        }


# -- texts -----------------------------------------------------------------------------------------


def text(content: str) -> Draft:
    """CreateTextMessage (101)."""
    return _draft(ContentType.TEXT, {"content": arguments.text("content", content)})


def at_text(
    content: str,
    at_user_ids: Iterable[str],
    infos: Iterable[AtUser] = (),
    quote: Message | None = None,
) -> Draft:
    """CreateTextAtMessage (106): a text to a group that mentions at most 10 users, or everybody by
    `AT_ALL`; perhaps as an answer to a message.  `infos`: the names that stand in the text."""
    mentioned = tuple(dict.fromkeys(arguments.texts("at_user_ids", at_user_ids, MAX_MENTIONS)))
    if not mentioned:
        raise InvalidArgument("at_user_ids: mentions nobody")
    for i, user in enumerate(mentioned):
        arguments.text(f"at_user_ids[{i}]", user, MAX_USER_ID)
    value: dict[str, Any] = {
        "text": arguments.text("content", content),
        "atUserList": mentioned,
        "atUsersInfo": _each(AtUser, "infos", infos),
        "isAtSelf": False,  # the receivers' affair
    }
    if quote is not None:
        value["quoteMessage"] = quoted("quote", quote)
    return _draft(ContentType.AT_TEXT, value, at_user_ids=mentioned)


def quote(content: str, message: Message, entities: Iterable[Entity] = ()) -> Draft:
    """CreateQuoteMessage, CreateAdvancedQuoteMessage (114): an answer to `message`.  Of a message
    that quotes, too, only its own text is quoted."""
    value: dict[str, Any] = {
        "text": arguments.text("content", content),
        "quoteMessage": quoted("message", message),
        "messageEntityList": _each(Entity, "entities", entities),
    }
    return _draft(ContentType.QUOTE, value)


def advanced_text(content: str, entities: Iterable[Entity]) -> Draft:
    """CreateAdvancedTextMessage (117): a text with marked stretches."""
    value = {
        "text": arguments.text("content", content),
        "messageEntityList": _each(Entity, "entities", entities),
    }
    return _draft(ContentType.ADVANCED_TEXT, value)


def markdown(content: str) -> Draft:
    """118: a text in Markdown.  OpenIM's own SDKs show it, and have no function to make one."""
    return _draft(ContentType.MARKDOWN, {"content": arguments.text("content", content)})


# -- media -----------------------------------------------------------------------------------------


def picture(
    url: str,
    *,
    width: int = 0,
    height: int = 0,
    size: int = 0,
    mime: str = "",
    uuid: str = "",
    big: Picture | None = None,
    snapshot: Picture | None = None,
) -> Draft:
    """CreateImageMessageByURL (102).  `big`: as it is shown on a whole screen, else the picture
    itself.  `snapshot`: as it is shown in a list, else what OpenIM's store makes of `url` with
    `?type=image&width=640&height=640`; give one if yours does not know that, or signs its URLs."""
    source = Picture(url=url, width=width, height=height, size=size, mime=mime, uuid=uuid)._json()
    if snapshot is None:
        small = Picture(url=_snapshot(url), width=SNAPSHOT, height=SNAPSHOT)._json()
    else:
        small = _json(Picture, "snapshot.", snapshot)
    value = {
        "sourcePicture": source,
        "bigPicture": source if big is None else _json(Picture, "big.", big),
        "snapshotPicture": small,
    }
    return _draft(ContentType.PICTURE, value)


def sound(url: str, *, duration: int, size: int = 0, mime: str = "", uuid: str = "") -> Draft:
    """CreateSoundMessageByURL (103)."""
    value = {
        "uuid": arguments.text("uuid", uuid),
        "sourceUrl": _url("url", url),
        "dataSize": arguments.count("size", size),
        "duration": arguments.count("duration", duration),
        "soundType": arguments.text("mime", mime),
    }
    return _draft(ContentType.VOICE, value)


def video(
    url: str,
    *,
    duration: int,
    size: int = 0,
    mime: str = "",
    uuid: str = "",
    snapshot: Picture | None = None,
) -> Draft:
    """CreateVideoMessageByURL (104).  `snapshot`: one picture of it."""
    value: dict[str, Any] = {
        "videoUUID": arguments.text("uuid", uuid),
        "videoUrl": _url("url", url),
        "videoType": arguments.text("mime", mime),
        "videoSize": arguments.count("size", size),
        "duration": arguments.count("duration", duration),
    }
    small = {} if snapshot is None else _json(Picture, "snapshot.", snapshot)
    value |= {
        "snapshotUUID": small.get("uuid", ""),
        "snapshotSize": small.get("size", 0),
        "snapshotUrl": small.get("url", ""),
        "snapshotWidth": small.get("width", 0),
        "snapshotHeight": small.get("height", 0),
        "snapshotType": small.get("type", ""),
    }
    return _draft(ContentType.VIDEO, value)


def file(url: str, name: str, *, size: int = 0, mime: str = "", uuid: str = "") -> Draft:
    """CreateFileMessageByURL (105)."""
    value = {
        "uuid": arguments.text("uuid", uuid),
        "sourceUrl": _url("url", url),
        "fileName": arguments.filled("name", name),
        "fileSize": arguments.count("size", size),
        "fileType": arguments.text("mime", mime),
    }
    return _draft(ContentType.FILE, value)


def face(index: int, data: str = "") -> Draft:
    """CreateFaceMessage (115): a sticker by its number, or by what the application knows it by."""
    value = {"index": arguments.count("index", index), "data": arguments.text("data", data)}
    return _draft(ContentType.FACE, value)


# -- others ----------------------------------------------------------------------------------------


def merger(title: str, abstracts: Iterable[str], messages: Iterable[Message]) -> Draft:
    """CreateMergerMessage (107): messages forwarded as one.  `abstracts`: lines that are shown of
    it."""
    forwarded = arguments.items("messages", messages)
    bundle = [nested(f"messages[{i}]", message) for i, message in enumerate(forwarded)]
    if not bundle:
        raise InvalidArgument("messages: must not be empty")
    value = {
        "title": arguments.text("title", title),
        "abstractList": arguments.texts("abstracts", abstracts),
        "multiMessage": bundle,
    }
    return _draft(ContentType.MERGER, value)


def card(user_id: str, nickname: str, face_url: str = "", ex: str = "") -> Draft:
    """CreateCardMessage (108): somebody's contact card."""
    value = {
        "userID": arguments.filled("user_id", user_id, MAX_USER_ID),
        "nickname": arguments.text("nickname", nickname),
        "faceURL": arguments.text("face_url", face_url),
        "ex": arguments.text("ex", ex),
    }
    return _draft(ContentType.CARD, value)


def location(description: str, longitude: float, latitude: float) -> Draft:
    """CreateLocationMessage (109).  Degrees, east and north positive."""
    value = {
        "description": arguments.text("description", description),
        "longitude": arguments.between("longitude", longitude, -180, 180),
        "latitude": arguments.between("latitude", latitude, -90, 90),
    }
    return _draft(ContentType.LOCATION, value)


def custom(data: str, description: str = "", extension: str = "") -> Draft:
    """CreateCustomMessage (110): what the strings hold is the application's affair."""
    return _draft(ContentType.CUSTOM, _custom(data, description, extension))


def custom_not_trigger_conversation(data: str, description: str = "", extension: str = "") -> Draft:
    """119: stored like `custom`; no list of conversations shows it, nobody's unread count rises."""
    return _draft(
        ContentType.CUSTOM_NOT_TRIGGER_CONVERSATION,
        _custom(data, description, extension),
        options=_BESIDE_CONVERSATION,
    )


def custom_online_only(data: str, description: str = "", extension: str = "") -> Draft:
    """120: goes to who is connected, and is stored nowhere."""
    return _draft(
        ContentType.CUSTOM_ONLINE_ONLY,
        _custom(data, description, extension),
        options=_ONLINE_ONLY,
    )


def typing(now: bool) -> Draft:
    """TypingStatusUpdate (113): the user is typing, or has stopped.  Goes to who is connected, and
    is stored nowhere."""
    tips = "yes" if arguments.flag("now", now) else "no"
    return _draft(ContentType.TYPING, {"msgTips": tips}, options=_ONLINE_ONLY)


# -- parts -----------------------------------------------------------------------------------------


def _draft(
    content_type: ContentType,
    value: Mapping[str, Any],
    *,
    at_user_ids: tuple[str, ...] = (),
    options: Mapping[str, bool] | None = None,
) -> Draft:
    return Draft(
        content_type=int(content_type),
        content=orjson.dumps(value),
        at_user_ids=at_user_ids,
        options=options or {},
    )


def _json(kind: type[AtUser | Entity | Picture], name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, kind):
        raise InvalidArgument(f"{name.removesuffix('.')}: must be {kind.__name__}")
    return value._json(name)


def _each(kind: type[AtUser | Entity], name: str, values: object) -> list[dict[str, Any]]:
    items = arguments.items(name, values)
    return [_json(kind, f"{name}[{i}]", item) for i, item in enumerate(items)]


def _custom(data: str, description: str, extension: str) -> dict[str, str]:
    return {
        "data": arguments.text("data", data),
        "description": arguments.text("description", description),
        "extension": arguments.text("extension", extension),
    }


def _url(name: str, url: str) -> str:
    """A path on this device, the usual mistake, is none: others could not open it."""
    arguments.filled(name, url)
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        scheme = ""
    if len(scheme) < 2:  # C:\picture.png
        raise InvalidArgument(f"{name}: must be a URL that others can open")
    return url


def _snapshot(url: str) -> str:
    parts = urlsplit(_url("url", url))
    query = f"{parts.query}&{_SNAPSHOT_QUERY}" if parts.query else _SNAPSHOT_QUERY
    return urlunsplit(parts._replace(query=query))
