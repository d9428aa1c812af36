"""Friends: there are none here, but clients sync the list at each login."""

from __future__ import annotations

from openim_trio.services.versioned import Changes, FullIds, changes, full_ids
from openim_trio.store.versions import Versions


class FriendService:
    def __init__(self, versions: Versions) -> None:
        self._versions = versions

    async def incremental(self, user_id: str, version_id: str, version: int) -> Changes[str]:
        delta = await self._versions.delta("friend", user_id, version_id, version)
        return changes(delta, {})

    async def full_ids(self, user_id: str, client_hash: int) -> FullIds:
        return full_ids(await self._versions.current("friend", user_id), (), client_hash)
