"""What this worker made visible lately, in case the Redis server that it told forgets (C13)."""

from __future__ import annotations

from collections import OrderedDict

import trio

REMEMBER_SECONDS = 60.0
REMEMBER_CONVERSATIONS = 50_000
"""A conversation beyond them shows its last rows at the next append; here the oldest goes first."""


class RecentAdvances:
    """(conversation, highest seq) of the last minute, oldest first; bounded."""

    def __init__(self, limit: int = REMEMBER_CONVERSATIONS) -> None:
        self._seqs: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._limit = limit

    def note(self, conversation: str, seq: int) -> None:
        known = self._seqs.pop(conversation, None)
        now = trio.current_time()
        self._seqs[conversation] = (max(seq, known[0]) if known else seq, now)
        while len(self._seqs) > self._limit or self._oldest() < now - REMEMBER_SECONDS:
            self._seqs.popitem(last=False)

    def since(self, moment: float) -> dict[str, int]:
        return {name: seq for name, (seq, at) in self._seqs.items() if at >= moment}

    def _oldest(self) -> float:
        return next(iter(self._seqs.values()))[1]
