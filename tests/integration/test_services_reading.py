"""Read states, revocations, deletions and clearing: who is told what."""

from __future__ import annotations

from typing import Any

from openim_trio.config.model import MongoConfig, RedisConfig
from openim_trio.domain.errors import Code
from tests.support.services import ADMIN, Bench, actor, code_of, detail, open_bench, text

CHAT = "si_ann_bob"


async def told(bench: Bench, user: str, conversation: str, number: int) -> list[dict[str, Any]]:
    """Tips of the stored notifications of one kind."""
    return [
        detail(message)
        for message in await bench.pull(user, conversation)
        if message.contentType == number
    ]


async def chat(bench: Bench, count: int) -> None:
    await bench.register("ann", "bob", "eve")
    for _ in range(count):
        await bench.send(text("ann", "bob"))


async def test_reading_a_single_chat(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await chat(bench, 5)
        await bench.listen("u:ann", "u:bob")
        state = bench.services.read_state
        await state.mark_conversation_as_read("bob", CHAT, 3)
        tips = {"markAsReadUserID": "bob", "conversationID": CHAT, "seqs": [1, 2, 3]}
        assert await told(bench, "ann", "n_ann_bob", 2200) == [{**tips, "hasReadSeq": 3}]
        await bench.heard.until(lambda: len(bench.heard.messages(2200)) == 2)
        await state.mark_conversation_as_read("bob", CHAT, 3)  # nothing new
        await state.mark_conversation_as_read("bob", CHAT, 2)  # never back
        await state.mark_conversation_as_read("bob", CHAT, 99, [4])
        found = await told(bench, "ann", "n_ann_bob", 2200)
        assert [(tip["seqs"], tip["hasReadSeq"]) for tip in found[1:]] == [([4, 5], 5)]
        [row] = await bench.store.conversations.of_owner("bob")
        assert row.read_seq == 5


async def test_marking_listed_messages(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await chat(bench, 3)
        mark = bench.services.read_state.mark_msgs_as_read
        await mark("bob", CHAT, [1, 2])
        await mark("bob", CHAT, [1, 2])  # a retry tells nobody twice
        found = await told(bench, "ann", "n_ann_bob", 2200)
        assert [(tip["seqs"], tip["hasReadSeq"]) for tip in found] == [([1, 2], 2)]
        assert await code_of(mark("bob", CHAT, [4])) is Code.ARGS
        assert await code_of(mark("bob", CHAT, [])) is Code.ARGS
        assert await code_of(mark("bob", CHAT, [0])) is Code.ARGS
        assert await code_of(mark("eve", CHAT, [1])) is Code.RECORD_NOT_FOUND


async def test_reading_a_group(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob")
        group = await bench.group("ann", ["bob"])
        await bench.listen("u:bob", f"g:{group}")
        name = f"sg_{group}"
        await bench.services.read_state.mark_conversation_as_read("bob", name, 1)
        await bench.heard.until(lambda: bench.heard.messages(2200))
        [message] = bench.heard.messages(2200)
        assert (message.seq, message.sendID, message.recvID) == (0, "bob", "bob")
        assert detail(message)["hasReadSeq"] == 1
        assert await bench.store.rows.head(f"n_{group}") == 0


async def test_setting_the_read_seq(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await chat(bench, 3)
        await bench.listen("u:bob")
        set_seq = bench.services.read_state.set_has_read_seq
        await set_seq("bob", CHAT, 2)
        await bench.heard.until(lambda: bench.heard.messages(2200))
        assert bench.heard.messages(2200)[0].recvID == "bob"
        await set_seq("bob", CHAT, 1)
        [row] = await bench.store.conversations.of_owner("bob")
        assert row.read_seq == 2
        assert await code_of(set_seq("bob", CHAT, 4)) is Code.ARGS
        assert await code_of(set_seq("bob", CHAT, 0)) is Code.ARGS


async def test_revoking(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await chat(bench, 2)
        revoke = bench.services.deletion.revoke
        ann, bob, eve = actor("ann"), actor("bob"), actor("eve")
        assert await code_of(revoke(bob, "bob", CHAT, 1)) is Code.NO_PERMISSION
        assert await code_of(revoke(eve, "eve", CHAT, 1)) is Code.RECORD_NOT_FOUND
        assert await code_of(revoke(ann, "ann", CHAT, 3)) is Code.RECORD_NOT_FOUND
        await revoke(ann, "ann", CHAT, 1)
        [tip] = await told(bench, "bob", "n_ann_bob", 2101)
        assert (tip["revokerUserID"], tip["seq"], tip["sesstionType"]) == ("ann", 1, 1)
        assert (tip["conversationID"], tip["isAdminRevoke"]) == (CHAT, False)
        for who in (ann, ADMIN):
            assert await code_of(revoke(who, who.user_id, CHAT, 1)) is Code.ALREADY_REVOKED
        assert len(await told(bench, "bob", "n_ann_bob", 2101)) == 1
        [row] = await bench.pull("bob", CHAT, 1, 1)
        assert detail(row)["revokerNickname"] == "nick ann"


async def test_revoking_in_a_group(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob", "cid", "dan")
        group = await bench.group("ann", ["cid", "dan"], admins=["bob"])
        for sender in ("ann", "bob", "cid"):
            await bench.send(text(sender, group_id=group))
        name, revoke = f"sg_{group}", bench.services.deletion.revoke
        assert await code_of(revoke(actor("dan"), "dan", name, 4)) is Code.NO_PERMISSION
        assert await code_of(revoke(actor("bob"), "bob", name, 2)) is Code.NO_PERMISSION
        await revoke(actor("bob"), "bob", name, 4)
        await revoke(actor("ann"), "ann", name, 3)
        found = await told(bench, "dan", f"n_{group}", 2101)
        assert [(t["revokerUserID"], t["seq"]) for t in found] == [("bob", 4), ("ann", 3)]
        [row] = await bench.pull("dan", name, 4, 4)
        assert detail(row)["revokerRole"] == 60


async def test_deleting(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await chat(bench, 3)
        ann, bob, eve = actor("ann"), actor("bob"), actor("eve")
        delete = bench.services.deletion.delete_msgs
        await delete(bob, "bob", CHAT, [1])
        assert [m.status for m in await bench.pull("bob", CHAT)] == [4, 2, 2]
        assert [m.status for m in await bench.pull("ann", CHAT)] == [2, 2, 2]
        assert await told(bench, "bob", "n_bob_bob", 2102) == []
        await delete(bob, "bob", CHAT, [2], sync_self=True)
        [tip] = await told(bench, "bob", "n_bob_bob", 2102)
        assert tip == {"userID": "bob", "conversationID": CHAT, "seqs": [2]}
        refused = delete(bob, "bob", CHAT, [3], sync_other=True)
        assert await code_of(refused) is Code.NO_PERMISSION
        await delete(ann, "ann", CHAT, [3, 9], sync_other=True)
        assert [m.status for m in await bench.pull("bob", CHAT)] == [4, 4, 4]
        assert await bench.store.rows.head(CHAT) == 3
        assert len(await told(bench, "bob", "n_ann_bob", 2102)) == 1
        assert await code_of(delete(eve, "eve", CHAT, [1])) is Code.RECORD_NOT_FOUND
        assert await code_of(delete(ann, "ann", CHAT, [])) is Code.ARGS
        await bench.send(text("ann", "bob"))
        assert (await bench.pull("bob", CHAT))[-1].seq == 4


async def test_clearing(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await chat(bench, 3)
        await bench.listen("u:bob")
        before = await bench.services.conversations.incremental("bob", "", 0)
        await bench.services.clearing.clear(actor("bob"), "bob", [CHAT, "none"], sync_self=True)
        assert await bench.pull("bob", CHAT) == []
        assert len(await bench.pull("ann", CHAT)) == 3
        delta = await bench.services.conversations.incremental(
            "bob", before.version_id, before.version
        )
        assert [(c.conversationID, c.minSeq) for c in delta.updated] == [(CHAT, 4)]
        await bench.heard.until(lambda: bench.heard.messages(1703))
        assert detail(bench.heard.messages(1300)[0])["conversationIDList"] == [CHAT]
        assert detail(bench.heard.messages(1703)[0])["conversationIDs"] == [CHAT]


async def test_clearing_for_everybody(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await chat(bench, 3)
        group = await bench.group("ann", ["bob"])
        await bench.listen("u:bob", f"g:{group}")
        clear = bench.services.clearing.clear
        name = f"sg_{group}"
        refused = clear(actor("bob"), "bob", [name], sync_other=True)
        assert await code_of(refused) is Code.NO_PERMISSION
        await clear(actor("ann"), "ann", [name, CHAT], sync_other=True)
        for user in ("ann", "bob"):
            assert await bench.pull(user, name) == []
            assert await bench.pull(user, CHAT) == []
        await bench.heard.until(lambda: len(bench.heard.messages(1703)) == 2)
        await bench.send(text("ann", "bob"))
        assert [m.seq for m in await bench.pull("bob", CHAT)] == [4]


async def test_erasing_what_is_old(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await chat(bench, 0)
        for day in range(1, 6):
            message = text("ann", "bob", sendTime=day * 86_400_000)
            await bench.services.sending.send(message, ADMIN, "op")
        clearing = bench.services.clearing
        assert await clearing.erase_before([CHAT, "si_no_one"], 3 * 86_400_000) == 2
        assert [m.seq for m in await bench.pull("bob", CHAT)] == [3, 4, 5]
        assert await clearing.erase_before([CHAT], 3 * 86_400_000) == 0
        assert await clearing.erase_before([CHAT], 99 * 86_400_000) == 3
        assert await bench.store.rows.head(CHAT) == 5
        await bench.send(text("ann", "bob"))
        assert [m.seq for m in await bench.pull("bob", CHAT)] == [6]
