"""Groups and their members, cached.  Dropped when a group changes, and as a whole after a lost
subscription.

Who asks for members that are just being read shares that read: after a drop, all senders of a large
group ask at once.  One that began before the drop is not shared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs
import trio

from openim_trio.append.ports import StoreUnavailable
from openim_trio.domain.groups import Membership
from openim_trio.domain.records import GroupRecord
from openim_trio.services.caches import Cache
from openim_trio.store.groups import Groups

MAX_MEMBERS = 500_000
"""members kept in the cache, over all groups (about 100 bytes each)"""
MAX_GROUPS = 50_000
CACHE_SECONDS = 300.0


@attrs.define(slots=True, eq=False)
class _Read:
    """`found` and `error` are None when the one who read was cancelled."""

    epoch: int
    done: trio.Event = attrs.field(factory=trio.Event)
    found: Membership | None = None
    error: StoreUnavailable | None = None


class Memberships:
    def __init__(self, groups: Groups) -> None:
        self._groups = groups
        self._members: Cache[str, Membership] = Cache(
            MAX_MEMBERS, CACHE_SECONDS, lambda members: len(members.ids) + 1
        )
        self._infos: Cache[str, GroupRecord] = Cache(MAX_GROUPS, CACHE_SECONDS)
        self._reads: dict[str, _Read] = {}

    async def members(self, group_id: str) -> Membership:
        """Nobody for a group that does not exist."""
        while (known := self._members.get(group_id)) is None:
            read = self._reads.get(group_id)
            if read is None or read.epoch != self._members.epoch:
                return await self._read(group_id)
            await read.done.wait()
            if read.error is not None:
                raise StoreUnavailable(str(read.error)) from read.error
            if read.found is not None:
                return read.found
        return known

    async def _read(self, group_id: str) -> Membership:
        read = self._reads[group_id] = _Read(self._members.epoch)
        try:
            found = Membership.of(group_id, await self._groups.members(group_id))
            read.found = found
        except StoreUnavailable as error:
            read.error = error
            raise
        finally:
            if self._reads.get(group_id) is read:
                del self._reads[group_id]
            read.done.set()
        if found.ids:
            self._members.put(group_id, found, read.epoch)
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
