"""One seed, one course of events: trio's scheduler, chance, ids and the wall clock out of a number.

Inside `simulate` nothing waits for real time, and nothing differs between two runs of one seed, in
this process or another.  What the code under test logs as an error is collected: nothing that may
happen in a simulation is one.
"""

from __future__ import annotations

import hashlib
import os
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar
from unittest import mock

import attrs
import structlog
import trio
import trio._core._run
import trio.testing

START = 1_800_000_000_000
"""Unix ms at the beginning of every simulation"""
ERRORS = ("error", "critical", "exception")
MOST_STEPS = 100_000
"""of all tasks together, in one moment of simulated time: what needs more spins"""

T = TypeVar("T")


@attrs.define
class Trace:
    """What happened, line by line; `digest` tells whether two courses are the same."""

    lines: list[str] = attrs.field(factory=list)
    echo: bool = False

    def note(self, text: str) -> None:
        line = f"{trio.current_time():9.4f}  {text}"
        self.lines.append(line)
        if self.echo:
            print(line, flush=True)

    @property
    def digest(self) -> str:
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()


@attrs.define
class Course:
    """One simulation: its chances, its trace, its wall clock, and what went wrong.

    clock_offset  ms that the wall clock jumped, beside the time that went by
    at_step       is called after `steps_left` more steps of whatever tasks; 0: never
    scope         ends with the first thing that went wrong
    """

    seed: int
    rng: random.Random
    trace: Trace
    wrong: list[str] = attrs.field(factory=list)
    clock_offset: int = 0
    steps_left: int = 0
    at_step: Callable[[], None] = lambda: None
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    @classmethod
    def of(cls, seed: int, *, echo: bool = False) -> Course:
        return cls(seed, random.Random(seed), Trace(echo=echo))

    def now_ms(self) -> int:
        """The true time, Unix ms."""
        try:
            passed = trio.current_time()
        except RuntimeError:  # before trio runs, and after
            passed = 0.0
        return START + self.clock_offset + int(passed * 1000)

    def note(self, text: str) -> None:
        self.trace.note(text)

    def blame(self, text: str) -> None:
        self.wrong.append(text)
        self.trace.note(f"WRONG: {text}")
        self.scope.cancel()


def simulate(main: Callable[[Course], Awaitable[None]], course: Course) -> None:
    """Run `main` in simulated time, until something goes wrong.  What it raises is raised."""

    async def run() -> None:
        with course.scope:
            await main(course)

    with _deterministic(course):
        clock = trio.testing.MockClock(autojump_threshold=0)
        trio.run(run, clock=clock, instruments=[_Steps(course)])


class _Steps(trio.abc.Instrument):
    """Looks at each step of each task."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._moment = 0.0
        self._steps = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        course = self._course
        self._steps += 1
        if self._steps > MOST_STEPS:
            self._steps = 0
            now = trio.current_time()
            if now == self._moment:
                course.blame("it spins")
            self._moment = now
        if course.steps_left:
            course.steps_left -= 1
            if not course.steps_left:
                course.at_step()


@contextmanager
def _deterministic(course: Course) -> Iterator[None]:
    scheduler = trio._core._run
    chance = random.Random(f"ids of {course.seed}")
    states = random.getstate(), scheduler._r.getstate()

    def wall_ns() -> int:
        return course.now_ms() * 1_000_000

    with ExitStack() as stack:
        for target, name, fake in (
            (scheduler, "_ALLOW_DETERMINISTIC_SCHEDULING", True),
            (os, "urandom", chance.randbytes),
            (secrets, "token_bytes", lambda size=32: chance.randbytes(size)),
            (time, "time_ns", wall_ns),
            (time, "time", lambda: wall_ns() / 1e9),
        ):
            stack.enter_context(mock.patch.object(target, name, fake))
        stack.enter_context(_collected_errors(course))
        random.seed(course.seed)
        scheduler._r.seed(course.seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            scheduler._r.setstate(states[1])


@contextmanager
def _collected_errors(course: Course) -> Iterator[None]:
    def collect(_logger: Any, method: str, event: MutableMapping[str, Any]) -> Any:
        if method in ERRORS:
            course.blame(f"logged as an error: {event}")
        elif course.trace.echo:
            course.note(f"  log {event.pop('event')} {event}")
        raise structlog.DropEvent

    before = structlog.get_config()
    level = 0 if course.trace.echo else 40
    structlog.configure(
        processors=[structlog.processors.format_exc_info, collect],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)
