"""The state of the model: one conversation, its rows, Redis, one reader and a few writers.

What a row holds is a number: 0 nothing, 2k+2 the message with key k, 2k+3 the tombstone of key k.
Negative: the row is on MongoDB's primary but not on a majority yet.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import attrs

Rows = tuple[int, ...]
KEYS = "abcdef"


def message(key: int) -> int:
    return 2 * key + 2


def tombstone(key: int) -> int:
    return 2 * key + 3


def key_of(content: int) -> int:
    """-1 for an empty slot."""
    return abs(content) // 2 - 1


def is_tombstone(content: int) -> bool:
    return bool(content & 1)


def head_of(rows: Rows) -> int:
    """How many rows from the first on are there, on a majority."""
    head = 0
    while head < len(rows) and rows[head] > 0:
        head += 1
    return head


def replaced(values: Rows, index: int, value: int) -> Rows:
    return (*values[:index], value, *values[index + 1 :])


def shown(content: int) -> str:
    if not content:
        return "nothing"
    kind = "tombstone" if is_tombstone(content) else "message"
    return f"{kind} {KEYS[key_of(content)]}"


class Redis(NamedTuple):
    """The hash of the conversation.  `n` -1: unknown, and `ticket` was given out.

    keys     per key: the number 2*seq + is_tombstone, 0 = not in the map
    foreign  another incarnation of the server wrote this (it came back by a rollback)
    """

    n: int = -1
    ticket: int = 0
    lo: int = 1
    keys: Rows = ()
    foreign: bool = False


class At(IntEnum):
    """The next step of a writer."""

    RESERVE = 0
    INSERT = 1
    MAJORITY = 2
    ADVANCE_OWN = 3
    READ_ABOVE = 4
    ADVANCE_READ = 5
    READ_TAIL = 6
    SEED = 7
    LOOK_UP = 8
    DONE = 9
    CRASHED = 10


class Writer(NamedTuple):
    """A request in the hands of a worker.

    keys     those without an answer
    slot     first seq of the block; for a catch-up the seq above which it reads
    stored   rows of the block that were tried so far
    refused  a row of the block met a duplicate key
    term     failovers that MongoDB had left when the insert began (one command, one primary)
    read     highest seq that was read; lo: from where on keys were read
    looked   rows 1..looked do not hold the keys; `found` is what a look-up found
    """

    at: At
    keys: tuple[int, ...] = ()
    slot: int = 0
    stored: int = 0
    refused: bool = False
    term: int = 0
    read: int = 0
    lo: int = 0
    ticket: int = 0
    looked: int = 0
    found: Rows = ()

    def again(self) -> Writer:
        """Reserve again with what was learned."""
        return Writer(At.RESERVE, self.keys, looked=self.looked, found=self.found)


class ReaderAt(IntEnum):
    LISTENING = 0
    LOST = 1
    SUBSCRIBED = 2  # again; the head is still to be read
    HEAD_READ = 3  # only in the wrong order: not subscribed yet
    TICKET = 4
    TAIL_READ = 5


class Reader(NamedTuple):
    at: ReaderAt = ReaderAt.LISTENING
    shown: int = 0
    ticket: int = 0
    read: int = 0


class Faults(NamedTuple):
    """How often each may still happen."""

    crash: int = 0
    wipe: int = 0
    rollback: int = 0
    subscription: int = 0
    evict: int = 0
    split: int = 0
    failover: int = 0

    def less(self, name: str) -> Faults:
        return self._replace(**{name: getattr(self, name) - 1})


class Other(NamedTuple):
    """An old Redis master that still serves; `gone`: its workers have to repeat what it took."""

    redis: Redis
    gone: bool = False


class World(NamedTuple):
    rows: Rows
    redis: Redis | None
    other: Other | None
    snapshot: Redis | None
    reader: Reader
    writers: tuple[Writer, ...]
    acks: Rows
    """per key a bit for each seq it was acknowledged at"""
    never: int
    """a bit for each key whose client was told that it will never be delivered"""
    faults: Faults


@attrs.frozen
class Request:
    """What one writer wants: a block of messages, or to give a key up."""

    keys: tuple[int, ...]
    give_up: bool = False

    def content(self, key: int) -> int:
        return tombstone(key) if self.give_up else message(key)


def send(keys: str) -> Request:
    return Request(tuple(KEYS.index(key) for key in keys))


def give_up(key: str) -> Request:
    return Request((KEYS.index(key),), give_up=True)


@attrs.frozen
class Conditions:
    """C1 to C13; taking one out makes the protocol fail."""

    ordered: bool = True  # C1
    contiguous: bool = True  # C2
    majority: bool = True  # C3
    cover: bool = True  # C4
    seed_lo: bool = True  # C5
    tombstone_row: bool = True  # C6
    seed_once: bool = True  # C7
    ticket: bool = True  # C8
    head_note: bool = True  # C9
    late_answer: bool = True  # C10
    incarnation: bool = True  # C11
    subscribe_first: bool = True  # C12
    repeat: bool = True  # C13
