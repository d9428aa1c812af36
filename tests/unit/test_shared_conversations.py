"""User IDs may hold underscores, so two pairs can have one conversation ID: a and b_c, a_b and c.
What is shown again must not go to the other pair."""

from __future__ import annotations

import pytest
import trio

from openim_trio.config.model import GatewayConfig
from tests.support.client import WireClient, connected, text_message
from tests.support.gateway_fakes import World, login, serving


async def shown(client: WireClient) -> list[tuple[int, str]]:
    found = []
    with trio.move_on_after(0.5):
        while True:
            _, message = await client.next_push()
            found.append((message.seq, message.sendID))
    return found


@pytest.mark.parametrize("lost", [False, True])
async def test_a_filled_gap_holds_only_ones_own_messages(lost: bool) -> None:
    world = World()
    async with (
        serving(world, GatewayConfig()) as served,
        connected(served.port, login("a")) as a,
        connected(served.port, login("c")) as c,
    ):
        world.say(text_message("b_c", "a"))
        await a.next_push()
        world.say(text_message("a_b", "c", "for c only"))
        await c.next_push()
        if lost:
            served.bus.lose()
        world.say(text_message("b_c", "a"))
        if lost:
            world.say(text_message("a_b", "c", "for c only"))
            served.bus.restore()
        assert await shown(a) == [(3, "b_c")]
        assert all(sender == "a_b" for _, sender in await shown(c))
