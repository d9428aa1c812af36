"""Who one is for `openim-trio chat`, where messages are kept, and a token for trying things out.

Tokens come from an application's backend.  On this machine, with the server's secret at hand, the
command can be that backend itself.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote, urlsplit

import attrs

from openim_trio.client.errors import (
    ClientError,
    InvalidArgument,
    NotConnected,
    ServerRefused,
)
from openim_trio.client.rest import Rest
from openim_trio.config.load import ConfigError
from openim_trio.config.model import DEFAULT_ADMINS, Config
from openim_trio.config.secret import SECRET_FILE, with_secret
from openim_trio.domain.errors import Code
from openim_trio.domain.platforms import Platform

SECRET_VARIABLE = "OPENIM_TRIO_AUTH__SECRET"  # noqa: S105  the name of it


class NoToken(Exception):
    """There is none, and none can be had: the text says why and what to do."""


class CannotRegister(Exception):
    """The server did not do it."""


@attrs.frozen
class Secret:
    """made   the server made it itself at its first start"""

    value: str = attrs.field(repr=False)
    made: bool


def find_secret(ws: str, api: str, directory: Path, environ: Mapping[str, str]) -> Secret:
    """The secret of a server on this machine.  Raises NoToken."""
    for option, address in (("--ws", ws), ("--api", api)):
        if not is_loopback(address):
            raise NoToken(
                f"--token: is needed, since {option} {address} is not on this machine "
                "(or OPENIM_TRIO_CHAT_TOKEN; your backend issues tokens)"
            )
    if value := environ.get(SECRET_VARIABLE, ""):
        return Secret(value, made=False)
    if not (directory / SECRET_FILE).exists():
        raise NoToken(
            f"--token: is needed, or the server's secret: --secret-from {directory} has none; "
            f"name the server's --data-dir, or set {SECRET_VARIABLE}"
        )
    try:
        return Secret(with_secret(Config(data_dir=directory)).auth.secret, made=True)
    except ConfigError as error:
        raise NoToken(str(error)) from None


def is_loopback(address: str) -> bool:
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def register(api: str, secret: Secret, user: str, platform: Platform) -> str:
    """A token; the user is registered, if that has not been done.  Raises CannotRegister."""
    try:
        async with Rest(api) as rest:
            return await _register(rest, secret, user, platform)
    except InvalidArgument:
        raise
    except NotConnected as error:
        raise CannotRegister(f"no server answers at {api} ({error}); does it run?") from None
    except ClientError as error:
        raise CannotRegister(f"{api}: {error}") from None


async def _register(rest: Rest, secret: Secret, user: str, platform: Platform) -> str:
    admin = {"secret": secret.value, "userID": DEFAULT_ADMINS[0]}
    rest.token = (await rest.members("/auth/get_admin_token", admin)).filled("token")
    try:
        await rest.post("/user/user_register", {"users": [{"userID": user, "nickname": user}]})
    except ServerRefused as refused:
        if refused.code != Code.ALREADY_REGISTERED:
            raise
    request = {"userID": user, "platformID": int(platform)}
    return (await rest.members("/auth/get_user_token", request)).filled("token")


def data_directory(environ: Mapping[str, str], ws: str, secret: Secret | None) -> Path:
    """Where messages of this server are kept: under the user's state directory (XDG).

    A server whose data were removed begins anew, with a new secret of its own making, at the same
    address; what was kept of the old one would not fit it.  A made secret is random enough for four
    bytes of its hash to tell nothing."""
    state = environ.get("XDG_STATE_HOME", "")
    base = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    parts = urlsplit(ws)
    name = quote(f"{parts.hostname}_{parts.port or ''}", safe="")
    if secret is not None and secret.made:
        name += "-" + blake2b(secret.value.encode(), digest_size=4, person=b"chat").hexdigest()
    return base / "openim-trio" / "chat" / name
