"""Tokens on a real store, with two workers."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest

from openim_trio.config.model import AuthConfig, MongoConfig, RedisConfig
from openim_trio.domain.errors import Code
from openim_trio.domain.platforms import Platform
from openim_trio.domain.records import TokenState
from openim_trio.services.control import Kick, TokensChanged
from openim_trio.services.tokens import token_hash
from tests.support.services import ADMIN, SECRET, Bench, actor, code_of, open_bench, refusal


async def login(bench: Bench, user: str = "ann", platform: int = 1) -> str:
    token, _ = await bench.services.tokens.issue_user(ADMIN, user, platform)
    return token


def forged(**changes: Any) -> str:
    now = int(time.time())
    claims = {"UserID": "ann", "PlatformID": 1, "exp": now + 100, "iat": now - 5, **changes}
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, SECRET, "HS256")


def tampered(token: str) -> str:
    claims, _, signature = token.rpartition(".")
    return f"{claims}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def unsigned() -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    claims = {"UserID": "ann", "PlatformID": 1, "exp": int(time.time()) + 100}
    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."


async def test_a_user_token(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann")
        tokens = bench.services.tokens
        token, seconds = await tokens.issue_user(ADMIN, "ann", 1)
        assert seconds == 90 * 86_400
        claims = jwt.decode(token, SECRET, ["HS256"])
        assert (claims["UserID"], claims["PlatformID"]) == ("ann", 1)
        assert claims["exp"] - claims["iat"] == seconds + 5
        found = await tokens.check(token)
        assert (found.user_id, found.platform, found.is_admin) == ("ann", Platform.IOS, False)
        assert found.token_hash == token_hash(token)
        assert await tokens.parse(token) == ("ann", 1, claims["exp"])


async def test_refusals_to_issue(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann")
        await bench.services.users.add_notification_account("news", "News", "", 3)
        tokens = bench.services.tokens
        assert await code_of(tokens.issue_user(actor("ann"), "ann", 1)) is Code.NO_PERMISSION
        assert await code_of(tokens.issue_user(ADMIN, "ann", 10)) is Code.NO_PERMISSION
        assert await code_of(tokens.issue_user(ADMIN, "imAdmin", 1)) is Code.NO_PERMISSION
        assert await code_of(tokens.issue_user(ADMIN, "ann", 0)) is Code.ARGS
        assert await code_of(tokens.issue_user(ADMIN, "news", 1)) is Code.ARGS
        assert await code_of(tokens.issue_user(ADMIN, "bob", 1)) is Code.RECORD_NOT_FOUND
        assert await code_of(tokens.issue_admin("wrong", "imAdmin")) is Code.NO_PERMISSION
        assert await code_of(tokens.issue_admin(SECRET, "ann")) is Code.ARGS


async def test_codes_of_bad_tokens(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    now = int(time.time())
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann")
        good = await login(bench)
        bad = {
            "": Code.TOKEN_MALFORMED,
            "nonsense": Code.TOKEN_MALFORMED,
            "a.b.c": Code.TOKEN_MALFORMED,
            "x" * 5000: Code.TOKEN_MALFORMED,
            tampered(good): Code.TOKEN_UNKNOWN,
            unsigned(): Code.TOKEN_UNKNOWN,
            forged(exp=now - 1): Code.TOKEN_EXPIRED,
            forged(nbf=now + 100): Code.TOKEN_NOT_VALID_YET,
            forged(UserID=None): Code.TOKEN_UNKNOWN,
            forged(PlatformID="1"): Code.TOKEN_UNKNOWN,
            forged(PlatformID=99): Code.TOKEN_UNKNOWN,
            forged(exp=None): Code.TOKEN_UNKNOWN,
            forged(): Code.TOKEN_NOT_EXIST,
        }
        for token, code in bad.items():
            assert await code_of(bench.services.tokens.check(token)) is code, token


async def test_a_second_login_kicks_the_first_on_every_worker(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with (
        open_bench(mongo_config, redis_config) as here,
        open_bench(mongo_config, redis_config) as there,
    ):
        await here.register("ann")
        first = await login(here)
        await there.services.tokens.check(first)
        other = await login(here, platform=5)
        second = await login(here)
        await there.heard.until(lambda: there.heard.controls(TokensChanged))
        for bench in (here, there):
            assert await code_of(bench.services.tokens.check(first)) is Code.TOKEN_KICKED
            await bench.services.tokens.check(second)
            await bench.services.tokens.check(other)
        await login(here)
        error = await refusal(here.services.tokens.check(first))
        assert error.code is Code.TOKEN_NOT_EXIST  # until the next issue it said "kicked"


async def test_a_connection_kicks_older_tokens(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    loose = AuthConfig(secret=SECRET, login_policy=0)
    async with open_bench(mongo_config, redis_config, auth=loose) as bench:
        await bench.register("ann")
        old, new, web = await login(bench), await login(bench), await login(bench, platform=5)
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.listen("u:ann")
        tokens = bench.services.tokens
        newcomer = await tokens.check(new)
        await tokens.connected(newcomer)
        await bench.heard.until(lambda: bench.heard.controls(Kick))
        assert bench.heard.controls(Kick) == [
            ("u:ann", Kick("ann", 1, newcomer=True, spare_token=token_hash(new)))
        ]
        assert await code_of(tokens.check(old)) is Code.TOKEN_KICKED
        await tokens.check(web)
        stale = await tokens.check(new)
        assert await tokens.refused([stale]) == {}


async def test_force_logout(mongo_config: MongoConfig, redis_config: RedisConfig) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann")
        await bench.listen("u:ann")
        tokens = bench.services.tokens
        ios, web = await login(bench), await login(bench, platform=5)
        held = await tokens.check(ios)
        await tokens.force_logout("ann", 1)
        await bench.heard.until(lambda: bench.heard.controls(Kick))
        assert bench.heard.controls(Kick) == [("u:ann", Kick("ann", 1))]
        assert await code_of(tokens.check(ios)) is Code.TOKEN_KICKED
        await tokens.check(web)
        refused = await tokens.refused([held, await tokens.check(web)])
        assert [error.code for error in refused.values()] == [Code.TOKEN_KICKED]
        assert await code_of(tokens.force_logout("ann", 12)) is Code.ARGS
        assert await code_of(tokens.force_logout("", 1)) is Code.ARGS


async def test_a_displaced_administrators_token_has_five_minutes(
    mongo_config: MongoConfig, redis_config: RedisConfig
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        tokens = bench.services.tokens
        first, _ = await tokens.issue_admin(SECRET, "imAdmin")
        assert (await tokens.check(first)).is_admin
        second, _ = await tokens.issue_admin(SECRET, "imAdmin")
        await tokens.check(first)
        await tokens.check(second)
        record = await bench.store.tokens.get(token_hash(first))
        assert record is not None
        assert record.expires_at <= int(time.time()) + 300
        await bench.store.tokens.set_expiry([token_hash(first)], int(time.time()) - 1)
        tokens.drop_all()
        assert await code_of(tokens.check(first)) is Code.TOKEN_NOT_EXIST


@pytest.mark.parametrize("state", [TokenState.INVALID, TokenState.EXPIRED])
async def test_other_states_are_unknown(
    mongo_config: MongoConfig, redis_config: RedisConfig, state: TokenState
) -> None:
    async with open_bench(mongo_config, redis_config) as bench:
        await bench.register("ann")
        token = await login(bench)
        await bench.store.tokens.set_state([token_hash(token)], state)
        assert await code_of(bench.services.tokens.check(token)) is Code.TOKEN_UNKNOWN
