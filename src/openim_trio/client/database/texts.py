"""What a person reads of a message: that is what is searched."""

from __future__ import annotations

import unicodedata
from typing import Any

import orjson

from openim_trio.domain.content_types import ContentType

_KEYS: dict[int, tuple[str, ...]] = {
    ContentType.TEXT: ("content",),
    ContentType.FILE: ("fileName",),
    ContentType.AT_TEXT: ("text",),
    ContentType.MERGER: ("title", "abstractList"),
    ContentType.CARD: ("nickname",),
    ContentType.LOCATION: ("description",),
    ContentType.CUSTOM: ("description",),
    ContentType.QUOTE: ("text",),
    ContentType.ADVANCED_TEXT: ("text",),
    ContentType.MARKDOWN: ("content",),
    ContentType.CUSTOM_NOT_TRIGGER_CONVERSATION: ("description",),
    ContentType.CUSTOM_ONLINE_ONLY: ("description",),
    ContentType.OA_NOTIFICATION: ("notificationName", "text"),
}


def text_of(content_type: int, content: bytes) -> str:
    """Lines; '' for types without text, and for content that is not what its type says."""
    keys = _KEYS.get(content_type)
    if keys is None:
        return ""
    found = _object(content)
    if content_type == ContentType.OA_NOTIFICATION:
        found = _object(found.get("detail"))
    lines: list[str] = []
    for key in keys:
        value = found.get(key)
        values = value if isinstance(value, list) else [value]
        lines.extend(line for line in values if isinstance(line, str) and line)
    return "\n".join(lines)


def fold(text: str) -> str:
    """Equal for texts that a person takes for the same: case, width and composition of characters
    don't count, in any script."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, bytes | str):
        return {}
    try:
        parsed = orjson.loads(value)
    except (orjson.JSONDecodeError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}
