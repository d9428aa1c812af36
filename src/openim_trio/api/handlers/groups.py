"""/group."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from openim_trio.api.proto_bridge import from_proto
from openim_trio.api.routes import Call
from openim_trio.api.types.groups import (
    BatchGetIncrementalGroupMemberReq,
    BatchGetIncrementalGroupMemberResp,
    CreateGroupReq,
    CreateGroupResp,
    GetFullGroupMemberUserIDsReq,
    GetFullGroupMemberUserIDsResp,
    GetFullJoinGroupIDsReq,
    GetFullJoinGroupIDsResp,
    GetGroupMemberListReq,
    GetGroupMemberListResp,
    GetGroupsInfoReq,
    GetGroupsInfoResp,
    GetIncrementalGroupMemberReq,
    GetIncrementalGroupMemberResp,
    GetIncrementalJoinGroupReq,
    GetIncrementalJoinGroupResp,
    GetJoinedGroupListReq,
    GetJoinedGroupListResp,
    GroupInfo,
    GroupMemberFullInfo,
)
from openim_trio.domain.groups import GroupStatus
from openim_trio.domain.records import GroupRecord
from openim_trio.services.group_lists import MemberChanges
from openim_trio.wire.proto import sdkws_pb2

BATCH_ENTRIES = 500
"""entries after which an answer ends; the client asks again for the groups that are missing"""
READS_AT_ONCE = 16


def _record(info: GroupInfo) -> GroupRecord:
    return GroupRecord(
        group_id=info.groupID,
        group_name=info.groupName,
        notification=info.notification,
        introduction=info.introduction,
        face_url=info.faceURL,
        ex=info.ex,
        creator_user_id=info.creatorUserID,
        group_type=info.groupType,
        need_verification=info.needVerification,
        look_member_info=info.lookMemberInfo,
        apply_member_friend=info.applyMemberFriend,
    )


def _infos(groups: Sequence[sdkws_pb2.GroupInfo]) -> list[GroupInfo]:
    return [from_proto(GroupInfo, group) for group in groups]


def _members(members: Sequence[sdkws_pb2.GroupMemberFullInfo]) -> list[GroupMemberFullInfo]:
    return [from_proto(GroupMemberFullInfo, member) for member in members]


async def create_group(call: Call, request: CreateGroupReq) -> CreateGroupResp:
    created = await call.services.groups.create(
        call.actor,
        _record(request.groupInfo),
        request.ownerUserID,
        request.memberUserIDs,
        request.adminUserIDs,
        send_message=request.sendMessage,
        operation_id=call.operation_id,
    )
    return CreateGroupResp(groupInfo=from_proto(GroupInfo, created))


async def get_groups_info(call: Call, request: GetGroupsInfoReq) -> GetGroupsInfoResp:
    return GetGroupsInfoResp(groupInfos=_infos(await call.services.groups.infos(request.groupIDs)))


async def get_group_member_list(
    call: Call, request: GetGroupMemberListReq
) -> GetGroupMemberListResp:
    page = request.pagination
    total, members = await call.services.group_lists.members_page(
        request.groupID, page.pageNumber, page.showNumber, request.filter, request.keyword
    )
    return GetGroupMemberListResp(total=total, members=_members(members))


async def get_joined_group_list(
    call: Call, request: GetJoinedGroupListReq
) -> GetJoinedGroupListResp:
    page = request.pagination
    total, groups = await call.services.group_lists.joined_page(
        request.fromUserID, page.pageNumber, page.showNumber
    )
    return GetJoinedGroupListResp(total=total, groups=_infos(groups))


async def get_incremental_join_groups(
    call: Call, request: GetIncrementalJoinGroupReq
) -> GetIncrementalJoinGroupResp:
    found = await call.services.group_lists.incremental_joined(
        request.userID, request.versionID, request.version
    )
    return GetIncrementalJoinGroupResp(
        version=found.version,
        versionID=found.version_id,
        full=found.full,
        delete=list(found.deleted),
        insert=_infos(found.inserted),
        update=_infos(found.updated),
        sortVersion=found.sort_version,
    )


async def get_full_join_group_ids(
    call: Call, request: GetFullJoinGroupIDsReq
) -> GetFullJoinGroupIDsResp:
    found = await call.services.group_lists.full_joined_ids(request.userID, request.idHash)
    return GetFullJoinGroupIDsResp(
        version=found.version,
        versionID=found.version_id,
        equal=found.equal,
        groupIDs=list(found.ids),
    )


async def get_full_group_member_user_ids(
    call: Call, request: GetFullGroupMemberUserIDsReq
) -> GetFullGroupMemberUserIDsResp:
    found = await call.services.group_lists.full_member_ids(request.groupID, request.idHash)
    return GetFullGroupMemberUserIDsResp(
        version=found.version,
        versionID=found.version_id,
        equal=found.equal,
        userIDs=list(found.ids),
    )


async def get_incremental_group_members_batch(
    call: Call, request: BatchGetIncrementalGroupMemberReq
) -> BatchGetIncrementalGroupMemberResp:
    """In the order asked for, until the entries of an answer are enough.  Dismissed groups are
    left out."""
    asked = {item.groupID: item for item in request.reqList}
    infos = await call.services.groups.infos(list(asked)) if asked else []
    live = [asked[info.groupID] for info in infos if info.status != GroupStatus.DISMISSED]
    answers: dict[str, GetIncrementalGroupMemberResp] = {}
    entries = 0
    for start in range(0, len(live), READS_AT_ONCE):
        some = live[start : start + READS_AT_ONCE]
        for item, found in zip(some, await _changes(call, some), strict=True):
            if entries >= BATCH_ENTRIES:
                return BatchGetIncrementalGroupMemberResp(respList=answers)
            answer = _member_changes(found)
            answers[item.groupID] = answer
            entries += len(answer.delete) + len(answer.insert) + len(answer.update)
    return BatchGetIncrementalGroupMemberResp(respList=answers)


async def _changes(
    call: Call, asked: Sequence[GetIncrementalGroupMemberReq]
) -> list[MemberChanges]:
    found: dict[str, MemberChanges] = {}

    async def read(item: GetIncrementalGroupMemberReq) -> None:
        found[item.groupID] = await call.services.group_lists.incremental_members(
            item.groupID, item.versionID, item.version
        )

    async with trio.open_nursery() as nursery:
        for item in asked:
            nursery.start_soon(read, item)
    return [found[item.groupID] for item in asked]


def _member_changes(found: MemberChanges) -> GetIncrementalGroupMemberResp:
    members = found.members
    return GetIncrementalGroupMemberResp(
        version=members.version,
        versionID=members.version_id,
        full=members.full,
        delete=list(members.deleted),
        insert=_members(members.inserted),
        update=_members(members.updated),
        group=from_proto(GroupInfo, found.group) if found.group is not None else None,
        sortVersion=members.sort_version,
    )
