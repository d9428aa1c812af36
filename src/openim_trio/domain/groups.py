"""Roles in groups and what they allow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum

import attrs

from openim_trio.domain.content_types import ContentType
from openim_trio.domain.errors import Code, ServiceError
from openim_trio.domain.records import GroupRecord, MemberRecord


class Role(IntEnum):
    """`roleLevel` on the wire."""

    OWNER = 100
    ADMIN = 60
    MEMBER = 20


class GroupStatus(IntEnum):
    OK = 0
    BANNED = 1
    DISMISSED = 2
    MUTED = 3


@attrs.frozen(slots=True)
class Membership:
    """Who is in a group.  roles: user ID -> roleLevel; muted_until: user ID -> Unix ms, only of
    those that were ever muted."""

    group_id: str
    roles: Mapping[str, int]
    ids: frozenset[str]
    muted_until: Mapping[str, int]

    @classmethod
    def of(cls, group_id: str, members: Iterable[MemberRecord]) -> Membership:
        roles: dict[str, int] = {}
        muted: dict[str, int] = {}
        for member in members:
            roles[member.user_id] = member.role_level
            if member.mute_end_time:
                muted[member.user_id] = member.mute_end_time
        return cls(group_id, roles, frozenset(roles), muted)

    def leads(self, user_id: str) -> bool:
        """Owner or group administrator."""
        return self.roles.get(user_id, 0) >= Role.ADMIN


def check_may_send(
    group: GroupRecord, members: Membership, user_id: str, content_type: int, now_ms: int
) -> None:
    """A member's send, in the protocol's order of checks.  Raises ServiceError."""
    check_not_dismissed(group, content_type)
    role = members.roles.get(user_id)
    if role is None:
        raise ServiceError(Code.NOT_IN_GROUP, f"sendID: not a member of {group.group_id}")
    if role == Role.OWNER:
        return
    if members.muted_until.get(user_id, 0) > now_ms:
        raise ServiceError(Code.MUTED_IN_GROUP, "sendID: muted in this group")
    if group.status == GroupStatus.MUTED and role < Role.ADMIN:
        raise ServiceError(Code.MUTED_GROUP, "groupID: the group is muted")


def check_not_dismissed(group: GroupRecord, content_type: int) -> None:
    if group.status == GroupStatus.DISMISSED and content_type != ContentType.GROUP_DISMISSED:
        raise ServiceError(Code.GROUP_DISMISSED, "groupID: the group was dismissed")


def may_remove_message(members: Membership, user_id: str, sender: str) -> bool:
    """Whether a member may revoke or erase another's message: the owner any, a group administrator
    those of ordinary members.  Everybody their own."""
    if user_id == sender:
        return user_id in members.ids
    role = members.roles.get(user_id, 0)
    if role == Role.OWNER:
        return True
    return role == Role.ADMIN and members.roles.get(sender, Role.MEMBER) < Role.ADMIN
