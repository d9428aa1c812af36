"""Start a server process of our own on loopback, and use its REST API as a backend would.

Used by the demo, by the load scripts and by end-to-end tests.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import attrs

ADMIN = "imAdmin"
SERVE = (sys.executable, "-m", "openim_trio", "serve")


@attrs.frozen
class Server:
    """A running server: where it listens, its supervisor's process id, and its admin secret."""

    host: str
    ws_port: int
    api_port: int
    pid: int
    workers: int
    secret: str = attrs.field(repr=False)
    process: subprocess.Popen[str] = attrs.field(repr=False)

    @property
    def ws_address(self) -> str:
        return f"ws://{self.host}:{self.ws_port}"

    @property
    def api_address(self) -> str:
        return f"http://{self.host}:{self.api_port}"

    def post(self, path: str, body: Any, token: str = "") -> Any:
        """The answer's `data`.  Raises RuntimeError with the answer when errCode is not 0."""
        answer = self.call(path, body, token)
        if answer["errCode"]:
            raise RuntimeError(f"{path}: {answer}")
        return answer.get("data")

    def call(self, path: str, body: Any, token: str = "") -> Any:
        """The whole answer, errors included."""
        connection = http.client.HTTPConnection(self.host, self.api_port, timeout=30)
        try:
            headers = {"operationID": uuid.uuid4().hex, "token": token}
            connection.request("POST", path, json.dumps(body), headers)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.host, self.api_port, timeout=30)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def admin_token(self) -> str:
        answer = self.post("/auth/get_admin_token", {"secret": self.secret, "userID": ADMIN})
        return str(answer["token"])

    def register(self, users: Sequence[str], admin: str) -> None:
        for at in range(0, len(users), 500):
            batch = [{"userID": u, "nickname": u} for u in users[at : at + 500]]
            self.post("/user/user_register", {"users": batch}, admin)

    def tokens(self, users: Sequence[str], admin: str, platform: int = 1) -> dict[str, str]:
        def token(user: str) -> str:
            body = {"userID": user, "platformID": platform}
            return str(self.post("/auth/get_user_token", body, admin)["token"])

        with ThreadPoolExecutor(8) as pool:
            return dict(zip(users, pool.map(token, users), strict=True))


def wait_ready(process: subprocess.Popen[str], seconds: float = 90) -> tuple[str, str, int]:
    """Read the ready line; give ws=, api= and workers=."""
    assert process.stdout is not None
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        line = process.stdout.readline()
        if line.startswith("ready "):
            parts = dict(part.split("=", 1) for part in line.split()[1:])
            return parts["ws"], parts["api"], int(parts["workers"])
        if not line and process.poll() is not None:
            break
    raise RuntimeError("the server did not become ready; see its log above")


@contextmanager
def running_server(
    workers: int,
    *,
    settings: dict[str, str] | None = None,
    directory: Path | None = None,
    secret: str = "",
    log: IO[str] | None = None,
    command: Sequence[str] = SERVE,
    ports: tuple[int, int] = (0, 0),
) -> Iterator[Server]:
    """A server with embedded engines on free ports, or on `ports` (WebSocket, REST); stopped and
    (unless `directory` is given) its data removed at the end.  Its log goes to `log`, or to
    stderr."""
    data = directory or Path(tempfile.mkdtemp(prefix="openim-trio-"))
    secret = secret or secrets.token_urlsafe(32)
    environment = {
        **os.environ,
        "OPENIM_TRIO_AUTH__SECRET": secret,
        "OPENIM_TRIO_LOG__LEVEL": "warning",
        **(settings or {}),
    }
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
        [*command, "--data-dir", str(data), "--ws-port", str(ports[0]),
         "--api-port", str(ports[1]), "--workers", str(workers)],
        stdout=subprocess.PIPE, stderr=log, text=True, env=environment,
        process_group=0,  # Ctrl-C is for us: we stop it, in order
    )  # fmt: skip
    try:
        ws, api, count = wait_ready(process)
        host, _, ws_port = ws.rpartition(":")
        api_port = int(api.rpartition(":")[2])
        yield Server(host, int(ws_port), api_port, process.pid, count, secret, process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
        if directory is None:
            shutil.rmtree(data, ignore_errors=True)
