"""What can go wrong, typed and few.  `code` is OpenIM's: the server's (1001 ...) or the SDK's own
(10000 to 10999)."""

from __future__ import annotations

from enum import IntEnum


class LocalCode(IntEnum):
    """The SDK's own codes, as OpenIM numbers them; 10900 and up are ours."""

    NETWORK = 10000
    TIMEOUT = 10001
    ARGUMENT = 10002
    NOT_LOGGED_IN = 10009
    LOGGED_IN_TWICE = 10102
    NO_SEQ = 10206
    NOT_FOUND = 10207
    PROTOCOL = 10900
    """the server sent what is no OpenIM"""
    DEADLINE = 10901
    """a send was given up at its deadline; it will never be delivered"""
    DATABASE = 10910
    DATABASE_IN_USE = 10911
    DATABASE_CORRUPT = 10912
    DATABASE_FULL = 10913
    DATABASE_TOO_NEW = 10914


class ClientError(Exception):
    """Base of all.  `code`: a `LocalCode` or one of the server's."""

    code: int = LocalCode.ARGUMENT


class InvalidArgument(ClientError):
    """The text names the argument and says what is wrong with it."""

    code = LocalCode.ARGUMENT


class NotLoggedIn(ClientError):
    code = LocalCode.NOT_LOGGED_IN


class AlreadyLoggedIn(ClientError):
    """Log out first."""

    code = LocalCode.LOGGED_IN_TWICE


class NotConnected(ClientError):
    """There is no connection now, or it broke before the answer came.  Nothing is known of what was
    asked for; sends are not affected, they are queued."""

    code = LocalCode.NETWORK


class AnswerTimeout(NotConnected):
    """The server did not answer in time; the connection is given up."""

    code = LocalCode.TIMEOUT


class ProtocolError(ClientError):
    """The server sent something that is no OpenIM.  The text holds nothing of it."""

    code = LocalCode.PROTOCOL


class ServerRefused(ClientError):
    """The server's errCode and errMsg; `detail` (errDlt) where it gave one."""

    def __init__(self, code: int, name: str, detail: str = "") -> None:
        super().__init__(f"{code} {name}" + (f": {detail}" if detail else ""))
        self.code = code
        self.name = name
        self.detail = detail

    @property
    def retriable(self) -> bool:
        """The same request may succeed later, unchanged."""
        return self.code in RETRIABLE


class TokenRefused(ServerRefused):
    """1501 to 1507: get a new token from your backend and log in again."""


def refused(code: int, name: str, detail: str = "") -> ServerRefused:
    """For an errCode that is not 0."""
    kind = TokenRefused if code in TOKEN_CODES else ServerRefused
    return kind(code, name, detail)


class SendFailed(ClientError):
    """The message will never be delivered: `code` and the text say why."""

    def __init__(self, client_msg_id: str, code: int, reason: str) -> None:
        super().__init__(f"message {client_msg_id}: {reason}")
        self.client_msg_id = client_msg_id
        self.code = code
        self.reason = reason


class MessageNotFound(ClientError):
    """Not in the local database."""

    code = LocalCode.NOT_FOUND


class MessageHasNoSeq(ClientError):
    """It is not known yet to have been stored by the server."""

    code = LocalCode.NO_SEQ


class DatabaseError(ClientError):
    """The local database cannot be used; `path` is its file, the text says what to do."""

    code = LocalCode.DATABASE

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"{path}: {what}")
        self.path = path


class DatabaseInUse(DatabaseError):
    """Another process has it open.  `pid`: which one, 0 if unknown."""

    code = LocalCode.DATABASE_IN_USE

    def __init__(self, path: str, pid: int) -> None:
        super().__init__(path, f"is open in process {pid or '?'}; one client a user and directory")
        self.pid = pid


class DatabaseCorrupt(DatabaseError):
    """Not a database, or a damaged one.  Nothing was changed."""

    code = LocalCode.DATABASE_CORRUPT


class DatabaseFull(DatabaseError):
    """No room on the disk.  What was stored is intact; it goes on when there is room."""

    code = LocalCode.DATABASE_FULL


class DatabaseTooNew(DatabaseError):
    """Written by a later version of this library."""

    code = LocalCode.DATABASE_TOO_NEW


TOKEN_EXPIRED = 1501
TOKEN_KICKED = 1506
TOKEN_CODES = frozenset(range(1501, 1508))
RETRIABLE = frozenset({500, 90002, 90004})
"""errCodes after which the same request may succeed"""
DUPLICATE_KEY = 1003
