"""Message rows: the truth.  Implements the append protocol's `RowStore` and the readers' side.

Rows are never deleted and never upserted; a revision is an update by `_id` that keeps the key.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import trio

from openim_trio.append.ports import StoreUnavailable, Tail
from openim_trio.domain.rows import Revocation, Row, StoredRow
from openim_trio.store import row_inserts, row_reads, row_revisions
from openim_trio.store.collections import Document, Rows
from openim_trio.store.row_documents import READABLE, block_documents, to_stored_row
from openim_trio.store.row_ids import id_ranges, row_id
from openim_trio.store.row_reads import Budget, RowsTooLarge
from openim_trio.store.threads import Threads

__all__ = ["MongoRows", "RowsTooLarge"]

MAX_RANGE = 100_000
"""seqs that one range of `read_ranges` may span"""
MAX_READ_BYTES = 32 * 1024 * 1024
"""message bodies that one call of `read_ranges` or `read_seqs` brings"""
LOOK_UP_PAGE = 500


class MongoRows:
    def __init__(self, rows: Rows, threads: Threads) -> None:
        self._rows = rows
        self._threads = threads

    # -- the append protocol -----------------------------------------------------------------------

    async def insert(self, blocks: Sequence[Sequence[Row]]) -> list[bool]:
        """One unordered command for all blocks of one row, one ordered for the longer ones."""
        stored = [True] * len(blocks)
        documents = {i: block_documents(block) for i, block in enumerate(blocks) if block}
        for index in [i for i, block in documents.items() if row_inserts.too_large(block)]:
            del documents[index]
            stored[index] = False
        singles = {i: block[0] for i, block in documents.items() if len(block) == 1}
        longer = {i: block for i, block in documents.items() if len(block) > 1}

        async def insert_singles() -> None:
            work = partial(row_inserts.insert_singles, self._rows, list(singles.values()))
            await self._note(stored, list(singles), work)

        async def insert_longer() -> None:
            work = partial(row_inserts.insert_blocks, self._rows, list(longer.values()))
            await self._note(stored, list(longer), work)

        if singles and longer:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(insert_singles)
                nursery.start_soon(insert_longer)
        elif singles:
            await insert_singles()
        elif longer:
            await insert_longer()
        return stored

    async def _note(
        self, stored: list[bool], indexes: list[int], work: partial[list[bool]]
    ) -> None:
        try:
            answers = await self._threads.insert(work)
        except StoreUnavailable:
            answers = [False] * len(indexes)
        for index, answer in zip(indexes, answers, strict=True):
            stored[index] = answer

    async def read_above(self, conversation: str, seq: int, limit: int) -> list[Row]:
        return await self._threads.read(
            lambda: row_reads.read_run(self._rows, conversation, seq + 1, seq + limit)
        )

    async def tails(self, conversations: Sequence[str], limit: int) -> list[Tail]:
        return await self._threads.read(
            lambda: row_reads.read_tails(self._rows, conversations, limit)
        )

    async def find_key(self, conversation: str, key: bytes, since: int, upto: int) -> Row | None:
        """Rows 1..upto must exist; one that can't be read raises StoreUnavailable, since "not
        found" says that all of them were looked through (C4)."""
        first = await self._threads.read(
            lambda: row_reads.first_since(self._rows, conversation, since, upto)
        )
        while first <= upto:
            last = min(first + LOOK_UP_PAGE - 1, upto)
            work = partial(row_reads.find_key_in, self._rows, conversation, key, first, last)
            if row := await self._threads.read(work):
                return row
            first = last + 1
        return None

    async def head(self, conversation: str) -> int:
        """The highest seq, 0 if there are no rows."""
        heads = await self._threads.read(lambda: row_reads.find_heads(self._rows, [conversation]))
        return heads[conversation]

    # -- readers -----------------------------------------------------------------------------------

    async def read_ranges(self, ranges: Sequence[tuple[str, int, int]]) -> list[list[StoredRow]]:
        """Rows of each (conversation, first, last), inclusive, ascending.  The caller bounds the
        sum of all; ValueError for a single range beyond MAX_RANGE.  Raises RowsTooLarge."""
        if any(last - max(first, 1) >= MAX_RANGE for _, first, last in ranges):
            raise ValueError(f"a range spans more than {MAX_RANGE} seqs")
        return await self._threads.read(lambda: self._read_ranges(ranges))

    def _read_ranges(self, ranges: Sequence[tuple[str, int, int]]) -> list[list[StoredRow]]:
        parts = [list(id_ranges(*item)) for item in ranges]
        wanted = {part.low + part.high: part for items in parts for part in items}
        found = row_reads.find_ranges(self._rows, list(wanted.values()), READABLE, _budget())
        return [
            [
                to_stored_row(item[0], seq, document)
                for part in items
                for seq, document in found.get(part.prefix, {}).items()
                if part.first <= seq <= part.last
            ]
            for item, items in zip(ranges, parts, strict=True)
        ]

    async def read_seqs(self, items: Sequence[tuple[str, Sequence[int]]]) -> list[list[StoredRow]]:
        """Those of the wanted rows that exist, ascending; seqs asked for twice come once.  Raises
        RowsTooLarge."""
        ids = [
            {seq: row_id(conversation, seq) for seq in sorted(set(seqs)) if 0 < seq < 2**63}
            for conversation, seqs in items
        ]
        wanted = list({identifier for by_seq in ids for identifier in by_seq.values()})
        if not wanted:
            return [[] for _ in items]
        found: dict[bytes, Document] = await self._threads.read(
            lambda: row_reads.find_ids(self._rows, wanted, READABLE, _budget())
        )
        return [
            [
                to_stored_row(conversation, seq, found[identifier])
                for seq, identifier in by_seq.items()
                if identifier in found
            ]
            for (conversation, _), by_seq in zip(items, ids, strict=True)
        ]

    # -- revisions ---------------------------------------------------------------------------------

    async def revoke(self, conversation: str, seq: int, mark: Revocation) -> bool:
        """False: it was revoked before.  ServiceError RECORD_NOT_FOUND: no message there."""
        return await self._threads.update(
            lambda: row_revisions.revoke(self._rows, conversation, seq, mark)
        )

    async def erase(self, conversation: str, seqs: Sequence[int]) -> int:
        """Empty the bodies in place; how many rows really changed."""
        return await self._threads.update(
            lambda: row_revisions.erase(self._rows, conversation, seqs)
        )


def _budget() -> Budget:
    return Budget(MAX_READ_BYTES)
