"""The token secret that is made at the first start and kept in the data directory.

Only for loopback hosts: `config.checks` refuses an empty secret elsewhere, since several machines
would each make their own."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

import attrs
import structlog

from openim_trio.config.load import ConfigError
from openim_trio.config.model import Config

SECRET_FILE = "secret"  # noqa: S105  the name of the file
_log = structlog.get_logger()


def with_secret(config: Config) -> Config:
    """The configuration with its secret: the given one, or the one in the data directory.

    Raises ConfigError when the file is not ours or cannot be read or made."""
    if config.auth.secret:
        return config
    path = config.data_dir / SECRET_FILE
    try:
        secret = _read(path) if path.exists() else _make(path)
    except FileExistsError:  # somebody else made it in between
        secret = _read(path)
    except OSError as error:
        raise ConfigError([f"auth.secret (file {path}): {error.strerror}"]) from error
    return attrs.evolve(config, auth=attrs.evolve(config.auth, secret=secret))


def _make(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    secret = secrets.token_urlsafe(32)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "w") as file:
            file.write(secret + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)  # never over an existing one
    finally:
        temporary.unlink(missing_ok=True)
    _log.info("secret_made", file=str(path))
    return secret


def _read(path: Path) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(fd) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in (os.geteuid(), 0):
            raise ConfigError([f"auth.secret (file {path}): belongs to another user"])
        if mode := stat.S_IMODE(status.st_mode) & 0o077:
            os.fchmod(file.fileno(), 0o600)
            _log.warning("secret_was_readable_by_others", file=str(path), mode=f"{mode:03o}")
        secret = file.read(4096).strip()
    if len(secret) < 16:
        raise ConfigError(
            [f"auth.secret (file {path}): too short; remove the file to get a new one"]
        )
    return secret
