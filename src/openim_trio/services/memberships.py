"""Groups and their members, cached.  Dropped when a group changes, and as a whole after a lost
subscription."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from openim_trio.domain.groups import Membership
from openim_trio.domain.records import GroupRecord
from openim_trio.services.caches import Cache
from openim_trio.store.groups import Groups

MAX_MEMBERS = 500_000
"""members kept in the cache, over all groups (about 100 bytes each)"""
MAX_GROUPS = 50_000
CACHE_SECONDS = 300.0


class Memberships:
    def __init__(self, groups: Groups) -> None:
        self._groups = groups
        self._members: Cache[str, Membership] = Cache(
            MAX_MEMBERS, CACHE_SECONDS, lambda members: len(members.ids) + 1
        )
        self._infos: Cache[str, GroupRecord] = Cache(MAX_GROUPS, CACHE_SECONDS)

    async def members(self, group_id: str) -> Membership:
        """Nobody for a group that does not exist."""
        known = self._members.get(group_id)
        if known is not None:
            return known
        epoch = self._members.epoch
        found = Membership.of(group_id, await self._groups.members(group_id))
        if found.ids:
            self._members.put(group_id, found, epoch)
        return found

    async def group(self, group_id: str) -> GroupRecord | None:
        return (await self.groups([group_id])).get(group_id)

    async def groups(self, group_ids: Sequence[str]) -> dict[str, GroupRecord]:
        """Those that exist."""
        return await self._infos.get_many(group_ids, self._groups.get_many)

    def drop(self, group_ids: Iterable[str]) -> None:
        ids = list(group_ids)
        self._members.drop(ids)
        self._infos.drop(ids)

    def drop_all(self) -> None:
        self._members.clear()
        self._infos.clear()
