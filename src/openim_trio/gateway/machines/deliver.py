"""Deliver: a bounded outbox, and what of each conversation the client was shown."""

from __future__ import annotations

from enum import Enum

import attrs

from openim_trio.gateway.outgoing import OutFrame


@attrs.frozen(slots=True)
class Put:
    """What became of a frame.

    let_go     number of pushes that had to make room
    owed       those of them after which nothing of their conversation waits any more: the client
               would not notice that they are missing
    overflow   replies alone exceed the limits: the connection must be closed
    """

    let_go: int = 0
    owed: tuple[OutFrame, ...] = ()
    overflow: bool = False


STORED = Put()


class Outbox:
    """Frames in order, bounded by number and bytes.

    When it is full, the newest push of each conversation stays and those before are let go (the
    client sees the gap in seqs and pulls).  Where even that is too much, the oldest pushes go,
    down to half the limit.  Replies are never let go.  `size`: payload bytes waiting.
    """

    __slots__ = ("_frames", "_max_bytes", "_max_frames", "size")

    def __init__(self, max_frames: int, max_bytes: int) -> None:
        self._frames: list[OutFrame] = []  # short, and an empty deque is ten times larger
        self.size = 0
        self._max_frames = max_frames
        self._max_bytes = max_bytes

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frame: OutFrame) -> Put:
        self._frames.append(frame)
        self.size += frame.size
        return self._make_room() if self._full() else STORED

    def take(self, limit: int) -> list[OutFrame]:
        """The next frames in order: at least one, and further ones up to `limit` bytes in all."""
        if self.size <= limit:
            taken, self._frames = self._frames, []
            self.size = 0
            return taken
        total = 0
        for number, frame in enumerate(self._frames):
            if number and total + frame.size > limit:
                break
            total += frame.size
        else:
            number += 1
        taken = self._frames[:number]
        del self._frames[:number]
        self.size -= total
        return taken

    def clear(self) -> None:
        self._frames.clear()
        self.size = 0

    def _full(self) -> bool:
        # One frame alone may be larger than the limit: an answer to a pull is.
        number = len(self._frames)
        return number > self._max_frames or (self.size > self._max_bytes and number > 1)

    def _make_room(self) -> Put:
        let_go = self._drop_superseded()
        owed: list[OutFrame] = []
        if self._full():
            owed = self._drop_oldest()
        overflow = self._full()
        return Put(let_go + len(owed), tuple(owed), overflow)

    def _drop_superseded(self) -> int:
        """Keep replies and the newest stored push of each conversation."""
        kept: list[OutFrame] = []
        newer: set[str] = set()
        for frame in reversed(self._frames):
            if not frame.droppable:
                kept.append(frame)
            elif frame.seq and frame.conversation not in newer:
                newer.add(frame.conversation)
                kept.append(frame)
        let_go = len(self._frames) - len(kept)
        self._replace(kept[::-1])
        return let_go

    def _drop_oldest(self) -> list[OutFrame]:
        """Only one push of each conversation is left: let the oldest go, down to half."""
        kept: list[OutFrame] = []
        owed: list[OutFrame] = []
        frames, size = len(self._frames), self.size
        for frame in self._frames:
            too_much = frames > self._max_frames // 2 or size > self._max_bytes // 2
            if frame.droppable and too_much:
                owed.append(frame)
                frames -= 1
                size -= frame.size
            else:
                kept.append(frame)
        self._replace(kept)
        return owed

    def _replace(self, kept: list[OutFrame]) -> None:
        self._frames = kept
        self.size = sum(frame.size for frame in kept)


class Offer(Enum):
    """What to do with a published seq."""

    DROP = "drop"
    DELIVER = "deliver"
    GAP = "gap"
    """rows between are missing: pull them from the store, then deliver"""


MAX_POSITIONS = 4_096


class Positions:
    """The seq that a connection was shown last, for each conversation.

    Publications may come late or twice; seq = shown + 1 is delivered, less is dropped, more is a
    gap.  The first seq seen on a conversation sets its position: what came before is the client's
    own sync.  At most `MAX_POSITIONS`; the one not set for longest is forgotten.
    """

    __slots__ = ("_shown",)

    def __init__(self) -> None:
        self._shown: dict[str, int] | None = None

    def get(self, conversation: str) -> int | None:
        return None if self._shown is None else self._shown.get(conversation)

    def offer(self, conversation: str, seq: int) -> Offer:
        """Judge a published row; moves the position when the answer is DELIVER."""
        shown = self.get(conversation)
        if shown is None or seq == shown + 1:
            self.show(conversation, seq)
            return Offer.DELIVER
        return Offer.DROP if seq <= shown else Offer.GAP

    def behind(self, conversation: str, head: int) -> bool:
        """True: rows up to `head` exist and were not all shown (false while unknown)."""
        shown = self.get(conversation)
        return shown is not None and shown < head

    def show(self, conversation: str, seq: int) -> None:
        if self._shown is None:
            self._shown = {}
        shown = self._shown
        if conversation not in shown and len(shown) >= MAX_POSITIONS:
            del shown[next(iter(shown))]
        shown[conversation] = seq

    def known(self) -> list[str]:
        return [] if self._shown is None else list(self._shown)
