"""Groups: creating them, looking them up."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import attrs
import structlog

from openim_trio.append.ports import StoreUnavailable
from openim_trio.config.model import GroupConfig
from openim_trio.domain.actors import Actor
from openim_trio.domain.content_types import ContentType
from openim_trio.domain.conversations import SessionType
from openim_trio.domain.errors import Code, ServiceError, args_error
from openim_trio.domain.groups import Membership, Role
from openim_trio.domain.records import ChangeState, GroupRecord, MemberRecord, UserRecord
from openim_trio.domain.send_rules import MAX_GROUP_ID
from openim_trio.services.announcer import Announcer
from openim_trio.services.clock import now_ms
from openim_trio.services.control import ALL_WORKERS, MembershipChanged, user_channel
from openim_trio.services.memberships import Memberships
from openim_trio.services.notifications import Notifications
from openim_trio.services.users import UserService
from openim_trio.store.groups import Groups
from openim_trio.store.versions import Versions
from openim_trio.wire.proto import sdkws_pb2

WORKING_GROUP = 2
INVITED = 2
MAX_FIRST_MEMBERS = 1_000
MAX_TIPS_MEMBERS = 100
"""members named in the notification; clients read the others from the member list"""
MAX_NAME = 1_024
MAX_TEXT = 16_384
ID_ATTEMPTS = 5

_log = structlog.get_logger()


class GroupService:
    def __init__(
        self,
        groups: Groups,
        versions: Versions,
        memberships: Memberships,
        users: UserService,
        notifications: Notifications,
        announcer: Announcer,
        config: GroupConfig,
    ) -> None:
        self._groups = groups
        self._versions = versions
        self._memberships = memberships
        self._users = users
        self._notifications = notifications
        self._announcer = announcer
        self._config = config

    # -- look-ups ----------------------------------------------------------------------------------

    async def members(self, group_id: str) -> Membership:
        """Cached; nobody for an unknown group."""
        return await self._memberships.members(group_id)

    async def joined(self, user_id: str) -> list[str]:
        """IDs of the groups that the user is in."""
        return await self._groups.memberships(user_id)

    async def infos(self, group_ids: Sequence[str]) -> list[sdkws_pb2.GroupInfo]:
        """Those that exist, in the order asked for."""
        if not group_ids:
            raise args_error("groupIDs", "is empty")
        wanted = list(dict.fromkeys(group_ids))
        found = await self._memberships.groups(wanted)
        counts = await self._groups.member_count(list(found))
        return [group_info(found[i], counts.get(i, 0)) for i in wanted if i in found]

    # -- creating ----------------------------------------------------------------------------------

    async def create(
        self,
        actor: Actor,
        group: GroupRecord,
        owner_id: str,
        member_ids: Sequence[str] = (),
        admin_ids: Sequence[str] = (),
        *,
        send_message: bool | None = None,
        operation_id: str = "",
    ) -> sdkws_pb2.GroupInfo:
        """Create a group with its first members and tell them (1501; 1519 if it has a notice).

        The chat copy of 1501 is the group's first message, with which its conversation rows
        appear; `send_message` false leaves it out.  Raises ARGS, USER_NOT_FOUND, GROUP_EXISTS.
        """
        check_group(actor, group)
        roles = _roles(owner_id, admin_ids, member_ids)
        if len(roles) > self._config.max_members:
            raise args_error("memberUserIDs", f"more than {self._config.max_members} members")
        users = await self._check_users([*roles, actor.user_id])
        now = now_ms()
        noticed = bool(group.notification)
        wanted = attrs.evolve(
            group,
            owner_user_id=owner_id,
            creator_user_id=group.creator_user_id or actor.user_id,
            status=0,
            create_time=now,
            notification_update_time=now if noticed else 0,
            notification_user_id=actor.user_id if noticed else "",
        )
        created, members = await self._store(wanted, roles, actor.user_id, now)
        version, version_id = await self._log_versions(created.group_id, members)
        info = group_info(created, len(members))
        full = {m.user_id: member_info(m, users[m.user_id]) for m in members}
        operator = full.get(actor.user_id) or _outsider(created.group_id, users[actor.user_id])
        tips = sdkws_pb2.GroupCreatedTips(
            group=info,
            opUser=operator,
            memberList=list(full.values())[:MAX_TIPS_MEMBERS],
            operationTime=now,
            groupOwnerUser=full[owner_id],
            groupMemberVersion=version,
            groupMemberVersionID=version_id,
        )
        await self._tell(created, list(full), actor, tips, send_message is not False, operation_id)
        return info

    async def _check_users(self, user_ids: Sequence[str]) -> dict[str, UserRecord]:
        users = await self._users.find_many(user_ids)
        missing = [user_id for user_id in dict.fromkeys(user_ids) if user_id not in users]
        if missing:
            raise ServiceError(Code.USER_NOT_FOUND, f"userID: no user {', '.join(missing[:10])}")
        return users

    async def _store(
        self, group: GroupRecord, roles: dict[str, Role], operator: str, now: int
    ) -> tuple[GroupRecord, list[MemberRecord]]:
        attempts = 1 if group.group_id else ID_ATTEMPTS
        while True:
            attempts -= 1
            named = attrs.evolve(
                group, group_id=group.group_id or str(secrets.randbelow(2**32 - 1) + 1)
            )
            members = [
                MemberRecord(
                    named.group_id,
                    user_id,
                    role_level=int(role),
                    join_time=now,
                    join_source=INVITED,
                    operator_user_id=operator,
                    inviter_user_id=operator,
                )
                for user_id, role in roles.items()
            ]
            try:
                await self._groups.create(named, members)
            except ServiceError as error:
                if error.code is not Code.GROUP_EXISTS or not attempts:
                    raise
            else:
                return named, members

    async def _log_versions(
        self, group_id: str, members: Sequence[MemberRecord]
    ) -> tuple[int, str]:
        await self._versions.bump_many(
            [("group_join", member.user_id, [(group_id, ChangeState.INSERT)]) for member in members]
        )
        return await self._versions.bump(
            "group_member", group_id, [(m.user_id, ChangeState.INSERT) for m in members]
        )

    async def _tell(
        self,
        group: GroupRecord,
        members: Sequence[str],
        actor: Actor,
        tips: sdkws_pb2.GroupCreatedTips,
        send_msg: bool,
        operation_id: str,
    ) -> None:
        """Workers first learn whose connections now belong to the group.  They may still be
        subscribing when its first messages come, so those go to each member's own channel."""
        group_id = group.group_id
        self._memberships.drop([group_id])
        await self._announcer.tell(
            [
                (ALL_WORKERS, MembershipChanged(group_id)),
                *(
                    (user_channel(member), MembershipChanged(group_id, added=(member,)))
                    for member in members
                ),
            ]
        )
        channels = tuple(user_channel(member) for member in members)
        try:
            await self._notifications.notify(
                ContentType.GROUP_CREATED,
                tips,
                send_id=actor.user_id,
                group_id=group_id,
                session_type=SessionType.GROUP,
                send_msg=send_msg,
                channels=channels,
                operation_id=operation_id,
            )
            if group.notification:
                await self._notifications.notify(
                    ContentType.GROUP_ANNOUNCEMENT,
                    sdkws_pb2.GroupInfoSetAnnouncementTips(
                        opUser=tips.opUser,
                        group=tips.group,
                        groupMemberVersion=tips.groupMemberVersion,
                        groupMemberVersionID=tips.groupMemberVersionID,
                    ),
                    send_id=actor.user_id,
                    group_id=group_id,
                    session_type=SessionType.GROUP,
                    send_msg=True,
                    channels=channels,
                    operation_id=operation_id,
                )
        except (ServiceError, StoreUnavailable) as error:
            # The group stands: a refusal now would make the client create it again.
            _log.warning("group_creation_not_told", group_id=group_id, reason=str(error))


