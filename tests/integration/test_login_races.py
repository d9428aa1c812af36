"""Tokens that are taken back while their connection is being made."""

from __future__ import annotations

import pytest
import trio

from openim_trio.config.model import AuthConfig, MongoConfig, RedisConfig
from openim_trio.domain.errors import Code
from openim_trio.domain.records import TokenRecord
from openim_trio.gateway.hub import LocalUser
from openim_trio.services import tokens as tokens_module
from openim_trio.services.control import Kick
from tests.support.client import connected
from tests.support.gateway_workers import open_gateway
from tests.support.services import ADMIN, SECRET, code_of, open_bench


@pytest.mark.parametrize("policy", [0, 1])
async def test_a_token_taken_back_during_the_handshake_displaces_nobody(
    mongo_config: MongoConfig, redis_config: RedisConfig, policy: int
) -> None:
    auth = AuthConfig(secret=SECRET, login_policy=policy)
    async with open_bench(mongo_config, redis_config, auth=auth) as bench:
        await bench.register("ann")
        tokens = bench.services.tokens
        old, _ = await tokens.issue_user(ADMIN, "ann", 1)
        late = await tokens.check(old)
        await tokens.force_logout("ann", 1)
        new, _ = await tokens.issue_user(ADMIN, "ann", 1)
        assert await code_of(tokens.connected(late)) in (Code.TOKEN_KICKED, Code.TOKEN_NOT_EXIST)
        await tokens.connected(await tokens.check(new))
        await tokens.check(new)


@pytest.mark.parametrize("policy", [0, 1])
async def test_a_forced_logout_during_the_handshake_ends_the_connection(
    mongo_config: MongoConfig, redis_config: RedisConfig, policy: int
) -> None:
    async with open_gateway(mongo_config, redis_config, policy=policy) as worker:
        await worker.bench.register("ann")
        hub, tokens = worker.gateway.hub, worker.bench.services.tokens
        hold = hub.hold

        async def hold_late(user_id: str) -> LocalUser:
            await tokens.force_logout("ann", 1)
            return await hold(user_id)

        login = await worker.login("ann")
        hub.hold = hold_late  # type: ignore[method-assign]
        async with connected(worker.port, login) as client:
            with trio.fail_after(5):
                await client.over.wait()
            assert client.kicked.is_set()


async def test_the_reconciler_goes_on_after_a_token_that_was_taken_back(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_gateway(mongo_config, redis_config) as worker:
        await worker.bench.register("ann", "bob")
        tokens = worker.bench.services.tokens
        async with (
            connected(worker.port, await worker.login("ann")) as ann,
            connected(worker.port, await worker.login("bob")) as bob,
        ):
            sessions = list(worker.gateway.hub.sessions.values())
            for session in sessions:
                session.kickable = False
                session.connected_at -= 60_000
            first = sessions[0].actor
            await worker.bench.store.tokens.set_state([first.token_hash], 2)
            tokens.drop_all()
            await worker.gateway._reconciler._register_again()
            gone, stays = (ann, bob) if first.user_id == "ann" else (bob, ann)
            with trio.fail_after(5):
                await gone.over.wait()
            assert gone.kicked.is_set()
            assert not stays.over.is_set()


async def test_a_kick_is_told_although_the_connection_for_it_was_just_lost(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    """The subscriptions live on, so nobody would look for what they missed."""
    async with (
        open_bench(mongo_config, redis_config) as here,
        open_bench(mongo_config, redis_config) as there,
    ):
        await there.listen("u:ann")
        await here.register("ann")
        await here.services.tokens.issue_user(ADMIN, "ann", 1)
        link = here.bus._commands._link
        assert link is not None
        link.drop("for the test")
        await here.services.tokens.force_logout("ann", 1)
        await there.heard.until(lambda: there.heard.controls(Kick))
        assert there.bus.healthy


async def test_a_login_costs_the_cache_of_tokens_no_search(
    mongo_config: MongoConfig, redis_config: RedisConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens_module, "MAX_DROPPED", 2)
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann", "bob")
        tokens, store = bench.services.tokens, bench.store.tokens
        reads: list[str] = []
        get = store.get

        async def noted(digest: str) -> TokenRecord | None:
            reads.append(digest)
            return await get(digest)

        monkeypatch.setattr(type(store), "get", lambda self, digest: noted(digest))
        ann, _ = await tokens.issue_user(ADMIN, "ann", 1)
        bob, _ = await tokens.issue_user(ADMIN, "bob", 1)
        for _ in range(2):
            for token in (ann, bob):
                await tokens.check(token)
        assert len(reads) == 2
        tokens.drop_user("ann")
        for token in (ann, bob, ann):
            await tokens.check(token)
        assert len(reads) == 3
        for number in range(5):
            tokens.drop_user(f"user{number}")
        for token in (ann, bob):
            await tokens.check(token)
        assert len(reads) == 5
