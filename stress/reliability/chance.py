"""Chance that can be repeated: each decision has a generator of its own, from the seed and a name,
so that none depends on the order in which others are taken."""

from __future__ import annotations

import random


def rng(seed: int, *name: object) -> random.Random:
    return random.Random("/".join(map(str, (seed, *name))))
