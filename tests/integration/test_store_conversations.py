from __future__ import annotations

import pymongo
import pytest
import trio

from openim_trio.append.ports import StoreUnavailable
from openim_trio.config.model import MongoConfig
from openim_trio.domain.records import ConversationRecord, Delta
from openim_trio.observability.metrics import Metrics
from openim_trio.store import conversation_writes
from openim_trio.store.client import open_store


def row(owner: str, conversation: str = "si_a_b") -> ConversationRecord:
    return ConversationRecord(owner, conversation, 1, user_id="peer", create_time=5)


async def test_ensure_inserts_what_is_missing_and_logs_it_once(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        await store.create_indexes()
        await store.create_indexes()
        _, vid = await store.versions.current("conversation", "a")
        assert await store.conversations.ensure([row("a"), row("b"), row("a")]) == [
            ("a", "si_a_b"), ("b", "si_a_b"),
        ]  # fmt: skip
        third = row("a", "sg_g")
        assert await store.conversations.ensure([row("a"), third, row("b")]) == [("a", "sg_g")]
        assert await store.conversations.ensure([row("a"), third]) == []
        assert await store.conversations.ensure([]) == []
        assert await store.versions.delta("conversation", "a", vid, 1) == Delta(
            False, 3, vid, inserted=("si_a_b", "sg_g")
        )
        assert await store.conversations.of_owner("a") == [third, row("a")]
        assert await store.conversations.of_owner("") == []
        assert await store.conversations.owners_of("si_a_b") == ["a", "b"]
        assert await store.conversations.get_many("a", ["sg_g", "no", "si_a_b"]) == [
            third, row("a"),
        ]  # fmt: skip


async def test_ensure_in_parallel_inserts_and_logs_each_row_once(
    mongo_config: MongoConfig,
) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        records = [row("a", f"c{i}") for i in range(20)]
        inserted: list[tuple[str, str]] = []

        async def ensure() -> None:
            inserted.extend(await store.conversations.ensure(records))

        async with trio.open_nursery() as nursery:
            for _ in range(12):
                nursery.start_soon(ensure)
        assert sorted(inserted) == sorted(("a", f"c{i}") for i in range(20))
        assert len(await store.conversations.of_owner("a")) == 20
        with pymongo.MongoClient(mongo_config.uri) as client:
            rows = client[mongo_config.database]["conversations"]
            assert rows.count_documents({"unlogged": {"$exists": True}}) == 0


async def test_owners_with_a_common_start_are_apart(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        await store.conversations.ensure([row("u"), row("u1"), row("u_1")])
        assert [r.owner_user_id for r in await store.conversations.of_owner("u")] == ["u"]


async def test_a_change_whose_log_failed_is_logged_by_the_repeated_call(
    mongo_config: MongoConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        _, vid = await store.versions.current("conversation", "a")

        def fail(*_: object) -> None:
            raise StoreUnavailable("no answer")

        with monkeypatch.context() as broken:
            broken.setattr(conversation_writes, "bump_all", fail)
            with pytest.raises(StoreUnavailable):
                await store.conversations.ensure([row("a")])
        assert await store.conversations.ensure([row("a")]) == []
        assert (await store.versions.delta("conversation", "a", vid, 1)).inserted == ("si_a_b",)
        version, _ = await store.versions.current("conversation", "a")
        with monkeypatch.context() as broken:
            broken.setattr(conversation_writes, "bump_all", fail)
            with pytest.raises(StoreUnavailable):
                await store.conversations.change("a", "si_a_b", {"ex": "x"})
        assert not await store.conversations.change("a", "si_a_b", {"ex": "x"})
        delta = await store.versions.delta("conversation", "a", vid, version)
        assert (delta.version, delta.updated) == (version + 1, ("si_a_b",))


async def test_a_change_that_changes_nothing_is_not_logged(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        await store.conversations.ensure([row("a")])
        before = await store.versions.current("conversation", "a")
        assert not await store.conversations.change("a", "si_a_b", {"is_pinned": False, "ex": ""})
        assert not await store.conversations.change("a", "none", {"is_pinned": True})
        assert await store.versions.current("conversation", "a") == before
        assert await store.conversations.change("a", "si_a_b", {"is_pinned": True, "ex": ""})
        version, vid = await store.versions.current("conversation", "a")
        assert (version, vid) == (before[0] + 1, before[1])
        [changed] = await store.conversations.of_owner("a")
        assert changed.is_pinned
        assert await store.conversations.change("a", "si_a_b", {"is_pinned": False})
        with pytest.raises(ValueError, match="owner_user_id"):
            await store.conversations.change("a", "si_a_b", {"owner_user_id": "b"})


async def test_mention_marks_of_many_owners_at_once(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        await store.conversations.ensure([row(owner, "sg_g") for owner in ("a", "b", "c")])
        mark = {"group_at_type": 1}
        changed = await store.conversations.change_many(
            [(owner, "sg_g", mark) for owner in ("a", "b", "nobody")]
        )
        assert changed == [("a", "sg_g"), ("b", "sg_g")]
        assert await store.conversations.change_many([]) == []


async def test_read_seqs_only_rise(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        await store.conversations.ensure([row("a"), row("b")])
        before = await store.versions.current("conversation", "a")
        items = [("a", "si_a_b", 5), ("a", "si_a_b", 3), ("b", "si_a_b", 1), ("x", "none", 9)]
        await store.conversations.raise_read_seqs(items)
        await store.conversations.raise_read_seqs([("a", "si_a_b", 4)], durable=False)
        await store.conversations.raise_read_seqs([])
        [of_a] = await store.conversations.of_owner("a")
        assert of_a.read_seq == 5
        assert await store.conversations.of_owner("x") == []
        assert await store.versions.current("conversation", "a") == before


async def test_clearing_raises_bounds_in_one_version(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        await store.conversations.ensure([row("a"), row("a", "sg_g")])
        version, vid = await store.versions.current("conversation", "a")
        await store.conversations.set_min_seq(
            "a", {"si_a_b": 8, "sg_g": 3, "none": 1}, {"si_a_b": 7}
        )
        await store.conversations.set_min_seq("a", {"none": 1})
        delta = await store.versions.delta("conversation", "a", vid, version)
        assert (delta.version, set(delta.updated)) == (version + 1, {"si_a_b", "sg_g"})
        await store.conversations.set_min_seq("a", {"si_a_b": 2})
        group, single = await store.conversations.of_owner("a")
        assert (group.min_seq, group.read_seq) == (3, 0)
        assert (single.min_seq, single.read_seq) == (8, 7)


async def test_deleted_rows_are_logged(mongo_config: MongoConfig) -> None:
    async with open_store(mongo_config, Metrics()) as store:
        await store.conversations.ensure([row("a"), row("a", "sg_g"), row("b")])
        version, vid = await store.versions.current("conversation", "a")
        await store.conversations.delete("a", ["si_a_b"])
        await store.conversations.delete("a", [])
        delta = await store.versions.delta("conversation", "a", vid, version)
        assert (delta.version, delta.deleted) == (version + 1, ("si_a_b",))
        assert await store.conversations.of_owner("a") == [row("a", "sg_g")]
        assert await store.conversations.owners_of("si_a_b") == ["b"]
