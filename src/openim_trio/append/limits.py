"""How far a client's clock may be off: the bounds that keep the memory of keys affordable.

createTime is the client's clock and decides whether a key may be in rows below the window (C4).
A message from further ahead than the allowed error could be stored as "new" a second time once its
row has left the window, and one from long ago would need a search of everything since.
"""

from __future__ import annotations

from openim_trio.config.model import AppendConfig
from openim_trio.domain.errors import ServiceError, args_error

_MINUTE_MS = 60_000
_DAY_MS = 24 * 60 * _MINUTE_MS


def clock_error_ms(config: AppendConfig) -> int:
    return config.clock_error_minutes * _MINUTE_MS


def ahead_of(create_time: int, now: int, config: AppendConfig) -> bool:
    return create_time > now + clock_error_ms(config)


def too_far_ahead(config: AppendConfig) -> ServiceError:
    return args_error(
        "createTime", f"more than {config.clock_error_minutes} minutes ahead of the server"
    )


def check_create_time(create_time: int, now: int, config: AppendConfig) -> None:
    """Refuse (ARGS, naming createTime) what could not be deduplicated.  Both times in Unix ms.

    The pipeline checks every append; services may call it before they do other work.
    """
    if ahead_of(create_time, now, config):
        raise too_far_ahead(config)
    if create_time < now - config.lookup_days * _DAY_MS:
        raise args_error("createTime", f"more than {config.lookup_days} days ago")
