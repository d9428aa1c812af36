"""The `options` map of a message: a missing key means true."""

from __future__ import annotations

from collections.abc import Mapping

HISTORY = "history"
PERSISTENT = "persistent"
OFFLINE_PUSH = "offlinePush"
UNREAD_COUNT = "unreadCount"
CONVERSATION_UPDATE = "conversationUpdate"
SENDER_CONVERSATION_UPDATE = "senderConversationUpdate"
SENDER_SYNC = "senderSync"
NOT_PRIVATE = "notPrivate"
IS_NOT_NOTIFICATION = "isNotNotification"
IS_SEND_MSG = "isSendMsg"
REACTION_FROM_CACHE = "reactionFromCache"

ONLINE_ONLY = (
    HISTORY,
    PERSISTENT,
    SENDER_SYNC,
    CONVERSATION_UPDATE,
    SENDER_CONVERSATION_UPDATE,
    UNREAD_COUNT,
    OFFLINE_PUSH,
)


def is_on(options: Mapping[str, bool], key: str) -> bool:
    return options.get(key, True)
