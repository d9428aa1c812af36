"""A replica set of three whose replication can be held and whose primary can go."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import attrs
import pymongo
from pymongo.errors import OperationFailure, PyMongoError

from tests.support import engines

NAME = "rs"


@attrs.define
class ReplicaSet:
    uri: str
    directory: Path
    members: dict[int, subprocess.Popen[bytes]]
    primary: int
    """port"""

    def hold_replication(self) -> None:
        """The secondaries fetch nothing from now on; they stay in touch with the primary."""
        self._on_secondaries("alwaysOn")

    def fail_over(self) -> None:
        """The primary dies with what it alone had; another member takes over."""
        dead = self.members.pop(self.primary)
        dead.kill()
        dead.wait()
        self._on_secondaries("off")
        self.primary = primary_of(list(self.members))

    def step_down(self) -> None:
        """The primary becomes a secondary and another member takes over."""
        deadline = time.monotonic() + 60
        with _direct(self.primary) as client:
            while client.admin.command("hello").get("isWritablePrimary"):
                try:
                    client.admin.command("replSetStepDown", 20, secondaryCatchUpPeriodSecs=5)
                except OperationFailure:  # nobody has caught up
                    if time.monotonic() > deadline:
                        raise
        self.primary = primary_of([port for port in self.members if port != self.primary])

    def kill_primary(self) -> int:
        """It dies; returns its port when another member has taken over."""
        port = self.primary
        _kill(self.members.pop(port))
        self.primary = primary_of(list(self.members))
        return port

    def freeze_primary(self) -> int:
        """It stops running but its sockets stay open; returns its port when another member has
        taken over."""
        port = self.primary
        self.members[port].send_signal(signal.SIGSTOP)
        self.primary = primary_of([other for other in self.members if other != port])
        return port

    def thaw(self, port: int) -> None:
        self.members[port].send_signal(signal.SIGCONT)

    def start(self, port: int) -> None:
        """A member that was killed comes back with its data."""
        self.members[port] = _start(self.directory, port)

    def _on_secondaries(self, mode: str) -> None:
        for port in self.members:
            if port != self.primary:
                with _direct(port) as client:
                    client.admin.command("configureFailPoint", "stopReplProducer", mode=mode)


def _start(directory: Path, port: int) -> subprocess.Popen[bytes]:
    options = ("--setParameter", "enableTestCommands=1")
    return engines.start_mongod(directory / str(port), port, NAME, *options)


def _direct(port: int) -> pymongo.MongoClient[dict[str, Any]]:
    return pymongo.MongoClient(
        "127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=2000
    )


def primary_of(ports: list[int]) -> int:
    """Wait for a member that takes majority writes."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for port in ports:
            try:
                with _direct(port) as client:
                    if client.admin.command("hello").get("isWritablePrimary"):
                        concern = pymongo.WriteConcern("majority", wtimeout=2000)
                        probe = client.get_database("probe", write_concern=concern)
                        probe["probe"].insert_one({})
                        return port
            except PyMongoError:
                continue
        time.sleep(0.1)
    raise TimeoutError("no primary")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """A primary that is asked to stop would first wait for its secondaries."""
    process.kill()
    process.wait()


def _kill_all(members: dict[int, subprocess.Popen[bytes]]) -> None:
    for process in members.values():
        _kill(process)


@contextmanager
def replica_set_of_three() -> Iterator[ReplicaSet]:
    with ExitStack() as stack:
        directory = stack.enter_context(engines.temporary_directory())
        members: dict[int, subprocess.Popen[bytes]] = {}
        stack.callback(_kill_all, members)
        for _ in range(3):
            port = engines.free_port()
            members[port] = _start(directory, port)
        ports = list(members)
        engines.initiate(ports, NAME)
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        uri = f"mongodb://{hosts}/?replicaSet={NAME}"
        yield ReplicaSet(uri, directory, members, primary_of(ports))
