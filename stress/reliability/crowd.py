"""The client processes: started, killed and started again, spoken to, and waited for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import attrs
import trio

from openim_trio.engines.child import wait_for_end
from stress.reliability.plan import Plan

WORDS = {"calm": b"calm\n", "stop": b"stop\n"}


@attrs.define(eq=False)
class _Child:
    plan: Path
    log: Path
    process: subprocess.Popen[bytes]
    away: bool = False
    """it was killed, and will be started again"""


class Crowd:
    """`directory`: where their plans and logs go."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._children: list[_Child] = []

    def __len__(self) -> int:
        return len(self._children)

    def start(self, plans: Sequence[Plan]) -> None:
        for number, plan in enumerate(plans):
            file = self._directory / f"process-{number}.plan"
            plan.write(file)
            log = self._directory / f"process-{number}.log"
            self._children.append(_Child(file, log, _start(file, log)))

    def say(self, word: str) -> None:
        for child in self._children:
            _say(child.process, word)

    def kill(self, number: int) -> None:
        child = self._children[number]
        child.away = True
        _kill(child.process)

    def start_again(self, number: int) -> None:
        child = self._children[number]
        child.process = _start(child.plan, child.log)
        child.away = False

    def dead(self) -> list[str]:
        """Which ended by themselves, not as they should: with a code and the end of the log."""
        return [
            f"{child.log.name}: {child.process.returncode}: {_last_lines(child.log)}"
            for child in self._children
            if not child.away and child.process.poll()
        ]

    async def ended(self, seconds: float) -> list[str]:
        """Wait until all have; what is wrong with those that have not, which are killed."""
        with trio.move_on_after(seconds):
            for child in self._children:
                while child.process.poll() is None:
                    await wait_for_end(child.process.pid)
        late = [child.log.name for child in self._children if child.process.poll() is None]
        self.kill_all()
        return [f"{name}: did not end within {seconds:.0f} s" for name in late]

    def kill_all(self) -> None:
        for child in self._children:
            _kill(child.process)


def _start(plan: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "stress.reliability.people", str(plan)],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            process_group=0,  # Ctrl-C is for the harness
        )


def _say(process: subprocess.Popen[bytes], word: str) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(WORDS[word])
    except BrokenPipeError:
        return  # `dead` and `ended` see it


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _last_lines(log: Path) -> str:
    return " | ".join(log.read_text(errors="replace").splitlines()[-8:])
