"""When a client connects again, and what its login is meanwhile."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openim_trio.client.machines.connecting import STEADY, Connecting, Ended, Why
from openim_trio.client.model import LoginStatus

FIRST, LONGEST = 0.5, 16.0


def machine(seed: int = 0) -> Connecting:
    return Connecting(random.Random(seed), FIRST, LONGEST)


def established(now: float = 0.0) -> Connecting:
    connecting = machine()
    connecting.attempt(now)
    connecting.established(now)
    return connecting


@given(st.integers(0, 2**32))
def test_pauses_double_and_are_jittered(seed: int) -> None:
    connecting = machine(seed)
    for attempt in range(40):
        connecting.attempt(0.0)
        whole = min(FIRST * 2**attempt, LONGEST)
        assert whole / 2 <= connecting.failed(0.0) <= whole
    assert connecting.attempts == 40


def test_clients_do_not_come_back_all_at_once() -> None:
    assert len({machine(seed).failed(0.0) for seed in range(100)}) > 90


@given(st.integers(0, 2**32))
def test_a_good_connection_is_replaced_at_once(seed: int) -> None:
    connecting = machine(seed)
    for _ in range(10):
        connecting.failed(0.0)
    connecting.established(10.0)
    assert 0.0 <= connecting.lost(10.0 + STEADY) <= FIRST / 2
    assert connecting.attempts == 0
    assert connecting.failed(20.0) <= FIRST


def test_a_server_that_restarts_does_not_meet_all_its_clients_at_once() -> None:
    pauses = set()
    for seed in range(100):
        connecting = machine(seed)
        connecting.established(0.0)
        pauses.add(connecting.lost(STEADY))
    assert len(pauses) > 90
    assert max(pauses) > FIRST / 3


@given(st.integers(0, 2**32))
def test_a_connection_that_breaks_right_away_is_a_failed_attempt(seed: int) -> None:
    connecting = machine(seed)
    for attempt in range(10):
        connecting.attempt(0.0)
        connecting.established(0.0)
        whole = min(FIRST * 2**attempt, LONGEST)
        assert whole / 2 <= connecting.lost(STEADY - 0.1) <= whole


def test_the_status_of_a_login() -> None:
    connecting = machine()
    assert connecting.status is LoginStatus.LOGGING_IN
    connecting.attempt(0.0)
    connecting.failed(0.0)
    assert (connecting.status, connecting.connected) == (LoginStatus.LOGGING_IN, False)
    connecting.established(1.0)
    assert (connecting.status, connecting.connected) == (LoginStatus.LOGGED_IN, True)
    connecting.lost(2.0)
    assert (connecting.status, connecting.connected) == (LoginStatus.LOGGED_IN, False)
    connecting.attempt(3.0)
    connecting.failed(3.0)
    assert connecting.status is LoginStatus.LOGGED_IN
    assert connecting.ended is None


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (1501, Why.EXPIRED),
        (1502, Why.INVALID),
        (1503, Why.INVALID),
        (1504, Why.INVALID),
        (1505, Why.INVALID),
        (1506, Why.KICKED),
        (1507, Why.INVALID),
    ],
)
def test_a_refused_token_ends_the_login(code: int, why: Why) -> None:
    connecting = machine()
    assert connecting.refused(code) == Ended(why, code) == connecting.ended
    assert connecting.status is LoginStatus.LOGIN_FAILED

    connecting = established()
    assert connecting.refused(code) == Ended(why, code)
    assert connecting.status is LoginStatus.LOGGED_OUT
    assert not connecting.connected


@pytest.mark.parametrize("code", [0, 500, 1001, 1500, 1508, 90002])
def test_any_other_refusal_does_not(code: int) -> None:
    connecting = machine()
    assert connecting.refused(code) is None
    assert connecting.ended is None
    assert connecting.status is LoginStatus.LOGGING_IN


def test_a_kick_ends_the_login() -> None:
    connecting = established()
    assert connecting.kicked() == Ended(Why.KICKED) == connecting.ended
    assert (connecting.status, connecting.connected) == (LoginStatus.LOGGED_OUT, False)


def test_logging_out_before_there_was_a_connection() -> None:
    connecting = machine()
    assert connecting.logged_out() == Ended(Why.LOGGED_OUT)
    assert connecting.status is LoginStatus.LOGGED_OUT


def test_the_first_end_is_the_end_until_the_application_logs_out() -> None:
    connecting = machine()
    connecting.refused(1501)
    assert connecting.kicked() == connecting.refused(1502) == Ended(Why.EXPIRED, 1501)
    connecting.established(1.0)
    assert (connecting.status, connecting.connected) == (LoginStatus.LOGIN_FAILED, False)
    assert connecting.logged_out() == Ended(Why.LOGGED_OUT) == connecting.ended
    assert connecting.status is LoginStatus.LOGGED_OUT
