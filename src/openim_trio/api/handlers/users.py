"""/user."""

from __future__ import annotations

from openim_trio.api.proto_bridge import from_proto
from openim_trio.api.routes import Call, Empty
from openim_trio.api.types.users import (
    AccountCheckReq,
    AccountCheckResp,
    AddNotificationAccountReq,
    AddNotificationAccountResp,
    GetDesignateUsersReq,
    GetDesignateUsersResp,
    GetPaginationUsersReq,
    GetPaginationUsersResp,
    GetUsersOnlineStatusReq,
    NewUser,
    PlatformDetail,
    SingleUserStatus,
    UserInfo,
    UserOnlineStatus,
    UserRegisterReq,
)
from openim_trio.domain.records import UserRecord
from openim_trio.services.control import OnlineConnection


def _record(user: NewUser) -> UserRecord:
    return UserRecord(
        user_id=user.userID,
        nickname=user.nickname,
        face_url=user.faceURL,
        ex=user.ex,
        app_manger_level=user.appMangerLevel,
        global_recv_msg_opt=user.globalRecvMsgOpt,
    )


async def user_register(call: Call, request: UserRegisterReq) -> Empty:
    await call.services.users.register([_record(user) for user in request.users])
    return Empty()


async def get_users_info(call: Call, request: GetDesignateUsersReq) -> GetDesignateUsersResp:
    users = await call.services.users.infos(request.userIDs)
    return GetDesignateUsersResp(usersInfo=[from_proto(UserInfo, user) for user in users])


async def account_check(call: Call, request: AccountCheckReq) -> AccountCheckResp:
    found = await call.services.users.account_check(request.checkUserIDs)
    return AccountCheckResp(
        results=[
            SingleUserStatus(userID=user_id, accountStatus=int(registered))
            for user_id, registered in found
        ]
    )


async def get_users(call: Call, request: GetPaginationUsersReq) -> GetPaginationUsersResp:
    page = request.pagination
    total, users = await call.services.users.page(
        page.pageNumber, page.showNumber, request.userID, request.nickName
    )
    return GetPaginationUsersResp(total=total, users=[from_proto(UserInfo, user) for user in users])


async def get_users_online_status(
    call: Call, request: GetUsersOnlineStatusReq
) -> list[UserOnlineStatus]:
    online = await call.services.users.online(request.userIDs)
    return [_online_status(user_id, online.get(user_id, [])) for user_id in request.userIDs]


def _online_status(user_id: str, connections: list[OnlineConnection]) -> UserOnlineStatus:
    return UserOnlineStatus(
        userID=user_id,
        status=int(bool(connections)),
        detailPlatformStatus=[
            PlatformDetail(
                platformID=item.platform, connID=item.conn_id, isBackground=item.is_background
            )
            for item in connections
        ],
    )


async def add_notification_account(
    call: Call, request: AddNotificationAccountReq
) -> AddNotificationAccountResp:
    user = await call.services.users.add_notification_account(
        request.userID, request.nickName, request.faceURL, request.appMangerLevel
    )
    return AddNotificationAccountResp(
        userID=user.user_id,
        faceURL=user.face_url,
        nickName=user.nickname,
        appMangerLevel=user.app_manger_level,
    )
