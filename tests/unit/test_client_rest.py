"""REST against servers that answer well, badly, too much, too slowly or not at all."""

from __future__ import annotations

import gzip
import json
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import trio
import trustme

from openim_trio.client.errors import (
    AnswerTimeout,
    ClientError,
    InvalidArgument,
    NotConnected,
    ProtocolError,
    ServerRefused,
    TokenRefused,
)
from openim_trio.client.rest import MAX_CONTAINERS, Rest
from tests.support.http_answers import Answer, Answers, Stream, answering, raw, says, sends

TOKEN = "a-token-that-nobody-may-see"
SECRET = "do-not-quote-me"

Talk = Callable[..., AbstractAsyncContextManager[tuple[Rest, Answers]]]


@asynccontextmanager
async def talk(answer: Answer, **options: Any) -> AsyncIterator[tuple[Rest, Answers]]:
    async with answering(answer) as server, Rest(server.address, **options) as rest:
        rest.token = TOKEN
        yield rest, server


async def refusal(answer: Answer, **options: Any) -> ClientError:
    async with talk(answer, **options) as (rest, _):
        with pytest.raises(ClientError) as caught:
            await rest.post("/a/b", {"x": 1})
    assert TOKEN not in repr(caught.value)
    assert SECRET not in str(caught.value)
    return caught.value


# --- what is asked and answered -------------------------------------------------------------------


async def test_a_call() -> None:
    async with talk(says({"a": [1]})) as (rest, server):
        assert await rest.post("/a/b", {"x": 1, "y": "ü"}) == {"a": [1]}
        assert await rest.post("/a/c", {}) == {"a": [1]}
    first, second = server.asked
    assert (first.path, first.json) == ("/a/b", {"x": 1, "y": "ü"})
    assert (second.path, second.json) == ("/a/c", {})
    assert first.headers["token"] == TOKEN
    assert first.headers["content-type"] == "application/json"
    assert first.headers["accept-encoding"] == "gzip"
    assert first.headers["operationid"]
    assert first.headers["operationid"] != second.headers["operationid"]
    assert server.connections == 1


@pytest.mark.parametrize("answer", [says(), sends(b'{"errCode":0,"data":null}')])
async def test_no_data_is_an_empty_object(answer: Answer) -> None:
    async with talk(answer) as (rest, _):
        assert await rest.post("/a", {}) == {}


async def test_the_path_of_the_address_is_kept() -> None:
    async with answering(says()) as server, Rest(f"{server.address}/api/") as rest:
        await rest.post("/msg/x", {})
    assert server.asked[0].path == "/api/msg/x"


async def test_a_compressed_answer() -> None:
    body = gzip.compress(json.dumps({"errCode": 0, "data": {"a": "x" * 10_000}}).encode())
    async with talk(sends(body, "Content-Encoding: gzip")) as (rest, _):
        assert await rest.post("/a", {}) == {"a": "x" * 10_000}


async def test_a_chunked_answer() -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (b'{"errCode"', b":0}"))
    answer = raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
    async with talk(answer) as (rest, _):
        assert await rest.post("/a", {}) == {}


async def test_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with talk(says({"a": 1})) as (rest, _):
        assert await rest.post("/a", {}) == {"a": 1}


async def test_tls() -> None:
    authority = trustme.CA()
    serving, trusting = (
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH),
        ssl.create_default_context(),
    )
    authority.issue_cert("127.0.0.1").configure_cert(serving)
    authority.configure_trust(trusting)
    async with answering(says({"a": 1}), tls=serving) as server:
        address = server.address.replace("http:", "https:")
        async with Rest(address, ssl_context=trusting) as rest:
            assert await rest.post("/a", {}) == {"a": 1}
        async with Rest(address) as rest:
            with pytest.raises(NotConnected, match="CERTIFICATE_VERIFY_FAILED"):
                await rest.post("/a", {})


# --- refusals -------------------------------------------------------------------------------------


async def test_a_refusal() -> None:
    error = await refusal(says(code=1001, name="ArgsError", detail="seq: is required"))
    assert type(error) is ServerRefused
    assert (error.code, error.name, error.detail) == (1001, "ArgsError", "seq: is required")
    assert not error.retriable


async def test_a_refusal_that_may_pass() -> None:
    error = await refusal(says(code=90002, name="DatabaseError"))
    assert isinstance(error, ServerRefused)
    assert error.retriable


