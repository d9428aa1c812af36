"""Who a conversation is with, read off its ID."""

from __future__ import annotations

from openim_trio.domain.conversations import SessionType, group_chat, single_chat


def parties(conversation_id: str, own_user: str) -> tuple[int, str, str]:
    """(sessionType, the other user, the group).  IDs of users may hold underscores themselves: the
    own one tells where the other begins."""
    kind, _, rest = conversation_id.partition("_")
    if kind in ("sg", "g"):
        return int(SessionType.GROUP), "", rest
    if rest.startswith(f"{own_user}_"):
        other = rest[len(own_user) + 1 :]
    else:
        other = rest.removesuffix(f"_{own_user}")
    return int(SessionType.NOTIFICATION if kind == "sn" else SessionType.SINGLE), other, ""


def chat_with(own_user: str, *, to: str = "", group: str = "") -> str:
    return group_chat(group) if group else single_chat(own_user, to)
