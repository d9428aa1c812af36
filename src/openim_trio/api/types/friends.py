"""Bodies of /friend."""

from __future__ import annotations

from typing import Annotated

import attrs

from openim_trio.api.marks import (
    FILLED,
    ID,
    REQUIRED,
    UNIQUE,
    AnyID,
    Int32,
    Int64,
    MaxItems,
    Note,
    UInt64,
)
from openim_trio.api.types.paging import IDHash, RequestPagination, Version, VersionID
from openim_trio.api.types.users import MAX_IDS, PublicUserInfo, UserInfo


@attrs.frozen(kw_only=True)
class FriendInfo:
    ownerUserID: str
    remark: str
    createTime: Annotated[Int64, Note("Unix seconds.")]
    friendUser: UserInfo
    addSource: Int32
    operatorUserID: str
    ex: str
    isPinned: bool


@attrs.frozen(kw_only=True)
class BlackInfo:
    ownerUserID: str
    createTime: Annotated[Int64, Note("Unix seconds.")]
    blackUserInfo: PublicUserInfo
    addSource: Int32
    operatorUserID: str
    ex: str


@attrs.frozen(kw_only=True)
class GetPaginationFriendsReq:
    pagination: Annotated[RequestPagination, REQUIRED]
    userID: ID


@attrs.frozen(kw_only=True)
class GetPaginationFriendsResp:
    friendsInfo: list[FriendInfo]
    total: Int32


@attrs.frozen(kw_only=True)
class GetDesignatedFriendsReq:
    ownerUserID: ID
    friendUserIDs: Annotated[list[AnyID], REQUIRED, FILLED, UNIQUE, MaxItems(MAX_IDS)]


@attrs.frozen(kw_only=True)
class GetDesignatedFriendsResp:
    friendsInfo: list[FriendInfo]


@attrs.frozen(kw_only=True)
class GetPaginationBlacksReq:
    userID: ID
    pagination: Annotated[RequestPagination, REQUIRED]


@attrs.frozen(kw_only=True)
class GetPaginationBlacksResp:
    blacks: list[BlackInfo]
    total: Int32


@attrs.frozen(kw_only=True)
class GetIncrementalFriendsReq:
    userID: AnyID = ""
    versionID: VersionID = ""
    version: Version = 0


@attrs.frozen(kw_only=True)
class GetIncrementalFriendsResp:
    version: UInt64
    versionID: str
    full: Annotated[bool, Note("True: read the whole list.")]
    delete: list[str]
    insert: list[FriendInfo]
    update: list[FriendInfo]
    sortVersion: Annotated[UInt64, Note("Above 0: the order changed.")]


@attrs.frozen(kw_only=True)
class GetFullFriendUserIDsReq:
    idHash: IDHash = 0
    userID: ID


@attrs.frozen(kw_only=True)
class GetFullFriendUserIDsResp:
    version: UInt64
    versionID: str
    equal: Annotated[bool, Note("True: the hash matches and the list is left out.")]
    userIDs: list[str]
