"""Bad days by number: a fixed range of them with every run of the tests."""

from __future__ import annotations

from functools import partial

import pytest

from tests.simulation.appending import appending
from tests.simulation.runs import STORIES, course_of, first_wrong, report
from tests.simulation.weakened import TAKEN_OUT

SEEDS = {"append": 400, "chat": 60}
AT_A_TIME = 20
BUDGET = 400
"""courses within which each missing condition must be found"""
RARE = {"C2", "C13"}
"""it takes longer to come upon these: tests/integration/test_append_conditions.py plays them"""


@pytest.mark.parametrize(
    ("story", "first"),
    [(s, first) for s, count in SEEDS.items() for first in range(0, count, AT_A_TIME)],
)
def test_promises_are_kept(story: str, first: int) -> None:
    course = first_wrong(STORIES[story], range(first, first + AT_A_TIME))
    assert course is None, report(story, course)


@pytest.mark.parametrize("story", list(STORIES))
def test_one_seed_is_one_course(story: str) -> None:
    one, other = (course_of(STORIES[story], 3) for _ in range(2))
    assert len(one.trace.lines) > 20
    assert one.trace.digest == other.trace.digest
    assert course_of(STORIES[story], 4).trace.digest != one.trace.digest


@pytest.mark.parametrize("condition", sorted(TAKEN_OUT.keys() - RARE))
def test_a_missing_condition_is_found(condition: str) -> None:
    weakened = partial(appending, weakening=TAKEN_OUT[condition])
    assert first_wrong(weakened, range(BUDGET)) is not None
