"""A whole worker inside a test, on real engines."""

from __future__ import annotations

import contextlib
import http.client
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import trio

from openim_trio.config.model import (
    ApiConfig,
    AuthConfig,
    Config,
    GatewayConfig,
    MongoConfig,
    RedisConfig,
)
from openim_trio.process.listen import bound
from openim_trio.process.prepare import prepare_store
from openim_trio.process.worker import Worker, open_worker

SECRET = "the-secret-of-the-tests-is-long-enough"


@attrs.frozen
class Serving:
    worker: Worker
    ws_port: int
    api_port: int

    async def get(self, path: str) -> tuple[int, bytes]:
        return await trio.to_thread.run_sync(self._request, "GET", path, None, {})

    async def post(self, path: str, body: object, token: str = "") -> dict[str, Any]:
        """The whole answer, errors included."""
        headers = {"operationID": uuid.uuid4().hex, "token": token}
        _, answer = await trio.to_thread.run_sync(
            self._request, "POST", path, json.dumps(body), headers
        )
        document: dict[str, Any] = json.loads(answer)
        return document

    def _request(
        self, method: str, path: str, body: str | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.api_port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


def serving_config(data_dir: Path, mongo: MongoConfig, redis: RedisConfig) -> Config:
    """Any free ports."""
    return Config(
        data_dir=data_dir,
        drain=5.0,
        mongo=mongo,
        redis=redis,
        auth=AuthConfig(secret=SECRET),
        gateway=GatewayConfig(port=0),
        api=ApiConfig(port=0),
    )


@contextlib.asynccontextmanager
async def serving(config: Config, name: str = "") -> AsyncIterator[Serving]:
    """The store is prepared, the worker accepts."""
    await prepare_store(config)
    with bound(config) as listeners:
        listeners.listen()
        async with open_worker(config, listeners, name) as worker:
            ports = (listeners.gateway.getsockname()[1], listeners.api.getsockname()[1])
            yield Serving(worker, *ports)
