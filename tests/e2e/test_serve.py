"""`openim-trio serve` as people start it: engines of its own, two workers, signals."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs

LIMIT = 60.0
SECRET = "the-secret-of-the-tests-is-long-enough"


@attrs.frozen
class Served:
    process: subprocess.Popen[str]
    directory: Path
    ws_port: int
    api_port: int

    def get(self, path: str) -> tuple[int, bytes]:
        return self._request("GET", path, None)

    def post(self, path: str, body: object, token: str = "") -> dict[str, Any]:
        _, answer = self._request("POST", path, json.dumps(body), token)
        document: dict[str, Any] = json.loads(answer)
        return document

    def _request(
        self, method: str, path: str, body: str | None, token: str = ""
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.api_port, timeout=LIMIT)
        try:
            connection.request(method, path, body, {"operationID": "test", "token": token})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def admin_token(self) -> str:
        answer = self.post("/auth/get_admin_token", {"secret": SECRET, "userID": "imAdmin"})
        return str(answer["data"]["token"])

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.directory / "log").read_text().splitlines()]

    def pids(self, event: str) -> list[int]:
        return [int(line["pid"]) for line in self.log() if line["event"] == event]


@contextlib.contextmanager
def served(directory: Path) -> Iterator[Served]:
    environ = {
        **os.environ,
        "OPENIM_TRIO_AUTH__SECRET": SECRET,
        "OPENIM_TRIO_ENGINES__MONGO_CACHE_GB": "0.25",
        "OPENIM_TRIO_LOG__FORMAT": "json",
        "OPENIM_TRIO_GATEWAY__HANDSHAKE_TIMEOUT": "3",
    }
    with (directory / "log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "openim_trio", "serve", "--data-dir", str(directory),
             "--ws-port", "0", "--api-port", "0", "--workers", "2"],
            stdout=subprocess.PIPE, stderr=log, text=True, env=environ,
        )  # fmt: skip
    assert process.stdout is not None
    with process.stdout:
        try:
            line = process.stdout.readline()
            match = re.fullmatch(
                r"ready ws=127\.0\.0\.1:(\d+) api=127\.0\.0\.1:(\d+) workers=2\n", line
            )
            assert match, (line, (directory / "log").read_text()[-4000:])
            yield Served(process, directory, int(match[1]), int(match[2]))
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(LIMIT)


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except OSError:
        return False


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=LIMIT).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_life(tmp_path: Path) -> None:
    """Start, serve, lose a worker, drain, start again with all data."""
    users = {"users": [{"userID": "alice", "nickname": "Alice", "faceURL": ""}]}
    with served(tmp_path) as server:
        assert server.get("/healthz")[0] == 200
        assert server.get("/readyz")[0] == 200
        assert b"openim_trio_workers 2.0" in server.get("/metrics")[1]
        assert server.post("/user/user_register", users, server.admin_token())["errCode"] == 0
        victim = server.pids("worker_started")[0]
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(server.pids("worker_started")) == 3)
        until(lambda: b"openim_trio_workers 2.0" in server.get("/metrics")[1])
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(LIMIT) == 0
        children = server.pids("worker_started") + server.pids("engine_ready")
        assert len(children) == 5
        assert not any(map(alive, children))
        stopped = [x for x in server.log() if x["event"] == "engine_stopped"]
        assert [x["code"] for x in stopped] == [0, 0]
    with served(tmp_path) as server:
        body = {"userIDs": ["alice"]}
        answer = server.post("/user/get_users_info", body, server.admin_token())
        assert answer["data"]["usersInfo"][0]["nickname"] == "Alice"
    assert not [x for x in server.log() if x["level"] == "error" and x["event"] != "worker_died"]
    assert SECRET not in (tmp_path / "log").read_text()


def test_a_drain_refuses_newcomers_and_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        with socket.create_connection(("127.0.0.1", server.ws_port), timeout=LIMIT):
            server.process.send_signal(signal.SIGTERM)
            until(lambda: refused(server.ws_port) and refused(server.api_port))
            if server.process.poll() is None:  # else the handshake's limit came first
                server.process.send_signal(signal.SIGTERM)
            server.process.wait(LIMIT)
        children = server.pids("worker_started") + server.pids("engine_ready")
        until(lambda: not any(map(alive, children)))


def test_a_killed_server_starts_again(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        server.process.kill()
        server.process.wait(LIMIT)
        children = server.pids("worker_started") + server.pids("engine_ready")
        with served(tmp_path) as again:
            assert again.get("/readyz")[0] == 200
        until(lambda: not any(map(alive, children)))
