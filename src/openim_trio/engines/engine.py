"""What the start, watch and stop of any embedded engine need to know of it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Engine(Protocol):
    name: str
    binary: Path
    directory: Path
    """its files, private"""
    port: int

    def use_port(self, port: int) -> None:
        """Take this port from now on (only before the first start)."""
        ...

    def command(self) -> list[str]:
        """Write what it reads at start; give the command line, which names `directory`."""
        ...

    async def is_ready(self) -> bool:
        """Does it answer, and can it be used?  False: not yet.  Never raises for that."""
        ...

    def recover(self, output: str) -> bool:
        """It ended while starting.  True: something was repaired, try again."""
        ...

    def details(self) -> str:
        """The end of its own log."""
        ...
