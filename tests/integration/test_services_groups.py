"""Groups, users, and the lists that clients sync."""

from __future__ import annotations

import pytest

from openim_trio.config.model import MongoConfig, RedisConfig
from openim_trio.domain.errors import Code
from openim_trio.domain.id_hash import id_hash
from openim_trio.domain.records import GroupRecord, UserRecord
from openim_trio.services.control import MembershipChanged
from tests.support.services import ADMIN, actor, code_of, detail, open_bench, text


async def test_a_new_group_is_told_to_its_members(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob", "cid")
        await bench.listen("u:ann", "u:bob", "u:cid")
        group = await bench.group("ann", ["cid"], admins=["bob"], notification="welcome")
        heard = bench.heard
        await heard.until(lambda: len(heard.messages(1519)) == 6)
        for user in ("ann", "bob", "cid"):
            channel = f"u:{user}"
            told = [note for name, note in heard.controls(MembershipChanged) if name == channel]
            assert told == [MembershipChanged(group, added=(user,))]
            for kind, seq in ((1501, 1), (1519, 2)):
                online, stored = heard.messages(kind, channel)
                assert (online.seq, stored.seq) == (0, seq)
                assert online.options["isNotNotification"] is False
                assert dict(stored.options) == {"offlinePush": False, "unreadCount": True}
                assert (online.groupID, online.recvID, online.msgFrom) == (group, group, 200)
        tips = detail(heard.messages(1501)[0])
        assert tips["group"]["memberCount"] == 3
        assert [m["userID"] for m in tips["memberList"]] == ["ann", "bob", "cid"]
        assert [m["roleLevel"] for m in tips["memberList"]] == [100, 60, 20]
        assert tips["opUser"]["userID"] == tips["groupOwnerUser"]["userID"] == "ann"
        for user in ("ann", "bob", "cid"):
            assert await bench.services.conversations.one(user, f"sg_{group}")
            assert await bench.services.memberships(user) == [group]
        [info] = await bench.services.groups.infos([group, "none"])
        assert (info.memberCount, info.notification, info.ownerUserID) == (3, "welcome", "ann")


async def test_a_group_without_a_message(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob")
        info = await bench.services.groups.create(
            actor("ann"), GroupRecord("mine"), "ann", ["bob"], send_message=False
        )
        assert info.groupID == "mine"
        assert await bench.services.conversations.all_of("bob") == []
        await bench.send(text("bob", group_id="mine"))
        [row] = await bench.services.conversations.all_of("ann")
        assert (row.conversationID, row.conversationType, row.groupID) == ("sg_mine", 3, "mine")


async def test_refusals(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob")
        create = bench.services.groups.create
        ann = actor("ann")
        await create(ann, GroupRecord("g1"), "ann")
        assert await code_of(create(ann, GroupRecord("g1"), "ann")) is Code.GROUP_EXISTS
        assert await code_of(create(ann, GroupRecord("", group_type=1), "ann")) is Code.ARGS
        assert await code_of(create(ann, GroupRecord(""), "ann", ["ann"])) is Code.ARGS
        assert await code_of(create(ann, GroupRecord(""), "ann", ["x"])) is Code.USER_NOT_FOUND
        assert await code_of(create(ann, GroupRecord("ann_bob"), "ann")) is Code.ARGS
        assert await code_of(create(ann, GroupRecord("a:b"), "ann")) is Code.ARGS
        await create(ADMIN, GroupRecord("ann_bob"), "ann")
        assert await code_of(bench.services.groups.infos([])) is Code.ARGS


async def test_lists_of_groups_and_members(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob")
        lists = bench.services.group_lists
        before = await lists.incremental_joined("bob", "", 0)
        assert before.full
        group = await bench.group("ann", ["bob"])
        delta = await lists.incremental_joined("bob", before.version_id, before.version)
        assert [info.groupID for info in delta.inserted] == [group]
        ids = await lists.full_joined_ids("bob", 0)
        assert (ids.ids, ids.equal, ids.version) == ((group,), False, delta.version)
        assert (await lists.full_joined_ids("bob", id_hash([group]))).equal
        members = await lists.incremental_members(group, "", 0)
        assert members.members.full
        assert members.group is not None
        same = members.members
        again = await lists.incremental_members(group, same.version_id, same.version)
        assert (again.members.full, again.members.inserted, again.group) == (False, (), None)
        assert (await lists.full_member_ids(group, 0)).ids == ("ann", "bob")
        total, page = await lists.members_page(group, 2, 1)
        assert (total, [m.userID for m in page]) == (2, ["bob"])
        total, page = await lists.members_page(group, 1, 10, keyword="NICK a")
        assert (total, [m.userID for m in page]) == (1, ["ann"])
        total, page = await lists.members_page(group, 1, 10, role_filter=1)
        assert [m.userID for m in page] == ["ann"]
        total, groups = await lists.joined_page("bob", 1, 100)
        assert (total, [info.groupID for info in groups]) == (1, [group])


async def test_friends_are_none(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        friends = bench.services.friends
        first = await friends.incremental("ann", "", 0)
        assert first.full
        then = await friends.incremental("ann", first.version_id, first.version)
        assert (then.full, then.inserted) == (False, ())
        assert (await friends.full_ids("ann", 0)).equal


async def test_conversation_lists(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob", "cid")
        service = bench.services.conversations
        before = await service.incremental("ann", "", 0)
        await bench.send(text("bob", "ann"))
        await bench.send(text("cid", "ann"))
        delta = await service.incremental("ann", before.version_id, before.version)
        assert {c.conversationID for c in delta.inserted} == {"si_ann_bob", "si_ann_cid"}
        await bench.set_options("ann", "si_ann_bob", is_pinned=True)
        later = await service.incremental("ann", delta.version_id, delta.version)
        assert [(c.conversationID, c.isPinned) for c in later.updated] == [("si_ann_bob", True)]
        assert await service.pinned_ids("ann") == ["si_ann_bob"]
        ids = await service.full_ids("ann", 0)
        assert ids.ids == ("si_ann_bob", "si_ann_cid")
        assert (await service.full_ids("ann", id_hash(ids.ids))).equal
        assert await code_of(service.one("ann", "none")) is Code.RECORD_NOT_FOUND
        assert len(await service.some("ann", ["si_ann_bob", "none"])) == 1
        total, page = await service.page("ann", 2, 1)
        assert (total, [c.conversationID for c in page]) == (2, ["si_ann_cid"])


async def test_active_conversations(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob", "cid", "dan")
        await bench.send(text("bob", "ann"))
        group = await bench.group("cid", ["ann"])
        await bench.send(text("dan", "ann", words="last", sendTime=0))
        service = bench.services.conversations
        await bench.set_options("ann", "si_ann_bob", is_pinned=True)
        await bench.services.read_state.mark_conversation_as_read("ann", "si_ann_dan", 1)
        found = await service.active("ann", 0)
        order = [item.conversation.conversationID for item in found.conversations]
        assert order[0] == "si_ann_bob"
        assert set(order[1:]) == {"si_ann_dan", f"sg_{group}"}
        times = [item.lastMsg.sendTime for item in found.conversations[1:]]
        assert times == sorted(times, reverse=True)
        by_id = {item.conversation.conversationID: item for item in found.conversations}
        assert by_id["si_ann_dan"].user.userID == "dan"
        assert (by_id["si_ann_dan"].maxSeq, by_id["si_ann_dan"].readSeq) == (1, 1)
        assert by_id[f"sg_{group}"].group.groupID == group
        assert not by_id["si_ann_bob"].HasField("friend")
        assert found.unreadCount == 2
        two = await service.active("ann", 2)
        assert [i.conversation.conversationID for i in two.conversations] == order[:2]
        some = await service.with_last_messages("ann", ["si_ann_dan", "none"])
        assert [i.lastMsg.seq for i in some.conversations] == [1]
        assert some.unreadCount == 2


async def test_registration(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        users = bench.services.users
        await bench.register("ann", "Ünal_1")
        bad = ["", "a:b", "a b", "a-b", "x" * 65]
        for user_id in bad:
            assert await code_of(users.register([UserRecord(user_id, "n")])) is Code.ARGS, user_id
        assert await code_of(users.register([])) is Code.ARGS
        assert await code_of(users.register([UserRecord("bob", "")])) is Code.ARGS
        twice = [UserRecord("bob", "b"), UserRecord("bob", "b")]
        assert await code_of(users.register(twice)) is Code.ARGS
        some_known = [UserRecord("bob", "b"), UserRecord("ann", "a")]
        assert await code_of(users.register(some_known)) is Code.ALREADY_REGISTERED
        assert await users.account_check(["bob", "ann"]) == [("bob", False), ("ann", True)]
        assert await code_of(users.account_check(["ann", "ann"])) is Code.ARGS
        [info] = await users.infos(["ann", "bob"])
        assert (info.nickname, info.createTime > 0) == ("nick ann", True)
        total, page = await users.page(1, 10, "AN")
        assert (total, [u.userID for u in page]) == (1, ["ann"])
        total, ids = await users.page_ids(1, 10)
        assert set(ids) == {"ann", "Ünal_1", "imAdmin", "openIM123456"}
        assert await users.online(["ann"]) == {"ann": []}


@pytest.mark.parametrize(
    ("user_id", "level", "code"),
    [("news", 3, None), ("", 4, None), ("ann", 3, Code.ARGS), ("n", 2, Code.ARGS)],
)
async def test_notification_accounts(
    mongo_config: MongoConfig,
    redis_config: RedisConfig,
    user_id: str,
    level: int,
    code: Code | None,
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann")
        adding = bench.services.users.add_notification_account(user_id, "News", "", level)
        if code is not None:
            assert await code_of(adding) is code
            return
        account = await adding
        assert account.user_id == user_id or (account.user_id.isdigit() and not user_id)
        assert account.app_manger_level == level
