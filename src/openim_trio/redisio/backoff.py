"""How long to wait before the next attempt to connect."""

from __future__ import annotations

import random

FIRST = 0.05
LONGEST = 1.0
STEADY = 5.0
"""A connection that lived so long (seconds) was a good one: the next wait is short again."""


class Backoff:
    """Doubling from 0.05 to 1 s, each time shortened by up to a half, so that the workers do not
    come back all at once."""

    def __init__(self) -> None:
        self._next = FIRST

    def delay(self, lived: float = 0.0) -> float:
        """Seconds to wait; `lived`: how long the connection that was just lost had been good."""
        if lived >= STEADY:
            self._next = FIRST
        wait = self._next * random.uniform(0.5, 1.0)
        self._next = min(self._next * 2, LONGEST)
        return wait
