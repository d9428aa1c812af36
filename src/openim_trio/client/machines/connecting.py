"""When to connect again, and what the login is in the meantime.  `now` is monotonic seconds."""

from __future__ import annotations

import random
from enum import Enum

import attrs

from openim_trio.client.errors import TOKEN_CODES, TOKEN_EXPIRED, TOKEN_KICKED
from openim_trio.client.model import LoginStatus

STEADY = 5.0
"""A connection that stood for so long (seconds) was a good one."""


class Why(Enum):
    """How a login ended."""

    EXPIRED = "the token has expired"
    INVALID = "the server does not take the token"
    KICKED = "another login displaced this one, or an administrator ended it"
    LOGGED_OUT = "logged out"


@attrs.frozen
class Ended:
    """No reconnect.  `code`: the server's (1501 to 1507), 0 where it gave none."""

    why: Why
    code: int = 0


class Connecting:
    """One login, from its start to its end.

    first_wait, longest_wait   seconds between attempts, doubling, shortened by up to a half

    The driver tells each attempt and what became of it; where an answer is a number, it pauses for
    so many seconds before the next attempt.  `attempts`: since the last good connection.
    """

    def __init__(self, rng: random.Random, first_wait: float, longest_wait: float) -> None:
        self._rng = rng
        self._first_wait = first_wait
        self._longest_wait = longest_wait
        self._failures = 0
        self._since: float | None = None
        self._ever_connected = False
        self._ended: Ended | None = None
        self.attempts = 0

    @property
    def connected(self) -> bool:
        return self._since is not None

    @property
    def ended(self) -> Ended | None:
        return self._ended

    @property
    def status(self) -> LoginStatus:
        """LOGGED_IN from the first connection on, also while it is being replaced."""
        if self._ended is None:
            return LoginStatus.LOGGED_IN if self._ever_connected else LoginStatus.LOGGING_IN
        if self._ever_connected or self._ended.why is Why.LOGGED_OUT:
            return LoginStatus.LOGGED_OUT
        return LoginStatus.LOGIN_FAILED

    def attempt(self, now: float) -> None:
        self.attempts += 1

    def established(self, now: float) -> None:
        """The server has accepted the connection; after the end of the login it is not counted."""
        if self._ended is None:
            self._since, self._ever_connected = now, True

    def lost(self, now: float) -> float:
        """After a good connection the pause is short and random: a server that restarts
        should not meet all its clients at once.  One that broke right away is a failed attempt."""
        since, self._since = self._since, None
        if since is None or now - since < STEADY:
            return self.failed(now)
        self._failures = self.attempts = 0
        return self._rng.uniform(0.0, self._first_wait / 2)

    def failed(self, now: float) -> float:
        self._since = None
        wait = min(self._first_wait * 2.0 ** min(self._failures, 32), self._longest_wait)
        self._failures += 1
        return wait * self._rng.uniform(0.5, 1.0)

    def refused(self, code: int) -> Ended | None:
        """The server's errCode at the handshake or on the connection.  None: it does not end the
        login; the attempt has `failed`, or the connection is `lost`."""
        if code not in TOKEN_CODES:
            return None
        if code == TOKEN_EXPIRED:
            return self._end(Ended(Why.EXPIRED, code))
        if code == TOKEN_KICKED:
            return self._end(Ended(Why.KICKED, code))
        return self._end(Ended(Why.INVALID, code))

    def kicked(self) -> Ended:
        return self._end(Ended(Why.KICKED))

    def logged_out(self) -> Ended:
        """The application's own end replaces any that came before."""
        self._ended = None
        return self._end(Ended(Why.LOGGED_OUT))

    def _end(self, ended: Ended) -> Ended:
        self._since = None
        self._ended = self._ended or ended
        return self._ended
