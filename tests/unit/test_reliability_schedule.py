"""What the reliability test draws from its seed."""

from __future__ import annotations

from itertools import islice, pairwise

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stress.reliability.faults import CLOCK, KINDS, NAMES, drawn, planned_seconds, timed
from stress.reliability.run import interval
from stress.reliability.schedule import HOUR_MS, Way, absences, cast, letters
from stress.reliability.settings import QUICK, Settings

USERS = [f"u{number}" for number in range(12)]
seeds = st.integers(0, 10_000)


def settings(**given: object) -> Settings:
    return attrs.evolve(Settings(clients=12, processes=5, messages=1_003), **given)


def test_a_seed_repeats_everything() -> None:
    for seed in (1, 2):
        assert cast(settings(seed=seed)) == cast(settings(seed=seed))
        assert letters(seed, "u1", USERS, 50) == letters(seed, "u1", USERS, 50)
        once, again = (list(islice(absences(seed, "u1", 1.0), 50)) for _ in range(2))
        assert once == again
        kinds = timed(NAMES)
        assert drawn(seed, kinds, 3, 1.0) == drawn(seed, kinds, 3, 1.0)


def test_another_seed_or_person_has_another_fate() -> None:
    assert cast(settings(seed=1)) != cast(settings(seed=2))
    assert letters(1, "u1", USERS, 50) != letters(2, "u1", USERS, 50)
    assert letters(1, "u1", USERS, 50) != letters(1, "u2", USERS, 50)
    assert next(absences(1, "u1", 1.0)) != next(absences(1, "u2", 1.0))
    assert drawn(1, timed(NAMES), 1, 1.0) != drawn(2, timed(NAMES), 1, 1.0)


@given(seeds, st.integers(2, 20), st.integers(1, 200))
def test_half_of_them_send_all_messages(seed: int, clients: int, messages: int) -> None:
    parts = cast(settings(seed=seed, clients=clients, messages=messages, processes=2))
    counts = [part.letters for part in parts]
    assert sum(counts) == messages
    senders = (clients + 1) // 2
    assert sum(count > 0 for count in counts) == min(senders, messages)
    assert max(counts) - min(sorted(counts)[-senders:]) <= 1
    assert {part.process for part in parts} == {0, 1}


def test_nobody_writes_to_oneself_and_everybody_is_written_to() -> None:
    found = letters(1, "u3", USERS, 500)
    assert {letter.receiver for letter in found} == set(USERS) - {"u3"}
    assert [letter.number for letter in found] == list(range(500))


def test_everybody_comes_within_the_first_minute() -> None:
    starts = [part.starts_after for part in cast(Settings(seed=3))]
    assert 0 <= min(starts) < 10 < 50 < max(starts) <= 60
    assert max(part.starts_after for part in cast(QUICK)) <= QUICK.seconds_to_come


def test_clocks_are_wrong_only_where_that_is_a_fault() -> None:
    assert {part.clock_ms for part in cast(settings())} == {0}
    wrong = {part.clock_ms for part in cast(Settings(faults=(CLOCK,)))}
    assert wrong == {-HOUR_MS, 0, HOUR_MS}
    assert not settings(faults=(CLOCK,)).kinds, "a clock breaks nothing that comes back"


def test_people_go_in_all_ways_and_come_back() -> None:
    found = list(islice(absences(1, "u1", 0.1), 100))
    assert {absence.way for absence in found} == set(Way)
    assert all(2 <= absence.after <= 12 for absence in found)
    assert all(0.1 <= absence.seconds <= 4 for absence in found)


@given(seeds, st.lists(st.sampled_from(sorted(KINDS)), min_size=1, unique=True), st.integers(1, 3))
def test_each_fault_comes_once_a_round(seed: int, names: list[str], rounds: int) -> None:
    found = drawn(seed, timed(names), rounds, 1.0)
    for at in range(rounds):
        in_round = found[at * len(names) :][: len(names)]
        assert sorted(fault.kind.name for fault in in_round) == sorted(names)
    for fault in found:
        assert fault.kind.shortest <= fault.seconds <= fault.kind.longest
        assert 0 <= fault.draw < 1


@given(seeds)
def test_at_most_two_overlap_and_they_break_different_things(seed: int) -> None:
    found = drawn(seed, timed(NAMES), 2, 1.0)
    assert not found[0].overlaps
    for before, fault in pairwise(found):
        if fault.overlaps:
            assert not before.overlaps
            assert before.kind.breaks != fault.kind.breaks
            assert fault.pause <= before.seconds
        else:
            assert fault.pause >= 5


def test_some_overlap() -> None:
    found = [fault for seed in range(10) for fault in drawn(seed, timed(NAMES), 1, 1.0)]
    assert 5 < sum(fault.overlaps for fault in found) < 70


def test_messages_last_as_long_as_the_faults_do() -> None:
    parts = cast(settings(messages=1_200))
    schedule = drawn(1, timed(NAMES), 1, 1.0)
    each = interval(settings(messages=1_200), parts, schedule) * 1_200 / 6
    assert each > planned_seconds(schedule)
    assert interval(settings(), parts, []) == 0
    assert interval(settings(rate=60.0), parts, schedule) == pytest.approx(0.1)
