"""The supervisor as a process, with fake workers."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

LIMIT = 30.0
SECRET = "a-secret-of-the-tests-own"


@attrs.frozen
class Running:
    process: subprocess.Popen[str]
    directory: Path
    ready: str

    def started(self, slot: int) -> list[tuple[str, int]]:
        """(worker, pid) of all that were started for the slot."""
        words = [line.split() for line in self.notes(slot) if line.startswith("start ")]
        return [(word[1], int(word[2])) for word in words]

    def notes(self, slot: int) -> list[str]:
        path = self.directory / f"{slot}.orders"
        return path.read_text().splitlines() if path.exists() else []

    def log(self) -> str:
        return (self.directory / "stderr").read_text()

    def ask(self) -> str:
        match = re.search(r"api=127\.0\.0\.1:(\d+)", self.ready)
        assert match
        with socket.create_connection(("127.0.0.1", int(match[1])), timeout=LIMIT) as sock:
            return sock.recv(100).decode()

    def rest_of_stdout(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.read()


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except OSError:
        return False


def start(mode: str, directory: Path, **settings: str) -> subprocess.Popen[str]:
    elsewhere = {"MONGO__URI": "mongodb://elsewhere", "REDIS__URL": "redis://elsewhere"}
    given = {
        "AUTH__SECRET": SECRET, "DATA_DIR": str(directory), "WORKERS": "2",
        "GATEWAY__PORT": "0", "API__PORT": "0", **elsewhere, **settings,
    }  # fmt: skip
    environ = {**os.environ, **{f"OPENIM_TRIO_{key}": value for key, value in given.items()}}
    with (directory / "stderr").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.support.fake_server", mode],
            stdout=subprocess.PIPE, stderr=log, text=True, env=environ,
        )  # fmt: skip


@contextlib.contextmanager
def running(mode: str, directory: Path, **settings: str) -> Iterator[Running]:
    process = start(mode, directory, **settings)
    assert process.stdout is not None
    with process.stdout:
        try:
            yield Running(process, directory, process.stdout.readline())
        finally:
            process.kill()
            process.wait()


def test_the_ready_line_and_a_clean_end(tmp_path: Path) -> None:
    with running("good", tmp_path) as server:
        assert re.fullmatch(
            r"ready ws=127\.0\.0\.1:[1-9]\d+ api=127\.0\.0\.1:[1-9]\d+ workers=2\n", server.ready
        )
        names = {server.started(slot)[0][0] for slot in (0, 1)}
        assert server.ask() in names
        assert "secret=True" in server.notes(0)[0]
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(LIMIT) == 0
        assert server.rest_of_stdout() == ""
        assert [line for slot in (0, 1) for line in server.notes(slot) if line == "term"] == [
            "term",
            "term",
        ]
        assert not any(alive(server.started(slot)[0][1]) for slot in (0, 1))


def test_secrets_are_in_no_argument_and_no_environment(tmp_path: Path) -> None:
    with running("good", tmp_path) as server:
        pid = server.started(0)[0][1]
        for name in ("cmdline", "environ"):
            assert SECRET.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()
        assert SECRET not in server.log()


def test_a_killed_worker_is_replaced_and_the_other_is_told(tmp_path: Path) -> None:
    with running("good", tmp_path) as server:
        name, pid = server.started(0)[0]
        other = server.started(1)[0]
        os.kill(pid, signal.SIGKILL)
        until(lambda: len(server.started(0)) == 2)
        gone = f"Gone(worker='{name}')"
        until(lambda: gone in server.notes(1))
        assert server.started(1) == [other]
        assert alive(other[1])
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(LIMIT) == 0


def test_a_worker_alone_is_told_of_its_predecessor(tmp_path: Path) -> None:
    with running("good", tmp_path, WORKERS="1") as server:
        name, pid = server.started(0)[0]
        os.kill(pid, signal.SIGKILL)
        until(lambda: f"Gone(worker='{name}')" in server.notes(0))
        assert len(server.started(0)) == 2


def test_a_crash_loop_is_said_while_the_others_go_on(tmp_path: Path) -> None:
    with running("brief", tmp_path) as server:
        os.kill(server.started(0)[0][1], signal.SIGKILL)
        until(lambda: "CrashLoops(slots=(0,))" in server.notes(1))
        assert "worker_crash_loop" in server.log()
        assert server.ask() == server.started(1)[0][0]
        assert server.process.poll() is None


def test_workers_that_never_get_ready_end_the_start(tmp_path: Path) -> None:
    with running("unready", tmp_path, WORKERS="1") as server:
        assert server.ready == ""
        assert server.process.wait(LIMIT) == 1
        assert "before it was ready" in server.log()


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    with running("stubborn", tmp_path, DRAIN="600") as server:
        pids = [server.started(slot)[0][1] for slot in (0, 1)]
        server.process.send_signal(signal.SIGTERM)
        until(lambda: all("term" in server.notes(slot) for slot in (0, 1)))
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(LIMIT) == 1
        until(lambda: not any(map(alive, pids)))


def test_a_worker_that_does_not_drain_is_killed_in_the_end(tmp_path: Path) -> None:
    with running("stubborn", tmp_path, DRAIN="0.1", WORKERS="1") as server:
        pid = server.started(0)[0][1]
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(LIMIT) == 0
        assert not alive(pid)
        assert "drain_too_long" in server.log()


def test_workers_end_by_themselves_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    with running("good", tmp_path) as server:
        pids = [server.started(slot)[0][1] for slot in (0, 1)]
        server.process.kill()
        until(lambda: not any(map(alive, pids)))
        assert "alone" in server.notes(0)


def test_two_servers_do_not_share_a_data_directory(tmp_path: Path) -> None:
    with running("good", tmp_path) as first:
        log = tmp_path / "second"
        log.mkdir()
        second = start("good", log, DATA_DIR=str(tmp_path))
        assert second.wait(LIMIT) == 1
        assert second.stdout is not None
        second.stdout.close()
        assert f"in use by process {first.process.pid}" in (log / "stderr").read_text()


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running("good", tmp_path, API__PORT=str(port)) as server:
            assert server.process.wait(LIMIT) == 1
            assert f"127.0.0.1:{port} (api.port): Address already in use" in server.log()
