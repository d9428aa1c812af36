"""What /readyz is told."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from openim_trio.append.ports import StoreUnavailable
from openim_trio.process.health import FRESH, HealthChecks


class _Engine:
    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None
        self.hangs = False

    async def ping(self) -> None:
        self.asked += 1
        if self.hangs:
            await trio.sleep_forever()
        if self.error:
            raise self.error


@pytest.fixture
def engine() -> _Engine:
    return _Engine()


async def test_answers_are_used_again_for_a_while(
    engine: _Engine, mock_clock: trio.testing.MockClock
) -> None:
    health = HealthChecks({"mongo": engine.ping})
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(health.engines)
    assert engine.asked == 1
    engine.error = StoreUnavailable("no primary")
    assert await health.engines() == {"mongo": ""}
    mock_clock.jump(FRESH)
    assert await health.engines() == {"mongo": "no primary"}
    assert engine.asked == 2


async def test_an_engine_that_hangs_is_not_waited_for(
    engine: _Engine, autojump_clock: trio.testing.MockClock
) -> None:
    engine.hangs = True
    other = _Engine()
    health = HealthChecks({"mongo": engine.ping, "redis": other.ping})
    with trio.fail_after(10):
        assert await health.engines() == {"mongo": "does not answer in 2 s", "redis": ""}


async def test_crash_loops_and_draining_are_said(engine: _Engine) -> None:
    health = HealthChecks({"mongo": engine.ping})
    health.crash_loops((0, 2))
    assert await health.engines() == {"mongo": "", "workers": "die again and again (slots 0, 2)"}
    health.crash_loops(())
    health.draining()
    assert await health.engines() == {"mongo": "", "worker": "is draining"}
