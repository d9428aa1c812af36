"""When dead workers are started again."""

from __future__ import annotations

import random

from openim_trio.process.restarts import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    LOOP_DEATHS,
    WINDOW,
    Restarts,
)


def test_pauses_double_and_have_a_limit() -> None:
    restarts = Restarts(random.Random(1))
    for number in range(20):
        expected = min(FIRST_PAUSE * 2**number, LONGEST_PAUSE)
        pause = restarts.died(float(number) / 100)
        assert 0.75 * expected <= pause <= 1.25 * expected


def test_a_crash_loop_is_so_many_deaths_within_the_window() -> None:
    restarts = Restarts(random.Random(1))
    for number in range(LOOP_DEATHS - 1):
        restarts.died(float(number))
        assert not restarts.looping(float(number))
    restarts.died(10.0)
    assert restarts.looping(10.0)
    assert restarts.looping(WINDOW)
    assert not restarts.looping(10.0 + WINDOW)


def test_deaths_far_apart_start_anew() -> None:
    restarts = Restarts(random.Random(1))
    for number in range(100):
        assert restarts.died(number * (WINDOW + 1)) <= FIRST_PAUSE * 1.25
        assert not restarts.looping(number * (WINDOW + 1))
