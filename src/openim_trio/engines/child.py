"""One engine process: start, wait, stop, and what an earlier run left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog
import trio

from openim_trio.config.sources import without_settings
from openim_trio.engines import launcher

_log = structlog.get_logger()
_POLL = 0.05
_OUTPUT_TAIL = 16 * 1024


class Child:
    """A running engine.  Its output (little: it logs to a file) goes to `output`."""

    def __init__(self, name: str, command: Sequence[str], pid_file: Path, output: Path) -> None:
        """Start it.  Call from the main thread (see `launcher`)."""
        self.name = name
        self._pid_file = pid_file
        self._output = output
        with output.open("wb") as sink:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-I", "-S", launcher.__file__, str(os.getpid()), str(pid_file),
                 *command],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                cwd=output.parent,
                env=without_settings(os.environ),
                start_new_session=True,  # a terminal's ^C is for the supervisor alone
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def said(self) -> str:
        """The end of what it printed."""
        data = self._output.read_bytes()
        return data[-_OUTPUT_TAIL:].decode(errors="replace").strip()

    async def wait(self) -> int:
        while (code := self._process.poll()) is None:
            await wait_for_end(self._process.pid)
        return code

    async def stop(self, timeout: float) -> None:
        """SIGTERM, then after `timeout` seconds SIGKILL.  Not cancellable: it must not be left."""
        with trio.CancelScope(shield=True):
            if self._process.poll() is None:
                self._process.terminate()
            with trio.move_on_after(timeout) as scope:
                await self.wait()
            if scope.cancelled_caught:
                _log.warning("engine_killed", engine=self.name, pid=self.pid, after=timeout)
                self._process.kill()
                await self.wait()
        self._pid_file.unlink(missing_ok=True)


async def wait_for_end(pid: int) -> None:
    """Wait until the process (a child or not) has ended, or a poll interval where the kernel
    cannot tell."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):
        await trio.sleep(_POLL)
        return
    try:
        await trio.lowlevel.wait_readable(fd)
    finally:
        os.close(fd)


async def end_left_behind(name: str, pid_file: Path, directory: Path, timeout: float) -> None:
    """Stop the engine of a run that was killed, if it still runs on our files."""
    pid = _recorded_pid(pid_file)
    if pid is not None and _is_ours(pid, directory):
        _log.warning("engine_left_behind", engine=name, pid=pid)
        _signal(pid, signal.SIGTERM)
        with trio.move_on_after(timeout) as scope:
            await _gone(pid, directory)
        if scope.cancelled_caught:
            _log.warning("engine_killed", engine=name, pid=pid, after=timeout)
            _signal(pid, signal.SIGKILL)
            await _gone(pid, directory)


async def _gone(pid: int, directory: Path) -> None:
    while _is_ours(pid, directory):
        await wait_for_end(pid)
        await trio.lowlevel.checkpoint()


def _recorded_pid(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text())
    except (OSError, ValueError):
        return None


def _is_ours(pid: int, directory: Path) -> bool:
    """Pids are used again: only a command line that names our directory is ours.

    A process that has ended but is not yet reaped has an empty command line."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    ours = os.fsencode(directory)
    return any(word == ours or word.startswith(ours + b"/") for word in words)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
