"""The connect request: what its query says, and the answers to it.  No I/O.

Order of the checks: connection limit, arguments, token, token against arguments.  An answer is the
JSON object {errCode, errMsg, errDlt}, at most 1024 bytes (the native SDK reads no more): in a
response with HTTP status 200, or, when the client asked for it (isMsgResp) and its arguments could
be parsed, in a text message after the upgrade.

A client that knows the extension asks for it (extension=1) and finds in the head of the answer that
it is served, and the server's time.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any
from urllib.parse import parse_qsl

import attrs

from openim_trio.domain.actors import Actor
from openim_trio.domain.errors import Code, ServiceError
from openim_trio.domain.platforms import Platform
from openim_trio.gateway.http_upgrade import Headers
from openim_trio.wire.envelope import Encoding, encoding_for

MAX_ANSWER = 1024
_BOOLS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
_SDK_TYPES = ("", "go", "js")
_EXTENSION = "1"


@attrs.frozen(slots=True)
class ConnectArgs:
    """A parsed connect request.  `msg_resp`: the answer is wanted in a text message.
    `extension`: what is not OpenIM's may be asked and answered."""

    user_id: str
    token: str = attrs.field(repr=False)
    platform: Platform
    operation_id: str
    encoding: Encoding
    msg_resp: bool
    sdk_version: str = ""
    extension: bool = False


def parse_arguments(query: str, compression_header: str = "") -> ConnectArgs:
    """Raises ServiceError: CONNECTION_ARGS, or INTERNAL for isBackground (as the protocol has it).

    `compression_header`: the HTTP header of that name, used where the query says nothing."""
    values: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        values.setdefault(name, value)
    if values.get("v"):
        return _checked(_unpack(values["v"]), compression_header)
    args = _checked(values, compression_header)
    if values.get("isBackground") not in _BOOLS:
        raise ServiceError(Code.INTERNAL, "isBackground: must be true or false")
    return args


def _checked(values: dict[str, str], compression_header: str) -> ConnectArgs:
    for name in ("operationID", "token", "sendID"):
        if not values.get(name):
            raise _bad(name, "is missing")
    try:
        platform = Platform(int(values.get("platformID", "")))
    except ValueError:
        raise _bad("platformID", "is not a known platform") from None
    sdk_type = values.get("sdkType", "")
    if sdk_type not in _SDK_TYPES:
        raise _bad("sdkType", "must be go or js")
    msg_resp = values.get("isMsgResp", "")
    if msg_resp and msg_resp not in _BOOLS:
        raise _bad("isMsgResp", "must be true or false")
    return ConnectArgs(
        user_id=values["sendID"],
        token=values["token"],
        platform=platform,
        operation_id=values["operationID"],
        encoding=encoding_for(sdk_type, values.get("compression") or compression_header),
        msg_resp=_BOOLS.get(msg_resp, False),
        sdk_version=values.get("sdkVersion", "")[:64],
        extension=values.get("extension") == _EXTENSION,
    )


def _unpack(packed: str) -> dict[str, str]:
    """The one-parameter form: base64url without padding of a JSON object."""
    try:
        decoded: Any = json.loads(
            base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
        )
    except (binascii.Error, ValueError, RecursionError):
        raise _bad("v", "is not base64url of a JSON object") from None
    if not isinstance(decoded, dict):
        raise _bad("v", "is not base64url of a JSON object")
    names = {
        "token": "token",
        "userID": "sendID",
        "platformID": "platformID",
        "operationID": "operationID",
        "compression": "compression",
        "sdkType": "sdkType",
        "sendResponse": "isMsgResp",
        "sdkVersion": "sdkVersion",
        "extension": "extension",
    }
    values = {ours: _as_text(decoded[key]) for key, ours in names.items() if key in decoded}
    try:
        "".join(values.values()).encode()
    except UnicodeEncodeError:  # lone surrogates
        raise _bad("v", "holds text that is not Unicode") from None
    return values


def _as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def check_actor(args: ConnectArgs, actor: Actor) -> None:
    """The token must be this user's, for this platform."""
    if actor.user_id != args.user_id:
        raise ServiceError(Code.TOKEN_INVALID, "the token belongs to another user than sendID")
    if actor.platform != args.platform:
        raise ServiceError(Code.TOKEN_INVALID, "the token was issued for another platformID")


def headers(args: ConnectArgs, now_ms: int) -> Headers:
    """What the 101 says beyond RFC 6455: nothing, to a client that did not ask for it."""
    if not args.extension:
        return ()
    return (("OpenIM-Trio-Extension", _EXTENSION), ("OpenIM-Trio-Time", str(now_ms)))


def answer(error: ServiceError | None = None) -> bytes:
    """The JSON object that tells how the connect request went."""
    if error is None:
        return b'{"errCode":0,"errMsg":"","errDlt":""}'
    return _answer_json(error, error.detail)


def _answer_json(error: ServiceError, detail: str) -> bytes:
    body = {"errCode": int(error.code), "errMsg": error.name, "errDlt": detail}
    encoded = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    if len(encoded) > MAX_ANSWER:
        return _answer_json(error, detail[: len(detail) // 2])
    return encoded


def _bad(name: str, problem: str) -> ServiceError:
    return ServiceError(Code.CONNECTION_ARGS, f"{name}: {problem}")