@pytest.mark.parametrize("code", range(1501, 1508))
async def test_the_token_is_refused(code: int) -> None:
    error = await refusal(says(code=code, name="Token"))
    assert type(error) is TokenRefused
    assert error.code == code


async def test_a_refusal_counts_whatever_the_status() -> None:
    """OpenIM answers some of them with 400 or 429."""
    body = b'{"errCode":429,"errMsg":"slow down"}'
    error = await refusal(sends(body, status="429 Too Many Requests"))
    assert isinstance(error, ServerRefused)
    assert error.code == 429


async def test_a_refusal_does_not_fill_the_log() -> None:
    error = await refusal(says(code=1001, name="x" * 9_000, detail="y" * 9_000))
    assert len(str(error)) < 1_100


# --- what is no OpenIM ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (sends(b""), "answer must be JSON"),
        (sends(SECRET.encode()), "answer must be JSON"),
        (sends(b'{"errCode":0,"data":"\xff"}'), "answer must be JSON"),
        (sends(b"[]"), "answer must be object"),
        (sends(b"null"), "answer must be object"),
        (sends(b"{}"), "answer.errCode must be a 64-bit integer"),
        (sends(b'{"errCode":null}'), "answer.errCode must be a 64-bit integer"),
        (sends(b'{"errCode":"0"}'), "answer.errCode must be a 64-bit integer"),
        (sends(b'{"errCode":true}'), "answer.errCode must be a 64-bit integer"),
        (sends(b'{"errCode":0.5}'), "answer.errCode must be a 64-bit integer"),
        (sends(b'{"errCode":18446744073709551615}'), "answer.errCode must be a 64-bit integer"),
        (sends(b'{"errCode":1001,"errMsg":["do-not-quote-me"]}'), "answer.errMsg must be string"),
        (sends(b'{"errCode":0,"data":["do-not-quote-me"]}'), "answer.data must be object"),
        (sends(b"[" * 5_000), "answer must be JSON"),
        (sends(b'{"errCode":0}', status="500 Oh"), "HTTP status 500"),
        (sends(b"do-not-quote-me", status="502 Bad Gateway"), "HTTP status 502"),
        (sends(b"404 page not found", status="404 Not Found"), "HTTP status 404"),
        (sends(b"", "Location: http://127.0.0.1:9/", status="307 T"), "HTTP status 307"),
        (sends(b"{}", "Content-Encoding: br"), "Content-Encoding was not asked for"),
        (sends(b"{}", "Content-Encoding: gzip"), "not gzip"),
        (sends(gzip.compress(b'{"errCode":0}')[:-3], "Content-Encoding: gzip"), "cut short"),
        (raw(b"SSH-2.0-do-not-quote-me\r\n\r\n"), "the answer is no HTTP"),
        (raw(bytes(range(256)) * 50), "the answer is no HTTP"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), "the answer is no HTTP"),
    ],
)  # fmt: skip
async def test_garbage(answer: Answer, problem: str) -> None:
    error = await refusal(answer)
    assert type(error) is ProtocolError
    assert str(error).startswith("/a/b: ")
    assert problem in str(error)


async def test_an_answer_without_an_end() -> None:
    """It is given up at the limit, not read to an end that never comes."""

    async def endless(stream: Stream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await stream.send_all(b"400\r\n" + b" " * 1024 + b"\r\n")

    async with talk(endless, max_answer=100_000) as (rest, server):
        with pytest.raises(ProtocolError, match="larger than 100000 bytes"):
            await rest.post("/a", {})
        await server.gone.wait()


async def test_the_limit_is_exact() -> None:
    body = b'{"errCode":0,"data":{}}'
    async with talk(sends(body), max_answer=len(body)) as (rest, server):
        assert await rest.post("/a", {}) == {}
        server.answer = sends(body + b" ")
        with pytest.raises(ProtocolError, match=f"larger than {len(body)} bytes"):
            await rest.post("/a", {})


async def test_a_bomb() -> None:
    bomb = gzip.compress(b" " * 50_000_000, 9)
    error = await refusal(sends(bomb, "Content-Encoding: gzip"), max_answer=100_000)
    assert "more than 100000 bytes once inflated" in str(error)


async def test_too_many_objects() -> None:
    body = b'{"errCode":0,"data":{"a":[' + b"[]," * MAX_CONTAINERS + b"1]}}"
    assert f"more than {MAX_CONTAINERS} objects" in str(await refusal(sends(body)))


# --- a network that fails -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        raw(b"", then_close=True),
        raw(b"HTTP/1.1 200 OK\r\nContent-Le", then_close=True),
        raw(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"errCode":0', then_close=True),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", then_close=True),
    ],
)
async def test_the_server_hangs_up(answer: Answer) -> None:
    error = await refusal(answer)
    assert type(error) is NotConnected
    assert "the connection broke" in str(error)


