"""Groups and their members."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.errors import DuplicateKeyError

from openim_trio.domain.errors import Code, ServiceError
from openim_trio.domain.records import GroupRecord, MemberRecord
from openim_trio.store.batching import Batcher
from openim_trio.store.collections import Document, Rows
from openim_trio.store.documents import composite, from_document, to_document, within
from openim_trio.store.row_reads import chunks
from openim_trio.store.threads import Threads

ABANDONED_AFTER_MS = 60_000
"""Longer than any creation can be at work."""

_COMPLETE = {"forming": {"$exists": False}}
_RANGES_AT_ONCE = 100


class Groups:
    """groups {_id: group id, fields of GroupRecord, forming}
    members {_id: group ‖ NUL ‖ user, fields of MemberRecord}

    A group is hidden while it has `forming {k token, at Unix ms}`: its members are not all in.
    """

    def __init__(self, groups: Rows, members: Rows, threads: Threads) -> None:
        self._groups = groups
        self._members = members
        self._threads = threads
        self._infos: Batcher[str, GroupRecord] = Batcher(self._fetch_groups)
        self._joined: Batcher[str, list[str]] = Batcher(self._fetch_memberships)

    async def create_indexes(self) -> None:
        await self._threads.update(lambda: self._members.create_index([("user_id", 1)]))

    async def create(self, group: GroupRecord, members: Sequence[MemberRecord]) -> None:
        """The group with its first members appears at once.  ServiceError GROUP_EXISTS."""
        await self._threads.update(lambda: self._create(group, members))

    def _create(self, group: GroupRecord, members: Sequence[MemberRecord]) -> None:
        forming = {"k": secrets.token_hex(8), "at": time.time_ns() // 1_000_000}
        document = {**to_document(group, group.group_id, "group_id"), "forming": forming}
        try:
            self._groups.insert_one(document)
        except DuplicateKeyError:
            if not self._take_over(document):
                raise ServiceError(Code.GROUP_EXISTS, f"groupID: {group.group_id} exists") from None
            self._members.delete_many({"_id": within(group.group_id)})
        rows = {
            identifier: to_document(member, identifier)
            for member in members
            for identifier in (composite(member.group_id, member.user_id),)
        }
        if rows:
            self._members.insert_many(list(rows.values()), ordered=False)
        self._groups.update_one(
            {"_id": group.group_id, "forming.k": forming["k"]}, {"$unset": {"forming": ""}}
        )

    def _take_over(self, document: Document) -> bool:
        """Continue in place of a creation that was left half-way long ago."""
        limit = document["forming"]["at"] - ABANDONED_AFTER_MS
        left = {"_id": document["_id"], "forming.at": {"$lt": limit}}
        return self._groups.replace_one(left, document).matched_count == 1

    async def get(self, group_id: str) -> GroupRecord | None:
        return await self._infos.get(group_id)

    async def get_many(self, group_ids: Sequence[str]) -> dict[str, GroupRecord]:
        """Unknown ids are missing."""
        return await self._infos.get_many(group_ids)

    async def members(self, group_id: str) -> list[MemberRecord]:
        """Owner first, then by role and joining time."""
        documents = await self._threads.read(
            lambda: list(self._members.find({"_id": within(group_id)}))
        )
        members = [from_document(MemberRecord, document) for document in documents]
        return sorted(members, key=lambda m: (-m.role_level, m.join_time, m.user_id))

    async def member(self, group_id: str, user_id: str) -> MemberRecord | None:
        identifier = composite(group_id, user_id)
        document = await self._threads.read(lambda: self._members.find_one({"_id": identifier}))
        return from_document(MemberRecord, document) if document else None

    async def member_count(self, group_ids: Sequence[str]) -> dict[str, int]:
        """0 for unknown groups."""
        names = list(dict.fromkeys(group_ids))

        def work() -> dict[str, int]:
            counts = dict.fromkeys(names, 0)
            for part in chunks(names, _RANGES_AT_ONCE):
                pipeline: list[Document] = [
                    {"$match": {"$or": [{"_id": within(name)} for name in part]}},
                    {"$group": {"_id": "$group_id", "members": {"$sum": 1}}},
                ]
                for row in self._members.aggregate(pipeline):
                    counts[row["_id"]] = row["members"]
            return counts

        return await self._threads.read(work)

    async def memberships(self, user_id: str) -> list[str]:
        """Ids of the groups that the user is in."""
        return list(await self._joined.get(user_id) or ())

    async def _fetch_groups(self, group_ids: Sequence[str]) -> Mapping[str, GroupRecord]:
        query: dict[str, Any] = {"_id": {"$in": group_ids}, **_COMPLETE}
        documents = await self._threads.read(lambda: list(self._groups.find(query)))
        return {
            document["_id"]: from_document(GroupRecord, document, group_id=document["_id"])
            for document in documents
        }

    async def _fetch_memberships(self, user_ids: Sequence[str]) -> Mapping[str, list[str]]:
        query = {"user_id": {"$in": user_ids}}
        documents = await self._threads.read(
            lambda: list(self._members.find(query, {"group_id": 1, "user_id": 1}))
        )
        joined: dict[str, list[str]] = {}
        for document in sorted(documents, key=lambda document: str(document["_id"])):
            joined.setdefault(document["user_id"], []).append(document["group_id"])
        return joined
