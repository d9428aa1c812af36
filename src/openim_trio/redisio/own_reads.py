"""What users have read by sending, until it is written to the store: shared by all workers.

One hash a minute, {user ‖ NUL ‖ conversation: seq}, which goes by itself.  Soft like everything in
Redis: each worker writes its own part to the store some seconds later whatever happens here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from openim_trio.redisio.connection import RedisConnection
from openim_trio.redisio.stream import Argument

SPAN = 60
"""seconds that one hash covers"""
KEPT = 3 * SPAN
"""seconds; far longer than a worker waits with writing to the store"""
FIELDS_PER_CALL = 1_000


class RedisOwnReads:
    """Implements `services.ports.OwnReadNotes`.  Both raise SequencerUnavailable."""

    def __init__(self, connection: RedisConnection, prefix: str) -> None:
        self._connection = connection
        self._prefix = prefix

    async def put(self, seqs: Mapping[tuple[str, str], int]) -> None:
        """(user, conversation) -> seq."""
        if not seqs:
            return
        key = self._key(0)
        fields: list[Argument] = []
        for pair, seq in seqs.items():
            fields += ("\0".join(pair), seq)
        await self._connection.pipeline([("HSET", key, *fields), ("EXPIRE", key, KEPT)])

    async def get(self, user_id: str, conversations: Sequence[str]) -> dict[str, int]:
        """Those of the last minute or two."""
        found: dict[str, int] = {}
        for at in range(0, len(conversations), FIELDS_PER_CALL):
            part = conversations[at : at + FIELDS_PER_CALL]
            fields = [f"{user_id}\0{name}" for name in part]
            for values in await self._connection.pipeline(
                [("HMGET", self._key(age), *fields) for age in (1, 0, -1)]
            ):
                for name, value in zip(part, values, strict=True):
                    if value is not None:
                        found[name] = max(int(value), found.get(name, 0))
        return found

    def _key(self, age: int) -> str:
        """`age` in spans; -1 is that of a worker whose clock is ahead."""
        return f"{self._prefix}own:{int(time.time()) // SPAN - age}"
