"""Where `openim-trio chat` gets a token from, and where it keeps messages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
import trio
from click.testing import CliRunner, Result

from openim_trio.cli import chat_run
from openim_trio.cli.chat_login import (
    CannotRegister,
    NoToken,
    Secret,
    data_directory,
    find_secret,
    is_loopback,
    register,
)
from openim_trio.cli.main import main
from openim_trio.domain.platforms import Platform

HERE = ("ws://127.0.0.1:10001", "http://127.0.0.1:10002")
MADE = "a-secret-of-the-server's-own-making"
SECRET = Secret(MADE, made=True)


@pytest.fixture(autouse=True)
def _log_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loggers remember how they were configured when they were first used."""
    monkeypatch.setattr(chat_run, "configure_logging", lambda *_, **__: None)


def run(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(main, ["chat", *arguments], env=environ)


# -- the secret ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "yes"),
    [
        ("ws://127.0.0.1:10001", True),
        ("http://127.1.2.3", True),
        ("http://localhost:10002/api", True),
        ("ws://[::1]:10001", True),
        ("ws://192.168.0.1:10001", False),
        ("http://localhost.example.com", False),
        ("http://127.0.0.1.example.com", False),
        ("http://127.0.0.1@example.com", False),
        ("http://[::1", False),
        ("", False),
    ],
)
def test_what_is_on_this_machine(address: str, yes: bool) -> None:
    assert is_loopback(address) is yes


def test_the_secret_that_a_server_made(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(MADE + "\n")
    (tmp_path / "secret").chmod(0o600)
    assert find_secret(*HERE, tmp_path, {}) == SECRET
    assert MADE not in repr(SECRET)


def test_a_given_secret_goes_first(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(MADE)
    given = {"OPENIM_TRIO_AUTH__SECRET": "given"}
    assert find_secret(*HERE, tmp_path, given) == Secret("given", made=False)


def test_without_a_secret_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(NoToken, match=r"--token: is needed.*--secret-from .* has none"):
        find_secret(*HERE, tmp_path, {})
    assert list(tmp_path.iterdir()) == []


def test_a_secret_that_is_no_good_says_why(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("short")
    (tmp_path / "secret").chmod(0o600)
    with pytest.raises(NoToken, match=r"auth\.secret .*too short"):
        find_secret(*HERE, tmp_path, {})


@pytest.mark.parametrize(
    "addresses", [("wss://chat.example.com", HERE[1]), (HERE[0], "https://chat.example.com")]
)
def test_the_secret_goes_to_no_other_machine(addresses: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(NoToken, match="not on this machine"):
        find_secret(*addresses, tmp_path, {"OPENIM_TRIO_AUTH__SECRET": "given"})


# -- the token -------------------------------------------------------------------------------------


@asynccontextmanager
async def backend(
    answer: Callable[[str, Mapping[str, Any], str], Any],
) -> AsyncIterator[str]:
    """REST: (path, body, token) -> data, or an errCode."""

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            data = b""
            while more := await stream.receive_some():
                data += more
                head, separator, body = data.partition(b"\r\n\r\n")
                headers = dict(
                    line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if separator
                )
                if not separator or len(body) < int(headers["Content-Length"]):
                    continue
                data = b""
                found = answer(head.split()[1].decode(), orjson.loads(body), headers["token"])
                code = found if isinstance(found, int) else 0
                text = orjson.dumps(
                    {"errCode": code, "errMsg": "Refused", "data": None if code else found}
                )
                await stream.send_all(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)
                )

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("known", [False, True])
async def test_a_user_is_registered_and_gets_a_token(known: bool) -> None:
    asked: list[tuple[str, Mapping[str, Any], str]] = []

    def answer(path: str, body: Mapping[str, Any], token: str) -> Any:
        asked.append((path, body, token))
        return {
            "/auth/get_admin_token": {"token": "admin"},
            "/user/user_register": 1102 if known else {},
            "/auth/get_user_token": {"token": "hers"},
        }[path]

    async with backend(answer) as api:
        assert await register(api, SECRET, "alice", Platform.WEB) == "hers"
    assert asked == [
        ("/auth/get_admin_token", {"secret": MADE, "userID": "imAdmin"}, ""),
        ("/user/user_register", {"users": [{"userID": "alice", "nickname": "alice"}]}, "admin"),
        ("/auth/get_user_token", {"userID": "alice", "platformID": 5}, "admin"),
    ]


async def test_a_refusal_is_told() -> None:
    async with backend(lambda *_: 1002) as api:
        with pytest.raises(CannotRegister, match="1002 Refused"):
            await register(api, SECRET, "alice", Platform.WEB)


# -- where -----------------------------------------------------------------------------------------


def test_messages_are_kept_by_server_under_the_state_directory() -> None:
    ws = HERE[0]
    given = data_directory({"XDG_STATE_HOME": "/state"}, ws, None)
    assert given == Path("/state/openim-trio/chat/127.0.0.1_10001")
    home = Path.home() / ".local" / "state" / "openim-trio" / "chat"
    for state in ("", "not/absolute"):
        environ = {"XDG_STATE_HOME": state}
        assert data_directory(environ, "ws://h/x?y", None) == home / "h_"


def test_a_server_that_began_anew_gets_a_directory_of_its_own() -> None:
    places = {
        data_directory({}, HERE[0], secret)
        for secret in (None, Secret("first", made=True), Secret("second", made=True))
    }
    assert len(places) == 3
    assert data_directory({}, HERE[0], Secret("given", made=False)) in places


# -- the command -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "--user"),
        (["--user", "alice", "--to", "b", "--group", "g"], "--to and --group: one of them"),
        (["--user", "alice", "--platform", "toaster"], "--platform"),
        (["--user", "a\udcff"], "--user: is not valid UTF-8"),
        (["--user", "alice"], "--token: is needed"),
        (["--user", "alice", "--api", "http://example.com"], "--api http://example.com is not on"),
        (["--user", "alice", "--token", "t", "--ws", "http://x"], "--ws: must begin with ws://"),
        (["--user", "alice", "--token", "t", "--api", "x"], "--api: must begin with http://"),
        (["--user", "alice", "--token", "a b"], "--token: must be printable"),
        (["--user", "alice", "--log", "/nowhere/log"], "--log /nowhere/log: No such file"),
    ],
)
def test_wrong_arguments_end_with_2(
    arguments: list[str], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments, XDG_STATE_HOME=str(tmp_path))
    assert result.exit_code == 2, result.output
    assert problem in result.stderr


def test_a_server_that_is_not_there_ends_with_1(tmp_path: Path) -> None:
    result = run(
        "--user", "alice", "--api", "http://127.0.0.1:9",
        XDG_STATE_HOME=str(tmp_path), OPENIM_TRIO_AUTH__SECRET="long-enough-for-a-secret",
    )  # fmt: skip
    assert result.exit_code == 1
    assert result.stderr.startswith("openim-trio: no server answers at http://127.0.0.1:9 (")
    assert len(result.stderr.splitlines()) == 1


def test_a_server_does_not_take_the_token_for_a_setting() -> None:
    environ = {"OPENIM_TRIO_CHAT_TOKEN": "hers"}
    assert CliRunner().invoke(main, ["config", "check"], env=environ).exit_code == 0


def test_help_warns_of_tokens_in_arguments() -> None:
    text = " ".join(run("--help").output.split())
    assert "Other users of this machine can read arguments" in text
    assert "OPENIM_TRIO_CHAT_TOKEN" in text
