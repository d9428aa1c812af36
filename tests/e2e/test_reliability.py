"""The reliability test in short: clients of their own processes write to each other, come and go,
and nothing is lost, doubled, out of order or without an end.  `nox -s reliability` is the long one.
"""

from __future__ import annotations

import json
from pathlib import Path

import attrs
from stress.reliability import report
from stress.reliability.__main__ import run_and_report
from stress.reliability.result import Result
from stress.reliability.settings import QUICK

FAULTS = ("worker-kill", "redis-empty", "client-kill", "proxy-cut-before-ack")


def quick(out: Path, **given: object) -> Result:
    settings = attrs.evolve(QUICK, **given)
    return run_and_report(settings, out, "pytest", keep=False)


def check(result: Result, out: Path) -> None:
    assert not result.differences, report.text(result)
    counts = result.ledger.counts
    assert counts.sent + counts.failed == QUICK.messages
    assert counts.sent > 0
    assert result.comparison.rows >= counts.sent
    told = json.loads((out / "report.json").read_text())
    assert told["messages"]["acknowledged"] == counts.sent
    assert "<svg" in (out / "report.html").read_text()


def test_people_come_and_go(tmp_path: Path) -> None:
    result = quick(tmp_path, seed=1)
    check(result, tmp_path)
    counts = result.ledger.counts
    assert counts.connections > QUICK.clients, "they came back"
    assert counts.offline > 0


def test_things_break_meanwhile(tmp_path: Path) -> None:
    result = quick(tmp_path, seed=2, faults=FAULTS)
    check(result, tmp_path)
    assert sorted(happened.name for happened in result.happened) == sorted(FAULTS)
    lives = sum(person.lives for person in result.ledger.people.values())
    assert lives > QUICK.clients, "a process was killed and came back"
