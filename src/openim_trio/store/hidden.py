"""Messages that a user deleted for oneself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

from openim_trio.store.collections import Document, Rows
from openim_trio.store.documents import composite, insert_missing
from openim_trio.store.row_ids import IdRange
from openim_trio.store.row_reads import find_ranges
from openim_trio.store.threads import Threads

MAX_SEQ = 2**63 - 1


class Hidden:
    """One small document a message: {_id: blake2b-128(user, conversation) ‖ seq, u: user,
    c: conversation}, so that a range of seqs is a range of `_id` and no document grows."""

    def __init__(self, collection: Rows, threads: Threads) -> None:
        self._hidden = collection
        self._threads = threads

    async def add(self, user: str, conversation: str, seqs: Iterable[int]) -> None:
        prefix = _prefix(user, conversation)
        documents: list[Document] = [
            {"_id": prefix + seq.to_bytes(8, "big"), "u": user, "c": conversation}
            for seq in sorted(set(seqs))
            if 0 < seq <= MAX_SEQ
        ]
        if documents:
            await self._threads.update(lambda: insert_missing(self._hidden, documents))

    async def within(
        self, user: str, ranges: Sequence[tuple[str, int, int]]
    ) -> dict[str, set[int]]:
        """Hidden seqs in (conversation, first, last), inclusive; conversations without any are
        missing."""
        parts = [
            IdRange(_prefix(user, conversation), max(first, 1), min(last, MAX_SEQ))
            for conversation, first, last in ranges
            if max(first, 1) <= min(last, MAX_SEQ)
        ]
        if not parts:
            return {}
        names = {_prefix(user, conversation): conversation for conversation, _, _ in ranges}
        found = await self._threads.read(lambda: find_ranges(self._hidden, parts, {"_id": 1}))
        return {names[prefix]: set(by_seq) for prefix, by_seq in found.items()}


def _prefix(user: str, conversation: str) -> bytes:
    return blake2b(composite(user, conversation).encode(), digest_size=16).digest()
