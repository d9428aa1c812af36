"""The append protocol holds in every reachable state, and none of its conditions is idle."""

from __future__ import annotations

import pytest

from tests.model.runs import ABLATIONS, SMALL, Run


@pytest.mark.parametrize("run", SMALL, ids=lambda run: run.title)
def test_the_protocol_holds(run: Run) -> None:
    result = run.explore()
    assert result.holds, "\n".join([*result.trace, result.violation])
    assert result.states > 1_000


@pytest.mark.parametrize("condition", ABLATIONS)
def test_it_fails_without(condition: str) -> None:
    result = ABLATIONS[condition].explore()
    assert not result.holds
    assert result.trace
