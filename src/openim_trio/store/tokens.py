"""Issued tokens.  They live here and not in Redis, so that nobody is logged out by its loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from openim_trio.domain.records import TokenRecord
from openim_trio.store.batching import Batcher
from openim_trio.store.collections import Document, Rows
from openim_trio.store.threads import Threads


class Tokens:
    """{_id: token hash, user_id, platform, state, issued_at (s), expires (date, TTL index)}."""

    def __init__(self, collection: Rows, threads: Threads) -> None:
        self._tokens = collection
        self._threads = threads
        self._batcher: Batcher[str, TokenRecord] = Batcher(self._fetch)

    async def create_indexes(self) -> None:
        def work() -> None:
            self._tokens.create_index([("user_id", 1)])
            self._tokens.create_index([("expires", 1)], expireAfterSeconds=0)

        await self._threads.update(work)

    async def add(self, token: TokenRecord) -> None:
        document = _to_document(token)
        await self._threads.update(
            lambda: self._tokens.replace_one({"_id": token.token_hash}, document, upsert=True)
        )

    async def get(self, token_hash: str) -> TokenRecord | None:
        """Expired ones may still be found for about a minute."""
        return await self._batcher.get(token_hash)

    async def get_many(self, token_hashes: Iterable[str]) -> dict[str, TokenRecord]:
        """Unknown ones are missing."""
        return await self._batcher.get_many(token_hashes)

    async def of_user(self, user_id: str) -> list[TokenRecord]:
        """Oldest first."""
        documents = await self._threads.read(lambda: list(self._tokens.find({"user_id": user_id})))
        tokens = [_from_document(document) for document in documents]
        return sorted(tokens, key=lambda token: (token.issued_at, token.token_hash))

    async def set_state(self, token_hashes: Sequence[str], state: int) -> None:
        change = {"$set": {"state": int(state)}}
        await self._update(token_hashes, change)

    async def set_expiry(self, token_hashes: Sequence[str], expires_at: int) -> None:
        """Unix seconds."""
        await self._update(token_hashes, {"$set": {"expires": _date(expires_at)}})

    async def delete(self, token_hashes: Sequence[str]) -> None:
        if token_hashes:
            chosen = {"_id": {"$in": list(token_hashes)}}
            await self._threads.update(lambda: self._tokens.delete_many(chosen))

    async def _update(self, token_hashes: Sequence[str], change: Document) -> None:
        if token_hashes:
            chosen = {"_id": {"$in": list(token_hashes)}}
            await self._threads.update(lambda: self._tokens.update_many(chosen, change))

    async def _fetch(self, hashes: Sequence[str]) -> Mapping[str, TokenRecord]:
        documents = await self._threads.read(
            lambda: list(self._tokens.find({"_id": {"$in": hashes}}))
        )
        return {document["_id"]: _from_document(document) for document in documents}


def _date(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _to_document(token: TokenRecord) -> Document:
    return {
        "_id": token.token_hash,
        "user_id": token.user_id,
        "platform": token.platform,
        "state": int(token.state),
        "issued_at": token.issued_at,
        "expires": _date(token.expires_at),
    }


def _from_document(document: Document) -> TokenRecord:
    return TokenRecord(
        token_hash=document["_id"],
        user_id=document["user_id"],
        platform=document["platform"],
        state=document["state"],
        issued_at=document["issued_at"],
        expires_at=int(document["expires"].timestamp()),
    )
