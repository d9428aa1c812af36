"""Where `openim-trio chat` prints and reads: what it needs of a terminal, and the plain form for
pipes and files."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol, TextIO

import trio

from openim_trio.cli.chat_feed import View
from openim_trio.cli.chat_lines import Line, problem

LONGEST_LINE = 256 * 1024
"""bytes; a longer one is no message that a server takes"""
READ_BYTES = 64 * 1024

Typed = Callable[[], None]


class Screen(Protocol):
    """interactive   a person sits there: what is on the way is shown in place, many missed messages
                  are cut short
    linger        seconds that sends get for their end when the input has ended
    """

    interactive: bool
    linger: float

    def print(self, line: Line) -> None:
        """For good, above what stands below."""
        ...

    def update(self, view: View) -> None:
        """What stands below."""
        ...

    async def read(self, lines: trio.MemorySendChannel[str], typing: Typed) -> None:
        """Put each line into `lines` until the input ends; `typing` is called when something is
        typed.  Cancelling it leaves the terminal as it was."""
        ...


class PlainScreen:
    """Lines in, lines out; nothing in place."""

    interactive = False
    linger = 10.0

    def __init__(self, source: TextIO, out: TextIO) -> None:
        """`source`: whose descriptor is read; it may be of a pipe or a file."""
        self._source = source
        self._out = out

    def print(self, line: Line) -> None:
        self._out.write(line.text + "\n")
        self._out.flush()

    def update(self, view: View) -> None:
        pass

    async def read(self, lines: trio.MemorySendChannel[str], typing: Typed) -> None:
        source = self._source.fileno()
        rest = b""
        while True:
            # Not sys.stdin: an abandoned thread would hold its lock, and the interpreter's end
            # waits for that.
            more = await trio.to_thread.run_sync(
                os.read, source, READ_BYTES, abandon_on_cancel=True
            )
            *whole, rest = (rest + more).split(b"\n")
            for item in whole if more else [*whole, rest]:
                await lines.send(item.removesuffix(b"\r").decode(errors="replace"))
            if not more:
                return
            if len(rest) > LONGEST_LINE:
                self.print(problem(f"input: a line is longer than {LONGEST_LINE:,} bytes"))
                return
