"""What `openim-trio chat` says, as lines of styled text, and how it names messages.

Nothing here knows a terminal.  What others wrote is cleaned: their text may hold anything, and a
terminal obeys some of it.
"""

from __future__ import annotations

import unicodedata
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, tzinfo

import attrs

from openim_trio.client import Message, MessageStatus
from openim_trio.client.conversation_ids import chat_with, parties
from openim_trio.domain.content_types import ContentType

LONGEST_TEXT = 2_000
"""characters shown of one message"""
REMEMBERED = 10_000
"""messages whose numbers are known"""

# Directions that text can be forced into: what is read would not be what is there.
_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

MARKS = {
    MessageStatus.SENDING: ("…", "note"),
    MessageStatus.SENT: ("✓", "good"),
    MessageStatus.FAILED: ("✗", "bad"),
    MessageStatus.UNKNOWN: ("?", "warn"),
}


@attrs.frozen
class Span:
    """style   a name of `STYLES`, '' for plain"""

    text: str
    style: str = ""


@attrs.frozen
class Line:
    """What is printed as a paragraph of its own."""

    spans: tuple[Span, ...] = ()

    @property
    def text(self) -> str:
        return "".join(span.text for span in self.spans)


STYLES = {
    "time": "bright_black",
    "note": "bright_black",
    "own": "cyan",
    "other": "bold magenta",
    "good": "green",
    "warn": "yellow",
    "bad": "bold red",
    "strong": "bold",
}
"""name -> style, as Rich spells it"""


def line(*parts: str | tuple[str, str]) -> Line:
    """Of texts, or (text, style)."""
    return Line(tuple(Span(p) if isinstance(p, str) else Span(*p) for p in parts))


def note(text: str) -> Line:
    return line((f"— {text}", "note"))


def problem(text: str) -> Line:
    return line((f"✗ {text}", "bad"))


def clean(text: str) -> str:
    """Without what a terminal might obey, in one line."""
    text = text.replace("\r\n", "\n").expandtabs(4)
    return "".join(map(_harmless, text))


def excerpt(text: str, longest: int) -> str:
    """Clean, and cut to a length, which is counted in characters."""
    text = clean(text)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def short(identifier: str) -> str:
    """An ID as it is shown."""
    return excerpt(identifier, 64)


def _harmless(character: str) -> str:
    if character == "\n":
        return " ⏎ "
    if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _OVERRIDES:
        return "\N{REPLACEMENT CHARACTER}"
    return character


@attrs.frozen
class Peer:
    """Whom one writes to: a user or a group."""

    user: str = ""
    group: str = ""

    @property
    def name(self) -> str:
        return f"[{short(self.group)}]" if self.group else short(self.user)

    def conversation(self, me: str) -> str:
        return chat_with(me, to=self.user, group=self.group)


def peer_of(conversation_id: str, me: str) -> Peer:
    _, user, group = parties(conversation_id, me)
    return Peer(user, group)


