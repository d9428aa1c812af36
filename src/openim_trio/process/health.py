"""Is this worker ready?  Both engines are asked, seldom and with a limit, however often it is
wanted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import structlog
import trio

from openim_trio.append.ports import SequencerUnavailable, StoreUnavailable

FRESH = 1.0
"""seconds that an answer is used again"""
PATIENCE = 2.0

_log = structlog.get_logger()
Ping = Callable[[], Awaitable[object]]


class HealthChecks:
    """`pings`: engine name -> a call that returns when the engine answers."""

    def __init__(self, pings: Mapping[str, Ping]) -> None:
        self._pings = pings
        self._problems: dict[str, str] = {}
        self._good_until = -1.0
        self._lock = trio.Lock()
        self._looping: tuple[int, ...] = ()
        self._draining = False

    def crash_loops(self, slots: tuple[int, ...]) -> None:
        """The supervisor says whose workers die again and again."""
        self._looping = slots

    def draining(self) -> None:
        self._draining = True

    async def engines(self) -> Mapping[str, str]:
        """Part -> what is wrong with it, "" if it is well.  Two engines always; a crash loop and a
        drain when there is one."""
        async with self._lock:  # who comes meanwhile gets the same answer
            if trio.current_time() >= self._good_until:
                await self._ask_all()
                self._good_until = trio.current_time() + FRESH
        found = dict(self._problems)
        if self._looping:
            slots = ", ".join(map(str, self._looping))
            found["workers"] = f"die again and again (slots {slots})"
        if self._draining:
            found["worker"] = "is draining"
        return found

    async def _ask_all(self) -> None:
        async with trio.open_nursery() as nursery:
            for name, ping in self._pings.items():
                nursery.start_soon(self._ask, name, ping)

    async def _ask(self, name: str, ping: Ping) -> None:
        problem = f"does not answer in {PATIENCE:g} s"
        with trio.move_on_after(PATIENCE):
            try:
                await ping()
                problem = ""
            except (SequencerUnavailable, StoreUnavailable) as error:
                problem = str(error) or "does not answer"
        if problem != self._problems.get(name, ""):
            _log.warning("engine_health", engine=name, problem=problem or "none any more")
        self._problems[name] = problem
