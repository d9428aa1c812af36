"""Errors that a client sees: one class, one table of codes.

Source of the codes: the OpenIM v3.8 wire protocol (REST and WebSocket share them).
A library's own exception is translated where it is caught, at the adapter's edge; inside the
services only `ServiceError` travels.
"""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """`errCode` values; the name that goes on the wire as `errMsg` is in `NAMES`."""

    INTERNAL = 500
    ARGS = 1001
    NO_PERMISSION = 1002
    DUPLICATE_KEY = 1003
    RECORD_NOT_FOUND = 1004
    USER_NOT_FOUND = 1101
    ALREADY_REGISTERED = 1102
    GROUP_NOT_FOUND = 1201
    GROUP_EXISTS = 1202
    NOT_IN_GROUP = 1203
    GROUP_DISMISSED = 1204
    GROUP_TYPE_NOT_SUPPORTED = 1205
    BLOCKED_BY_PEER = 1302
    NOT_PEERS_FRIEND = 1303
    MUTED_IN_GROUP = 1402
    MUTED_GROUP = 1403
    ALREADY_REVOKED = 1404
    TOKEN_EXPIRED = 1501
    TOKEN_INVALID = 1502
    TOKEN_MALFORMED = 1503
    TOKEN_NOT_VALID_YET = 1504
    TOKEN_UNKNOWN = 1505
    TOKEN_KICKED = 1506
    TOKEN_NOT_EXIST = 1507
    CONNECTION_LIMIT = 1601
    CONNECTION_ARGS = 1602
    DATABASE = 90002
    NETWORK = 90004


NAMES: dict[Code, str] = {
    Code.INTERNAL: "ServerInternalError",
    Code.ARGS: "ArgsError",
    Code.NO_PERMISSION: "NoPermissionError",
    Code.DUPLICATE_KEY: "DuplicateKeyError",
    Code.RECORD_NOT_FOUND: "RecordNotFoundError",
    Code.USER_NOT_FOUND: "UserIDNotFoundError",
    Code.ALREADY_REGISTERED: "RegisteredAlreadyError",
    Code.GROUP_NOT_FOUND: "GroupIDNotFoundError",
    Code.GROUP_EXISTS: "GroupIDExisted",
    Code.NOT_IN_GROUP: "NotInGroupYetError",
    Code.GROUP_DISMISSED: "DismissedAlreadyError",
    Code.GROUP_TYPE_NOT_SUPPORTED: "GroupTypeNotSupport",
    Code.BLOCKED_BY_PEER: "BlockedByPeer",
    Code.NOT_PEERS_FRIEND: "NotPeersFriend",
    Code.MUTED_IN_GROUP: "MutedInGroup",
    Code.MUTED_GROUP: "MutedGroup",
    Code.ALREADY_REVOKED: "MsgAlreadyRevoke",
    Code.TOKEN_EXPIRED: "TokenExpiredError",
    Code.TOKEN_INVALID: "TokenInvalidError",
    Code.TOKEN_MALFORMED: "TokenMalformedError",
    Code.TOKEN_NOT_VALID_YET: "TokenNotValidYetError",
    Code.TOKEN_UNKNOWN: "TokenUnknownError",
    Code.TOKEN_KICKED: "TokenKickedError",
    Code.TOKEN_NOT_EXIST: "TokenNotExistError",
    Code.CONNECTION_LIMIT: "ConnOverMaxNumLimit",
    Code.CONNECTION_ARGS: "ConnArgsErr",
    Code.DATABASE: "DatabaseError",
    Code.NETWORK: "NetworkError",
}


TOKEN_CODES = frozenset(range(Code.TOKEN_EXPIRED, Code.TOKEN_NOT_EXIST + 1))
"""the token is not accepted: clients log out"""


class ServiceError(Exception):
    """A refusal or failure with a stable code.

    `code` is the wire's errCode, `name` its errMsg, `detail` (errDlt) says in English what is wrong
    and names the field.  `retriable` is true when the same request may succeed later, unchanged.
    """

    def __init__(self, code: Code, detail: str = "", *, retriable: bool = False) -> None:
        super().__init__(f"{int(code)} {NAMES[code]}: {detail}")
        self.code = code
        self.detail = detail
        self.retriable = retriable

    @property
    def name(self) -> str:
        return NAMES[self.code]


def args_error(field: str, problem: str) -> ServiceError:
    """A bad argument: `field` is the name as the client wrote it."""
    return ServiceError(Code.ARGS, f"{field}: {problem}")
