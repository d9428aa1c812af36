"""How far a client's clock may be off."""

from __future__ import annotations

import pytest

from openim_trio.append.limits import check_create_time
from openim_trio.config.model import AppendConfig
from openim_trio.domain.errors import Code, ServiceError

CONFIG = AppendConfig(clock_error_minutes=10, lookup_days=7)
NOW = 1_800_000_000_000
MINUTE, DAY = 60_000, 86_400_000


@pytest.mark.parametrize("create_time", [NOW, NOW + 10 * MINUTE, NOW - 7 * DAY])
def test_a_clock_within_bounds_is_accepted(create_time: int) -> None:
    check_create_time(create_time, NOW, CONFIG)


@pytest.mark.parametrize("create_time", [0, NOW + 10 * MINUTE + 1, NOW - 7 * DAY - 1])
def test_a_clock_out_of_bounds_is_refused_by_name(create_time: int) -> None:
    with pytest.raises(ServiceError) as refused:
        check_create_time(create_time, NOW, CONFIG)
    assert refused.value.code is Code.ARGS
    assert refused.value.detail.startswith("createTime: ")
