"""Each user's own view of the conversations that the user takes part in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from openim_trio.domain.records import ConversationRecord
from openim_trio.store import conversation_writes as writes
from openim_trio.store.batching import Batcher
from openim_trio.store.collections import Document, Rows, relaxed
from openim_trio.store.documents import composite, from_document, within
from openim_trio.store.threads import Threads
from openim_trio.store.versions import Versions


class Conversations:
    """{_id: owner ‖ NUL ‖ conversation, fields of ConversationRecord}.

    Reads are of the primary's newest state: a majority read may be some 100 ms older, and a
    sender's own read seq, which is not waited for, would show an acknowledged message as unread.
    """

    def __init__(self, conversations: Rows, versions: Versions, threads: Threads) -> None:
        self._conversations = conversations
        self._newest = relaxed(conversations)
        self._versions = versions.collection
        self._threads = threads
        self._batcher: Batcher[str, ConversationRecord] = Batcher(self._fetch)

    async def create_indexes(self) -> None:
        await self._threads.update(
            lambda: self._conversations.create_index([("conversation_id", 1)])
        )

    async def of_owner(self, owner: str) -> list[ConversationRecord]:
        """In a stable order (by conversation id)."""
        documents = await self._threads.read(
            lambda: list(self._newest.find({"_id": within(owner)}).sort("_id", 1))
        )
        return [_from_document(document) for document in documents]

    async def get_many(
        self, owner: str, conversation_ids: Sequence[str]
    ) -> list[ConversationRecord]:
        """In the order asked for; unknown ones are missing."""
        wanted = [composite(owner, i) for i in dict.fromkeys(conversation_ids)]
        if not wanted:
            return []
        documents = await self._threads.read(
            lambda: list(self._newest.find({"_id": {"$in": wanted}}))
        )
        found = {document["_id"]: _from_document(document) for document in documents}
        return [found[identifier] for identifier in wanted if identifier in found]

    async def of_pairs(
        self, pairs: Iterable[tuple[str, str]]
    ) -> dict[tuple[str, str], ConversationRecord]:
        """By (owner, conversation); unknown ones are missing.  Look-ups of one moment share a
        query."""
        found = await self._batcher.get_many(composite(*pair) for pair in pairs)
        return {(row.owner_user_id, row.conversation_id): row for row in found.values()}

    async def _fetch(self, identifiers: Sequence[str]) -> Mapping[str, ConversationRecord]:
        documents = await self._threads.read(
            lambda: list(self._newest.find({"_id": {"$in": identifiers}}))
        )
        return {document["_id"]: _from_document(document) for document in documents}

    async def owners_of(self, conversation_id: str) -> list[str]:
        documents = await self._threads.read(
            lambda: list(self._newest.find({"conversation_id": conversation_id}, {"_id": 1}))
        )
        return sorted(_owner(document) for document in documents)

    async def ensure(self, records: Sequence[ConversationRecord]) -> list[tuple[str, str]]:
        """Insert the rows that are missing and log them for their owners; one query if none is.

        Returns (owner, conversation) of those inserted by this call.  Safe to repeat.
        """
        wanted = {writes.row_id(record): record for record in records}
        if not wanted:
            return []
        inserted = await self._threads.update(
            lambda: writes.ensure(self._conversations, self._versions, wanted)
        )
        return [(wanted[i].owner_user_id, wanted[i].conversation_id) for i in inserted]

    async def raise_read_seqs(
        self, items: Sequence[tuple[str, str, int]], *, durable: bool = True
    ) -> None:
        """(owner, conversation, seq) each: the read seq rises to at least seq; missing rows are
        left out.  Not durable: a failover may forget it (a sender's own read seq, which the next
        message raises again)."""
        highest: dict[str, int] = {}
        for owner, conversation_id, seq in items:
            identifier = composite(owner, conversation_id)
            highest[identifier] = max(seq, highest.get(identifier, 0))
        if not highest:
            return
        collection = self._conversations if durable else relaxed(self._conversations)
        await self._threads.update(lambda: writes.raise_read_seqs(collection, highest.items()))

    async def change(self, owner: str, conversation_id: str, changes: Mapping[str, object]) -> bool:
        """Set fields (names of ConversationRecord); False: no such row, or nothing differed."""
        return bool(await self.change_many([(owner, conversation_id, changes)]))

    async def change_many(
        self, items: Sequence[tuple[str, str, Mapping[str, object]]]
    ) -> list[tuple[str, str]]:
        """(owner, conversation, changes) each; (owner, conversation) of those that changed, each
        logged as updated.  Safe to repeat."""
        merged: dict[str, dict[str, object]] = {}
        for owner, conversation_id, changes in items:
            if unknown := changes.keys() - writes.DEFAULTS.keys():
                raise ValueError(f"not fields of a conversation: {sorted(unknown)}")
            merged.setdefault(composite(owner, conversation_id), {}).update(changes)
        if not merged:
            return []
        changed = await self._threads.update(
            lambda: writes.change(self._conversations, self._versions, merged)
        )
        return [_parts(identifier) for identifier in changed]

    async def set_min_seq(
        self,
        owner: str,
        min_seqs: Mapping[str, int],
        read_seqs: Mapping[str, int] | None = None,
    ) -> None:
        """Raise (never lower) min seqs and read seqs of the owner's rows, by conversation; logged
        as one version."""
        raises: dict[str, dict[str, int]] = {}
        for conversation_id, seq in min_seqs.items():
            raises.setdefault(composite(owner, conversation_id), {})["min_seq"] = seq
        for conversation_id, seq in (read_seqs or {}).items():
            raises.setdefault(composite(owner, conversation_id), {})["read_seq"] = seq
        if raises:
            await self._threads.update(
                lambda: writes.raise_bounds(self._conversations, self._versions, raises)
            )

    async def delete(self, owner: str, conversation_ids: Sequence[str]) -> None:
        """Delete the owner's rows, logged as one version."""
        if conversation_ids:
            await self._threads.update(
                lambda: writes.delete(self._conversations, self._versions, owner, conversation_ids)
            )


def _parts(identifier: str) -> tuple[str, str]:
    owner, _, conversation = identifier.partition("\0")
    return owner, conversation


def _owner(document: Document) -> str:
    return _parts(document["_id"])[0]


def _from_document(document: Document) -> ConversationRecord:
    return from_document(ConversationRecord, document, owner_user_id=_owner(document))
