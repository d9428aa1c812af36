"""Retry: what a client did not get to see is shown to it again.

Official clients send no acknowledgement: what was let go is remembered as a debt (conversation and
the highest seq let go) and shown again once the reader has caught up.  A client that does
acknowledge ends a debt early through `acknowledge`, and what it does not acknowledge in time is
shown again, too (`Unacknowledged`).
"""

from __future__ import annotations

import attrs


@attrs.frozen(slots=True)
class Debt:
    conversation: str
    seq: int


class Retry:
    """Debts of one connection, at most `limit` conversations.

    Beyond it a connection is too far behind to be helped: `let_go` answers false, the caller
    closes it and the client syncs when it comes back.
    """

    __slots__ = ("_limit", "_owed", "_resting_until", "_wait")

    FIRST_WAIT = 0.5
    LONGEST_WAIT = 30.0

    def __init__(self, limit: int = 1_024) -> None:
        self._limit = limit
        self._owed: dict[str, int] | None = None
        self._wait = self.FIRST_WAIT
        self._resting_until = 0.0

    def __len__(self) -> int:
        return 0 if self._owed is None else len(self._owed)

    def let_go(self, conversation: str, seq: int, now: float) -> bool:
        """Note a push that was let go (seq 0, not stored: gone for good)."""
        if seq == 0:
            return True
        if self._owed is None:
            self._owed = {}
        if conversation not in self._owed and len(self._owed) >= self._limit:
            return False
        self._owed[conversation] = max(seq, self._owed.get(conversation, 0))
        # A reader that was slow just now gets time; each relapse doubles it.
        if now >= self._resting_until:
            self._resting_until = now + self._wait
            self._wait = min(self._wait * 2, self.LONGEST_WAIT)
        return True

    def acknowledge(self, conversation: str, seq: int) -> None:
        """The client has everything up to seq of this conversation."""
        if self._owed is not None and self._owed.get(conversation, seq + 1) <= seq:
            del self._owed[conversation]

    def due(self, now: float, *, outbox_empty: bool, limit: int = 64) -> list[Debt]:
        """Debts to be shown now; they are taken off the list."""
        if not self._owed:
            if outbox_empty and now >= self._resting_until:
                self._wait = self.FIRST_WAIT
            return []
        if not outbox_empty or now < self._resting_until:
            return []
        taken = list(self._owed)[:limit]
        return [Debt(conversation, self._owed.pop(conversation)) for conversation in taken]


@attrs.define(slots=True)
class _Pushed:
    """seq           the newest one pushed
    acknowledged  the newest one acknowledged
    tries         how often it was shown again since then
    since         when the client's time began to run: at the first push, anew with each step
    """

    seq: int
    since: float
    acknowledged: int = 0
    tries: int = 0


class Unacknowledged:
    """What was pushed to a client that acknowledges and was not acknowledged: of each conversation
    the newest, at most `limit` conversations.

    The client's time runs while nothing waits in its outbox.  After `ACK_WAIT` the newest one is
    shown again, then after growing waits; after `TRIES` of them the client is to be closed, and
    syncs when it comes back.  The same beyond the limit (`pushed` answers false).
    """

    __slots__ = ("_busy_at", "_limit", "_pushed")

    ACK_WAIT = 8.0
    LONGEST_WAIT = 30.0
    TRIES = 4

    def __init__(self, limit: int = 1_024) -> None:
        self._limit = limit
        self._pushed: dict[str, _Pushed] = {}
        self._busy_at = 0.0

    def __len__(self) -> int:
        return len(self._pushed)

    def newest(self, conversation: str) -> int | None:
        """The newest seq pushed; None once that is acknowledged."""
        pushed = self._pushed.get(conversation)
        return None if pushed is None else pushed.seq

    def pushed(self, conversation: str, seq: int, now: float) -> bool:
        """Note a push of a stored message."""
        pushed = self._pushed.get(conversation)
        if pushed is not None:
            pushed.seq = max(seq, pushed.seq)
            return True
        if len(self._pushed) >= self._limit:
            return False
        self._pushed[conversation] = _Pushed(seq, now)
        return True

    def acknowledge(self, conversation: str, seq: int, now: float) -> None:
        """The client has everything up to seq of this conversation."""
        pushed = self._pushed.get(conversation)
        if pushed is None or seq <= pushed.acknowledged:
            return
        if seq >= pushed.seq:
            del self._pushed[conversation]
        else:
            pushed.acknowledged, pushed.since, pushed.tries = seq, now, 0

    def due(self, now: float, *, outbox_empty: bool, limit: int = 64) -> list[Debt] | None:
        """What is to be shown again now.  None: it was shown often enough, close the client."""
        if not outbox_empty:
            self._busy_at = now
            return []
        found: list[Debt] = []
        for conversation, pushed in self._pushed.items():
            wait = min(self.ACK_WAIT * 2**pushed.tries, self.LONGEST_WAIT)
            if now - max(pushed.since, self._busy_at) < wait:
                continue
            if pushed.tries == self.TRIES:
                return None
            if len(found) < limit:
                pushed.since = now
                pushed.tries += 1
                found.append(Debt(conversation, pushed.seq))
        return found
