"""What happened to one person, written down at once: one line and one write for each event, so that
it survives a SIGKILL.  Times are the harness's: seconds since the run began.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

import attrs
import msgspec


class Began(msgspec.Struct, tag="b", array_like=True, frozen=True):
    """A process of this person did."""

    at: float
    pid: int


class Intended(msgspec.Struct, tag="i", array_like=True, frozen=True):
    """Letter `number` is about to be handed to the client."""

    at: float
    number: int
    receiver: str


class Queued(msgspec.Struct, tag="q", array_like=True, frozen=True):
    """The client has it for good."""

    at: float
    number: int
    client_msg_id: str


class NotQueued(msgspec.Struct, tag="n", array_like=True, frozen=True):
    """The client did not take it; it is tried again."""

    at: float
    number: int
    why: str


class Sent(msgspec.Struct, tag="s", array_like=True, frozen=True):
    at: float
    number: int
    client_msg_id: str


class Failed(msgspec.Struct, tag="f", array_like=True, frozen=True):
    at: float
    number: int
    client_msg_id: str
    code: int


class Unknown(msgspec.Struct, tag="u", array_like=True, frozen=True):
    at: float
    number: int
    client_msg_id: str


class Received(msgspec.Struct, tag="r", array_like=True, frozen=True):
    """`sender`, `number` and `latency` (seconds since it was handed to the sender's client) are
    from the text.  `offline`: the receiver's client says that it was away."""

    at: float
    client_msg_id: str
    sender: str
    number: int
    conversation: str
    seq: int
    offline: bool
    latency: float


class Recovered(msgspec.Struct, tag="m", array_like=True, frozen=True):
    """Was being shown when the process died."""

    at: float
    client_msg_id: str
    sender: str
    number: int


class Link(msgspec.Struct, tag="l", array_like=True, frozen=True):
    """`up`: connected.  `how`: by what it ended."""

    at: float
    up: bool
    how: str = ""


class ConnectFailed(msgspec.Struct, tag="c", array_like=True, frozen=True):
    at: float
    why: str


class Trouble(msgspec.Struct, tag="t", array_like=True, frozen=True):
    """Something that never may happen."""

    at: float
    what: str


class Ended(msgspec.Struct, tag="e", array_like=True, frozen=True):
    """In order."""

    at: float


Entry = (
    Began
    | Intended
    | Queued
    | NotQueued
    | Sent
    | Failed
    | Unknown
    | Received
    | Recovered
    | Link
    | ConnectFailed
    | Trouble
    | Ended
)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


@attrs.frozen
class Position:
    """Which of one's letters comes next.  `in_doubt`: the client may have it, or not: the process
    ended in between."""

    number: int
    in_doubt: bool


def position(past: Iterable[Entry]) -> Position:
    """After these entries of an earlier life."""
    found = Position(0, in_doubt=False)
    for entry in past:
        match entry:
            case Intended():
                found = Position(entry.number, in_doubt=True)
            case NotQueued():
                found = Position(entry.number, in_doubt=False)
            case Queued():
                found = Position(entry.number + 1, in_doubt=False)
    return found


def path_of(directory: Path, user: str) -> Path:
    return directory / f"{user}.journal"


class Journal:
    """For writing; goes on where it ended."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        if not _ends_well(path):  # half a line of a process that was killed
            os.write(self._file, b"\n")

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)

    def write(self, entry: Entry) -> None:
        os.write(self._file, _encode(entry) + b"\n")


def _ends_well(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        return file.read(1) in (b"", b"\n")


class Tail:
    """For reading while it grows.  `torn`: lines that were cut off by a SIGKILL."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0
        self.torn = 0

    def read(self) -> Iterator[Entry]:
        """What was written since the last time."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                data = file.read()
        except FileNotFoundError:
            return
        whole = data.rfind(b"\n") + 1
        self._at += whole
        for line in data[:whole].splitlines():
            try:
                yield _decode(line)
            except msgspec.MsgspecError:
                self.torn += 1
