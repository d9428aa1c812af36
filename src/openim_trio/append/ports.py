"""What the append pipeline needs of the sequencer (Redis) and of the row store (MongoDB).

The protocol is a chain: a row is inserted only directly behind a complete prefix, at n+1, when
rows 1..n are known to be stored and known not to hold this key.  Exactly-once, order and
write-once rest on the store's unique _id alone; the sequencer holds *facts about the prefix* that
may be out of date but are never false.  Thirteen conditions (C1 to C13, docs/append-protocol.md)
make it work; each is named where it is kept.

Implementations: `redisio.sequencer.RedisSequencer`, `store.rows.MongoRows`.  Tests put pauses and
faults between the steps by wrapping these ports, so that the pipeline itself has no test hooks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import attrs

from openim_trio.domain.rows import Row, RowKind


class SequencerUnavailable(Exception):
    """Redis did not answer (refused, timed out, loading).  What was asked may have happened."""


class StoreUnavailable(Exception):
    """MongoDB did not answer in time or has no primary.  A write may still land later."""


# -- reserve ---------------------------------------------------------------------------------------


@attrs.frozen(slots=True)
class ReserveKey:
    """One message that wants a slot.  `looked_through`: rows 1..u were searched for this key and
    do not hold it (C4); 0 at first."""

    key: bytes
    create_time: int
    looked_through: int = 0


@attrs.frozen(slots=True)
class ReserveBlock:
    """All messages of one conversation in this flush, distinct keys, in order."""

    conversation: str
    keys: tuple[ReserveKey, ...]


@attrs.frozen(slots=True)
class KnownKey:
    """The slot that holds a key: the answer of the first attempt."""

    seq: int
    kind: RowKind
    send_time: int
    fingerprint: bytes


@attrs.frozen(slots=True)
class Unknown:
    """The sequencer knows nothing of this conversation: seed it, with this ticket (C7, C8)."""

    ticket: bytes


@attrs.frozen(slots=True)
class Reserved:
    """Facts and seqs for one conversation.

    known  index in the block -> the slot that already holds this key
    old    indexes whose keys may be in rows below the window: look them up (C4)
    new    indexes that may be inserted now, at seqs first_seq, first_seq+1, … in this order
    busy   true: there are new keys, but another flush holds the lease; come again (new is empty)
    head   n: rows 1..n are in the store
    """

    head: int
    known: dict[int, KnownKey]
    old: tuple[int, ...]
    new: tuple[int, ...]
    first_seq: int
    send_time: int
    busy: bool = False


# -- advance, seed, heads --------------------------------------------------------------------------


@attrs.frozen(slots=True)
class Publication:
    """What the advance publishes for a row, and on which channels (without the key prefix)."""

    channels: tuple[str, ...]
    payload: bytes


@attrs.frozen(slots=True)
class AdvanceBlock:
    """Facts: these rows, contiguous from first_seq, are in the store on a majority."""

    conversation: str
    first_seq: int
    rows: tuple[Row, ...]
    publications: tuple[Publication, ...]


@attrs.frozen(slots=True)
class Advanced:
    """Everything up to `head` is visible."""

    head: int


@attrs.frozen(slots=True)
class Behind:
    """n < first_seq-1: catch up from n (C2: an advance never jumps)."""

    head: int


@attrs.frozen(slots=True)
class SeedBlock:
    """What was read from the store for an unknown conversation: rows 1..head exist, `tail` are the
    rows lo..head (C5: the window says from where on it knows the keys), `floor_time` is the
    sendTime of row lo-1 in ms (0 when lo is 1), before the allowance for client clocks."""

    conversation: str
    ticket: bytes
    head: int
    tail: tuple[Row, ...]
    floor_time: int
    channels: tuple[str, ...]


@attrs.frozen(slots=True)
class Head:
    """n and the sendTime of row n in ms (0 when n is 0)."""

    seq: int
    send_time: int


class Sequencer(Protocol):
    """Each method is one Lua call for the whole batch; each raises SequencerUnavailable."""

    async def reserve(
        self, token: bytes, blocks: Sequence[ReserveBlock]
    ) -> list[Reserved | Unknown]: ...

    async def advance(
        self, token: bytes, blocks: Sequence[AdvanceBlock]
    ) -> list[Advanced | Behind | Unknown]:
        """Move n over stored rows, remember their keys, publish them, end the lease of `token`.

        `Unknown` carries a ticket.  Calling it again with the same rows changes nothing."""
        ...

    async def seed(self, seeds: Sequence[SeedBlock]) -> list[bool]:
        """Write the facts only where the conversation is still unknown and the ticket is still the
        same (C7, C8); publish the head (C9).  False: somebody else was first."""
        ...

    async def heads(self, conversations: Sequence[str]) -> list[Head | Unknown]: ...

    async def release(self, token: bytes, conversations: Sequence[str]) -> None:
        """End leases early (advisory; nothing depends on it)."""
        ...


@attrs.frozen(slots=True)
class Tail:
    """The end of a conversation in the store: `rows` are lo..head in order (lo = head-len+1)."""

    head: int
    rows: tuple[Row, ...]
    floor_time: int


class RowStore(Protocol):
    """Reads are from the primary with read concern majority (C3).  All raise StoreUnavailable."""

    async def insert(self, blocks: Sequence[Sequence[Row]]) -> list[bool]:
        """Insert blocks (one a conversation) with write concern majority + journal.

        A block is inserted in order and stops at its first duplicate key (C1).  True: all rows of
        the block are stored.  False: a duplicate key, a timeout or anything else unclear; a fact
        only a later read can give.  Never raises StoreUnavailable: unclear is False."""
        ...

    async def read_above(self, conversation: str, seq: int, limit: int) -> list[Row]:
        """Rows seq+1, seq+2, … in order, at most `limit`."""
        ...

    async def tails(self, conversations: Sequence[str], limit: int) -> list[Tail]:
        """The ends of these conversations, at most `limit` (1 or more) rows each."""
        ...

    async def find_key(self, conversation: str, key: bytes, since: int, upto: int) -> Row | None:
        """Search rows with sendTime >= since (ms) and seq <= upto for the key.

        None says that all of them were looked through (C4): if rows 1..upto can't all be read, it
        raises StoreUnavailable."""
        ...
