"""The data directory: one running program at a time.

secret        the made token secret                (config.secret)
lock          flock of the supervisor, its pid
mongo/ redis/ the embedded engines' files
run/          the workers' sockets
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from openim_trio.engines.errors import EngineError

LOCK_FILE = "lock"


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[Path]:
    """Hold the directory (made if it is missing); yields its absolute path.

    Raises EngineError when another process holds it or it cannot be written.  The kernel ends the
    lock with the process, however that ends."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = directory.resolve()
        fd = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EngineError(f"data directory {directory}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
            raise EngineError(
                f"data directory {path} is in use by process {holder}; "
                "stop that one, or give this one its own --data-dir"
            ) from error
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield path
    finally:
        os.close(fd)


def private_directory(path: Path) -> Path:
    """Make it if it is missing; nobody else may look into it."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.chmod(0o700)
    return path


def write_private(path: Path, text: str) -> None:
    """Replace a file at one stroke, mode 0600."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_state(path: Path) -> dict[str, Any]:
    """The JSON object that `write_state` left; empty when there is none.

    Raises EngineError when the file is damaged."""
    try:
        state = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise EngineError(f"{path} cannot be read: {error}") from error
    if not isinstance(state, dict):
        raise EngineError(f"{path} is damaged")
    return state


def write_state(path: Path, state: Mapping[str, object]) -> None:
    write_private(path, json.dumps(state) + "\n")
