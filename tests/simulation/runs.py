"""Courses by number, for tests and for the command line."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import MappingProxyType

from tests.simulation.appending import appending
from tests.simulation.chatting import chatting
from tests.simulation.determinism import Course, simulate

Main = Callable[[Course], Awaitable[None]]

STORIES: Mapping[str, Main] = MappingProxyType({"append": appending, "chat": chatting})


def course_of(main: Main, seed: int, *, echo: bool = False) -> Course:
    """What `main` raises counts as wrong."""
    course = Course.of(seed, echo=echo)
    try:
        simulate(main, course)
    except Exception as error:
        course.wrong.append("".join(traceback.format_exception(error)))
    return course


def first_wrong(main: Main, seeds: Iterable[int]) -> Course | None:
    """The first course in which something went wrong."""
    for seed in seeds:
        course = course_of(main, seed)
        if course.wrong:
            return course
    return None


def report(story: str, course: Course) -> str:
    """What went wrong, and how to see it again."""
    found = "\n".join(f"  {text}" for text in course.wrong)
    repeat = f"python -m tests.simulation {story} --seed {course.seed} --trace"
    return f"{story}, seed {course.seed}:\n{found}\nsee it again: {repeat}"
