"""Bodies of /group."""

from __future__ import annotations

from typing import Annotated

import attrs

from openim_trio.api.marks import (
    FILLED,
    ID,
    REQUIRED,
    AnyID,
    Int32,
    Int64,
    MaxItems,
    Note,
    OneOf,
    UInt32,
    UInt64,
)
from openim_trio.api.types.paging import IDHash, RequestPagination, Version, VersionID
from openim_trio.api.types.users import MAX_IDS

Members = Annotated[list[AnyID], FILLED, MaxItems(1000)]


@attrs.frozen(kw_only=True)
class GroupInfo:
    groupID: AnyID = ""
    groupName: str = ""
    notification: str = ""
    introduction: str = ""
    faceURL: str = ""
    ownerUserID: AnyID = ""
    createTime: Int64 = 0
    memberCount: UInt32 = 0
    ex: str = ""
    status: Int32 = 0
    creatorUserID: AnyID = ""
    groupType: Annotated[Int32, Note("2; nothing else is accepted.")] = 0
    needVerification: Int32 = 0
    lookMemberInfo: Int32 = 0
    applyMemberFriend: Int32 = 0
    notificationUpdateTime: Int64 = 0
    notificationUserID: str = ""


@attrs.frozen(kw_only=True)
class GroupMemberFullInfo:
    groupID: str
    userID: str
    roleLevel: Annotated[Int32, Note("100 owner, 60 admin, 20 member.")]
    joinTime: Int64
    nickname: str
    faceURL: str
    appMangerLevel: Int32
    joinSource: Int32
    operatorUserID: str
    ex: str
    muteEndTime: Int64
    inviterUserID: str


@attrs.frozen(kw_only=True)
class CreateGroupReq:
    memberUserIDs: Members = attrs.field(factory=list)
    groupInfo: Annotated[GroupInfo, REQUIRED]
    adminUserIDs: Members = attrs.field(factory=list)
    ownerUserID: ID
    sendMessage: Annotated[bool | None, Note("Whether 1501 is also a chat message; null: yes.")] = (
        None
    )


@attrs.frozen(kw_only=True)
class CreateGroupResp:
    groupInfo: GroupInfo


@attrs.frozen(kw_only=True)
class GetGroupsInfoReq:
    groupIDs: Annotated[list[AnyID], REQUIRED, FILLED, MaxItems(MAX_IDS)]


@attrs.frozen(kw_only=True)
class GetGroupsInfoResp:
    groupInfos: list[GroupInfo]


@attrs.frozen(kw_only=True)
class GetGroupMemberListReq:
    pagination: Annotated[RequestPagination, REQUIRED]
    groupID: ID
    filter: Annotated[
        Int32,
        OneOf(*range(6)),
        Note("0 all, 1 owner, 2 admins, 3 ordinary, 4 admins and ordinary, 5 owner and admins."),
    ] = 0
    keyword: Annotated[str, Note("Part of the nickname, in any case.")] = ""


@attrs.frozen(kw_only=True)
class GetGroupMemberListResp:
    total: UInt32
    members: list[GroupMemberFullInfo]


@attrs.frozen(kw_only=True)
class GetJoinedGroupListReq:
    pagination: Annotated[RequestPagination, REQUIRED]
    fromUserID: ID


@attrs.frozen(kw_only=True)
class GetJoinedGroupListResp:
    total: UInt32
    groups: list[GroupInfo]


@attrs.frozen(kw_only=True)
class GetIncrementalJoinGroupReq:
    userID: AnyID = ""
    versionID: VersionID = ""
    version: Version = 0


@attrs.frozen(kw_only=True)
class GetIncrementalJoinGroupResp:
    version: UInt64
    versionID: str
    full: bool
    delete: list[str]
    insert: list[GroupInfo]
    update: list[GroupInfo]
    sortVersion: UInt64


@attrs.frozen(kw_only=True)
class GetIncrementalGroupMemberReq:
    groupID: AnyID = ""
    versionID: VersionID = ""
    version: Version = 0


@attrs.frozen(kw_only=True)
class GetIncrementalGroupMemberResp:
    version: UInt64
    versionID: str
    full: bool
    delete: list[str]
    insert: list[GroupMemberFullInfo]
    update: list[GroupMemberFullInfo]
    group: Annotated[GroupInfo | None, Note("Null if neither group nor members changed.")]
    sortVersion: UInt64


@attrs.frozen(kw_only=True)
class BatchGetIncrementalGroupMemberReq:
    userID: AnyID = ""
    reqList: Annotated[list[GetIncrementalGroupMemberReq], MaxItems(MAX_IDS)] = attrs.field(
        factory=list
    )


@attrs.frozen(kw_only=True)
class BatchGetIncrementalGroupMemberResp:
    respList: Annotated[
        dict[str, GetIncrementalGroupMemberResp],
        Note("By group ID; ask again for the groups that are missing here."),
    ]


@attrs.frozen(kw_only=True)
class GetFullGroupMemberUserIDsReq:
    idHash: IDHash = 0
    groupID: ID


@attrs.frozen(kw_only=True)
class GetFullGroupMemberUserIDsResp:
    version: UInt64
    versionID: str
    equal: bool
    userIDs: list[str]


@attrs.frozen(kw_only=True)
class GetFullJoinGroupIDsReq:
    idHash: IDHash = 0
    userID: ID


@attrs.frozen(kw_only=True)
class GetFullJoinGroupIDsResp:
    version: UInt64
    versionID: str
    equal: bool
    groupIDs: list[str]
