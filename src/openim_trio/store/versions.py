"""Versions of the lists that clients sync incrementally: conversations, joined groups, members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from openim_trio.domain.records import Delta
from openim_trio.store import version_log
from openim_trio.store.collections import Rows
from openim_trio.store.threads import Threads

Kind: TypeAlias = Literal["conversation", "friend", "group_join", "group_member"]
ElementChanges: TypeAlias = Sequence[tuple[str, int]]
"""(element id, ChangeState); for an element named twice the last one counts."""


class Versions:
    def __init__(self, collection: Rows, threads: Threads) -> None:
        self.collection = collection
        self._threads = threads

    async def delta(
        self, kind: Kind, owner: str, version_id: str, version: int, limit: int = 200
    ) -> Delta:
        """Changes since the version that the client has; full after more than `limit` of them."""
        identifier = version_log.document_id(kind, owner)
        above = max(min(version, 2**62), 0)
        document = await self._threads.read(
            lambda: version_log.read(self.collection, identifier, above)
        )
        return version_log.delta_of(document, version_id, version, limit)

    async def current(self, kind: Kind, owner: str) -> tuple[int, str]:
        """(version, version id)."""
        identifier = version_log.document_id(kind, owner)
        document = await self._threads.read(
            lambda: version_log.read(self.collection, identifier, 2**62)
        )
        return document["v"], document["vid"]

    async def bump(self, kind: Kind, owner: str, changes: ElementChanges) -> tuple[int, str]:
        """Log the changes under the next version; returns it with the version id."""
        identifier = version_log.document_id(kind, owner)
        return await self._threads.update(
            lambda: version_log.bump_one(self.collection, identifier, dict(changes))
        )

    async def bump_many(self, items: Sequence[tuple[Kind, str, ElementChanges]]) -> None:
        """(kind, owner, changes) each; one version more for each owner, one command for all."""
        merged: dict[str, dict[str, int]] = {}
        for kind, owner, changes in items:
            merged.setdefault(version_log.document_id(kind, owner), {}).update(changes)
        await self._threads.update(lambda: version_log.bump_all(self.collection, merged))

    async def drop(self, kind: Kind, owner: str) -> None:
        """Forget the log (a dismissed group): the next answer carries a new version id."""
        identifier = version_log.document_id(kind, owner)
        await self._threads.update(lambda: self.collection.delete_one({"_id": identifier}))
