"""What can be broken, and when it is: drawn from the seed, one after the other, some in pairs."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from stress.reliability.chance import rng

CLOCK = "clock"
"""Not an event: the clocks of some clients are wrong during the whole run."""
IN_PAIRS = 0.25
"""how probably a fault begins while the one before it lasts, if they break different things"""


@attrs.frozen
class Kind:
    """`breaks`: two faults that break the same thing never overlap.  It lasts from `shortest` to
    `longest` seconds; 0: as long as it takes."""

    name: str
    breaks: str
    shortest: float
    longest: float
    what: str


KINDS = {
    kind.name: kind
    for kind in (
        Kind("worker-kill", "server", 0, 0, "a worker is killed"),
        Kind("supervisor-kill", "server", 1, 5, "the supervisor is killed, the server restarted"),
        Kind("redis-kill", "redis", 1, 10, "Redis is killed and comes back with its file"),
        Kind("redis-empty", "redis", 0, 5, "Redis is killed and comes back empty"),
        Kind("redis-old", "redis", 5, 15, "Redis is killed and comes back with an old file"),
        Kind("redis-freeze", "redis", 20, 20, "Redis stands still"),
        Kind("mongo-kill", "mongo", 10, 30, "MongoDB's primary is killed and comes back later"),
        Kind("mongo-stepdown", "mongo", 0, 0, "MongoDB's primary steps down"),
        Kind("mongo-freeze", "mongo", 20, 20, "MongoDB's primary stands still"),
        Kind("client-kill", "clients", 3, 15, "a client process is killed and starts again"),
        Kind("proxy-delay", "links", 15, 30, "everything on the way is held up"),
        Kind("proxy-cut", "links", 0, 0, "connections are cut"),
        Kind("proxy-half-open", "links", 0, 0, "connections fall silent without a close"),
        Kind("proxy-cut-before-ack", "links", 10, 20, "cut just before an ack passes"),
    )
}
NAMES = (*KINDS, CLOCK)


@attrs.frozen
class Fault:
    """`pause`: seconds after the begin of the one before (`overlaps`), or else after the ends of
    all before.  `draw`: 0 to 1, picks its victim."""

    kind: Kind
    pause: float
    seconds: float
    overlaps: bool
    draw: float


def timed(names: Sequence[str]) -> list[Kind]:
    return [KINDS[name] for name in names if name in KINDS]


def drawn(seed: int, kinds: Sequence[Kind], rounds: int, scale: float) -> list[Fault]:
    """Each kind once a round, in an order of its own."""
    chance = rng(seed, "faults")
    found: list[Fault] = []
    for _ in range(rounds):
        for kind in chance.sample(kinds, len(kinds)):
            before = found[-1] if found else None
            pause = chance.uniform(5, 15) * scale
            overlaps = chance.random() < IN_PAIRS and before is not None and _may(before, kind)
            if overlaps and before is not None:
                pause = chance.uniform(0.1, 0.6) * before.seconds
            seconds = chance.uniform(kind.shortest, kind.longest) * scale
            found.append(Fault(kind, pause, seconds, overlaps, chance.random()))
    return found


def _may(before: Fault, kind: Kind) -> bool:
    """Two at a time, which break different things."""
    return not before.overlaps and before.kind.breaks != kind.breaks


def planned_seconds(faults: Sequence[Fault]) -> float:
    """About how long they take, one after the other."""
    return sum(fault.pause + fault.seconds for fault in faults)
