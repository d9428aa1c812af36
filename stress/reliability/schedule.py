"""Who takes part, who writes what to whom, and when everybody is away: drawn from the seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum

import msgspec

from stress.reliability.chance import rng
from stress.reliability.settings import Settings

HOUR_MS = 3_600_000
PATIENT, IMPATIENT, SHORTEST_DEADLINE = 300.0, 8.0, 1.0
"""seconds until a client gives a send up; one sender in four is impatient, which is scaled"""
LONGEST_PADDING = 200


class Part(msgspec.Struct, frozen=True):
    """One person's.

    process        that it shares with others
    letters        how many it writes; 0: it only receives
    starts_after   seconds
    clock_ms       by how much its clock is ahead
    deadline       of its sends, seconds
    iterates       over events, instead of having a listener called
    """

    user: str
    process: int
    letters: int
    starts_after: float
    clock_ms: int = 0
    deadline: float = PATIENT
    iterates: bool = False


class Letter(msgspec.Struct, frozen=True):
    number: int
    receiver: str
    padding: int


class Way(StrEnum):
    """How somebody goes offline.

    LEAVE    the client is closed
    LOGOUT   it logs out
    CUT      it notices by itself
    """

    LEAVE = "leave"
    LOGOUT = "logout"
    CUT = "cut"


class Absence(msgspec.Struct, frozen=True):
    """After `after` seconds online, for `seconds`."""

    after: float
    way: Way
    seconds: float


def cast(settings: Settings) -> list[Part]:
    """Everybody's part; users in order."""
    chance = rng(settings.seed, "cast")
    users = [f"u{number:03}" for number in range(settings.clients)]
    senders = sorted(chance.sample(users, (len(users) + 1) // 2))
    each, more = divmod(settings.messages, len(senders))
    letters = {user: each + (at < more) for at, user in enumerate(senders)}
    impatient = set(chance.sample(senders, len(senders) // 4))
    impatience = max(SHORTEST_DEADLINE, IMPATIENT * settings.scale)
    clocks = [chance.choice((-HOUR_MS, 0, HOUR_MS)) for _ in users]
    return [
        Part(
            user=user,
            process=at % settings.processes,
            letters=letters.get(user, 0),
            starts_after=chance.uniform(0, settings.seconds_to_come),
            clock_ms=clocks[at] if settings.clocks_are_wrong else 0,
            deadline=impatience if user in impatient else PATIENT,
            iterates=at % 4 == 0,
        )
        for at, user in enumerate(users)
    ]


def letters(seed: int, user: str, users: Sequence[str], count: int) -> list[Letter]:
    """To whom `user` writes, in order."""
    chance = rng(seed, "letters", user)
    others = [other for other in users if other != user]
    return [
        Letter(number, chance.choice(others), chance.randrange(LONGEST_PADDING))
        for number in range(count)
    ]


def absences(seed: int, user: str, scale: float) -> Iterator[Absence]:
    """Without an end."""
    chance = rng(seed, "absences", user)
    while True:
        after = chance.uniform(20, 120) * scale
        yield Absence(after, chance.choice(list(Way)), chance.uniform(1, 40) * scale)
