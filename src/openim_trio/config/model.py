"""The configuration: frozen, typed, complete.  Sources and checks are in `config.load`.

Times are seconds unless the name ends in `_ms`; sizes are bytes.
"""

from __future__ import annotations

from pathlib import Path

import attrs

DEFAULT_ADMINS = ("imAdmin", "openIM123456")


@attrs.frozen
class MongoConfig:
    uri: str = ""
    """Empty: start the embedded engine."""
    database: str = "openim_trio"
    timeout: float = 4.0
    """Longest wait for one command, server selection included."""
    store_threads: int = 2
    read_threads: int = 4


@attrs.frozen
class RedisConfig:
    url: str = ""
    """Empty: start the embedded engine."""
    prefix: str = "oit:"
    """Put before every key and channel."""
    timeout: float = 3.0


@attrs.frozen
class AuthConfig:
    secret: str = ""
    """HS256 key of the tokens and password of /auth/get_admin_token.  Empty: made at first start
    and kept in the data directory (loopback hosts only)."""
    admins: tuple[str, ...] = DEFAULT_ADMINS
    token_days: int = 90
    login_policy: int = 1
    """multi-terminal policy: 0, 1, 4 or 5"""
    max_tokens_per_platform: int = 30


@attrs.frozen
class GatewayConfig:
    port: int = 10001
    transport: str = "lean"
    """lean | trio-websocket"""
    max_connections: int = 100_000
    """per worker"""
    max_frame: int = 51_200
    max_inflated: int = 1_048_576
    """largest request after gunzip"""
    outbox_frames: int = 256
    outbox_bytes: int = 1_048_576
    handshake_timeout: float = 10.0
    read_timeout: float = 30.0
    web_ping_interval: float = 27.0
    write_timeout: float = 10.0
    """a connection that takes nothing for so long is closed"""
    sends_in_flight: int = 64
    """per connection; the reader waits when it is reached"""


@attrs.frozen
class AppendConfig:
    flush_ms: float = 2.0
    flush_max_ms: float = 10.0
    batch: int = 200
    flights: int = 2
    queue: int = 10_000
    """messages waiting in a worker; full: senders wait, REST answers a retriable error"""
    deadline: float = 8.0
    """a send without an answer by then gets a retriable error (official SDKs wait 10 s)"""
    lease_ms: int = 300
    window_rows: int = 256
    """keys remembered in Redis per conversation (about 200 bytes each)"""
    window_minutes: int = 30
    idle_minutes: int = 360
    """Redis forgets a conversation that rested so long; the next touch seeds it from the store"""
    clock_error_minutes: int = 10
    """how far a client's clock may be ahead; sends from further ahead are refused"""
    lookup_days: int = 7
    """sends created longer ago are refused: they could not be deduplicated at a bounded cost"""


@attrs.frozen
class ApiConfig:
    port: int = 10002
    legacy_port: int = 0
    """0: POST /manager/send_msg on the API port only; else on this one too (10000 of old)"""
    max_body: int = 16 * 1024 * 1024


@attrs.frozen
class GroupConfig:
    max_members: int = 100_000
    friend_verify: bool = False


@attrs.frozen
class LogConfig:
    level: str = "info"
    format: str = "console"
    """console | json"""


@attrs.frozen
class EnginesConfig:
    """The embedded engines."""

    mongo_cache_gb: float = 1.0
    start_timeout: float = 60.0
    stop_timeout: float = 30.0


@attrs.frozen
class Config:
    data_dir: Path = Path(".openim-trio")
    host: str = "127.0.0.1"
    workers: int = 0
    """0: half as many as cores"""
    drain: float = 20.0
    """longest drain at SIGTERM"""
    mongo: MongoConfig = attrs.field(factory=MongoConfig)
    redis: RedisConfig = attrs.field(factory=RedisConfig)
    auth: AuthConfig = attrs.field(factory=AuthConfig)
    gateway: GatewayConfig = attrs.field(factory=GatewayConfig)
    append: AppendConfig = attrs.field(factory=AppendConfig)
    api: ApiConfig = attrs.field(factory=ApiConfig)
    groups: GroupConfig = attrs.field(factory=GroupConfig)
    log: LogConfig = attrs.field(factory=LogConfig)
    engines: EnginesConfig = attrs.field(factory=EnginesConfig)
