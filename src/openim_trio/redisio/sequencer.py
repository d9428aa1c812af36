"""The sequencer on Redis: one hash a conversation, one Lua call a batch.

Redis holds facts about the prefix of a conversation (lua/conversation.lua lists the fields).  They
may be out of date and may be lost at any moment; they are never false.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from openim_trio.append.ports import (
    AdvanceBlock,
    Advanced,
    Behind,
    Head,
    KnownKey,
    ReserveBlock,
    Reserved,
    SeedBlock,
    Unknown,
)
from openim_trio.config.model import AppendConfig
from openim_trio.domain.rows import Row, RowKind
from openim_trio.redisio.connection import RedisConnection
from openim_trio.redisio.stream import Argument, ServerInfo
from openim_trio.wire import bus_message
from openim_trio.wire.bus_message import BusKind, BusMessage

TICKET_SECONDS = 60
"""A seed that takes longer finds its ticket gone and asks again."""
HEADS_PER_CALL = 1_000
"""About a millisecond of Redis; sessions of a whole worker may ask after many more at once."""
ROWS_PER_CALL = 1_000
"""Some milliseconds of Redis.  A batch of sends is smaller, seeds of many conversations are not."""
_UNKNOWN, _FACTS, _BEHIND = 0, 1, 2
_Block = TypeVar("_Block", AdvanceBlock, SeedBlock)


def entry(row: Row) -> bytes:
    """What the map remembers of a row: "seq kind sendTime createTime fingerprint"."""
    head = b"%d %d %d %d " % (row.seq, row.kind, row.send_time, row.create_time)
    return head + row.fingerprint


def known_key(written: bytes) -> KnownKey:
    seq, kind, send_time, _, fingerprint = written.split(b" ", 4)
    return KnownKey(int(seq), RowKind(int(kind)), int(send_time), fingerprint)


class RedisSequencer:
    """Implements `append.ports.Sequencer`.  `on_server_change` is called when the server that
    answers is not the one that answered before (C13: what was advanced on the other one may be
    missing here).  It is called before the answer is returned, and at once after a reconnect."""

    def __init__(
        self,
        connection: RedisConnection,
        config: AppendConfig,
        prefix: str,
        on_server_change: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._config = config
        self._prefix = prefix
        self._on_server_change = on_server_change
        self._incarnation: bytes | None = None
        self._ticket_of_call = 0
        self._ticket_base = secrets.token_bytes(12)
        connection.on_connected.append(self._connected)

    async def reserve(
        self, token: bytes, blocks: Sequence[ReserveBlock]
    ) -> list[Reserved | Unknown]:
        arguments: list[Argument] = [
            token,
            self._config.lease_ms,
            self._new_ticket(),
            TICKET_SECONDS,
        ]
        for block in blocks:
            arguments.append(len(block.keys))
            for key in block.keys:
                arguments += (key.key, key.create_time, key.looked_through)
        answers = await self._run("reserve", [b.conversation for b in blocks], arguments)
        return [_reserved(answer) for answer in answers]

    async def advance(
        self, token: bytes, blocks: Sequence[AdvanceBlock]
    ) -> list[Advanced | Behind | Unknown]:
        config = self._config
        answers: list[Any] = []
        for part in _parts(blocks, lambda block: len(block.rows)):
            arguments: list[Argument] = [
                token,
                config.window_rows,
                config.window_minutes * 60_000,
                config.idle_minutes * 60,
                self._new_ticket(),
                TICKET_SECONDS,
            ]
            for block in part:
                arguments += self._advance_arguments(block)
            answers += await self._run("advance", [b.conversation for b in part], arguments)
        return [_advanced(answer) for answer in answers]

    async def seed(self, seeds: Sequence[SeedBlock]) -> list[bool]:
        answers: list[Any] = []
        for part in _parts(seeds, lambda block: len(block.tail)):
            arguments: list[Argument] = [self._config.idle_minutes * 60]
            for block in part:
                arguments += self._seed_arguments(block)
            answers += await self._run("seed", [b.conversation for b in part], arguments)
        return [answer == 1 for answer in answers]

    async def heads(self, conversations: Sequence[str]) -> list[Head | Unknown]:
        heads: list[Head | Unknown] = []
        for at in range(0, len(conversations), HEADS_PER_CALL):
            part = conversations[at : at + HEADS_PER_CALL]
            answers = await self._run("heads", part, [self._new_ticket(), TICKET_SECONDS])
            heads += [
                Unknown(answer[1]) if answer[0] == _UNKNOWN else Head(answer[1], answer[2])
                for answer in answers
            ]
        return heads

    async def release(self, token: bytes, conversations: Sequence[str]) -> None:
        await self._run("release", conversations, [token])

    # -- arguments ---------------------------------------------------------------------------------

    def _advance_arguments(self, block: AdvanceBlock) -> list[Argument]:
        arguments: list[Argument] = [block.first_seq]
        for row, publication in zip(block.rows, block.publications, strict=True):
            arguments += (row.key, entry(row), len(publication.channels))
            arguments += self._channels(publication.channels)
            arguments.append(publication.payload)
        return [len(arguments), *arguments]

    def _seed_arguments(self, block: SeedBlock) -> list[Argument]:
        tail = block.tail
        first = block.head - len(tail) + 1
        # Rows below `first` may carry a createTime ahead of their sendTime by the clocks' error.
        clock_error = self._config.clock_error_minutes * 60_000
        newest_below = 0 if first == 1 else block.floor_time + clock_error
        head_time = tail[-1].send_time if tail else block.floor_time
        first_time = tail[0].send_time if tail else 0
        arguments: list[Argument] = [block.ticket, block.head, head_time, first, newest_below]
        arguments += (first_time, len(tail))
        for row in tail:
            arguments += (row.key, entry(row))
        payload = bus_message.encode(BusMessage(BusKind.HEAD, block.conversation, block.head))
        return [*arguments, len(block.channels), *self._channels(block.channels), payload]

    def _channels(self, channels: Sequence[str]) -> list[Argument]:
        return [self._prefix + channel for channel in channels]

    def _new_ticket(self) -> bytes:
        """Another one for each call; random, so that no other worker has the same."""
        self._ticket_of_call += 1
        return self._ticket_base + self._ticket_of_call.to_bytes(6, "big")

    # -- answers -----------------------------------------------------------------------------------

    async def _run(
        self, name: str, conversations: Sequence[str], arguments: Sequence[Argument]
    ) -> list[Any]:
        if not conversations:
            return []
        keys = [f"{self._prefix}c:{conversation}" for conversation in conversations]
        answers: list[Any]
        incarnation, *answers = await self._connection.script(name, keys, arguments)
        self._answered_by(incarnation)
        return answers

    def _connected(self, server: ServerInfo) -> None:
        self._answered_by(server.incarnation.encode())

    def _answered_by(self, incarnation: bytes) -> None:
        """C13, first half: notice that it is another server."""
        before, self._incarnation = self._incarnation, incarnation
        if before is not None and before != incarnation:
            self._on_server_change()


def _parts(blocks: Sequence[_Block], rows_of: Callable[[_Block], int]) -> Iterator[list[_Block]]:
    """Calls of bounded size: other clients of Redis wait as long as a script runs."""
    part: list[_Block] = []
    rows = 0
    for block in blocks:
        if part and rows + rows_of(block) > ROWS_PER_CALL:
            yield part
            part, rows = [], 0
        part.append(block)
        rows += rows_of(block)
    if part:
        yield part


def _reserved(answer: list[Any]) -> Reserved | Unknown:
    if answer[0] == _UNKNOWN:
        return Unknown(answer[1])
    _, head, send_time, busy, states = answer
    known: dict[int, KnownKey] = {}
    old: list[int] = []
    new: list[int] = []
    for index, state in enumerate(states):
        if isinstance(state, bytes):
            known[index] = known_key(state)
        elif state == 1:
            old.append(index)
        else:
            new.append(index)
    return Reserved(
        head=head,
        known=known,
        old=tuple(old),
        new=() if busy else tuple(new),
        first_seq=head + 1,
        send_time=send_time,
        busy=bool(busy),
    )


def _advanced(answer: list[Any]) -> Advanced | Behind | Unknown:
    if answer[0] == _UNKNOWN:
        return Unknown(answer[1])
    return Behind(answer[1]) if answer[0] == _BEHIND else Advanced(answer[1])
