"""What users set of their own conversations, and who is told."""

from __future__ import annotations

import pytest

from openim_trio.config.model import MongoConfig, RedisConfig
from openim_trio.domain.errors import Code
from openim_trio.domain.records import ConversationRecord
from openim_trio.services.control import ConversationChanged
from openim_trio.services.conversation_settings import MAX_OWNERS, Chat, Settings
from tests.support.services import Bench, detail, open_bench, refusal, text

CHAT = "si_ann_bob"
WITH_BOB = Chat(CHAT, 1, "bob")
PINNED = Settings(is_pinned=True)


async def row_of(bench: Bench, owner: str, name: str = CHAT) -> ConversationRecord:
    [row] = await bench.store.conversations.get_many(owner, [name])
    return row


async def test_own_settings_are_logged_and_told_once(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob")
        await bench.send(text("bob", "ann"))
        await bench.listen("u:ann")
        lists, settings = bench.services.conversations, bench.services.conversation_settings
        before = await lists.incremental("ann", "", 0)
        wanted = Settings(
            recv_msg_opt=2,
            is_pinned=True,
            attached_info="i",
            ex="e",
            burn_duration=30,
            group_at_type=4,
            msg_destruct_time=60,
            is_msg_destruct=True,
        )
        for _ in range(2):
            await settings.change(["ann", "ann"], WITH_BOB, wanted)
        await settings.change(["ann"], WITH_BOB, Settings())
        after = await lists.incremental("ann", before.version_id, before.version)
        assert after.version == before.version + 1
        [shown] = after.updated
        assert (shown.recvMsgOpt, shown.isPinned, shown.attachedInfo) == (2, True, "i")
        assert (shown.ex, shown.burnDuration, shown.groupAtType) == ("e", 30, 4)
        assert (shown.msgDestructTime, shown.isMsgDestruct) == (60, True)
        await settings.change(["ann"], WITH_BOB, Settings(ex="", is_pinned=False))
        await bench.heard.until(lambda: len(bench.heard.messages(1300)) == 2)
        for word in bench.heard.messages(1300, "u:ann"):
            assert detail(word) == {"userID": "ann", "conversationIDList": [CHAT]}
            assert word.seq == 0
        dropped = ("w", ConversationChanged("ann", CHAT))
        assert dropped in bench.heard.controls(ConversationChanged)
        row = await row_of(bench, "ann")
        assert (row.ex, row.is_pinned, row.attached_info) == ("", False, "i")
        assert (await row_of(bench, "bob")).is_pinned is False


async def test_a_missing_row_is_made(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob")
        await bench.listen("u:ann")
        lists = bench.services.conversations
        before = await lists.incremental("ann", "", 0)
        await bench.services.conversation_settings.change(["ann"], WITH_BOB, PINNED)
        after = await lists.incremental("ann", before.version_id, before.version)
        assert after.version == before.version + 1
        assert [(c.conversationID, c.isPinned) for c in after.inserted] == [(CHAT, True)]
        row = await row_of(bench, "ann")
        assert (row.conversation_type, row.user_id, row.group_id) == (1, "bob", "")
        await bench.heard.until(lambda: bench.heard.messages(1300))
        await bench.send(text("bob", "ann"))  # the first message lets the row be
        assert (await row_of(bench, "ann")).is_pinned


@pytest.mark.parametrize("exists", [True, False])
async def test_burn_after_reading_is_for_both(
    mongo_config: MongoConfig, redis_config: RedisConfig, exists: bool
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob")
        if exists:
            await bench.send(text("bob", "ann"))
        await bench.listen("u:ann", "u:bob")
        settings = bench.services.conversation_settings
        await settings.change(["ann"], WITH_BOB, Settings(is_private_chat=True, burn_duration=5))
        for owner, peer, burn in (("ann", "bob", 5), ("bob", "ann", 0)):
            row = await row_of(bench, owner)
            assert (row.is_private_chat, row.burn_duration, row.user_id) == (True, burn, peer)
        await bench.heard.until(lambda: len(bench.heard.messages(1701, "u:bob")) == 2)
        note, copy = bench.heard.messages(1701, "u:bob")
        tips = {"recvID": "bob", "sendID": "ann", "isPrivate": True, "conversationID": CHAT}
        assert detail(note) == detail(copy) == tips
        assert (note.seq, copy.seq) == (0, 2 if exists else 1)
        assert (await bench.pull("bob", CHAT))[-1].contentType == 1701
        assert [detail(m)["userID"] for m in bench.heard.messages(1300)] == ["ann"]


async def test_of_a_group(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob", "eve")
        group = await bench.group("ann", ["bob"])
        name = f"sg_{group}"
        chat = Chat(name, 3, "ignored", group)
        settings = bench.services.conversation_settings
        await bench.listen("u:ann", "u:bob")
        wanted = Settings(recv_msg_opt=1, is_private_chat=True)
        await settings.change(["ann", "bob"], chat, wanted)
        for owner in ("ann", "bob"):
            row = await row_of(bench, owner, name)
            assert (row.recv_msg_opt, row.is_private_chat, row.user_id) == (1, False, "")
        await bench.heard.until(lambda: len(bench.heard.messages(1300)) == 2)
        assert bench.heard.messages(1701) == []
        error = await refusal(settings.change(["eve"], chat, PINNED))
        assert error.code is Code.NO_PERMISSION
        assert await bench.store.conversations.get_many("eve", [name]) == []


WRONG = [
    (["ann"], Chat("si_ann_bob", 1), "conversation.userID"),
    (["ann"], Chat("sg_g", 3), "conversation.groupID"),
    (["ann"], Chat("si_bob_eve", 1, "bob"), "conversation.conversationID"),
    (["ann"], Chat("si_ann_bob", 4, "bob"), "conversation.conversationID"),
    (["ann"], Chat("n_ann_bob", 1, "bob"), "conversation.conversationID"),
    (["ann", "bob"], Chat("si_ann_bob", 1, "bob"), "conversation.conversationID"),
    (["ann"], Chat("si_ann_nobody", 1, "nobody"), "conversation.userID"),
    (["nobody"], Chat("si_bob_nobody", 1, "bob"), "userIDs"),
    ([f"u{n}" for n in range(MAX_OWNERS + 1)], Chat("sg_g", 3, "", "g"), "userIDs"),
]


async def test_refusals_name_the_field(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob")
        for owners, chat, field in WRONG:
            change = bench.services.conversation_settings.change(owners, chat, PINNED)
            error = await refusal(change)
            assert error.code is Code.ARGS
            assert error.detail.startswith(f"{field}: "), (chat, error.detail)
        assert await bench.store.conversations.of_owner("ann") == []
