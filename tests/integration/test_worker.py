"""A whole worker: what it consists of works together, and ends."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import attrs
import pytest
import trio

from openim_trio.config.model import Config, MongoConfig, RedisConfig
from openim_trio.process.status import CrashLoops, Gone
from tests.support.engines import redis_server
from tests.support.serving import SECRET, serving, serving_config

LIMIT = 30.0


@pytest.fixture
def config(tmp_path: Path, mongo_config: MongoConfig, redis_config: RedisConfig) -> Config:
    return serving_config(tmp_path, mongo_config, redis_config)


async def test_health_and_metrics(config: Config) -> None:
    async with serving(config, "w0") as served:
        assert (await served.get("/healthz"))[0] == 200
        status, body = await served.get("/readyz")
        assert status == 200
        assert json.loads(body)["engines"] == {"mongo": "ok", "redis": "ok"}
        async with serving(config, "w1") as other:
            _, text = await other.get("/metrics")
            assert b"openim_trio_workers 2.0" in text
            _, text = await served.get("/metrics?by=worker")
            assert b'openim_trio_connections{worker="w0"} 0.0' in text
            assert b'openim_trio_connections{worker="w1"} 0.0' in text


async def test_administrators_are_there(config: Config) -> None:
    async with serving(config) as served:
        body = {"secret": SECRET, "userID": "imAdmin"}
        answer = await served.post("/auth/get_admin_token", body)
        assert answer["errCode"] == 0
        assert answer["data"]["token"]


async def test_a_crash_loop_of_another_is_told(config: Config) -> None:
    async with serving(config) as served:
        await served.worker.on_order(CrashLoops((1,)))
        status, body = await served.get("/readyz")
        assert status == 503
        assert "slots 1" in json.loads(body)["engines"]["workers"]
        await served.worker.on_order(CrashLoops(()))
        assert (await served.get("/readyz"))[0] == 200
        await served.worker.on_order(Gone("w9"))


async def test_without_redis_it_is_not_ready_and_comes_back(
    tmp_path: Path, mongo_config: MongoConfig
) -> None:
    with redis_server() as url:
        gone = RedisConfig(url=url, timeout=0.5)
    config = serving_config(tmp_path, mongo_config, gone)
    async with serving(config) as served:
        status, body = await served.get("/readyz")
        assert status == 503
        engines = json.loads(body)["engines"]
        assert engines["mongo"] == "ok"
        assert engines["redis"] != "ok"


async def test_draining_stops_accepting(config: Config) -> None:
    async with serving(config) as served:
        with trio.fail_after(LIMIT):
            await served.worker.drain()
            await served.worker.gateway.stopped_accepting.wait()
        assert (await served.worker.health.engines())["worker"] == "is draining"


async def test_cancelling_leaves_nothing_behind(config: Config) -> None:
    with trio.CancelScope() as scope:
        async with serving(attrs.evolve(config, drain=600.0)):
            scope.cancel()
            await trio.sleep_forever()
    statistics = trio.lowlevel.current_statistics()
    assert statistics.tasks_living <= 4  # the run's own, pytest-trio's
    assert threading.active_count() < 40
    assert not list((config.data_dir / "run").iterdir())


async def test_draining_finishes_rest_requests(config: Config) -> None:
    receivers = [f"r{n}" for n in range(400)]
    async with serving(attrs.evolve(config, drain=30.0)) as served:
        login = {"secret": SECRET, "userID": "imAdmin"}
        token = (await served.post("/auth/get_admin_token", login))["data"]["token"]
        users = [{"userID": u, "nickname": u} for u in ("boss", *receivers)]
        assert (await served.post("/user/user_register", {"users": users}, token))["errCode"] == 0
        answers = []

        async def send() -> None:
            body = {
                "sendID": "boss",
                "recvIDs": receivers,
                "content": {"content": "to all of you"},
                "contentType": 101,
                "sessionType": 1,
            }
            answers.append(await served.post("/msg/batch_send_msg", body, token))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            with trio.fail_after(10):
                while not served.worker.pipeline.waiting:  # noqa: ASYNC110
                    await trio.sleep(0.001)
            await served.worker.drain()
        [answer] = answers
        assert answer["errCode"] == 0
        assert not answer["data"]["failedUserIDs"]
        assert len(answer["data"]["results"]) == len(receivers)
