"""A Redis URL taken apart: redis://, rediss:// (TLS) and unix://, with redis-py's own rules."""

from __future__ import annotations

import ssl
from typing import Any

import attrs
from redis.connection import SSLConnection, parse_url

_VERIFY = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}


@attrs.frozen
class RedisAddress:
    """`path`: of a Unix socket, then host and port mean nothing.  `tls`: None for plain text."""

    host: str
    port: int
    path: str
    username: str
    password: str = attrs.field(repr=False)
    db: int
    tls: ssl.SSLContext | None = attrs.field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """For logs: no user, no password."""
        return self.path or f"{self.host}:{self.port}"


def parse_address(url: str) -> RedisAddress:
    """Raises ValueError for an URL that is none, and OSError for TLS files that cannot be read."""
    options: dict[str, Any] = dict(parse_url(url))  # type: ignore[no-untyped-call]
    secure = options.get("connection_class") is SSLConnection
    return RedisAddress(
        host=options.get("host") or "localhost",
        port=int(options.get("port") or 6379),
        path=options.get("path") or "",
        username=options.get("username") or "",
        password=options.get("password") or "",
        db=int(options.get("db") or 0),
        tls=_tls_context(options) if secure else None,
    )


def _tls_context(options: dict[str, Any]) -> ssl.SSLContext:
    """The query parameters that redis-py knows: ssl_ca_certs, ssl_ca_path, ssl_certfile,
    ssl_keyfile, ssl_password, ssl_cert_reqs (none | optional | required), ssl_check_hostname."""
    wanted = str(options.get("ssl_cert_reqs", "required"))
    if wanted not in _VERIFY:
        raise ValueError(f"ssl_cert_reqs: {wanted!r} is none of {', '.join(_VERIFY)}")
    context = ssl.create_default_context(
        cafile=options.get("ssl_ca_certs"), capath=options.get("ssl_ca_path")
    )
    check_hostname = options.get("ssl_check_hostname", True)
    context.check_hostname = bool(check_hostname) and wanted != "none"
    context.verify_mode = _VERIFY[wanted]
    if options.get("ssl_certfile"):
        context.load_cert_chain(
            options["ssl_certfile"], options.get("ssl_keyfile"), options.get("ssl_password")
        )
    return context
