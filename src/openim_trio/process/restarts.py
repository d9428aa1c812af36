"""When to start a dead worker again.  Pure: the time is an argument, in seconds."""

from __future__ import annotations

import random
from collections import deque

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 15.0
WINDOW = 60.0
LOOP_DEATHS = 5
"""so many deaths within the window are a crash loop"""


class Restarts:
    """The deaths of one slot's workers."""

    def __init__(self, jitter: random.Random | None = None) -> None:
        self._deaths: deque[float] = deque()
        self._jitter = jitter or random.Random()

    def died(self, now: float) -> float:
        """Note a death; how long to wait before the next start: doubling with each death in the
        window, a quarter up or down so that workers which died together don't start together."""
        self._forget(now)
        self._deaths.append(now)
        pause = FIRST_PAUSE * 2.0 ** min(len(self._deaths) - 1, 30)
        return min(pause, LONGEST_PAUSE) * self._jitter.uniform(0.75, 1.25)

    def looping(self, now: float) -> bool:
        self._forget(now)
        return len(self._deaths) >= LOOP_DEATHS

    def _forget(self, now: float) -> None:
        while self._deaths and now - self._deaths[0] > WINDOW:
            self._deaths.popleft()
