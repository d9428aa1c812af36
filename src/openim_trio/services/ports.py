"""What the services need of the bus and of the gateway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from openim_trio.append.ports import Head
from openim_trio.services.control import OnlineConnection


class Publisher(Protocol):
    """The bus, as far as services use it.  Both raise SequencerUnavailable."""

    async def publish(self, channel: str, payload: bytes) -> int:
        """Returns how many workers got it."""
        ...

    async def publish_many(self, items: Sequence[tuple[str, bytes]]) -> list[int]: ...


class HeadReader(Protocol):
    """`append.heads.Heads`."""

    async def heads(self, conversations: Sequence[str]) -> dict[str, Head]: ...


class OwnReadNotes(Protocol):
    """`redisio.own_reads.RedisOwnReads`.  Both raise SequencerUnavailable."""

    async def put(self, seqs: Mapping[tuple[str, str], int]) -> None:
        """(user, conversation) -> seq."""
        ...

    async def get(self, user_id: str, conversations: Sequence[str]) -> dict[str, int]: ...


class Presence(Protocol):
    """Who is connected, asked of all workers."""

    async def online(self, user_ids: Sequence[str]) -> dict[str, list[OnlineConnection]]:
        """Users without a connection have an empty list."""
        ...