class Numbers:
    """Short numbers for messages, in the order in which they were first shown; of the oldest they
    are forgotten."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._last = 0
        self._numbers: OrderedDict[tuple[str, str, str], int] = OrderedDict()
        self._messages: dict[int, Message] = {}

    def knows(self, message: Message) -> bool:
        return _key(message) in self._numbers

    def of(self, message: Message) -> int:
        """The same for the same message; the newest state of it is remembered."""
        key = _key(message)
        number = self._numbers.get(key)
        if number is None:
            number = self._last = self._last + 1
            self._numbers[key] = number
            if len(self._numbers) > self._limit:
                _, oldest = self._numbers.popitem(last=False)
                del self._messages[oldest]
        self._messages[number] = message
        return number

    def message(self, number: int) -> Message | None:
        return self._messages.get(number)

    def unread(self, conversation_id: str, sender: str, limit: int) -> list[Message]:
        """The newest messages of the sender that are not known to be read, in their order."""
        found: list[Message] = []
        for number in reversed(self._numbers.values()):
            message = self._messages[number]
            if (
                message.conversation_id == conversation_id
                and message.send_id == sender
                and not message.is_read
            ):
                found.append(message)
                if len(found) == limit:
                    break
        return found[::-1]


def _key(message: Message) -> tuple[str, str, str]:
    return message.conversation_id, message.send_id, message.client_msg_id


@attrs.frozen
class Wording:
    """Messages as lines, for the user `me`.

    now    Unix ms: messages of other days get a date
    zone   None: the system's
    """

    me: str
    now: Callable[[], int]
    zone: tzinfo | None = None
    numbers: Numbers = attrs.field(factory=Numbers)

    def message(self, message: Message, open_peer: Peer | None, reason: str = "") -> Line:
        """`12:01  #7 bob  hello`.  Which conversation it belongs to is said when that is not the
        one with `open_peer`.  `reason`: why it failed."""
        number = self.numbers.of(message)
        own = message.send_id == self.me
        head = (
            (f"{self._time(message)}  ", "time"),
            (f"#{number} ", "note"),
            (self._who(message, open_peer), "own" if own else "other"),
        )
        body = line(*head, "  ", *self._body(message))
        return Line((*body.spans, *self.mark(message, reason))) if own else body

    def mark(self, message: Message, reason: str = "") -> tuple[Span, ...]:
        """What became of an own message that is still one."""
        if message.content_type == ContentType.MSG_REVOKE:
            return ()
        if message.status is MessageStatus.SENT and message.is_read:
            return (Span(" ✓✓", "good"),)
        if message.status not in MARKS:
            return ()
        sign, style = MARKS[message.status]
        return (Span(f" {sign} {excerpt(reason, 300)}".rstrip(), style),)

    def brief(self, message: Message, longest: int = 40) -> str:
        """Its text in a list."""
        return excerpt("".join(text for text, _ in self._body(message)), longest)

    def summary(self, message: Message) -> str:
        """Who wrote it when, and what, in short."""
        text = "".join(text for text, _ in self._body(message))
        who = "you" if message.send_id == self.me else short(message.send_id)
        signs = "".join(span.text for span in self.mark(message)) if who == "you" else ""
        return f"{self._time(message)} {who}: {excerpt(text, 40)}{signs}"

    def _who(self, message: Message, open_peer: Peer | None) -> str:
        sender = short(message.send_id)
        peer = peer_of(message.conversation_id, self.me)
        if peer == open_peer:
            return sender
        if peer.group:
            return f"{peer.name} {sender}"
        return f"{sender} → {peer.name}" if message.send_id == self.me else f"{sender} → you"

    def _body(self, message: Message) -> tuple[tuple[str, str], ...]:
        if message.status is MessageStatus.DELETED:
            return (("(deleted)", "note"),)
        if message.content_type == ContentType.MSG_REVOKE:
            return (("(taken back)", "note"),)
        text = message.text
        if not text:
            return ((f"({_kind(message.content_type)})", "note"),)
        shown = (clean(text[:LONGEST_TEXT]), "")
        more = len(text) - LONGEST_TEXT
        return (shown, (f" … and {more:,} characters", "note")) if more > 0 else (shown,)

    def _time(self, message: Message) -> str:
        now = self.now()
        then = self._local(message.send_time or message.create_time or now)
        today = then.date() == self._local(now).date()
        return f"{then:%H:%M}" if today else f"{then:%d %b %H:%M}"

    def _local(self, ms: int) -> datetime:
        try:
            return datetime.fromtimestamp(ms / 1000, self.zone)
        except (OverflowError, ValueError, OSError):  # a time that no calendar has
            return datetime.fromtimestamp(0, self.zone)


def _kind(content_type: int) -> str:
    try:
        return ContentType(content_type).name.lower().replace("_", " ")
    except ValueError:
        return f"content type {content_type}"
