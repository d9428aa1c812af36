"""/auth."""

from __future__ import annotations

from openim_trio.api.routes import Call, Empty
from openim_trio.api.types.auth import (
    ForceLogoutReq,
    GetAdminTokenReq,
    GetAdminTokenResp,
    GetUserTokenReq,
    GetUserTokenResp,
    ParseTokenReq,
    ParseTokenResp,
)


async def get_admin_token(call: Call, request: GetAdminTokenReq) -> GetAdminTokenResp:
    token, seconds = await call.services.tokens.issue_admin(request.secret, request.userID)
    return GetAdminTokenResp(token=token, expireTimeSeconds=seconds)


async def get_user_token(call: Call, request: GetUserTokenReq) -> GetUserTokenResp:
    token, seconds = await call.services.tokens.issue_user(
        call.actor, request.userID, request.platformID
    )
    return GetUserTokenResp(token=token, expireTimeSeconds=seconds)


async def parse_token(call: Call, request: ParseTokenReq) -> ParseTokenResp:
    user_id, platform, expires_at = await call.services.tokens.parse(request.token)
    return ParseTokenResp(userID=user_id, platformID=platform, expireTimeSeconds=expires_at)


async def force_logout(call: Call, request: ForceLogoutReq) -> Empty:
    await call.services.tokens.force_logout(request.userID, request.platformID)
    return Empty()
