"""Conversation IDs: fixed by the protocol, since clients compute the same ones.

| sessionType | chat            | notification twin |
|-------------|-----------------|-------------------|
| 1 single    | si_{a}_{b}      | n_{a}_{b}         |
| 3 group     | sg_{group}      | n_{group}         |
| 4 system    | sn_{a}_{b}      | n_{a}_{b}         |

a and b are the two user IDs in byte order; sender == receiver gives n_u_u.
"""

from __future__ import annotations

from enum import IntEnum


class SessionType(IntEnum):
    SINGLE = 1
    WRITE_GROUP = 2  # legacy, refused
    GROUP = 3
    NOTIFICATION = 4


def _pair(user_a: str, user_b: str) -> str:
    first, second = sorted((user_a, user_b), key=str.encode)
    return f"{first}_{second}"


def single_chat(user_a: str, user_b: str) -> str:
    return f"si_{_pair(user_a, user_b)}"


def group_chat(group_id: str) -> str:
    return f"sg_{group_id}"


def system_chat(user_a: str, user_b: str) -> str:
    return f"sn_{_pair(user_a, user_b)}"


def notification_pair(user_a: str, user_b: str) -> str:
    return f"n_{_pair(user_a, user_b)}"


def notification_group(group_id: str) -> str:
    return f"n_{group_id}"


def is_notification(conversation_id: str) -> bool:
    return conversation_id.startswith("n_")


def notification_twin(conversation_id: str) -> str:
    """The `n_` conversation beside a chat conversation: the first part becomes `n`."""
    return f"n_{conversation_id.partition('_')[2]}"


def conversation_of(
    session_type: int, send_id: str, recv_id: str, group_id: str, *, notification: bool
) -> str:
    """The conversation that a message belongs to.

    `notification` is true when the option isNotNotification is false.
    """
    if session_type == SessionType.GROUP:
        return notification_group(group_id) if notification else group_chat(group_id)
    if notification:
        return notification_pair(send_id, recv_id)
    if session_type == SessionType.NOTIFICATION:
        return system_chat(send_id, recv_id)
    return single_chat(send_id, recv_id)