async def test_nobody_listens() -> None:
    async with answering(says()) as server:
        pass
    async with Rest(server.address) as rest:
        with pytest.raises(NotConnected, match="/a/b: "):
            await rest.post("/a/b", {})


async def test_an_unknown_host() -> None:
    async with Rest("http://nowhere.invalid") as rest:
        with pytest.raises(NotConnected, match="/a: "):
            await rest.post("/a", {})


async def _silence(stream: Stream) -> None:
    await trio.sleep_forever()


async def _drops(stream: Stream) -> None:
    """Something always comes, and never an end."""
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        await stream.send_all(b" ")
        await trio.sleep(0.01)


@pytest.mark.parametrize("answer", [_silence, _drops])
async def test_a_slow_answer(answer: Answer) -> None:
    error = await refusal(answer, timeout=0.2)
    assert type(error) is AnswerTimeout
    assert str(error) == "/a/b: no answer in 0.2 s"


async def test_it_goes_on_after_each_failure() -> None:
    async with talk(_silence, timeout=0.2) as (rest, server):
        for answer in (_silence, raw(b"", then_close=True), sends(b"x"), raw(b"garbage\r\n\r\n")):
            server.answer = answer
            with pytest.raises(ClientError):
                await rest.post("/a", {})
            server.answer = says({"a": 1})
            rest._timeout = 10.0
            assert await rest.post("/a", {}) == {"a": 1}
            rest._timeout = 0.2


async def test_a_cancelled_call_leaves_nothing() -> None:
    async with talk(_silence) as (rest, server):
        with trio.move_on_after(0.1) as scope:
            await rest.post("/a", {})
        assert scope.cancelled_caught
        server.answer = says({"a": 1})
        assert await rest.post("/a", {}) == {"a": 1}


async def test_many_at_once_share_few_connections() -> None:
    async with talk(says({"a": 1})) as (rest, server):
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(rest.post, "/a", {})
        assert len(server.asked) == 50
        assert server.connections <= 8


# --- its own side ---------------------------------------------------------------------------------


async def test_it_must_be_open() -> None:
    rest = Rest("http://127.0.0.1:1")
    with pytest.raises(NotConnected, match="is closed"):
        await rest.post("/a", {})
    async with rest:
        pass
    with pytest.raises(NotConnected, match="is closed"):
        await rest.post("/a", {})


@pytest.mark.parametrize("body", [{"x": object()}, {"x": 2**64}, {"x": "\ud800"}, {1: 2}])
async def test_a_body_that_is_no_json(body: Any) -> None:
    async with talk(says()) as (rest, server):
        with pytest.raises(InvalidArgument, match="body of /a: "):
            await rest.post("/a", body)
        assert not server.asked


@pytest.mark.parametrize(
    "address", ["", "127.0.0.1:10002", "ws://a", "http://", "http://a:x", "http://a/?b", "ftp://a"]
)
def test_a_wrong_address(address: str) -> None:
    with pytest.raises(InvalidArgument, match="api_address: "):
        Rest(address)


@pytest.mark.parametrize("token", ["a b", "a\r\nb: c", "ü", "\0"])
def test_a_wrong_token(token: str) -> None:
    rest = Rest("http://127.0.0.1:1")
    with pytest.raises(InvalidArgument, match="token: must be printable") as caught:
        rest.token = token
    assert token not in str(caught.value)
    assert rest.token == ""


async def test_the_token_stays_inside(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with talk(says()) as (rest, _):
        await rest.post("/a", {"text": SECRET})
        assert TOKEN not in repr(rest)
        assert TOKEN not in str(rest)
    assert SECRET not in caplog.text
    assert TOKEN not in caplog.text
