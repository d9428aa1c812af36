"""A user's file: its name, its lock, and the checks before anything is done with it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote

import attrs

from openim_trio.client.database import schema
from openim_trio.client.database.failures import corrupt, database_failure
from openim_trio.client.errors import DatabaseInUse, DatabaseTooNew

BUSY_MS = 5_000
"""how long a statement waits for a program that holds the file, an administrator's shell perhaps"""
LARGEST_WAL = 16 * 1024 * 1024
"""bytes: a longer write-ahead log is cut back once it is empty"""
_LONGEST_NAME = 64
_HASH_SIZE = 8


def database_path(data_dir: Path, user_id: str) -> Path:
    """The file of a user: readable, and another one for each ID, also where file names don't
    tell upper from lower case, or must not be long."""
    readable = quote(user_id, safe="", errors="surrogatepass")[:_LONGEST_NAME]
    digest = blake2b(user_id.encode(errors="surrogatepass"), digest_size=_HASH_SIZE).hexdigest()
    return Path(data_dir) / f"{readable}-{digest}.db"


@attrs.define
class OpenFiles:
    """The lock's descriptor and two connections: one writes, one only reads."""

    lock: int
    writer: sqlite3.Connection
    reader: sqlite3.Connection

    def close(self) -> None:
        try:
            # The writer last: the last one to close empties the write-ahead log.
            self.reader.close()
            self.writer.close()
        finally:
            os.close(self.lock)


def open_files(path: Path) -> OpenFiles:
    """Raises DatabaseError; then nothing stays open."""
    try:
        _make_directory(path.parent)
        lock = _take_lock(path)
        try:
            return _open_locked(path, lock)
        except BaseException:
            os.close(lock)
            raise
    except (OSError, sqlite3.Error) as error:
        raise database_failure(path, error) from error


def connect_read_only(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        timeout=BUSY_MS / 1000,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _make_directory(directory: Path) -> None:
    """Such that it survives a power failure, like what is put into it."""
    new = [place for place in (directory, *directory.parents) if not place.exists()]
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for place in new:
        parent = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)


def _take_lock(path: Path) -> int:
    # The lock file stays: removing it could let two processes lock two files of one name.
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    except BlockingIOError:
        holder = os.pread(lock, 32, 0).strip()
        os.close(lock)
        raise DatabaseInUse(str(path), int(holder) if holder.isdigit() else 0) from None
    except BaseException:
        os.close(lock)
        raise
    return lock


def _open_locked(path: Path, lock: int) -> OpenFiles:
    # SQLite gives its other files the same mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    _check(path)
    with _closed_on_error(_connect(path)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute(f"PRAGMA journal_size_limit = {LARGEST_WAL}")
        writer.execute("PRAGMA foreign_keys = ON")
        writer.execute("PRAGMA secure_delete = ON")
        writer.execute("PRAGMA synchronous = FULL")
        schema.migrate(writer)
        with _closed_on_error(connect_read_only(path)) as reader:
            reader.execute("SELECT 1 FROM meta LIMIT 1").fetchone()
            return OpenFiles(lock, writer, reader)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _check(path: Path) -> None:
    """With a connection that cannot change a thing: not even empty a write-ahead log into a
    damaged file."""
    with closing(connect_read_only(path)) as connection:
        version = schema.version_of(connection)
        if not schema.is_ours(connection):
            raise corrupt(path, "it holds another program's tables")
        if version > schema.VERSION:
            raise DatabaseTooNew(
                str(path),
                f"has version {version} and this library knows {schema.VERSION}: "
                "it was written by a later one, use that",
            )
        (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if finding != "ok":
            raise corrupt(path, str(finding).replace("\n", " "))


@contextmanager
def _closed_on_error(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    try:
        yield connection
    except BaseException:
        connection.close()
        raise
