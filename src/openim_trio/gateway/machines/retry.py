"""Retry: what a client did not get to see is shown to it again.

Official clients send no acknowledgement: what was let go is remembered as a debt (conversation and
the highest seq let go) and shown again once the reader has caught up.  A client that does
acknowledge ends a debt early through `acknowledge`.
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
