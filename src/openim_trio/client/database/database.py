"""A user's database: transactions in a thread, many writes in one.

SQLite blocks, and what makes a write last is waiting for the disk.  So writes that are waiting at
the same time are committed together, by whichever task came first: it takes all that waits to a
thread, and when it comes back, the first of those that came meanwhile does the same.  No background
task is needed.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import attrs
import trio

from openim_trio.client.database.failures import concerns_one_statement, database_failure
from openim_trio.client.database.opening import OpenFiles, database_path, open_files
from openim_trio.client.database.rescue import rescue_sends
from openim_trio.client.errors import DatabaseError

__all__ = ["Database", "database_path", "rescue_sends"]

WAITING_WRITES = 1_000
"""beyond them a writer waits for room"""

T = TypeVar("T")


@attrs.define(eq=False)
class _Write:
    """An operation, and what became of it.

    turn     set when it is done, or when its task is to lead
    leads    its task takes all that waits to the thread
    failure  raised by `op`, or by the transaction that it was in
    """

    op: Callable[[sqlite3.Connection], Any]
    durable: bool
    turn: trio.Event = attrs.field(factory=trio.Event)
    leads: bool = False
    result: Any = None
    failure: BaseException | None = None


class Database:
    """Open it with `Database.open`."""

    def __init__(self, path: Path, files: OpenFiles, *, threads: bool) -> None:
        self.path = path
        self._files = files
        self._threads = threads
        self._writing = trio.CapacityLimiter(1)
        self._reading = trio.CapacityLimiter(1)
        self._room = trio.Semaphore(WAITING_WRITES)
        self._waiting: deque[_Write] = deque()
        self._led = False
        self._at_rest = trio.Event()
        self._synchronous = "FULL"
        self._closed = False

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, *, threads: bool = True) -> AsyncIterator[Database]:
        """Create the file (0600) and its directory (0700) where there is none, lock, check and
        migrate it.

        Raises DatabaseInUse, DatabaseCorrupt, DatabaseTooNew, DatabaseFull or DatabaseError.  With
        threads=False everything runs in the calling task: for simulated time, which must not pass
        while a thread works.
        """
        path = Path(path)
        await trio.lowlevel.checkpoint()
        files = await trio.to_thread.run_sync(open_files, path) if threads else open_files(path)
        database = cls(path, files, threads=threads)
        try:
            yield database
        finally:
            with trio.CancelScope(shield=True):
                await database._close()

    async def write(self, op: Callable[[sqlite3.Connection], T], *, durable: bool = False) -> T:
        """Run `op` in a transaction, in a thread; return its result when that has committed.

        It shares the transaction with others that wait at the same time, but whatever it raises
        undoes and fails `op` only.  `op` must neither begin nor end transactions.  durable=True:
        committed means that it survives a power failure; else, that it survives this process.

        Raises what `op` raises; DatabaseFull, DatabaseCorrupt or DatabaseError where SQLite fails:
        then nothing of the transaction was kept.  A later call tries anew.  Cancelled while it
        waits, `op` may have been committed or not; never half.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        write = _Write(op, durable)
        async with self._room:
            self._require_open()
            self._waiting.append(write)
            if self._led:
                try:
                    await write.turn.wait()
                except trio.Cancelled:
                    self._leave(write)
                    raise
            else:
                self._led = write.leads = True
            if write.leads:
                await self._lead()
        if isinstance(write.failure, sqlite3.Error):
            raise database_failure(self.path, write.failure) from write.failure
        if write.failure is not None:
            raise write.failure
        result: T = write.result
        return result

    async def read(self, op: Callable[[sqlite3.Connection], T]) -> T:
        """Run `op` in a read-only transaction that sees everything committed before the call.

        Raises what `op` raises; DatabaseCorrupt or DatabaseError where SQLite fails.
        """
        return await self._hop(lambda: self._read(op), self._reading)

    # -- taking turns ------------------------------------------------------------------------------

    async def _lead(self) -> None:
        """Commit all that waits, then hand over to the first of those that came meanwhile.  Not
        cancelled: the others depend on it."""
        batch: list[_Write] = []
        try:
            with trio.CancelScope(shield=True):
                await trio.lowlevel.checkpoint()  # others of this moment shall be in the batch
                batch.extend(self._waiting)
                self._waiting.clear()
                await self._hop(lambda: self._commit(batch), self._writing)
        except BaseException as error:
            # No thread, or an interrupt: nothing was committed.
            for write in batch:
                write.failure = write.failure or DatabaseError(str(self.path), repr(error))
            if not isinstance(error, Exception):
                raise
        finally:
            for write in batch:
                write.turn.set()
            self._hand_over()

    def _leave(self, write: _Write) -> None:
        """Its task was cancelled."""
        if write in self._waiting:
            self._waiting.remove(write)
        if write.leads:
            self._hand_over()

    def _hand_over(self) -> None:
        if self._waiting:
            first = self._waiting[0]
            first.leads = True
            first.turn.set()
        else:
            self._led = False
            self._at_rest.set()

    async def _hop(self, work: Callable[[], T], limiter: trio.CapacityLimiter) -> T:
        if self._threads:
            return await trio.to_thread.run_sync(work, limiter=limiter)
        await trio.lowlevel.checkpoint()
        return work()

    async def _close(self) -> None:
        """When those that wait already have had their turn."""
        self._closed = True
        if self._led:
            self._at_rest = trio.Event()
            await self._at_rest.wait()
        await self._hop(self._files.close, self._reading)

    def _require_open(self) -> None:
        if self._closed:
            raise DatabaseError(str(self.path), "is closed")

    # -- in the thread -----------------------------------------------------------------------------

    def _commit(self, batch: list[_Write]) -> None:
        """One transaction; when it fails, all of it."""
        connection = self._files.writer
        try:
            self._set_synchronous("FULL" if any(write.durable for write in batch) else "NORMAL")
            connection.execute("BEGIN IMMEDIATE")
            for write in batch:
                _run(connection, write)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            for write in batch:
                write.failure = write.failure or error
        finally:
            _roll_back(connection)

    def _set_synchronous(self, mode: str) -> None:
        # Not possible inside a transaction.
        if mode != self._synchronous:
            self._files.writer.execute(f"PRAGMA synchronous = {mode}")
            self._synchronous = mode

    def _read(self, op: Callable[[sqlite3.Connection], T]) -> T:
        self._require_open()
        connection = self._files.reader
        try:
            connection.execute("BEGIN")
            try:
                return op(connection)
            finally:
                _roll_back(connection)
        except sqlite3.Error as error:
            raise database_failure(self.path, error) from error


def _run(connection: sqlite3.Connection, write: _Write) -> None:
    """In a savepoint.  Raises what concerns the whole transaction."""
    connection.execute("SAVEPOINT op")
    try:
        write.result = write.op(connection)
    except Exception as error:
        if not concerns_one_statement(error):
            raise
        write.failure = error
        # Where SQLite has ended the transaction on its own, this raises.
        connection.execute("ROLLBACK TO op")
    connection.execute("RELEASE op")


def _roll_back(connection: sqlite3.Connection) -> None:
    """What is not committed.  If that fails: it is gone in any case, and what went wrong is known
    already."""
    if connection.in_transaction:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
