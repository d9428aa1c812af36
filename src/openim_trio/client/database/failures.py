"""What SQLite says, as the SDK's errors."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from openim_trio.client.errors import DatabaseCorrupt, DatabaseError, DatabaseFull

_PRIMARY = 0xFF
"""an extended result code's lower byte is the primary one"""
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_NO_ROOM = frozenset({
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_DIR_FSYNC, sqlite3.SQLITE_IOERR_TRUNCATE, sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_SHMMAP,
})  # fmt: skip
_ONE_STATEMENT = frozenset({
    sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_RANGE,
})  # fmt: skip
_NO_ROOM_ERRNO = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def _code(error: BaseException) -> int:
    """SQLite's extended result code; 0 where Python's own code raised it."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0)


def is_corrupt(error: BaseException) -> bool:
    return _code(error) & _PRIMARY in _CORRUPT


def concerns_one_statement(error: BaseException) -> bool:
    """The statement is to blame, not the file: others in the same transaction may go on."""
    code = _code(error) & _PRIMARY
    return not isinstance(error, sqlite3.Error) or not code or code in _ONE_STATEMENT


def free_name(path: Path) -> Path:
    """Where a damaged file may be moved to."""
    place = path.with_name(f"{path.name}.damaged")
    number = 1
    while place.exists():
        number += 1
        place = path.with_name(f"{path.name}.damaged-{number}")
    return place


def corrupt(path: Path, finding: str) -> DatabaseCorrupt:
    aside = free_name(path)
    return DatabaseCorrupt(
        str(path),
        f"is damaged or no database of this library ({finding}). Nothing was changed. Move it to "
        f"{aside} (and {path.name}-wal, if there is one, to {aside.name}-wal) and log in again: "
        "messages come back from the server. Sends that were pending in it are lost, unless "
        f"rescue_sends({str(aside)!r}) still finds them",
    )


def database_failure(path: Path, error: sqlite3.Error | OSError) -> DatabaseError:
    """The SDK's error for one of SQLite's, or of the file system's."""
    if isinstance(error, OSError):
        reason = os.strerror(error.errno) if error.errno else str(error)
        if error.errno in _NO_ROOM_ERRNO:
            return _full(path, reason)
        return DatabaseError(str(path), f"cannot be opened: {reason}")
    if is_corrupt(error):
        return corrupt(path, str(error))
    if _code(error) in _NO_ROOM or _code(error) & _PRIMARY == sqlite3.SQLITE_FULL:
        return _full(path, str(error))
    return DatabaseError(str(path), f"{type(error).__name__}: {error}")


def _full(path: Path, reason: str) -> DatabaseFull:
    return DatabaseFull(
        str(path),
        f"cannot grow ({reason}). What was stored is intact; it goes on when there is room",
    )
