"""What the process tells the API about itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import attrs


@attrs.frozen
class Health:
    """Filled in by whoever composes the process; every call is bounded in time by its owner.

    engines     engine name -> what is wrong with it, "" if it answers
    exposition  Prometheus text of all workers: summed, or with a label `worker` if true is passed
    """

    engines: Callable[[], Awaitable[Mapping[str, str]]]
    exposition: Callable[[bool], Awaitable[bytes]]
