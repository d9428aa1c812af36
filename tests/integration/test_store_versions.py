from __future__ import annotations

import trio

from openim_trio.config.model import MongoConfig
from openim_trio.domain.records import ChangeState, Delta
from openim_trio.observability.metrics import Metrics
from openim_trio.store.client import open_store
from openim_trio.store.version_log import LOG_LIMIT, SORT_MARKER

INSERT, DELETE, UPDATE = ChangeState.INSERT, ChangeState.DELETE, ChangeState.UPDATE


async def test_reading_creates_an_empty_log_once(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        seen: set[tuple[int, str]] = set()

        async def read() -> None:
            seen.add(await store.versions.current("friend", "u"))

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(read)
        [(version, version_id)] = seen
        assert version == 1
        assert len(bytes.fromhex(version_id)) == 12
        same = Delta(full=False, version=1, version_id=version_id)
        assert await store.versions.delta("friend", "u", version_id, 1) == same


async def test_who_must_read_the_whole_list(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        version, version_id = await store.versions.bump("friend", "u", [("a", INSERT)])
        assert version == 1
        full = Delta(full=True, version=1, version_id=version_id)
        for claimed_id, claimed in [
            ("", 0), ("", 1), ("0" * 24, 1), ("x" * 24, 1), ("$v", 1), ("f" * 24, 1),
            (version_id, 0), (version_id, -5), (version_id, 2), (version_id, 2**63),
        ]:  # fmt: skip
            assert await store.versions.delta("friend", "u", claimed_id, claimed) == full
        assert (await store.versions.delta("friend", "v", version_id, 1)).full


async def test_an_element_has_its_latest_state_only(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        _, vid = await store.versions.current("group_member", "g")
        await store.versions.bump("group_member", "g", [("a", INSERT), ("b", INSERT)])
        await store.versions.bump("group_member", "g", [("a", UPDATE), ("$c", INSERT)])
        sorted_at, _ = await store.versions.bump(
            "group_member", "g", [("b", DELETE), ("", UPDATE), (SORT_MARKER, UPDATE)]
        )
        assert sorted_at == 4
        assert await store.versions.delta("group_member", "g", vid, 1) == Delta(
            False, 4, vid, ("b",), ("$c",), ("a", ""), 4
        )
        assert await store.versions.delta("group_member", "g", vid, 3) == Delta(
            False, 4, vid, ("b",), (), ("",), 4
        )
        await store.versions.bump("group_member", "g", [("d", INSERT)])
        assert await store.versions.delta("group_member", "g", vid, 4) == Delta(
            False, 5, vid, (), ("d",), ()
        )


async def test_more_than_200_newer_entries_mean_full(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        _, vid = await store.versions.current("friend", "u")
        await store.versions.bump("friend", "u", [(f"f{i}", INSERT) for i in range(200)])
        delta = await store.versions.delta("friend", "u", vid, 1)
        assert (delta.full, len(delta.inserted)) == (False, 200)
        await store.versions.bump("friend", "u", [("one more", INSERT)])
        assert (await store.versions.delta("friend", "u", vid, 1)).full
        assert not (await store.versions.delta("friend", "u", vid, 2)).full


async def test_a_cut_log_is_not_taken_for_complete(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        _, vid = await store.versions.current("friend", "u")
        names = [f"f{i}" for i in range(LOG_LIMIT + 50)]
        await store.versions.bump("friend", "u", [("first", INSERT)])
        await store.versions.bump("friend", "u", [(name, INSERT) for name in names])
        assert (await store.versions.delta("friend", "u", vid, 2, limit=10_000)).full
        same = await store.versions.delta("friend", "u", vid, 3, limit=10_000)
        assert same == Delta(False, 3, vid)
        await store.versions.bump("friend", "u", [("last", UPDATE)])
        delta = await store.versions.delta("friend", "u", vid, 3, limit=10_000)
        assert delta == Delta(False, 4, vid, updated=("last",))


async def test_parallel_bumps_neither_skip_nor_repeat_a_version(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        versions: list[int] = []
        ids: set[str] = set()

        async def bump(i: int) -> None:
            version, version_id = await store.versions.bump("friend", "u", [(f"f{i}", INSERT)])
            versions.append(version)
            ids.add(version_id)

        async def bump_several(i: int) -> None:
            await store.versions.bump_many(
                [("friend", owner, [(f"m{i}", INSERT)]) for owner in ("w", "x", "y")]
            )

        async with trio.open_nursery() as nursery:
            for i in range(20):
                nursery.start_soon(bump, i)
                nursery.start_soon(bump_several, i)
        assert sorted(versions) == list(range(1, 21))
        [version_id] = ids
        delta = await store.versions.delta("friend", "u", version_id, 1)
        assert len(delta.inserted) == 19
        for owner in ("w", "x", "y"):
            version, version_id = await store.versions.current("friend", owner)
            assert version == 20
            missed = await store.versions.delta("friend", owner, version_id, 1)
            assert len(missed.inserted) == 19


async def test_many_changes_of_one_owner_are_one_version(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        _, vid = await store.versions.current("friend", "u")
        await store.versions.bump_many(
            [("friend", "u", [("a", INSERT)]), ("friend", "u", [("b", INSERT), ("a", UPDATE)])]
        )
        await store.versions.bump_many([])
        assert await store.versions.delta("friend", "u", vid, 1) == Delta(
            False, 2, vid, (), ("b",), ("a",)
        )


async def test_a_dropped_log_comes_back_under_another_id(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        _, vid = await store.versions.current("group_member", "g")
        await store.versions.drop("group_member", "g")
        delta = await store.versions.delta("group_member", "g", vid, 1)
        assert delta.full
        assert delta.version_id != vid
