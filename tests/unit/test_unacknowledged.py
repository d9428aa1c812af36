"""Unacknowledged: what a client that acknowledges did not acknowledge.  No I/O."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from openim_trio.gateway.machines.retry import Debt, Unacknowledged


def test_waits_grow_and_a_step_forward_starts_anew() -> None:
    waiting, now = Unacknowledged(), 100.0

    def until_due() -> float:
        nonlocal now
        began = now
        while not (due := waiting.due(now, outbox_empty=True)):
            assert due is not None
            now += 1.0
        assert due == [Debt("a", 9)]
        return now - began

    assert waiting.pushed("a", 5, now)
    assert waiting.pushed("a", 9, now)
    assert [until_due() for _ in range(4)] == [8.0, 16.0, 30.0, 30.0]
    waiting.acknowledge("a", 6, now)
    waiting.acknowledge("a", 6, now + 5)  # said before: no step
    assert [until_due() for _ in range(4)] == [8.0, 16.0, 30.0, 30.0]
    assert waiting.due(now + 29, outbox_empty=True) == []
    assert waiting.due(now + 30, outbox_empty=True) is None
    waiting.acknowledge("a", 9, now)
    assert (len(waiting), waiting.newest("a")) == (0, None)


def test_the_clients_time_runs_while_nothing_waits_for_it() -> None:
    waiting = Unacknowledged()
    waiting.pushed("a", 1, 0.0)
    assert waiting.due(20.0, outbox_empty=False) == []
    assert waiting.due(27.0, outbox_empty=True) == []
    assert waiting.due(28.0, outbox_empty=True) == [Debt("a", 1)]


def test_a_few_at_a_time() -> None:
    waiting = Unacknowledged()
    for number in range(100):
        waiting.pushed(str(number), 1, 0.0)
    first, second = (waiting.due(now, outbox_empty=True) for now in (10.0, 11.0))
    assert first is not None
    assert second is not None
    assert (len(first), len({*first, *second})) == (64, 100)


STEPS = st.one_of(
    st.tuples(st.just("push"), st.sampled_from("abcd"), st.integers(1, 3)),
    st.tuples(st.just("acknowledge"), st.sampled_from("abcd"), st.integers(0, 30)),
    st.tuples(st.just("sweep"), st.booleans(), st.integers(1, 12)),
)


@given(st.lists(STEPS, max_size=120))
def test_what_is_due_was_pushed_and_not_acknowledged(steps: list[tuple[str, object, int]]) -> None:
    waiting, now = Unacknowledged(limit=3), 0.0
    pushed = dict.fromkeys("abcd", 0)
    stored = dict.fromkeys("abcd", 0)
    turn: dict[str, float] = {}
    shown = dict.fromkeys("abcd", 0)
    for what, subject, number in steps:
        if what == "push":
            name = str(subject)
            taken = waiting.pushed(name, pushed[name] + number, now)
            assert taken == (name in turn or len(turn) < 3)
            if taken:
                pushed[name] += number
                turn.setdefault(name, now)
        elif what == "acknowledge":
            name = str(subject)
            waiting.acknowledge(name, number, now)
            if name in turn and number > stored[name]:
                stored[name], turn[name], shown[name] = number, now, 0
                if number >= pushed[name]:
                    del turn[name]
                    stored[name] = 0
        else:
            now += number
            due = waiting.due(now, outbox_empty=bool(subject))
            if due is None:
                assert any(shown[n] == Unacknowledged.TRIES and now - turn[n] >= 8 for n in turn)
                return
            assert not due or subject
            for debt in due:
                name = debt.conversation
                assert debt.seq == pushed[name]
                assert now - turn[name] >= Unacknowledged.ACK_WAIT
                turn[name], shown[name] = now, shown[name] + 1
                assert shown[name] <= Unacknowledged.TRIES
        assert len(waiting) == len(turn)
        assert all(waiting.newest(name) == pushed[name] for name in turn)
