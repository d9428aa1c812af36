"""What `openim-trio chat` shows: the client's events in, lines out, and what is on the way.

It touches neither terminal nor network; the time is an argument.
"""

from __future__ import annotations

from collections import deque

import attrs

from openim_trio.cli import chat_status
from openim_trio.cli.chat_lines import (
    Line,
    Peer,
    Span,
    Wording,
    line,
    note,
    peer_of,
    problem,
    short,
)
from openim_trio.cli.chat_status import Status
from openim_trio.client import Message, ReadReceipt
from openim_trio.client.errors import ClientError, LocalCode, SendFailed
from openim_trio.client.events import (
    Event,
    KickedOffline,
    LocalDatabaseFailed,
    MessageFailed,
    MessageSent,
    MessagesRecovered,
    MessageUnknown,
    MsgDeleted,
    NewRecvMessageRevoked,
    RecvCustomBusinessMessage,
    RecvNewMessage,
    UserTokenExpired,
    UserTokenInvalid,
)
from openim_trio.domain.errors import Code

MISSED_HERE, MISSED_ELSEWHERE = 20, 3
"""missed messages that are shown, of the open conversation and of others"""
UNREAD_ASKED = 200
"""own messages, the newest, that a read receipt is looked up for"""
ON_THE_WAY_SHOWN = 5


@attrs.frozen
class View:
    """What stands below the conversation, and changes in place.

    on_the_way   own messages without an end
    """

    status: Status
    on_the_way: tuple[Line, ...] = ()


@attrs.define
class _Missed:
    latest: deque[Message]
    count: int = 0


