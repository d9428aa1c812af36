"""Tokens that are no good, on the wire and by REST, and bytes that no client would send."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import jwt
import pytest
import trio

from openim_trio.demo.login import Login, LoginRefused, upgrade
from openim_trio.demo.server import Server
from openim_trio.domain.errors import Code
from openim_trio.wire import frames
from openim_trio.wire.compression import compress
from openim_trio.wire.envelope import GOB, Request
from openim_trio.wire.identifiers import Req
from tests.support import client
from tests.support.chatter import PATIENCE, Chatter, chatting
from tests.support.client import WireClient
from tests.support.site import SECRET, Site, metric

USER, OTHER = "mallory", "left0"
DAY = 86_400
LARGEST_FRAME = 51_200
BOMB = 40_000_000
SETTINGS = {"GATEWAY__HANDSHAKE_TIMEOUT": "2"}
USUAL_TIMES = 12
"""handshakes in a row: both workers have had some"""


@pytest.fixture
def site(mongo_uri: str, redis_url: str, tmp_path: Path) -> Site:
    return Site(mongo_uri, redis_url, tmp_path)


# -- tokens ----------------------------------------------------------------------------------------


def forged(secret: str | None = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    """A token of the server's own making, but for these changes (None: without the claim)."""
    now = int(time.time())
    claims = {"UserID": USER, "PlatformID": 1, "exp": now + DAY, "iat": now - 5, **changes}
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, secret, algorithm=algorithm)


def bad_tokens() -> dict[str, tuple[str, Code]]:
    """What is wrong with it -> token, errCode."""
    now = int(time.time())
    good = forged()
    head, body, signature = good.split(".")
    return {
        "expired": (forged(exp=now - 60), Code.TOKEN_EXPIRED),
        "not valid yet": (forged(nbf=now + DAY), Code.TOKEN_NOT_VALID_YET),
        "other secret": (forged(secret="x" * 40), Code.TOKEN_UNKNOWN),
        "alg none": (forged(secret=None, algorithm="none"), Code.TOKEN_UNKNOWN),
        "alg none, signed": (
            forged(secret=None, algorithm="none") + signature,
            Code.TOKEN_UNKNOWN,
        ),
        "other algorithm": (forged(secret=SECRET * 2, algorithm="HS512"), Code.TOKEN_UNKNOWN),
        "no signature": (f"{head}.{body}.", Code.TOKEN_UNKNOWN),
        "other claims": (f"{head}.{forged(UserID=OTHER).split('.')[1]}.{signature}",
                         Code.TOKEN_UNKNOWN),
        "no expiry": (forged(exp=None), Code.TOKEN_UNKNOWN),
        "no user": (forged(UserID=None), Code.TOKEN_UNKNOWN),
        "strange platform": (forged(PlatformID="1"), Code.TOKEN_UNKNOWN),
        "not a token": ("mallory", Code.TOKEN_MALFORMED),
        "endless": ("a" * 5000, Code.TOKEN_MALFORMED),
        "never issued": (good, Code.TOKEN_NOT_EXIST),
    }  # fmt: skip


async def handshake(server: Server, login: Login) -> int:
    """errCode; 0: it was accepted."""
    stream = await trio.open_tcp_stream(server.host, server.ws_port)
    async with stream:
        try:
            await upgrade(stream, login.query())
        except LoginRefused as refused:
            return refused.code if refused.status == 200 else -refused.status
    return 0


async def rest(server: Server, token: str, path: str = "/user/get_users_info") -> int:
    """errCode."""
    call = server.call
    body = {"userIDs": [USER], "userID": USER, "platformID": 1}
    answer = await trio.to_thread.run_sync(call, path, body, token)
    return int(answer["errCode"])


async def test_tokens_that_are_no_good(site: Site) -> None:
    with site.serving() as server:
        async with chatting(site, server, pairs=1, bystanders=[USER]) as chatter:
            token = chatter.tokens[USER]
            for problem, (bad, code) in bad_tokens().items():
                assert await handshake(server, Login(USER, bad)) == code, problem
                assert await rest(server, bad) == code, problem
            assert await handshake(server, Login(OTHER, token)) == Code.TOKEN_INVALID
            assert await handshake(server, Login(USER, token, 2)) == Code.TOKEN_INVALID
            assert await handshake(server, Login(USER, "")) == Code.CONNECTION_ARGS
            assert await rest(server, "") != 0
            assert await handshake(server, Login(USER, token)) == 0
            assert await rest(server, token) == 0
            assert await rest(server, token, "/auth/force_logout") == Code.NO_PERMISSION
            await _kick(chatter, token)
            await chatter.more(20)
            await chatter.end()
            chatter.check()
            for code in (Code.TOKEN_EXPIRED, Code.TOKEN_UNKNOWN, Code.TOKEN_NOT_EXIST):
                assert metric(server, "handshakes_total", code=str(int(code))) >= 1


async def _kick(chatter: Chatter, token: str) -> None:
    """The connection hears it, and the token is no good any more on any worker."""
    server, login = chatter.server, Login(USER, token)
    async with client.connected(server.ws_port, login) as mallory:
        assert await rest(server, chatter.admin, "/auth/force_logout") == 0
        with trio.fail_after(PATIENCE):
            await mallory.over.wait()
        assert mallory.kicked.is_set()
    with trio.fail_after(PATIENCE):
        in_a_row = 0
        while in_a_row < USUAL_TIMES:
            refused = await handshake(server, login) == Code.TOKEN_KICKED
            in_a_row = in_a_row + 1 if refused else 0
    assert await rest(server, token) == Code.TOKEN_KICKED


