"""How a client behaves."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from openim_trio.client.errors import InvalidArgument
from openim_trio.domain.platforms import Platform


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


def _positive(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not value > 0:
        raise InvalidArgument(f"{attribute.name}: must be positive")


def _address(*schemes: str) -> Callable[[object, attrs.Attribute[str], str], None]:
    def check(_: object, attribute: attrs.Attribute[str], value: str) -> None:
        if not value.startswith(schemes):
            raise InvalidArgument(f"{attribute.name}: must begin with {' or '.join(schemes)}")

    return check


@attrs.frozen(kw_only=True)
class Settings:
    """Times are seconds unless said otherwise.

    ws_address       as OpenIM's wsAddr, ws:// or wss://
    api_address      as OpenIM's apiAddr, http:// or https://
    data_dir         where the local databases are, one file a user
    platform         what the token was issued for
    send_deadline    after it a send that has no answer is given up
    send_window      sends under way at a time, of different conversations; within one conversation
                     a message leaves when the one before it has its answer
    history_limit    newest messages of each conversation that the *first* sync on a device brings;
                     None: all.  Older ones come when they are asked for
    ping_interval    a silent connection is asked for a sign of life
    silence_limit    a connection that was silent for so long is given up
    answer_timeout   the same for a request without an answer
    check_heads_every  how often the ends of all conversations are compared with the server's
    first_wait, longest_wait   pauses between attempts to connect, doubling, jittered
    page             messages in one pull
    clock            wall clock, Unix ms; only for deadlines that outlive the process and for times
                     shown before the server gave its own
    """

    ws_address: str = attrs.field(validator=_address("ws://", "wss://"))
    api_address: str = attrs.field(validator=_address("http://", "https://"))
    data_dir: Path = attrs.field(converter=Path)
    platform: Platform = attrs.field(default=Platform.LINUX, converter=Platform)
    send_deadline: float = attrs.field(default=300.0, validator=_positive)
    send_window: int = attrs.field(default=32, validator=_positive)
    history_limit: int | None = None
    ping_interval: float = attrs.field(default=24.0, validator=_positive)
    silence_limit: float = attrs.field(default=30.0, validator=_positive)
    connect_timeout: float = attrs.field(default=15.0, validator=_positive)
    answer_timeout: float = attrs.field(default=15.0, validator=_positive)
    check_heads_every: float = attrs.field(default=120.0, validator=_positive)
    first_wait: float = attrs.field(default=0.5, validator=_positive)
    longest_wait: float = attrs.field(default=16.0, validator=_positive)
    page: int = attrs.field(default=200, validator=_positive)
    clock: Callable[[], int] = wall_clock_ms
