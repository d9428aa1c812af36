"""What each setting may be, as data: one line a key, and a few rules over several keys."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from openim_trio.config.model import Config

WELL_KNOWN_SECRETS = frozenset({"openIM123", "openim123", "secret", "changeme", "change-me"})
SHORTEST_SECRET = 16


@attrs.frozen
class Check:
    allowed: str
    """in words, after "must be" """
    test: Callable[[Any], bool]


def _between(low: float, high: float, unit: str = "") -> Check:
    suffix = f" {unit}" if unit else ""
    return Check(f"{low} to {high}{suffix}", lambda value: low <= value <= high)


def _above_zero(high: float, unit: str) -> Check:
    return Check(f"more than 0, at most {high} {unit}", lambda value: 0 < value <= high)


def _one_of(*choices: object) -> Check:
    return Check(f"one of {', '.join(map(str, choices))}", lambda value: value in choices)


def _matches(pattern: str, allowed: str) -> Check:
    compiled = re.compile(pattern)
    return Check(allowed, lambda value: compiled.fullmatch(value) is not None)


_PORT = Check("a port, 0 to 65535 (0: any free one)", lambda value: 0 <= value <= 65535)
_LEGACY_PORT = Check("a port, 1 to 65535, or 0 for none", lambda value: 0 <= value <= 65535)
_SECONDS = _above_zero(3600, "seconds")
_ANY_BOOL = Check("true or false", lambda value: isinstance(value, bool))
_MIB = 1024 * 1024

CHECKS: Mapping[str, Check] = {
    "data_dir": Check("a path", lambda value: bool(str(value))),
    "host": _matches(r"[^\s/]+", "an address or a host name"),
    "workers": _between(0, 256),
    "drain": _above_zero(3600, "seconds"),
    "mongo.uri": _matches(r"(mongodb(\+srv)?://\S+)?", "empty, or mongodb://… or mongodb+srv://…"),
    "mongo.database": _matches(r"[A-Za-z0-9_-]{1,63}", "1 to 63 letters, digits, - and _"),
    "mongo.timeout": _SECONDS,
    "mongo.store_threads": _between(1, 64),
    "mongo.read_threads": _between(1, 64),
    "redis.url": _matches(
        r"((rediss?|unix)://\S+)?", "empty, or redis://…, rediss://… or unix://…"
    ),
    "redis.prefix": _matches(
        r"[^\s{}*?\[\]\\]{1,64}", "1 to 64 characters without spaces, {}*?[]\\"
    ),
    "redis.timeout": _SECONDS,
    "auth.secret": Check("a text of at most 1024 characters", lambda value: len(value) <= 1024),
    "auth.admins": Check(
        "at least one user ID, none of them empty", lambda value: bool(value) and all(value)
    ),
    "auth.token_days": _between(1, 36_500, "days"),
    "auth.login_policy": _one_of(0, 1, 4, 5),
    "auth.max_tokens_per_platform": _between(1, 10_000),
    "gateway.port": _PORT,
    "gateway.transport": _one_of("lean", "trio-websocket"),
    "gateway.max_connections": _between(1, 10_000_000),
    "gateway.max_frame": _between(1024, 64 * _MIB, "bytes"),
    "gateway.max_inflated": _between(1024, 256 * _MIB, "bytes"),
    "gateway.outbox_frames": _between(1, 1_000_000),
    "gateway.outbox_bytes": _between(1024, 1024 * _MIB, "bytes"),
    "gateway.handshake_timeout": _SECONDS,
    "gateway.read_timeout": _SECONDS,
    "gateway.web_ping_interval": _SECONDS,
    "gateway.write_timeout": _SECONDS,
    "gateway.sends_in_flight": _between(1, 100_000),
    "append.flush_ms": _between(0, 1000, "milliseconds"),
    "append.flush_max_ms": _between(0, 1000, "milliseconds"),
    "append.batch": _between(1, 10_000),
    "append.flights": _between(1, 256),
    "append.queue": _between(1, 10_000_000),
    "append.deadline": _above_zero(10, "seconds (official SDKs wait 10)"),
    "append.lease_ms": _between(1, 60_000, "milliseconds"),
    "append.window_rows": _between(1, 100_000),
    "append.window_minutes": _between(1, 100_000, "minutes"),
    "append.idle_minutes": _between(1, 1_000_000, "minutes"),
    "append.clock_error_minutes": _between(0, 10_000, "minutes"),
    "append.lookup_days": _between(1, 3650, "days"),
    "api.port": _PORT,
    "api.legacy_port": _LEGACY_PORT,
    "api.max_body": _between(1024, 1024 * _MIB, "bytes"),
    "groups.max_members": _between(1, 10_000_000),
    "groups.friend_verify": _ANY_BOOL,
    "log.level": _one_of("debug", "info", "warning", "error", "critical"),
    "log.format": _one_of("console", "json"),
    "engines.mongo_cache_gb": _between(0.25, 10_000, "GiB"),
    "engines.start_timeout": _SECONDS,
    "engines.stop_timeout": _SECONDS,
}


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def secret_problem(config: Config) -> str | None:
    """Why the secret is too weak for this host; None when it is good.

    On a loopback host anything goes (an empty one is made at the first start)."""
    if is_loopback(config.host):
        return None
    secret = config.auth.secret
    where = f"since host {config.host} is not a loopback address"
    if not secret:
        return f"must be set {where}; `openssl rand -hex 32` makes a good one"
    if secret in WELL_KNOWN_SECRETS:
        return f"is a well-known default and must be changed {where}"
    if len(secret) < SHORTEST_SECRET:
        return f"must have at least {SHORTEST_SECRET} characters {where}; this has {len(secret)}"
    return None


def joint_problems(config: Config) -> list[tuple[str, str]]:
    """(key, problem) for rules over several settings."""
    found: list[tuple[str, str]] = []
    if secret := secret_problem(config):
        found.append(("auth.secret", secret))
    if config.append.flush_max_ms < config.append.flush_ms:
        found.append(("append.flush_max_ms", "must be at least append.flush_ms"))
    if config.append.queue < config.append.batch:
        found.append(("append.queue", "must be at least append.batch"))
    if config.append.idle_minutes < config.append.window_minutes:
        found.append(("append.idle_minutes", "must be at least append.window_minutes"))
    if config.gateway.web_ping_interval >= config.gateway.read_timeout:
        found.append(("gateway.web_ping_interval", "must be less than gateway.read_timeout"))
    ports: dict[int, str] = {}
    for key, port in (
        ("gateway.port", config.gateway.port),
        ("api.port", config.api.port),
        ("api.legacy_port", config.api.legacy_port),
    ):
        if port and port in ports:
            found.append((key, f"must differ from {ports[port]}"))
        ports.setdefault(port, key)
    return found