def check_group(actor: Actor, group: GroupRecord) -> None:
    if group.group_type != WORKING_GROUP:
        raise args_error("groupInfo.groupType", "must be 2")
    if not all(char in "_-" or char.isalnum() for char in group.group_id):
        raise args_error("groupInfo.groupID", "may hold letters, digits, - and _ only")
    if len(group.group_id) > MAX_GROUP_ID:
        raise args_error("groupInfo.groupID", f"longer than {MAX_GROUP_ID} characters")
    if "_" in group.group_id and not actor.is_admin:
        # n_<groupID> could be the notification conversation of two users
        raise args_error("groupInfo.groupID", "may not hold an underscore")
    for field, text, limit in (
        ("groupName", group.group_name, MAX_NAME),
        ("faceURL", group.face_url, MAX_TEXT),
        ("introduction", group.introduction, MAX_TEXT),
        ("notification", group.notification, MAX_TEXT),
        ("ex", group.ex, MAX_TEXT),
    ):
        if len(text) > limit:
            raise args_error(f"groupInfo.{field}", f"longer than {limit} characters")


def _roles(owner: str, admins: Sequence[str], members: Sequence[str]) -> dict[str, Role]:
    """Owner first; raises ARGS for somebody named twice."""
    if not owner:
        raise args_error("ownerUserID", "is required")
    if len(members) > MAX_FIRST_MEMBERS:
        raise args_error("memberUserIDs", f"holds more than {MAX_FIRST_MEMBERS} items")
    if len(admins) > MAX_FIRST_MEMBERS:
        raise args_error("adminUserIDs", f"holds more than {MAX_FIRST_MEMBERS} items")
    roles = {owner: Role.OWNER}
    for field, user_ids, role in (
        ("adminUserIDs", admins, Role.ADMIN),
        ("memberUserIDs", members, Role.MEMBER),
    ):
        for user_id in user_ids:
            if user_id in roles:
                raise args_error(field, f"{user_id} is named twice")
            roles[user_id] = role
    return roles


