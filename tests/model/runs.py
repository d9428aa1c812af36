"""Which requests and faults are tried, and what fails without each condition."""

from __future__ import annotations

import attrs

from tests.model.chain import Chain
from tests.model.search import Result, explore
from tests.model.world import Conditions, Faults, Request, give_up, send

A, B, AB, BA, BC, AC = (send(keys) for keys in ("a", "b", "ab", "ba", "bc", "ac"))
NEVER_A = give_up("a")
UNNOTICED = Conditions(incarnation=False)


@attrs.frozen
class Run:
    """One search.  A rollback that nobody notices (no C11) is checked for safety only."""

    title: str
    requests: tuple[Request, ...]
    faults: Faults
    conditions: Conditions = attrs.field(factory=Conditions)
    look_inside: bool = True
    safety_only: bool = False

    def explore(self) -> Result:
        model = Chain(self.requests, self.faults, self.conditions, look_inside=self.look_inside)
        return explore(model, liveness=not self.safety_only)


SMALL = [
    Run("a retried, b; a crash and a wipe", (A, A, B), Faults(crash=1, wipe=1)),
    Run("a, b; a wipe and a lost subscription", (A, B), Faults(wipe=1, subscription=1)),
    Run("a retried, b; a rollback", (A, A, B), Faults(rollback=1, crash=1)),
    Run("a and b both retried; a wipe", (A, A, B, B), Faults(wipe=1)),
    Run("a retried and given up; crashes and wipes", (A, A, NEVER_A), Faults(crash=1, wipe=2)),
    Run("blocks that overlap; a crash and a wipe", (AB, BA, A), Faults(crash=1, wipe=1)),
    Run("blocks, one given up; a wipe", (AB, BA, NEVER_A), Faults(wipe=1)),
    Run("old retries, the window moves", (A, A, B), Faults(evict=1, wipe=1)),
    Run("old give-up, the window moves", (A, NEVER_A, B), Faults(evict=2)),
    Run("an unnoticed rollback", (A, A, NEVER_A), Faults(rollback=1), UNNOTICED, safety_only=True),
    Run(
        "an unnoticed rollback, blocks",
        (AB, BA),
        Faults(rollback=1, crash=1),
        UNNOTICED,
        safety_only=True,
    ),
    Run("two Redis masters at once", (A, A), Faults(split=1, crash=1)),
    Run("MongoDB fails over", (A, A, B), Faults(failover=1)),
    Run("MongoDB fails over, blocks", (AB, BA), Faults(failover=1, crash=1)),
]

DEEP = [
    Run("a retried, b; every fault", (A, A, B), Faults(crash=1, wipe=1, subscription=1)),
    Run("two crashes, two wipes", (A, A, B), Faults(crash=2, wipe=2)),
    Run("wipe and rollback", (A, A, B), Faults(crash=1, wipe=1, rollback=1)),
    Run("a and b both retried", (A, A, B, B), Faults(crash=1, wipe=1)),
    Run("a retried and given up, b", (A, A, NEVER_A, B), Faults(crash=1, wipe=1)),
    Run("given up, every fault", (A, A, NEVER_A), Faults(crash=2, wipe=2, subscription=1)),
    Run("blocks, every fault", (AB, BA, A), Faults(crash=1, wipe=1, subscription=1)),
    Run("blocks of three keys", (AB, BC, AC), Faults(crash=1, wipe=1)),
    Run("the window moves", (A, A, B), Faults(crash=1, wipe=1, evict=2)),
    Run("unnoticed rollback", (A, A, NEVER_A, B), Faults(rollback=1), UNNOTICED, safety_only=True),
    Run(
        "unnoticed rollback and wipe",
        (A, A, B),
        Faults(rollback=1, wipe=1),
        UNNOTICED,
        safety_only=True,
    ),
    Run(
        "unnoticed rollback, blocks",
        (AB, BA, A),
        Faults(crash=1, rollback=1),
        UNNOTICED,
        safety_only=True,
    ),
    Run("two masters", (A, A, B), Faults(split=1)),
    Run("two masters, given up", (A, A, NEVER_A), Faults(split=1, crash=1)),
    Run("MongoDB and Redis fail", (A, A, B), Faults(failover=1, wipe=1, crash=1)),
    Run("MongoDB fails over twice, blocks", (AB, BA, A), Faults(failover=2, crash=1)),
    Run("three wipes", (A, A, B), Faults(crash=2, wipe=3, subscription=1)),
]


def _without(
    name: str,
    requests: tuple[Request, ...],
    *,
    unnoticed: bool = False,
    look_inside: bool = True,
    **faults: int,
) -> Run:
    conditions = Conditions(**{name: False, **({"incarnation": False} if unnoticed else {})})
    return Run(f"without {name}", requests, Faults(**faults), conditions, look_inside)


ABLATIONS = {
    "C1": _without("ordered", (AB, B)),
    "C2": _without("contiguous", (A, A, B), rollback=1, unnoticed=True, look_inside=False),
    "C3": _without("majority", (A, A), failover=1),
    "C4": _without("cover", (A, A), evict=1),
    "C5": _without("seed_lo", (A, A, B), wipe=1, evict=1, look_inside=False),
    "C6": _without("tombstone_row", (A, NEVER_A), look_inside=False),
    "C7": _without("seed_once", (A, B), wipe=1),
    "C8": _without("ticket", (A, B), wipe=1, crash=1),
    "C9": _without("head_note", (A, B), wipe=1),
    "C10": _without("late_answer", (A, B), crash=1),
    "C11": Run("without incarnation", (A,), Faults(rollback=1), Conditions(incarnation=False)),
    "C12": _without("subscribe_first", (A, B), subscription=1),
    "C13": _without("repeat", (A, B), split=1),
}
