"""How a setting's value may be shown."""

from __future__ import annotations

import re

from openim_trio.config.settings import SECRET_KEYS, URL_KEYS

HIDDEN = "********"
_PASSWORD = re.compile(r"(?<=://)([^:/@\s]*):(.*)@(?=[^@]*$)", re.DOTALL)
_QUERY_PASSWORD = re.compile(r"([?&][^=&]*(?:password|secret|token)[^=&]*=)[^&]*", re.IGNORECASE)


def hide_password(url: str) -> str:
    """The URL with the password of its user part, and any in its query, replaced."""
    shown = _PASSWORD.sub(rf"\1:{HIDDEN}@", url)
    return _QUERY_PASSWORD.sub(rf"\1{HIDDEN}", shown)


def shown(key: str, value: object) -> object:
    """`value` as it may be printed."""
    if key in SECRET_KEYS:
        return HIDDEN if value else ""
    if key in URL_KEYS:
        return hide_password(value) if isinstance(value, str) else HIDDEN
    return value


def shown_short(key: str, value: object) -> str:
    text = repr(shown(key, value))
    return text if len(text) <= 80 else text[:77] + "…"