class Feed:
    """hold_missed   show of many missed messages only the last; `flush` has to be called then
    fatal         why the login is over, once it is
    failed        own messages that will never be delivered
    read          something of the open conversation was shown: it may be marked as read
    """

    def __init__(self, wording: Wording, server: str, *, hold_missed: bool) -> None:
        self.wording = wording
        self.status = Status(wording.me, server)
        self.fatal = ""
        self.failed = 0
        self.read = False
        self._hold_missed = hold_missed
        self._missed: dict[str, _Missed] = {}
        self._on_the_way: dict[str, Message] = {}

    # -- own messages ------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        return len(self._on_the_way)

    def queued(self, message: Message) -> None:
        """Call it before it is sent: its end may come at once."""
        self._on_the_way[message.client_msg_id] = message
        self._count_waiting()

    def not_queued(self, client_msg_id: str) -> None:
        self._on_the_way.pop(client_msg_id, None)
        self._count_waiting()

    def _count_waiting(self) -> None:
        self.status = attrs.evolve(self.status, waiting=self.waiting)

    def set_unread(self, count: int) -> None:
        self.status = attrs.evolve(self.status, unread=count)

    # -- conversations -----------------------------------------------------------------------------

    def open(self, peer: Peer) -> None:
        """From now on its messages are at home; what was missed of it is let go: its history is
        about to be shown."""
        self.status = attrs.evolve(self.status, peer=peer)
        self._missed.pop(peer.conversation(self.wording.me), None)

    @property
    def open_conversation(self) -> str:
        """'': none."""
        peer = self.status.peer
        return peer.conversation(self.wording.me) if peer is not None else ""

    def shown(self, message: Message) -> Line:
        return self.wording.message(message, self.status.peer)

    # -- events ------------------------------------------------------------------------------------

    def take(self, event: Event, now: float) -> list[Line]:
        """What is to be printed."""
        self.status, told = chat_status.after(self.status, event, now)
        lines = [told] if told is not None else []
        match event:
            case RecvNewMessage(message=message):
                lines += self._received(message)
            case MessageSent(message=message):
                self.not_queued(message.client_msg_id)
                lines.append(self.shown(message))
            case MessageFailed(message=message, error=error):
                self.not_queued(message.client_msg_id)
                self.failed += 1
                lines.append(self.wording.message(message, self.status.peer, _reason(error)))
            case MessageUnknown(message=message):
                self.queued(message)
                lines.append(self._unknown(message))
            case MessagesRecovered(messages=messages):
                lines.append(note("perhaps shown before the last run ended, perhaps not:"))
                lines += map(self.shown, messages)
            case NewRecvMessageRevoked(revocation=revocation):
                who = self._name(revocation.revoker_id or revocation.message.send_id)
                lines.append(note(f"{who} took back {self._which(revocation.message)}"))
            case MsgDeleted(message=message):
                lines.append(note(f"{self._which(message)} was deleted"))
            case RecvCustomBusinessMessage(key=key):
                lines.append(note(f"a message of the application: {short(key)}"))
            case LocalDatabaseFailed(error=error, retry_in=retry_in):
                lines.append(problem(f"{error}; tried again in {retry_in:.0f} s"))
            case KickedOffline():
                self.fatal = "another login took this one's place, or an administrator ended it"
            case UserTokenExpired():
                self.fatal = "the token has expired: get a new one from your backend"
            case UserTokenInvalid(error=error):
                self.fatal = f"the server does not take the token: {error}"
        return lines

    def flush(self) -> list[Line]:
        """What was missed: of many messages the last ones."""
        lines: list[Line] = []
        for name in list(self._missed):
            lines += self._flush(name)
        return lines

    @property
    def missed(self) -> int:
        """Messages that `flush` would tell of."""
        return sum(missed.count for missed in self._missed.values())

    def read_by(self, receipt: ReadReceipt, messages: list[Message]) -> Line:
        """`messages`: own ones of the conversation as they are now, in the order they were sent."""
        now_read = [message for message in messages if message.is_read]
        for message in now_read:
            self.wording.numbers.of(message)
        what = (
            f"as far as {self._which(now_read[-1])}"
            if now_read
            else f"{len(receipt.seqs)} of your messages"
        )
        who = self._name(receipt.user_id)
        return line(("✓✓ ", "good"), (f"{who} has read {what}", "note"))

    def unread_by_peer(self, conversation_id: str) -> list[Message]:
        """Own messages that were shown and, as far as is known, not read: the newest ones, in the
        order they were sent."""
        return self.wording.numbers.unread(conversation_id, self.wording.me, UNREAD_ASKED)

    def view(self) -> View:
        on_the_way = list(self._on_the_way.values())
        lines = [
            Line((*self._on_its_way(message), *self.wording.mark(message)))
            for message in on_the_way[:ON_THE_WAY_SHOWN]
        ]
        if len(on_the_way) > ON_THE_WAY_SHOWN:
            lines.append(line((f"  and {len(on_the_way) - ON_THE_WAY_SHOWN} more wait", "note")))
        return View(self.status, tuple(lines))

    # -- parts -------------------------------------------------------------------------------------

    def _received(self, message: Message) -> list[Line]:
        name = message.conversation_id
        if self.wording.numbers.knows(message):  # a history showed it before
            self.wording.numbers.of(message)
            return []
        if message.offline and self._hold_missed:
            room = MISSED_HERE if name == self.open_conversation else MISSED_ELSEWHERE
            missed = self._missed.setdefault(name, _Missed(deque(maxlen=room)))
            missed.latest.append(message)
            missed.count += 1
            return []
        self.read = self.read or name == self.open_conversation
        return [*self._flush(name), self.shown(message)]

    def _flush(self, name: str) -> list[Line]:
        missed = self._missed.pop(name, None)
        if missed is None:
            return []
        self.read = self.read or name == self.open_conversation
        lines = [
            self.shown(message)
            for message in missed.latest
            if not self.wording.numbers.knows(message)
        ]
        hidden = missed.count - len(missed.latest)
        if hidden:
            peer = peer_of(name, self.wording.me)
            lines.insert(0, note(f"{hidden:,} earlier ones with {peer.name} are in /history"))
        return lines

    def _unknown(self, message: Message) -> Line:
        return line(
            ("? ", "warn"),
            (f"no answer in time to {self._which(message)}: the server is asked for it", "note"),
        )

    def _on_its_way(self, message: Message) -> tuple[Span, ...]:
        peer = peer_of(message.conversation_id, self.wording.me)
        whom = "" if peer == self.status.peer else f"→ {peer.name}  "
        return Span("  "), Span(f"{whom}{self.wording.brief(message, 60)}", "note")

    def _which(self, message: Message) -> str:
        if self.wording.numbers.knows(message):
            return f"#{self.wording.numbers.of(message)}"
        return f"“{self.wording.brief(message)}”" if message.text else "a message"

    def _name(self, user: str) -> str:
        return "you" if user == self.wording.me else short(user)


def _reason(error: ClientError) -> str:
    """Why a message failed, for people."""
    return _REASONS.get(error.code) or (
        error.reason if isinstance(error, SendFailed) else str(error)
    )


_REASONS = {
    int(Code.USER_NOT_FOUND): "nobody is registered with this ID",
    int(Code.GROUP_NOT_FOUND): "there is no such group",
    int(Code.NOT_IN_GROUP): "you are not in this group",
    int(LocalCode.DEADLINE): "it could not be sent in time, and never will be",
}
"""of the codes that one meets by mistyping, or by having no connection"""
