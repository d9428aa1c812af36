"""Conversation-wide lower bounds: messages below min_seq are shown to nobody any more."""

from __future__ import annotations

from collections.abc import Sequence

from openim_trio.store.collections import Rows
from openim_trio.store.threads import Threads


class Bounds:
    """{_id: conversation, min_seq}."""

    def __init__(self, collection: Rows, threads: Threads) -> None:
        self._bounds = collection
        self._threads = threads

    async def min_seqs(self, conversations: Sequence[str]) -> dict[str, int]:
        """Conversations without a bound are missing."""
        if not conversations:
            return {}
        chosen = {"_id": {"$in": list(conversations)}}
        documents = await self._threads.read(lambda: list(self._bounds.find(chosen)))
        return {document["_id"]: document["min_seq"] for document in documents}

    async def raise_min_seq(self, conversation: str, seq: int) -> None:
        """Never lowers it."""
        change = {"$max": {"min_seq": seq}}
        await self._threads.update(
            lambda: self._bounds.update_one({"_id": conversation}, change, upsert=True)
        )
