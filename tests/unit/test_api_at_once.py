"""More requests than are worked on at a time: some wait for their turn, the others are told."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import trio
import trio.testing
from quart import Response, request
from quart_trio import QuartTrio

from openim_trio.api import at_once
from openim_trio.api.transport import bare_app
from openim_trio.domain.errors import Code
from openim_trio.observability.metrics import Metrics


class Kitchen:
    """An app whose only route waits until it is let go."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.open = trio.Event()
        self.cooking: list[bytes] = []
        self.answers: list[dict[str, Any]] = []
        self.app: QuartTrio = bare_app("test", 1_000)
        self.app.add_url_rule("/cook", "cook", self.cook, methods=["POST"])
        self.app.add_url_rule("/look", "look", self.look, methods=["GET"])
        at_once.limit_requests(self.app, self.metrics)

    async def cook(self) -> Response:
        self.cooking.append(await request.get_data())
        await self.open.wait()
        return Response(b'{"errCode":0}')

    async def look(self) -> Response:
        return Response(b"fine")

    async def order(self, dish: bytes) -> None:
        response = await self.app.test_client().post("/cook", data=dish)
        self.answers.append(orjson.loads(await response.get_data()))


@pytest.fixture
def kitchen(monkeypatch: pytest.MonkeyPatch) -> Kitchen:
    monkeypatch.setattr(at_once, "WORKING", 2)
    monkeypatch.setattr(at_once, "WAITING", 3)
    return Kitchen()


async def test_some_wait_and_the_others_are_told(kitchen: Kitchen) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(kitchen.order, b"%d" % number)
            await trio.testing.wait_all_tasks_blocked()
        assert kitchen.cooking == [b"0", b"1"]
        await kitchen.order(b"too much")
        assert [answer["errCode"] for answer in kitchen.answers] == [Code.DATABASE]
        look = await kitchen.app.test_client().get("/look")
        assert await look.get_data() == b"fine"
        kitchen.open.set()
    assert sorted(kitchen.cooking) == [b"%d" % number for number in range(5)]
    assert [answer["errCode"] for answer in kitchen.answers] == [Code.DATABASE, 0, 0, 0, 0, 0]
    labels = {"route": "(too many)", "code": str(int(Code.DATABASE))}
    refused = kitchen.metrics.registry.get_sample_value("openim_trio_rest_requests_total", labels)
    assert refused == 1


async def test_who_waits_too_long_is_told(
    kitchen: Kitchen, autojump_clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        for dish in (b"a", b"b"):
            nursery.start_soon(kitchen.order, dish)
        await trio.testing.wait_all_tasks_blocked()
        await kitchen.order(b"late")
        assert [answer["errCode"] for answer in kitchen.answers] == [Code.DATABASE]
        kitchen.open.set()
    assert len(kitchen.answers) == 3
    kitchen.open = trio.Event()
    kitchen.open.set()
    await kitchen.order(b"next")
    assert kitchen.answers[-1]["errCode"] == 0
