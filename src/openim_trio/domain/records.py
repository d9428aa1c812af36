"""What is stored beside the message rows: users, groups, conversations, tokens.

Times are Unix ms unless said otherwise.  Enumerations are those of the OpenIM v3.8 protocol.
"""

from __future__ import annotations

from enum import IntEnum

import attrs


@attrs.frozen(slots=True)
class UserRecord:
    """app_manger_level: 0, 1 ordinary; 2 administrator; 3 notification account; 4 robot.
    global_recv_msg_opt: 0 receive and notify, 1 do not receive, 2 receive silently."""

    user_id: str
    nickname: str
    face_url: str = ""
    ex: str = ""
    create_time: int = 0
    app_manger_level: int = 0
    global_recv_msg_opt: int = 0


@attrs.frozen(slots=True)
class GroupRecord:
    """status: 0 ok, 1 banned, 2 dismissed, 3 muted."""

    group_id: str
    group_name: str = ""
    notification: str = ""
    introduction: str = ""
    face_url: str = ""
    ex: str = ""
    status: int = 0
    creator_user_id: str = ""
    owner_user_id: str = ""
    group_type: int = 2
    need_verification: int = 0
    look_member_info: int = 0
    apply_member_friend: int = 0
    create_time: int = 0
    notification_update_time: int = 0
    notification_user_id: str = ""


@attrs.frozen(slots=True)
class MemberRecord:
    """role_level: 100 owner, 60 administrator, 20 member."""

    group_id: str
    user_id: str
    role_level: int = 20
    join_time: int = 0
    nickname: str = ""
    face_url: str = ""
    join_source: int = 0
    operator_user_id: str = ""
    inviter_user_id: str = ""
    ex: str = ""
    mute_end_time: int = 0


@attrs.frozen(slots=True)
class ConversationRecord:
    """One user's view of a conversation.  read_seq: the owner has read up to there; min_seq: shown
    from there on; max_seq: shown up to there (0: no limit)."""

    owner_user_id: str
    conversation_id: str
    conversation_type: int
    user_id: str = ""
    group_id: str = ""
    recv_msg_opt: int = 0
    is_pinned: bool = False
    attached_info: str = ""
    is_private_chat: bool = False
    group_at_type: int = 0
    ex: str = ""
    burn_duration: int = 0
    min_seq: int = 0
    max_seq: int = 0
    msg_destruct_time: int = 0
    latest_msg_destruct_time: int = 0
    is_msg_destruct: bool = False
    read_seq: int = 0
    create_time: int = 0


class TokenState(IntEnum):
    NORMAL = 0
    INVALID = 1
    KICKED = 2
    EXPIRED = 3


@attrs.frozen(slots=True)
class TokenRecord:
    """An issued token, known by a hash of its text only.  Times are Unix *seconds*."""

    token_hash: str
    user_id: str
    platform: int
    state: int
    issued_at: int
    expires_at: int


class ChangeState(IntEnum):
    """What happened to an element of a versioned list."""

    INSERT = 1
    DELETE = 2
    UPDATE = 3


@attrs.frozen(slots=True)
class Delta:
    """How a versioned list changed since the version that a client knows.

    full: the client must read the whole list; the three tuples are empty.  No element is in two
    of them.  `sort_version`: version at which the order changed, 0 if it did not.
    """

    full: bool
    version: int
    version_id: str
    deleted: tuple[str, ...] = ()
    inserted: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    sort_version: int = 0
