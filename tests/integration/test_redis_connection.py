"""The own connection on a real Redis: order, loss, limits, log-in."""

from __future__ import annotations

import ssl
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
import trustme

from openim_trio.append.ports import SequencerUnavailable
from openim_trio.config.model import RedisConfig
from openim_trio.observability.metrics import Metrics
from openim_trio.redisio.connection import RedisConnection
from openim_trio.redisio.errors import RedisReplyError
from openim_trio.redisio.scripts import script
from tests.support import engines
from tests.support.rediskit import open_connection, own_redis, until


async def test_replies_go_to_their_callers(redis_config: RedisConfig) -> None:
    async with open_connection(redis_config) as connection:
        got: dict[int, bytes] = {}

        async def ask(i: int) -> None:
            got[i] = await connection.call("ECHO", b"%d" % i * (i * 50))

        async with trio.open_nursery() as nursery:
            for i in range(200):
                nursery.start_soon(ask, i)
        assert got == {i: b"%d" % i * (i * 50) for i in range(200)}


async def test_calls_of_one_task_order_are_executed_in_that_order(
    redis_config: RedisConfig,
) -> None:
    async with open_connection(redis_config) as connection:
        key = redis_config.prefix + "list"
        replies = await connection.pipeline([("RPUSH", key, i) for i in range(100)])
        assert replies == list(range(1, 101))
        assert await connection.pipeline([]) == []
        assert await connection.call("LRANGE", key, 0, -1) == [b"%d" % i for i in range(100)]


async def test_more_than_the_kernel_takes_at_once(redis_config: RedisConfig) -> None:
    async with open_connection(redis_config) as connection:
        big = bytes(range(256)) * 40_000  # 10 MB
        got: list[bytes] = []

        async def ask(payload: bytes) -> None:
            got.append(await connection.call("ECHO", payload))

        async with trio.open_nursery() as nursery:
            for payload in (big, b"small", big, b"last"):
                nursery.start_soon(ask, payload)
        assert sorted(got) == sorted([big, b"small", big, b"last"])


async def test_an_error_reply_costs_only_its_caller(redis_config: RedisConfig) -> None:
    async with open_connection(redis_config) as connection:
        with pytest.raises(RedisReplyError, match="unknown command") as caught:
            await connection.call("NOSUCHCOMMAND")
        assert caught.value.code == "ERR"
        assert isinstance(caught.value, SequencerUnavailable)
        with pytest.raises(RedisReplyError):
            await connection.pipeline([("PING",), ("NOSUCHCOMMAND",), ("PING",)])
        assert await connection.call("PING") == b"PONG"


async def test_a_cancelled_caller_leaves_its_reply_behind(redis_config: RedisConfig) -> None:
    async with open_connection(redis_config) as connection:
        for _ in range(20):
            with trio.CancelScope() as scope:
                scope.cancel()
                await connection.call("ECHO", "mine")
            assert scope.cancelled_caught
            assert await connection.call("ECHO", "yours") == b"yours"


async def test_scripts_are_loaded_where_they_are_missing(redis_config: RedisConfig) -> None:
    async with open_connection(redis_config) as connection:
        for _ in range(2):
            await connection.call("SCRIPT", "FLUSH")
            for _ in range(2):
                (incarnation,) = await connection.script("release", [], [b"token"])
                assert len(incarnation) == 32
        assert await connection.call("SCRIPT", "EXISTS", script("release").sha) == [1]


async def test_a_reply_that_does_not_come_ends_the_connection() -> None:
    with own_redis() as server:
        config = RedisConfig(url=server.url, timeout=0.2)
        async with open_connection(config) as connection:
            server.freeze()
            failed = 0

            async def ask() -> None:
                nonlocal failed
                with pytest.raises(SequencerUnavailable):
                    await connection.call("PING")
                failed += 1

            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(ask)
            assert failed == 5
            await until(lambda: not connection.connected)
            with pytest.raises(SequencerUnavailable, match="not connected"):
                await connection.call("PING")
            server.thaw()
            await until(lambda: connection.connected)
            assert await connection.call("ECHO", "back") == b"back"


async def test_too_many_calls_fail_at_once() -> None:
    with own_redis() as server:
        config = RedisConfig(url=server.url, timeout=1.0)
        async with open_connection(config, max_calls=3) as connection:
            server.freeze()
            outcomes: list[str] = []

            async def ask() -> None:
                with pytest.raises(SequencerUnavailable) as caught:
                    await connection.call("PING")
                outcomes.append(str(caught.value))

            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(ask)
            assert sum("too many" in outcome for outcome in outcomes) == 2
            assert "too many" in outcomes[0]
            assert sum("no reply" in outcome for outcome in outcomes) == 3
            server.thaw()


async def test_it_comes_back_after_a_restart() -> None:
    with own_redis() as server:
        async with open_connection(RedisConfig(url=server.url)) as connection:
            assert await connection.call("PING") == b"PONG"
            await trio.to_thread.run_sync(server.stop)
            await until(lambda: not connection.connected)
            await trio.to_thread.run_sync(server.start)
            await until(lambda: connection.connected)
            assert await connection.call("PING") == b"PONG"


