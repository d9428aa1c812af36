"""What is going on, on the terminal: a bar that is redrawn, or a line now and then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from stress.reliability.run import State

LINE_EVERY = 10.0


def words(state: State) -> str:
    counts = state.counts
    found = [
        f"queued {counts.queued:,}",
        f"acked {counts.sent:,}",
        f"received {counts.arrived:,}",
        f"failed {counts.failed:,}",
        f"unknown {counts.unknown:,}",
        f"online {state.online}/{state.people}",
    ]
    if state.differences:
        found.append(f"DIFFERENCES {state.differences:,}")
    return "  ".join([*found, *(f"[{name}]" for name in state.current)])


@contextmanager
def shown(console: Console) -> Iterator[Callable[[State], None]]:
    """Call what it yields with each new state."""
    if console.is_terminal:
        with _bar(console) as show:
            yield show
    else:
        yield _Lines(console).show


@contextmanager
def _bar(console: Console) -> Iterator[Callable[[State], None]]:
    """How many sends are over, and below it the rest in words."""
    bar = Progress(
        TextColumn("{task.fields[phase]:8}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        expand=True,
    )
    task = bar.add_task("", total=None, phase="starting")
    with Live(bar, console=console, refresh_per_second=4) as live:

        def show(state: State) -> None:
            done = state.counts.ended
            bar.update(task, total=state.total, completed=done, phase=state.phase)
            live.update(Group(bar, Text(words(state))))

        yield show


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = 0.0

    def show(self, state: State) -> None:
        if state.at >= self._next:
            self._next = state.at + LINE_EVERY
            line = f"{state.at:6.0f} s  {state.phase:8} {words(state)}"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
