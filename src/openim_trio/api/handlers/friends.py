"""/friend: this server has no friends yet, but every login asks for them."""

from __future__ import annotations

from openim_trio.api.routes import Call
from openim_trio.api.types.friends import (
    GetDesignatedFriendsReq,
    GetDesignatedFriendsResp,
    GetFullFriendUserIDsReq,
    GetFullFriendUserIDsResp,
    GetIncrementalFriendsReq,
    GetIncrementalFriendsResp,
    GetPaginationBlacksReq,
    GetPaginationBlacksResp,
    GetPaginationFriendsReq,
    GetPaginationFriendsResp,
)


async def get_friend_list(call: Call, request: GetPaginationFriendsReq) -> GetPaginationFriendsResp:
    return GetPaginationFriendsResp(friendsInfo=[], total=0)


async def get_designated_friends(
    call: Call, request: GetDesignatedFriendsReq
) -> GetDesignatedFriendsResp:
    return GetDesignatedFriendsResp(friendsInfo=[])


async def get_black_list(call: Call, request: GetPaginationBlacksReq) -> GetPaginationBlacksResp:
    return GetPaginationBlacksResp(blacks=[], total=0)


async def get_incremental_friends(
    call: Call, request: GetIncrementalFriendsReq
) -> GetIncrementalFriendsResp:
    found = await call.services.friends.incremental(
        request.userID, request.versionID, request.version
    )
    return GetIncrementalFriendsResp(
        version=found.version,
        versionID=found.version_id,
        full=found.full,
        delete=list(found.deleted),
        insert=[],
        update=[],
        sortVersion=found.sort_version,
    )


async def get_full_friend_user_ids(
    call: Call, request: GetFullFriendUserIDsReq
) -> GetFullFriendUserIDsResp:
    found = await call.services.friends.full_ids(request.userID, request.idHash)
    return GetFullFriendUserIDsResp(
        version=found.version,
        versionID=found.version_id,
        equal=found.equal,
        userIDs=list(found.ids),
    )
