"""Courses by number, for tests and for the command line."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import MappingProxyType

from tests.simulation import weakened, weakened_client
from tests.simulation.appending import appending
from tests.simulation.chatting import chatting
from tests.simulation.determinism import Course, simulate

HASH_SEED = "0"
"""PYTHONHASHSEED of processes that repeat a course: it decides on the order of sets"""

Main = Callable[[Course], Awaitable[None]]

STORIES: Mapping[str, Main] = MappingProxyType({"append": appending, "chat": chatting})


def without(precaution: str, main: Main) -> Main:
    """Of `weakened.TAKEN_OUT`, for the append pipeline, or `weakened_client.TAKEN_OUT`."""
    if precaution in weakened.TAKEN_OUT:
        return partial(appending, weakening=weakened.TAKEN_OUT[precaution])

    async def main_without(course: Course) -> None:
        with weakened_client.TAKEN_OUT[precaution]():
            await main(course)

    return main_without


def course_of(main: Main, seed: int, *, echo: bool = False) -> Course:
    """What `main` raises counts as wrong."""
    course = Course.of(seed, echo=echo)
    try:
        simulate(main, course)
    except Exception as error:
        course.wrong.append("".join(traceback.format_exception(error)))
    return course


def report(story: str, course: Course) -> str:
    """What went wrong, and how to see it again."""
    found = "\n".join(f"  {text}" for text in course.wrong)
    repeat = f"python -m tests.simulation {story} --seed {course.seed} --trace"
    return f"{story}, seed {course.seed}:\n{found}\nsee it again: {repeat}"
