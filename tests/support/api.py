"""The REST API on real services, asked without a socket."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import orjson
from quart_trio import QuartTrio

from openim_trio.api.app import build_app, build_legacy_app
from openim_trio.api.health import Health
from openim_trio.config.model import AuthConfig, Config, MongoConfig, RedisConfig
from openim_trio.observability.metrics import Metrics
from tests.support.services import SECRET, Bench, open_bench

_numbers = itertools.count(1)
ADMIN_ID = "imAdmin"


@attrs.frozen
class Answer:
    status: int
    body: dict[str, Any]

    @property
    def code(self) -> int:
        return int(self.body["errCode"])

    @property
    def data(self) -> Any:
        return self.body["data"]


@attrs.define
class Api:
    """Users alice, bob and carol are registered; `tokens`: user ID -> token, of `imAdmin` too."""

    app: QuartTrio
    legacy: QuartTrio
    bench: Bench
    engines: dict[str, str]
    tokens: dict[str, str] = attrs.field(factory=dict)
    asked: set[str] = attrs.field(factory=set)
    """paths that were answered with success"""

    async def post(
        self,
        path: str,
        body: object = None,
        by: str = ADMIN_ID,
        *,
        headers: Mapping[str, str] | None = None,
        operation_id: str = "",
        app: QuartTrio | None = None,
    ) -> Answer:
        """`by`: whose token; "" for none."""
        sent = {
            "operationID": operation_id or f"op{next(_numbers)}",
            "token": self.tokens.get(by, ""),
        }
        data = body if isinstance(body, bytes) else json.dumps({} if body is None else body)
        client = (app or self.app).test_client()
        response = await client.post(path, data=data, headers=sent | dict(headers or {}))
        answer = Answer(response.status_code, orjson.loads(await response.get_data()))
        if answer.code == 0:
            self.asked.add(path.partition("?")[0])
        return answer

    async def ok(self, path: str, body: object = None, by: str = ADMIN_ID, **more: Any) -> Any:
        """`data` of a success, None if it has none."""
        answer = await self.post(path, body, by, **more)
        assert (answer.status, answer.code) == (200, 0), (path, answer)
        return answer.body.get("data")


async def _log_in(api: Api) -> None:
    body = {"secret": SECRET, "userID": ADMIN_ID}
    api.tokens[ADMIN_ID] = (await api.ok("/auth/get_admin_token", body))["token"]
    names = ("alice", "bob", "carol")
    users = [{"userID": name, "nickname": name.title()} for name in names]
    await api.ok("/user/user_register", {"users": users})
    for name in names:
        wanted = {"userID": name, "platformID": 1}
        api.tokens[name] = (await api.ok("/auth/get_user_token", wanted))["token"]


@asynccontextmanager
async def open_api(mongo: MongoConfig, redis: RedisConfig) -> AsyncIterator[Api]:
    auth = AuthConfig(secret=SECRET)
    engines = {"mongo": "", "redis": ""}

    async def health() -> Mapping[str, str]:
        return engines

    async def exposition(by_worker: bool) -> bytes:
        return b"by worker\n" if by_worker else b"sum\n"

    async with open_bench(mongo, redis, auth=auth) as bench:
        config, metrics = Config(auth=auth), Metrics()
        api = Api(
            build_app(bench.services, config, metrics, Health(health, exposition)),
            build_legacy_app(bench.services, config, metrics),
            bench,
            engines,
        )
        await _log_in(api)
        yield api
