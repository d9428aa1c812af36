"""User profiles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import trio

from openim_trio.append.ports import StoreUnavailable
from openim_trio.domain.errors import args_error
from openim_trio.domain.records import UserRecord
from openim_trio.store import registration
from openim_trio.store.batching import Batcher
from openim_trio.store.collections import Document, Rows
from openim_trio.store.documents import from_document, to_document
from openim_trio.store.threads import Threads

ORDINARY_LEVELS = (0, 1)
MAX_FILTER = 256
_ATTEMPTS = 60
_PAUSE = 0.05


class Users:
    """{_id: user id, fields of UserRecord}."""

    def __init__(self, users: Rows, registrations: Rows, threads: Threads) -> None:
        self._users = users
        self._registrations = registrations
        self._threads = threads
        self._batcher: Batcher[str, UserRecord] = Batcher(self._fetch)

    async def prepare(self) -> None:
        """Indexes; finishes registrations that a crash interrupted."""

        def work() -> None:
            self._users.create_index([("claim", 1)], sparse=True)
            registration.finish_interrupted(self._users, self._registrations)

        await self._threads.update(work)

    async def insert_new(self, records: Sequence[UserRecord]) -> None:
        """All or nothing.  ServiceError ALREADY_REGISTERED names the ids that exist."""
        ids = [record.user_id for record in records]
        if len(set(ids)) != len(ids):
            raise args_error("users", "a userID is given twice")
        if not records:
            return
        documents = [_to_document(record) for record in records]
        work = partial(registration.register, self._users, self._registrations, documents)
        for _ in range(_ATTEMPTS):
            if await self._threads.update(work):
                return
            await trio.sleep(_PAUSE)
        raise StoreUnavailable("another registration of the same users is under way")

    async def upsert(self, record: UserRecord) -> None:
        """For administrators: written at each start; the first createTime stays."""
        fields = {k: v for k, v in _to_document(record).items() if k != "_id"}
        created = fields.pop("create_time", 0)
        change = {"$set": fields, "$setOnInsert": {"create_time": created}}
        await self._threads.update(
            lambda: self._users.update_one({"_id": record.user_id}, change, upsert=True)
        )

    async def get(self, user_id: str) -> UserRecord | None:
        return await self._batcher.get(user_id)

    async def get_many(self, user_ids: Iterable[str]) -> dict[str, UserRecord]:
        """Unknown ids are missing."""
        return await self._batcher.get_many(user_ids)

    async def page(
        self,
        page: int,
        size: int,
        user_id: str = "",
        nickname: str = "",
        ordinary_only: bool = True,
    ) -> tuple[int, list[UserRecord]]:
        """(all matches, one page by user id); pages start at 1.  The filters are case-insensitive
        substrings, of which one must match."""
        query: Document = dict(registration.VISIBLE)
        if ordinary_only:
            query["app_manger_level"] = {"$in": [None, *ORDINARY_LEVELS]}
        filters = [_contains("_id", "userID", user_id)] if user_id else []
        if nickname:
            filters.append(_contains("nickname", "nickName", nickname))
        if filters:
            query["$or"] = filters

        def work() -> tuple[int, list[Document]]:
            total = self._users.count_documents(query)
            skip = (max(page, 1) - 1) * size
            if size <= 0 or skip >= total:
                return total, []
            return total, list(self._users.find(query).sort("_id", 1).skip(skip).limit(size))

        total, documents = await self._threads.read(work)
        return total, [_from_document(document) for document in documents]

    async def _fetch(self, user_ids: Sequence[str]) -> Mapping[str, UserRecord]:
        query = {"_id": {"$in": user_ids}, **registration.VISIBLE}
        documents = await self._threads.read(lambda: list(self._users.find(query)))
        return {document["_id"]: _from_document(document) for document in documents}


def _contains(field: str, name: str, text: str) -> Document:
    if len(text) > MAX_FILTER:
        raise args_error(name, f"longer than {MAX_FILTER} characters")
    pattern = re.escape(text).replace("\0", r"\x00")
    return {field: {"$regex": pattern, "$options": "i"}}


def _to_document(record: UserRecord) -> Document:
    return to_document(record, record.user_id, "user_id")


def _from_document(document: Document) -> UserRecord:
    return from_document(UserRecord, document, user_id=document["_id"])