def group_info(group: GroupRecord, member_count: int) -> sdkws_pb2.GroupInfo:
    return sdkws_pb2.GroupInfo(
        groupID=group.group_id,
        groupName=group.group_name,
        notification=group.notification,
        introduction=group.introduction,
        faceURL=group.face_url,
        ownerUserID=group.owner_user_id,
        createTime=group.create_time,
        memberCount=member_count,
        ex=group.ex,
        status=group.status,
        creatorUserID=group.creator_user_id,
        groupType=group.group_type,
        needVerification=group.need_verification,
        lookMemberInfo=group.look_member_info,
        applyMemberFriend=group.apply_member_friend,
        notificationUpdateTime=group.notification_update_time,
        notificationUserID=group.notification_user_id,
    )


def member_info(member: MemberRecord, user: UserRecord | None) -> sdkws_pb2.GroupMemberFullInfo:
    """A member's own name and face in the group, or those of the user."""
    return sdkws_pb2.GroupMemberFullInfo(
        groupID=member.group_id,
        userID=member.user_id,
        roleLevel=member.role_level,
        joinTime=member.join_time,
        nickname=member.nickname or (user.nickname if user else ""),
        faceURL=member.face_url or (user.face_url if user else ""),
        appMangerLevel=user.app_manger_level if user else 0,
        joinSource=member.join_source,
        operatorUserID=member.operator_user_id,
        ex=member.ex,
        muteEndTime=member.mute_end_time,
        inviterUserID=member.inviter_user_id,
    )


def _outsider(group_id: str, user: UserRecord) -> sdkws_pb2.GroupMemberFullInfo:
    """An administrator who creates a group without being in it."""
    return sdkws_pb2.GroupMemberFullInfo(
        groupID=group_id,
        userID=user.user_id,
        nickname=user.nickname,
        faceURL=user.face_url,
        appMangerLevel=user.app_manger_level,
    )