async def test_without_a_server_it_starts_and_waits() -> None:
    config = RedisConfig(url=f"redis://127.0.0.1:{engines.free_port()}/0")
    metrics = Metrics()
    connection = RedisConnection(config, metrics)
    async with trio.open_nursery() as nursery:
        await nursery.start(connection.run)
        assert not connection.connected
        with pytest.raises(SequencerUnavailable):
            await connection.call("PING")
        nursery.cancel_scope.cancel()
    assert metrics.registry.get_sample_value(
        "openim_trio_engine_errors_total", {"engine": "redis"}
    ) == pytest.approx(1)


async def test_a_master_that_becomes_a_replica_is_left() -> None:
    with own_redis() as server, own_redis() as new_master:
        async with open_connection(RedisConfig(url=server.url)) as connection:
            with server.client() as client:
                client.replicaof("127.0.0.1", str(new_master.port))
            with pytest.raises(SequencerUnavailable):
                for _ in range(2):  # READONLY, inside a script
                    await connection.script("heads", [b"c:a"], [b"ticket", 60])
            await until(lambda: not connection.connected)
            with server.client() as client:
                client.replicaof("NO", "ONE")
            await until(lambda: connection.connected)
            await connection.script("heads", [b"c:a"], [b"ticket", 60])


def test_error_codes_inside_scripts_are_found() -> None:
    old = "ERR Error running script (call to f_1): @user_script:80: @user_script: 80: "
    assert RedisReplyError(old + "-READONLY You can't write.").code == "READONLY"
    assert RedisReplyError("READONLY You can't write. script: 1, on @user_script:8.").code == (
        "READONLY"
    )
    assert RedisReplyError("ERR unknown command").code == "ERR"
    assert not RedisReplyError("OOM command not allowed").ends_connection


async def test_password_and_database() -> None:
    with own_redis() as server:
        with server.client() as client:
            client.acl_setuser(
                "im", enabled=True, passwords=["+s3cret/"], commands=["+@all"], keys=["*"],
                channels=["*"],
            )  # fmt: skip
            client.acl_setuser("default", enabled=False)
        url = f"redis://im:s3cret%2F@127.0.0.1:{server.port}/5"
        async with open_connection(RedisConfig(url=url)) as connection:
            await connection.call("SET", "here", "1")
            assert b"db=5" in await connection.call("CLIENT", "LIST")
        async with open_connection(RedisConfig(url=server.url)) as connection:
            assert not connection.connected


async def test_unix_socket() -> None:
    with engines.temporary_directory() as directory:
        path = directory / "redis.sock"
        with own_redis("--unixsocket", str(path)):
            async with open_connection(RedisConfig(url=f"unix://{path}?db=1")) as connection:
                assert await connection.call("ECHO", "hello") == b"hello"


def test_a_url_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="scheme"):
        RedisConnection(RedisConfig(url="http://localhost"), Metrics())


async def test_cancelling_run_fails_the_calls_under_way() -> None:
    with own_redis() as server:
        connection = RedisConnection(RedisConfig(url=server.url), Metrics())
        failed: list[str] = []

        async def ask() -> None:
            with pytest.raises(SequencerUnavailable) as caught:
                await connection.call("PING")
            failed.append(str(caught.value))

        async with trio.open_nursery() as callers, trio.open_nursery() as nursery:
            await nursery.start(connection.run)
            server.freeze()
            callers.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert failed == ["Redis: shut down"]
        server.thaw()


async def test_tls(tmp_path: Path) -> None:
    """A TLS end in front of Redis; the certificate is checked."""
    certificate, key = make_certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(key)
    with own_redis() as server:

        async def forward(client: trio.SSLStream[trio.SocketStream]) -> None:
            async def copy(source: trio.abc.Stream, target: trio.abc.Stream) -> None:
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    async for data in source:
                        await target.send_all(data)

            backend = await trio.open_tcp_stream("127.0.0.1", server.port)
            async with client, backend, trio.open_nursery() as nursery:
                nursery.start_soon(copy, client, backend)
                nursery.start_soon(copy, backend, client)

        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(
                partial(trio.serve_ssl_over_tcp, forward, 0, context, host="127.0.0.1")
            )
            port = listeners[0].transport_listener.socket.getsockname()[1]
            url = f"rediss://localhost:{port}/0"
            trusting = RedisConfig(url=f"{url}?ssl_ca_certs={certificate}")
            async with open_connection(trusting) as connection:
                big = b"x" * 3_000_000
                assert await connection.call("ECHO", big) == big
                assert await connection.call("PING") == b"PONG"
            async with open_connection(RedisConfig(url=url)) as connection:
                assert not connection.connected
            async with open_connection(RedisConfig(url=f"{url}?ssl_cert_reqs=none")) as connection:
                assert await connection.call("PING") == b"PONG"
            nursery.cancel_scope.cancel()


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """An authority's certificate, and a file with a key and chain for localhost."""
    certificate, key = directory / "cert.pem", directory / "key.pem"
    authority = trustme.CA()
    authority.cert_pem.write_to_path(certificate)
    issued = authority.issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(key)
    return certificate, key
