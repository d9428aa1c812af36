"""The answer's envelope and where errors become answers.

    {"errCode": 0, "errMsg": "", "errDlt": "", "data": {...}}

`data` is left out on errors and where the response has no fields.
"""

from __future__ import annotations

from typing import Any

import structlog

from openim_trio.api import json_body
from openim_trio.append.ports import SequencerUnavailable, StoreUnavailable
from openim_trio.domain.errors import Code, ServiceError

log = structlog.get_logger()


def success(data: Any = None) -> bytes:
    """`data`: a JSON value, None for no data at all."""
    envelope = {"errCode": 0, "errMsg": "", "errDlt": ""}
    if data is not None:
        envelope["data"] = data
    return json_body.dump(envelope)


def failure(error: ServiceError) -> bytes:
    return json_body.dump(
        {"errCode": int(error.code), "errMsg": error.name, "errDlt": error.detail}
    )


def as_service_error(error: Exception) -> ServiceError:
    """What a client is told of an exception.  One that nobody foresaw is logged and shows nothing
    of its insides."""
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        return as_service_error(error.exceptions[0])
    if isinstance(error, StoreUnavailable | SequencerUnavailable):
        log.warning("engine_unavailable", error=type(error).__name__)
        return ServiceError(
            Code.DATABASE, "a storage engine does not answer; try again", retriable=True
        )
    log.error("request_failed", exc_info=error)
    return ServiceError(Code.INTERNAL, "the server failed to handle this request")
