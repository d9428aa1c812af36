from __future__ import annotations

import pymongo
import pytest
import trio
from pymongo.collection import Collection

from openim_trio.config.model import MongoConfig
from openim_trio.domain.errors import Code, ServiceError
from openim_trio.domain.records import UserRecord
from openim_trio.observability.metrics import Metrics
from openim_trio.store.client import Store, open_store


def users(*ids: str) -> list[UserRecord]:
    return [UserRecord(user_id, f"Name of {user_id}", create_time=5) for user_id in ids]


async def register(store: Store, *ids: str) -> bool:
    try:
        await store.users.insert_new(users(*ids))
    except ServiceError as error:
        if error.code is not Code.ALREADY_REGISTERED:
            raise
        return False
    return True


async def test_all_or_nothing(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        await store.create_indexes()
        assert await register(store, "a", "b")
        with pytest.raises(ServiceError) as refused:
            await store.users.insert_new(users("c", "b", "d", "a"))
        assert refused.value.code is Code.ALREADY_REGISTERED
        assert refused.value.detail.endswith(": a, b")
        assert await store.users.get_many(["a", "b", "c", "d"]) == {
            user.user_id: user for user in users("a", "b")
        }
        with pytest.raises(ServiceError) as twice:
            await store.users.insert_new(users("e", "e"))
        assert twice.value.code is Code.ARGS
        await store.users.insert_new([])


async def test_overlapping_registrations_race(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        await store.create_indexes()
        groups = [("a", "b", "c"), ("c", "d"), ("d", "a"), ("b",), ("c", "e", "f"), ("f", "b")] * 2
        won: list[tuple[str, ...]] = []

        async def attempt(ids: tuple[str, ...]) -> None:
            if await register(store, *ids):
                won.append(ids)

        async with trio.open_nursery() as nursery:
            for ids in groups:
                nursery.start_soon(attempt, ids)
        names = [name for ids in won for name in ids]
        assert won
        assert len(names) == len(set(names))
        assert set(await store.users.get_many("abcdef")) == set(names)
        # Nothing is left in the way of those that nobody won.
        for name in set("abcdef") - set(names):
            assert await register(store, name)


@pytest.mark.parametrize("decided", [True, False])
async def test_a_registration_that_a_crash_interrupted(
    mongo_config: MongoConfig, decided: bool
) -> None:
    state = "done" if decided else "open"
    with pymongo.MongoClient(mongo_config.uri) as client:
        database = client[mongo_config.database]
        database["registrations"].insert_one({"_id": "t", "state": state, "at": 0})
        left = [{"_id": i, "nickname": i, "claim": "t"} for i in ("a", "b")]
        database["users"].insert_many(left)
    async with open_store(mongo_config, Metrics()) as store:
        assert await store.users.get_many("ab") == {}
        assert await store.users.page(1, 10) == (0, [])
        # Long abandoned: withdrawn.  Decided: finished, all of it.
        assert await register(store, "b", "c") is not decided
        assert set(await store.users.get_many("abc")) == set("ab" if decided else "bc")


async def test_opening_finishes_what_was_decided(mongo_config: MongoConfig) -> None:
    with pymongo.MongoClient(mongo_config.uri) as client:
        database = client[mongo_config.database]
        database["registrations"].insert_one({"_id": "t", "state": "done", "at": 0})
        database["users"].insert_one({"_id": "a", "nickname": "a", "claim": "t"})
    async with open_store(mongo_config, Metrics()) as store:
        await store.create_indexes()
        assert set(await store.users.get_many("a")) == {"a"}


async def test_a_claim_without_its_registration_is_void(mongo_config: MongoConfig) -> None:
    with pymongo.MongoClient(mongo_config.uri) as client:
        late: Collection[dict[str, object]] = client[mongo_config.database]["users"]
        late.insert_one({"_id": "a", "nickname": "late", "claim": "gone"})
    async with open_store(mongo_config, Metrics()) as store:
        assert await register(store, "a")
        assert await store.users.get("a") == users("a")[0]


async def test_pages_and_filters(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        ordinary = [UserRecord(f"u{i}", f"Nick.{i}") for i in range(5)]
        others = [
            UserRecord("admin", "Boss", app_manger_level=2),
            UserRecord("one", "(Uno)", app_manger_level=1),
        ]
        await store.users.insert_new([*ordinary, *others])
        total, page = await store.users.page(1, 3)
        assert (total, [user.user_id for user in page]) == (6, ["one", "u0", "u1"])
        assert await store.users.page(3, 3) == (6, [])
        assert await store.users.page(1, 0) == (6, [])
        total, page = await store.users.page(1, 10, ordinary_only=False)
        assert (total, page[0]) == (7, others[0])

        async def ids(user_id: str = "", nickname: str = "") -> list[str]:
            _, found = await store.users.page(1, 10, user_id=user_id, nickname=nickname)
            return [user.user_id for user in found]

        assert await ids(user_id="U3") == ["u3"]
        assert await ids(nickname="nick.4") == ["u4"]
        assert await ids(nickname="nick?4") == []
        assert await ids(nickname="(uno)") == ["one"]
        assert await ids(user_id="u1", nickname="nick.2") == ["u1", "u2"]
        assert await ids(user_id=".*", nickname="\0") == []
        with pytest.raises(ServiceError):
            await ids(user_id="x" * 1_000)


async def test_administrators_are_written_at_each_start(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        await store.users.upsert(UserRecord("adm", "old", create_time=1, app_manger_level=2))
        await store.users.upsert(UserRecord("adm", "new", create_time=9, app_manger_level=2))
        assert await store.users.get("adm") == UserRecord(
            "adm", "new", create_time=1, app_manger_level=2
        )
        assert await store.users.get("nobody") is None
