"""Bodies of /auth."""

from __future__ import annotations

from typing import Annotated

import attrs

from openim_trio.api.marks import ID, REQUIRED, AnyID, Int32, Int64, Note, OneOf, Text

Lifetime = Annotated[Int64, Note("Seconds that the token is valid.")]


@attrs.frozen(kw_only=True)
class GetAdminTokenReq:
    secret: Text
    userID: ID


@attrs.frozen(kw_only=True)
class GetAdminTokenResp:
    token: str
    expireTimeSeconds: Lifetime


@attrs.frozen(kw_only=True)
class GetUserTokenReq:
    platformID: Annotated[Int32, Note("Platform of the future client, 1 to 11 but not 10.")] = 0
    userID: AnyID = ""


@attrs.frozen(kw_only=True)
class GetUserTokenResp:
    token: str
    expireTimeSeconds: Lifetime


@attrs.frozen(kw_only=True)
class ParseTokenReq:
    token: Text


@attrs.frozen(kw_only=True)
class ParseTokenResp:
    userID: str
    platformID: Int32
    expireTimeSeconds: Annotated[Int64, Note("Unix seconds at which the token expires.")]


@attrs.frozen(kw_only=True)
class ForceLogoutReq:
    platformID: Annotated[Int32, REQUIRED, OneOf(*range(1, 12))]
    userID: ID
