"""Bad days by number: a fixed range of them with every run of the tests.

In processes of their own, so that a seed means the same course everywhere.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation import weakened, weakened_client

ROOT = Path(__file__).parents[2]
SEEDS = {"append": 500, "chat": 200}
AT_A_TIME = {"append": 250, "chat": 50}
BUDGET = {"append": 2_000, "chat": 500}
"""courses within which each missing precaution must be found"""
RARE = {"C2", "C13"}
"""found within BUDGET, too, but late; tests/integration/test_append_conditions.py plays them"""


def simulation(*args: object) -> tuple[int, str]:
    """Exit code and output."""
    command = [sys.executable, "-m", "tests.simulation", *map(str, args)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("story", "first"),
    [(s, first) for s, seeds in SEEDS.items() for first in range(0, seeds, AT_A_TIME[s])],
)
def test_promises_are_kept(story: str, first: int) -> None:
    code, said = simulation(story, "--from-seed", first, "--count", AT_A_TIME[story])
    assert code == 0, said


def test_one_seed_is_one_course() -> None:
    courses = [simulation("--seed", seed) for seed in (3, 3, 4)]
    assert courses[0] == courses[1]
    assert courses[0] != courses[2]
    assert "course" in courses[0][1]


@pytest.mark.parametrize(
    ("story", "precaution"),
    [
        *[("append", name) for name in weakened.TAKEN_OUT if name not in RARE],
        *[("chat", name) for name in weakened_client.TAKEN_OUT],
    ],
)
def test_a_missing_precaution_is_found(story: str, precaution: str) -> None:
    code, said = simulation(story, "--without", precaution, "--count", BUDGET[story])
    assert code == 1, said
    assert "see it again" in said
    assert "Traceback" not in said
