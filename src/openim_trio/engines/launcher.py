"""Becomes an engine: asks the kernel to end it with its parent, writes its pid, executes.

    python -I -S launcher.py PARENT_PID PID_FILE PROGRAM [ARGUMENT…]

A process of its own because code between fork and exec is not safe in a program with threads.
The kernel sends the signal when the parent's *thread* ends, so it must be started from the main
thread (`engines.child` does).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, pid_file, *command = sys.argv[1:]
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):
        sys.exit("the parent has ended")
    fd = os.open(pid_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(fd, b"%d\n" % os.getpid())
    os.close(fd)
    os.execv(command[0], command)  # noqa: S606  no shell is wanted


if __name__ == "__main__":
    main()
