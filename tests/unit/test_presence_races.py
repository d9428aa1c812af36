"""Online status while things change."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from openim_trio.config.model import GatewayConfig
from openim_trio.services.control import PresenceChanged
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import sdkws_pb2
from tests.support.client import connected
from tests.support.gateway_fakes import World, login, serving


async def test_a_change_that_comes_while_the_workers_are_asked_is_kept() -> None:
    async with (
        serving(World(), GatewayConfig(), worker="one") as one,
        connected(one.port, login("a")) as a,
    ):
        watching = one.gateway._watching

        async def by_worker(user_ids: Sequence[str]) -> dict[str, dict[str, tuple[int, ...]]]:
            """Two answers: the second one comes after a login at the first worker."""
            watching.on_change(PresenceChanged("c", "two", (5,)))
            watching.on_change(PresenceChanged("d", "two", ()))
            await trio.lowlevel.checkpoint()
            return {"c": {"three": (1,)}, "d": {"two": (2,), "three": (3,)}}

        watching._presence.by_worker = by_worker  # type: ignore[method-assign]
        request = sdkws_pb2.SubUserOnlineStatus(subscribeUserID=["c", "d"])
        tips = await a.call(Req.ONLINE_STATUS, request, sdkws_pb2.SubUserOnlineStatusTips)
        assert {e.userID: list(e.onlinePlatformIDs) for e in tips.subscribers} == {
            "c": [1, 5],
            "d": [3],
        }
        watching.on_change(PresenceChanged("c", "two", ()))
        with trio.fail_after(5):
            while True:
                [elem] = (await a.statuses.receive()).subscribers
                if list(elem.onlinePlatformIDs) == [1]:
                    break


async def test_who_just_connects_here_is_still_asked_for_elsewhere() -> None:
    world = World()
    async with (
        serving(world, GatewayConfig(), worker="one") as one,
        serving(world, GatewayConfig(), worker="two") as two,
        connected(two.port, login("b", 2)),
    ):
        user = await one.gateway.hub.hold("b")
        one.bus.channels.discard("u:b")  # not confirmed yet
        online = await one.gateway.presence.online(["b"])
        assert [c.platform for c in online["b"]] == [2]
        one.gateway.hub.release(user)