# -- bytes -----------------------------------------------------------------------------------------


def envelope(**changes: Any) -> bytes:
    """A request that is good but for these changes, as gob and gzip."""
    fields = {"req_identifier": int(Req.NEWEST_SEQ), "msg_incr": "1", "operation_id": "1",
              "send_id": USER, "token": "", "data": b""}  # fmt: skip
    return compress(GOB.encode_request(Request(**{**fields, **changes})))


def binary(payload: bytes) -> bytes:
    return frames.binary_frame(payload, mask=os.urandom(4))


def bomb() -> bytes:
    """40 MB of nothing, in one gzip member below the frame limit."""
    packer = zlib.compressobj(9, wbits=31)
    packed = packer.compress(bytes(BOMB)) + packer.flush()
    assert len(packed) < LARGEST_FRAME
    return packed


def hostile_frames() -> list[tuple[bytes, str, int]]:
    """Bytes, the metric's reason, the close code."""
    mask = os.urandom(4)
    endless = b"\x82\xff" + (1 << 62).to_bytes(8, "big") + mask
    return [
        (binary(os.urandom(LARGEST_FRAME + 1)), "frame_1009", 1009),
        (endless, "frame_1009", 1009),
        (frames.binary_frame(b"not masked"), "frame_1002", 1002),
        (b"\xff" + os.urandom(500), "frame_1002", 1002),
        (b"\x83\x80" + mask, "frame_1002", 1002),  # a reserved opcode
        (frames.encode_frame(9, b"ping", mask=mask, fin=False), "frame_1002", 1002),
        (frames.encode_frame(1, b"\xc3\x28", mask=mask), "frame_1007", 1007),
        (binary(bomb()), "gunzip", 1007),
        (binary(os.urandom(2000)), "gunzip", 1007),
        (binary(compress(os.urandom(2000))), "envelope", 1007),
        (binary(envelope()[:-9]), "gunzip", 1007),
        (binary(b""), "gunzip", 1007),
        (binary(envelope(send_id=OTHER)), "send_id", 1008),
        (binary(envelope(req_identifier=4711)), "req_identifier", 1008),
        (frames.text_frame(b"[" * 40_000, mask=mask), "text", 1008),
    ]


HALF_AN_UPGRADE = b"GET /?sendID=x HTTP/1.1\r\nHost: here\r\nUpgrade: webso"
BAD_UPGRADES = {
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS, perhaps\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: here\r\n\r\n": 426,
    b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n": 405,
    b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000: 431,
}


async def test_bytes_that_no_client_would_send(site: Site) -> None:
    with site.serving(settings=SETTINGS) as server:
        async with chatting(site, server, pairs=1, bystanders=[USER]) as chatter:
            login = Login(USER, chatter.tokens[USER])
            for hostile, reason, close_code in hostile_frames():
                counted = await _one_more(server, "protocol_errors_total", reason=reason)
                async with client.connected(server.ws_port, login) as mallory:
                    await _attack(mallory, hostile)
                    assert mallory.close_code == close_code, reason
                await _is_counted(counted, reason)
            for upgrade, status in BAD_UPGRADES.items():
                counted = await _one_more(server, "handshakes_total", code=str(status))
                assert await _greeting(server, upgrade) == status
                await _is_counted(counted, str(status))
            counted = await _one_more(server, "handshakes_total", code="408")
            assert await _greeting(server, HALF_AN_UPGRADE) == 0
            await _is_counted(counted, "408")
            await _leave_early(server)
            await chatter.more(20)
            await chatter.end()
            chatter.check()
            connections = [person.connections for person in chatter.people.values()]
            assert connections == [1] * len(connections), "others were disturbed"
            assert metric(server, "workers") == 2
    assert len(site.workers_started()) == 2, "a worker was replaced"
    assert not [line for line in site.log() if line["level"] == "error"]


async def _attack(mallory: WireClient, hostile: bytes) -> None:
    with trio.fail_after(PATIENCE):
        with suppress(trio.BrokenResourceError):  # it was thrown out before its last byte
            await mallory.write(hostile)
        await mallory.over.wait()


async def _greeting(server: Server, upgrade: bytes) -> int:
    """The HTTP status of the answer, 0 if the connection just ends."""
    stream = await trio.open_tcp_stream(server.host, server.ws_port)
    async with stream:
        with trio.fail_after(PATIENCE):
            await stream.send_all(upgrade)
            answer = b""
            while more := await stream.receive_some():
                answer += more
    return int(answer.split()[1]) if answer else 0


async def _leave_early(server: Server) -> None:
    """At every byte of a handshake."""
    for length in range(0, len(HALF_AN_UPGRADE), 5):
        stream = await trio.open_tcp_stream(server.host, server.ws_port)
        async with stream:
            await stream.send_all(HALF_AN_UPGRADE[:length])


async def _one_more(server: Server, name: str, **labels: str) -> Callable[[], Awaitable[bool]]:
    """Has the metric counted one more since now?"""

    async def count() -> float:
        return await trio.to_thread.run_sync(lambda: metric(server, name, **labels))

    before = await count()

    async def counted() -> bool:
        return await count() == before + 1

    return counted


async def _is_counted(counted: Callable[[], Awaitable[bool]], what: str) -> None:
    with trio.move_on_after(PATIENCE):
        while not await counted():
            await trio.lowlevel.checkpoint()
        return
    raise AssertionError(f"not counted: {what}")
