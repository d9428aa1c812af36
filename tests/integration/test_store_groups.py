from __future__ import annotations

import time

import pymongo
import pytest
import trio

from openim_trio.config.model import MongoConfig
from openim_trio.domain.errors import Code, ServiceError
from openim_trio.domain.records import GroupRecord, MemberRecord
from openim_trio.observability.metrics import Metrics
from openim_trio.store.client import open_store


def members(group: str, *ids: str) -> list[MemberRecord]:
    return [MemberRecord(group, user_id, join_time=i) for i, user_id in enumerate(ids)]


async def test_a_group_and_its_members(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        await store.create_indexes()
        group = GroupRecord("g", "Friends", owner_user_id="z", create_time=3)
        owner = MemberRecord("g", "z", role_level=100, join_time=9)
        await store.groups.create(group, [*members("g", "b", "a"), owner])
        await store.groups.create(GroupRecord("g1"), members("g1", "a"))
        assert await store.groups.get_many(["g", "none"]) == {"g": group}
        assert await store.groups.get("g") == group
        assert await store.groups.members("g") == [owner, *members("g", "b", "a")]
        assert await store.groups.members("none") == []
        assert await store.groups.member("g", "z") == owner
        assert await store.groups.member("g", "nobody") is None
        assert await store.groups.member_count(["g", "g1", "none"]) == {
            "g": 3, "g1": 1, "none": 0,
        }  # fmt: skip
        assert await store.groups.member_count([]) == {}
        assert await store.groups.memberships("a") == ["g", "g1"]
        assert await store.groups.memberships("nobody") == []


async def test_one_creator_wins(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        won: list[str] = []

        async def create(user_id: str) -> None:
            try:
                await store.groups.create(GroupRecord("g", user_id), members("g", user_id))
            except ServiceError as error:
                if error.code is not Code.GROUP_EXISTS:
                    raise
            else:
                won.append(user_id)

        async with trio.open_nursery() as nursery:
            for i in range(10):
                nursery.start_soon(create, f"u{i}")
        [winner] = won
        [member] = await store.groups.members("g")
        group = await store.groups.get("g")
        assert group is not None
        assert (member.user_id, group.group_name) == (winner, winner)


async def test_a_creation_left_half_way_is_hidden_and_can_be_repeated(
    mongo_config: MongoConfig,
) -> None:
    now = time.time_ns() // 1_000_000
    with pymongo.MongoClient(mongo_config.uri) as client:
        groups = client[mongo_config.database]["groups"]
        groups.insert_one({"_id": "old", "forming": {"k": "x", "at": now - 3_600_000}})
        groups.insert_one({"_id": "young", "forming": {"k": "x", "at": now + 3_600_000}})
        left = {"_id": "old\0u", "group_id": "old", "user_id": "u"}
        client[mongo_config.database]["members"].insert_one(left)
    async with open_store(mongo_config, Metrics()) as store:
        assert await store.groups.get_many(["old", "young"]) == {}
        with pytest.raises(ServiceError):
            await store.groups.create(GroupRecord("young"), [])
        await store.groups.create(GroupRecord("old"), members("old", "v"))
        assert await store.groups.members("old") == members("old", "v")
        assert await store.groups.get("old") == GroupRecord("old")


async def test_look_ups_of_one_moment_share_a_query(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        await store.groups.create(GroupRecord("g"), members("g", *(f"u{i}" for i in range(50))))
        found: list[list[str]] = []

        async def look_up(user_id: str) -> None:
            found.append(await store.groups.memberships(user_id))

        async with trio.open_nursery() as nursery:
            for i in range(50):
                nursery.start_soon(look_up, f"u{i}")
        assert found == [["g"]] * 50
