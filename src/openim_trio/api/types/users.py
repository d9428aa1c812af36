"""Bodies of /user."""

from __future__ import annotations

from typing import Annotated

import attrs

from openim_trio.api.marks import (
    FILLED,
    REQUIRED,
    UNIQUE,
    AnyID,
    AtLeast,
    Int32,
    Int64,
    MaxItems,
    Note,
    Text,
)
from openim_trio.api.types.paging import RequestPagination
from openim_trio.services.users import MAX_REGISTRATIONS

MAX_IDS = 10_000

UserIDs = Annotated[list[AnyID], REQUIRED, FILLED, MaxItems(MAX_IDS)]


@attrs.frozen(kw_only=True)
class PublicUserInfo:
    userID: AnyID = ""
    nickname: str = ""
    faceURL: str = ""
    ex: str = ""


@attrs.frozen(kw_only=True)
class UserInfo:
    userID: AnyID = ""
    nickname: str = ""
    faceURL: str = ""
    ex: str = ""
    createTime: Int64 = 0
    appMangerLevel: Int32 = 0
    globalRecvMsgOpt: Int32 = 0


@attrs.frozen(kw_only=True)
class NewUser:
    userID: Annotated[AnyID, REQUIRED, Note("Letters, digits and underscores.")]
    nickname: Text
    faceURL: str = ""
    ex: str = ""
    createTime: Annotated[Int64, Note("Ignored: the server sets it.")] = 0
    appMangerLevel: Int32 = 0
    globalRecvMsgOpt: Int32 = 0


@attrs.frozen(kw_only=True)
class UserRegisterReq:
    users: Annotated[list[NewUser], REQUIRED, MaxItems(MAX_REGISTRATIONS)]


@attrs.frozen(kw_only=True)
class GetDesignateUsersReq:
    userIDs: UserIDs


@attrs.frozen(kw_only=True)
class GetDesignateUsersResp:
    usersInfo: list[UserInfo]


@attrs.frozen(kw_only=True)
class AccountCheckReq:
    checkUserIDs: Annotated[list[AnyID], REQUIRED, FILLED, UNIQUE, MaxItems(MAX_IDS)]


@attrs.frozen(kw_only=True)
class SingleUserStatus:
    userID: str
    accountStatus: Annotated[Int32, Note("1 registered, 0 not.")]


@attrs.frozen(kw_only=True)
class AccountCheckResp:
    results: list[SingleUserStatus]


@attrs.frozen(kw_only=True)
class GetPaginationUsersReq:
    pagination: Annotated[RequestPagination, REQUIRED]
    userID: Annotated[AnyID, Note("Part of the ID, in any case.")] = ""
    nickName: Annotated[str, Note("Part of the nickname, in any case; either may match.")] = ""


@attrs.frozen(kw_only=True)
class GetPaginationUsersResp:
    total: Int32
    users: list[UserInfo]


@attrs.frozen(kw_only=True)
class GetUsersOnlineStatusReq:
    userIDs: UserIDs


@attrs.frozen(kw_only=True)
class PlatformDetail:
    platformID: Int32
    connID: str
    isBackground: bool
    token: Annotated[str, Note("Always empty: tokens are not kept.")] = ""


@attrs.frozen(kw_only=True)
class UserOnlineStatus:
    userID: str
    status: Annotated[Int32, Note("1 online, 0 offline.")]
    detailPlatformStatus: list[PlatformDetail]


@attrs.frozen(kw_only=True)
class AddNotificationAccountReq:
    userID: Annotated[AnyID, Note("Empty: the server makes one of 10 digits.")] = ""
    nickName: Text
    faceURL: str = ""
    appMangerLevel: Annotated[Int32, REQUIRED, AtLeast(3), Note("3 notification account, 4 robot.")]


@attrs.frozen(kw_only=True)
class AddNotificationAccountResp:
    userID: str
    faceURL: str
    nickName: str
    appMangerLevel: Int32
