"""Who may not, and what may not be: generated from the route declarations."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, get_origin

import pytest

from openim_trio.api.converter import fields_of
from openim_trio.api.permissions import Who
from openim_trio.api.route_table import ROUTES
from openim_trio.api.routes import Route
from openim_trio.config.model import MongoConfig, RedisConfig
from tests.support.api import ADMIN_ID, Api, open_api
from tests.support.api_bodies import example, malformed, plain, with_value

NO_PERMISSION = 1002
OWN_CHECK = {"/msg/send_simple_msg"}
"""any token may call it; the sender that results is checked"""


@pytest.fixture
async def api(mongo_config: MongoConfig, redis_config: RedisConfig) -> AsyncIterator[Api]:
    async with open_api(mongo_config, redis_config) as opened:
        yield opened


def body_about(route: Route, who: str) -> dict[str, Any]:
    """A valid body whose permission fields name `who`."""
    body = example(route.request)
    for path in route.permission.fields:
        is_list = get_origin(plain(fields_of(route.request).get(path))) is list
        body = with_value(route.request, body, path, [who] if is_list else who)
    return body


async def test_who_may_call_what(api: Api) -> None:
    group = await api.bench.group("bob")
    for route in ROUTES:
        who = route.permission.who
        subject = group if who in (Who.MEMBER, Who.GADMIN) else "bob"
        body = body_about(route, subject)
        path = route.path

        nobody = await api.post(path, body, "")
        stranger = await api.post(path, body, "alice")
        admin = await api.post(path, body, ADMIN_ID)
        if who is not Who.NONE:
            assert nobody.body["errDlt"] == "header must have token", path
            bad = await api.post(path, body, headers={"token": "a.b.c"})
            assert 1501 <= bad.code <= 1507, path
        if who not in (Who.NONE, Who.ANY):
            assert stranger.code == NO_PERMISSION, path
            assert "data" not in stranger.body, path
        elif path not in OWN_CHECK and who is Who.ANY:
            assert stranger.code != NO_PERMISSION, path
        if path not in OWN_CHECK and who is not Who.NONE:
            assert admin.code != NO_PERMISSION, path
        if who in (Who.SELF, Who.SELFIN, Who.MEMBER, Who.GADMIN):
            own = await api.post(path, body, "bob")
            assert own.code != NO_PERMISSION, path


async def test_all_that_are_named_must_be_the_caller(api: Api) -> None:
    chat = {"conversationID": "si_alice_bob", "conversationType": 1, "userID": "alice"}
    for others in (["bob", "alice"], ["alice", "bob"]):
        body = {"userIDs": others, "conversation": {**chat, "isPinned": True}}
        answer = await api.post("/conversation/set_conversations", body, "bob")
        assert answer.code == NO_PERMISSION


async def test_every_route_wants_an_operation_id(api: Api) -> None:
    for route in ROUTES:
        body = example(route.request)
        body.pop("operationID", None)
        answer = await api.post(route.path, body, headers={"operationID": ""})
        assert answer.code == 1001, route.path
        assert "operationID" in answer.body["errDlt"], route.path


RAW = (
    b"{",
    b"null",
    b"[]",
    b'"x"',
    b"\xff\xfe\x00",
    b"userID=alice&platformID=1",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"userID":NaN}',
    b'{"userID":"\\ud800"}',
)


async def test_bodies_that_are_no_request(api: Api) -> None:
    for route in ROUTES:
        for body in RAW:
            answer = await api.post(route.path, body)
            expected = (route.bad_body, 1001)
            assert (answer.status, answer.code) == expected, (route.path, body[:40], answer)


async def test_a_content_that_nests_too_deep(api: Api) -> None:
    deep = b'{"a":' * 600 + b"1" + b"}" * 600
    for route in ROUTES:
        if "content" in fields_of(route.request):
            body = json.dumps(example(route.request)).encode()
            body = body.removesuffix(b"}") + b',"content":' + deep + b"}"
            answer = await api.post(route.path, body)
            assert (answer.status, answer.code) == (route.bad_body, 1001), route.path


@pytest.mark.timeout(300)
async def test_malformed_fields_are_never_the_servers_fault(api: Api) -> None:
    """One field at a time is missing or has a value that hardly fits; an administrator asks, so
    that nothing is stopped by a permission."""
    group = await api.bench.group("bob")
    for route in ROUTES:
        for body in malformed(route.request):
            answer = await api.post(route.path, body, operation_id="malformed")
            assert answer.status in (200, 400), (route.path, body, answer)
            assert answer.code != 500, (route.path, str(body)[:300], answer)
            assert (answer.code == 0) == (answer.body["errMsg"] == ""), (route.path, answer)
    assert await api.bench.pull("bob", f"sg_{group}") is not None  # it still works


async def test_a_body_beyond_the_limit(api: Api) -> None:
    body = b'{"userIDs":["' + b"x" * (16 * 1024 * 1024) + b'"]}'
    answer = await api.post("/user/get_users_info", body)
    assert (answer.status, answer.code) == (200, 1001)
    assert "larger than" in answer.body["errDlt"]


async def test_a_kicked_token_is_refused_everywhere(api: Api) -> None:
    await api.ok("/auth/force_logout", {"userID": "alice", "platformID": 1})
    answer = await api.post("/user/get_users_info", {"userIDs": ["alice"]}, "alice")
    assert answer.code == 1506
