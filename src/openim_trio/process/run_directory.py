"""`<data_dir>/run`: one Unix socket for each worker, through which workers ask each other."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from openim_trio.engines.data_directory import private_directory

_SUFFIX = ".sock"
_LONGEST_ADDRESS = 100
"""bytes; the kernel takes 107"""


def clean(data_dir: Path) -> None:
    """Remove what a killed run left.  The caller holds the directory's lock."""
    for path in private_directory(data_dir / "run").iterdir():
        path.unlink(missing_ok=True)


class RunDirectory:
    """Addresses by worker; short ones, however long the directory's path is."""

    def __init__(self, data_dir: Path) -> None:
        self.path = private_directory(data_dir / "run")
        self._fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self._fd)

    def workers(self) -> list[str]:
        return sorted(path.stem for path in self.path.iterdir() if path.suffix == _SUFFIX)

    def address(self, worker: str) -> str:
        full = str(self.path / f"{worker}{_SUFFIX}")
        if len(os.fsencode(full)) <= _LONGEST_ADDRESS:
            return full
        return f"/proc/self/fd/{self._fd}/{worker}{_SUFFIX}"

    def remove(self, worker: str) -> None:
        (self.path / f"{worker}{_SUFFIX}").unlink(missing_ok=True)


@contextlib.contextmanager
def run_directory(data_dir: Path) -> Iterator[RunDirectory]:
    directory = RunDirectory(data_dir)
    try:
        yield directory
    finally:
        directory.close()
