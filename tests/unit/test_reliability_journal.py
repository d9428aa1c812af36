"""The journals of the reliability test: what is written survives, in order, also half a line."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from stress.reliability import journal, texts
from stress.reliability.journal import Entry, Journal, Position, Tail, path_of, position

ENTRIES: list[Entry] = [
    journal.Began(0.5, 1234),
    journal.Intended(1.0, 0, "u002"),
    journal.NotQueued(1.1, 0, "NotLoggedIn('log in first')"),
    journal.Queued(1.2, 0, "id-0"),
    journal.Unknown(1.3, 0, "id-0"),
    journal.Sent(1.4, 0, "id-0"),
    journal.Failed(1.5, 1, "id-1", 10901),
    journal.Received(1.6, "id-2", "u002", 7, "si_u001_u002", 3, True, 0.25),
    journal.Recovered(1.7, "id-3", "u002", 8),
    journal.Link(1.8, up=True),
    journal.Link(1.9, up=False, how="cut"),
    journal.ConnectFailed(2.0, "refused\nby \x00 the server"),
    journal.Trouble(2.1, "kicked"),
    journal.Ended(2.2),
]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = path_of(tmp_path, "u001")
    with Journal(path) as notes:
        for entry in ENTRIES:
            notes.write(entry)
    assert list(Tail(path).read()) == ENTRIES


def test_a_tail_gives_each_entry_once(tmp_path: Path) -> None:
    path = path_of(tmp_path, "u001")
    tail = Tail(path)
    assert list(tail.read()) == [], "there is no file yet"
    with Journal(path) as notes:
        found = []
        for entry in ENTRIES:
            notes.write(entry)
            found.append(list(tail.read()))
    assert found == [[entry] for entry in ENTRIES]


def test_half_a_line_waits_for_its_other_half(tmp_path: Path) -> None:
    path = path_of(tmp_path, "u001")
    with Journal(path) as notes:
        notes.write(ENTRIES[0])
    line, half = path.read_bytes(), len(path.read_bytes()) // 2
    path.write_bytes(line + line[:half])
    tail = Tail(path)
    assert list(tail.read()) == [ENTRIES[0]]
    path.write_bytes(line + line)
    assert list(tail.read()) == [ENTRIES[0]]
    assert tail.torn == 0


def test_a_line_that_a_kill_cut_off_spoils_no_other(tmp_path: Path) -> None:
    path = path_of(tmp_path, "u001")
    with Journal(path) as notes:
        notes.write(ENTRIES[0])
        notes.write(ENTRIES[1])
    os.truncate(path, path.stat().st_size - 5)
    with Journal(path) as notes:
        notes.write(ENTRIES[2])
    tail = Tail(path)
    assert list(tail.read()) == [ENTRIES[0], ENTRIES[2]]
    assert tail.torn == 1


def test_after_a_crash_the_next_letter_is_known() -> None:
    intended, queued = journal.Intended(0, 4, "u002"), journal.Queued(0, 4, "id")
    refused = journal.NotQueued(0, 4, "closed")
    assert position([]) == Position(0, in_doubt=False)
    assert position([intended]) == Position(4, in_doubt=True)
    assert position([intended, queued]) == Position(5, in_doubt=False)
    assert position([intended, refused]) == Position(4, in_doubt=False)
    assert position([intended, refused, intended]) == Position(4, in_doubt=True)
    assert position([intended, queued, journal.Sent(0, 4, "id")]) == Position(5, in_doubt=False)


@given(st.integers(0, 10**6), st.floats(0, 10**5), st.integers(0, 300))
def test_a_text_says_who_wrote_it_and_when(number: int, at: float, padding: int) -> None:
    text = texts.compose("u007", number, at, padding)
    found = texts.signature(text)
    assert found is not None
    assert (found.sender, found.number) == ("u007", number)
    assert abs(found.at - at) < 1e-6
    assert text.startswith(texts.opening("u007", number))


@given(st.text())
def test_nobody_wrote_any_other_text(text: str) -> None:
    assert texts.signature(text) is None


def test_no_letter_begins_as_another_does() -> None:
    assert not texts.compose("u007", 12, 1.0, 5).startswith(texts.opening("u007", 1))
