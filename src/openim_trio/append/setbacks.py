"""How long a conversation rests after a setback: short, jittered, growing, so that an outage does
not spin and workers in contention do not march in step."""

from __future__ import annotations

import random
from enum import Enum


class Setback(Enum):
    """Why a block must reserve again later; the value is (first, longest) rest in seconds."""

    BUSY = (0.002, 0.040)
    """Another flush holds the lease."""
    UNCLEAR = (0.002, 0.100)
    """Not stored at its seq, and no row of somebody else explains it."""
    UNAVAILABLE = (0.020, 0.500)
    """An engine does not answer."""


def rest(setback: Setback, times: int) -> float:
    """Seconds to rest after the `times`-th setback in a row (1, 2, …)."""
    first, longest = setback.value
    return min(first * 2.0 ** min(times - 1, 16), longest) * random.uniform(0.5, 1.0)
