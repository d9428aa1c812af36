"""Gateways on real engines: several workers in one process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio

from openim_trio.config.model import AuthConfig, Config, GatewayConfig, MongoConfig, RedisConfig
from openim_trio.demo.login import Login
from openim_trio.domain.platforms import Platform
from openim_trio.gateway.server import Gateway
from openim_trio.observability.metrics import Metrics
from tests.support.gateway_fakes import listening_socket
from tests.support.services import ADMIN, SECRET, Bench, open_bench


@attrs.frozen
class GatewayWorker:
    bench: Bench
    gateway: Gateway
    metrics: Metrics
    port: int

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"openim_trio_{name}", labels) or 0.0

    async def login(
        self,
        user_id: str,
        platform: Platform = Platform.IOS,
        *,
        js: bool = False,
        gzip: bool = True,
        msg_resp: bool = False,
    ) -> Login:
        """With a new token."""
        token, _ = await self.bench.services.tokens.issue_user(ADMIN, user_id, int(platform))
        return Login(user_id, token, int(platform), js, gzip, msg_resp)


@asynccontextmanager
async def open_gateway(
    mongo: MongoConfig,
    redis: RedisConfig,
    gateway_config: GatewayConfig | None = None,
    *,
    policy: int = 1,
    worker: str = "",
) -> AsyncIterator[GatewayWorker]:
    auth = AuthConfig(secret=SECRET, login_policy=policy)
    config = Config(gateway=gateway_config or GatewayConfig(), auth=auth, mongo=mongo, redis=redis)
    metrics = Metrics()
    async with open_bench(mongo, redis, auth=auth) as bench:
        gateway = Gateway(config, bench.services, bench.bus, metrics, worker)
        bench.services.set_presence(gateway.presence)
        with listening_socket() as listen:
            async with trio.open_nursery() as nursery:
                await nursery.start(
                    lambda task_status: gateway.serve(listen, task_status=task_status)
                )
                yield GatewayWorker(bench, gateway, metrics, listen.getsockname()[1])
                nursery.cancel_scope.cancel()
