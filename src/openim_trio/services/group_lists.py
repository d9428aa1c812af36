"""The lists of joined groups and of group members, as clients sync them."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from openim_trio.domain.groups import Role
from openim_trio.domain.records import MemberRecord
from openim_trio.services.groups import GroupService, member_info
from openim_trio.services.users import UserService
from openim_trio.services.versioned import Changes, FullIds, changes, full_ids, page_of
from openim_trio.store.groups import Groups
from openim_trio.store.versions import Versions
from openim_trio.wire.proto import sdkws_pb2

GROUP_MARKER = ""
"""element of the member log that says: the group itself changed"""
ALL, OWNER, ADMINS, ORDINARY, ADMINS_AND_ORDINARY, OWNER_AND_ADMINS = range(6)

_ROLES: dict[int, frozenset[int]] = {
    ALL: frozenset(Role),
    OWNER: frozenset({Role.OWNER}),
    ADMINS: frozenset({Role.ADMIN}),
    ORDINARY: frozenset({Role.MEMBER}),
    ADMINS_AND_ORDINARY: frozenset({Role.ADMIN, Role.MEMBER}),
    OWNER_AND_ADMINS: frozenset({Role.OWNER, Role.ADMIN}),
}


@attrs.frozen(slots=True)
class MemberChanges:
    """group: set if the group or any member changed."""

    members: Changes[sdkws_pb2.GroupMemberFullInfo]
    group: sdkws_pb2.GroupInfo | None


class GroupListService:
    def __init__(
        self, groups: Groups, versions: Versions, infos: GroupService, users: UserService
    ) -> None:
        self._groups = groups
        self._versions = versions
        self._infos = infos
        self._users = users

    # -- joined groups -----------------------------------------------------------------------------

    async def joined_page(
        self, user_id: str, page_number: int, show_number: int
    ) -> tuple[int, list[sdkws_pb2.GroupInfo]]:
        ids = await self._groups.memberships(user_id)
        return len(ids), await self._group_infos(page_of(ids, page_number, show_number))

    async def incremental_joined(
        self, user_id: str, version_id: str, version: int
    ) -> Changes[sdkws_pb2.GroupInfo]:
        delta = await self._versions.delta("group_join", user_id, version_id, version)
        infos = await self._group_infos([*delta.inserted, *delta.updated])
        return changes(delta, {info.groupID: info for info in infos})

    async def full_joined_ids(self, user_id: str, client_hash: int) -> FullIds:
        current = await self._versions.current("group_join", user_id)
        return full_ids(current, await self._groups.memberships(user_id), client_hash)

    async def _group_infos(self, ids: Sequence[str]) -> list[sdkws_pb2.GroupInfo]:
        return await self._infos.infos(ids) if ids else []

    # -- members -----------------------------------------------------------------------------------

    async def members_page(
        self,
        group_id: str,
        page_number: int,
        show_number: int,
        role_filter: int = ALL,
        keyword: str = "",
    ) -> tuple[int, list[sdkws_pb2.GroupMemberFullInfo]]:
        """Owner first, then by role and joining time.  `keyword`: part of the nickname."""
        roles = _ROLES.get(role_filter, _ROLES[ALL])
        members = [m for m in await self._groups.members(group_id) if m.role_level in roles]
        if not keyword:
            page = page_of(members, page_number, show_number)
            return len(members), await self._member_infos(page)
        named = [
            info
            for info in await self._member_infos(members)
            if keyword.casefold() in info.nickname.casefold()
        ]
        return len(named), list(page_of(named, page_number, show_number))

    async def incremental_members(
        self, group_id: str, version_id: str, version: int
    ) -> MemberChanges:
        delta = await self._versions.delta("group_member", group_id, version_id, version)
        touched = {*delta.inserted, *delta.updated} - {GROUP_MARKER}
        live: dict[str, sdkws_pb2.GroupMemberFullInfo] = {}
        if touched:
            members = [m for m in await self._groups.members(group_id) if m.user_id in touched]
            live = {info.userID: info for info in await self._member_infos(members)}
        changed = delta.full or bool(delta.inserted or delta.updated or delta.deleted)
        infos = await self._group_infos([group_id]) if changed else []
        return MemberChanges(changes(delta, live), infos[0] if infos else None)

    async def full_member_ids(self, group_id: str, client_hash: int) -> FullIds:
        current = await self._versions.current("group_member", group_id)
        members = await self._groups.members(group_id)
        return full_ids(current, [member.user_id for member in members], client_hash)

    async def _member_infos(
        self, members: Sequence[MemberRecord]
    ) -> list[sdkws_pb2.GroupMemberFullInfo]:
        users = await self._users.find_many([member.user_id for member in members])
        return [member_info(member, users.get(member.user_id)) for member in members]
