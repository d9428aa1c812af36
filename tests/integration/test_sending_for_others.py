"""What an administrator sends in somebody's name, and what is remembered of it."""

from __future__ import annotations

import pytest

from openim_trio.append.ports import StoreUnavailable
from openim_trio.config.model import MongoConfig, RedisConfig
from openim_trio.domain.errors import Code
from openim_trio.domain.records import UserRecord
from openim_trio.store.send_status import SendStatus
from tests.support.services import ADMIN, code_of, open_bench, text


async def test_the_named_senders_rights_count(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob", "eve")
        users = bench.services.users
        await users.register([UserRecord("deaf", "d", global_recv_msg_opt=1)])
        await users.add_notification_account("news", "News", "", 3)
        group = await bench.group("ann", ["bob"])
        send = bench.services.sending.send
        for message, code in (
            (text("nobody", "bob"), Code.USER_NOT_FOUND),
            (text("nobody", group_id=group), Code.USER_NOT_FOUND),
            (text("ann", "deaf"), Code.ARGS),
            (text("eve", group_id=group), Code.NOT_IN_GROUP),
            (text("news", group_id=group), Code.NOT_IN_GROUP),
        ):
            assert await code_of(send(message, ADMIN, "op")) is code
        for message in (
            text("bob", group_id=group),
            text("ann", "bob"),
            text("imAdmin", "deaf"),
            text("openIM123456", "deaf"),
            text("imAdmin", group_id=group),
            text("news", "deaf"),
        ):
            await send(message, ADMIN, "op")


async def test_a_sent_message_is_no_failure_because_nobody_remembers_it(
    mongo_config: MongoConfig, redis_config: RedisConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told of a failure, the caller would send it again as another message."""

    async def unavailable(self: SendStatus, operation_id: str, status: int) -> None:
        raise StoreUnavailable("no")

    monkeypatch.setattr(SendStatus, "put", unavailable)
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob")
        sending = bench.services.sending
        assert (await sending.send_remembered(text("ann", "bob"), ADMIN, "op")).serverMsgID
        refused = sending.send_remembered(text("ann", "nobody"), ADMIN, "op")
        assert await code_of(refused) is Code.USER_NOT_FOUND
