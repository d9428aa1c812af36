"""What an SDK touches, for processes that die: its files, and a REST that is away."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import trio

from openim_trio.client import client as client_module
from openim_trio.client.database import database as database_module
from openim_trio.client.database.opening import OpenFiles, open_files
from openim_trio.client.errors import NotConnected
from openim_trio.client.members import Members
from openim_trio.client.rest import Rest

if TYPE_CHECKING:
    from tests.simulation.devices import Device


class NoRest(Rest):
    """REST is away."""

    async def __aenter__(self) -> NoRest:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def members(self, path: str, body: Any) -> Members:
        await trio.lowlevel.checkpoint()
        raise NotConnected("simulated")


class MortalConnection:
    """An SQLite connection that dies with its process, perhaps around a commit."""

    def __init__(self, inner: sqlite3.Connection, device: Device) -> None:
        self._inner = inner
        self._device = device
        self._life = device.life

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        life, device = self._life, self._device
        if not life.alive:
            raise sqlite3.OperationalError("the process is dead")
        if sql == "COMMIT":
            return device.commit(life, lambda: self._inner.execute(sql))
        if sql == "BEGIN IMMEDIATE" and device.disk_full:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return self._inner.execute(sql, *args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@contextmanager
def simulated_devices(devices: Mapping[Path, Device]) -> Iterator[None]:
    """The SDK's REST and files are those of the simulation."""

    def open_mortal(path: Path) -> OpenFiles:
        files = open_files(path)
        device = devices[path]
        return OpenFiles(files.lock, MortalConnection(files.writer, device), files.reader)  # type: ignore[arg-type]

    with (
        mock.patch.object(client_module, "Rest", NoRest),
        mock.patch.object(database_module, "open_files", open_mortal),
    ):
        yield
