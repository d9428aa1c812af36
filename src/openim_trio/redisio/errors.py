"""What goes wrong between us and Redis."""

from __future__ import annotations

import re

from openim_trio.append.ports import SequencerUnavailable

_IN_SCRIPT = re.compile(r"@user_script: *\d+: *-?([A-Z]+) ")
_USELESS_CONNECTION = frozenset({"READONLY", "LOADING", "MASTERDOWN", "NOAUTH"})


class RedisReplyError(SequencerUnavailable):
    """Redis answered with an error.  `code` is its first word (READONLY, NOSCRIPT, OOM, …), also
    where it happened inside a script (up to Redis 6.2 such an error comes as text in an ERR)."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        first = message.partition(" ")[0]
        inner = _IN_SCRIPT.search(message) if first == "ERR" else None
        self.code = inner.group(1) if inner else first

    @property
    def ends_connection(self) -> bool:
        """True where every further call on this connection would fail the same way: it leads to a
        replica, or to a server that is not ready.  A new connection may find the right one."""
        return self.code in _USELESS_CONNECTION


class ConnectionLost(Exception):
    """The connection ended, or spoke something that is not RESP."""
