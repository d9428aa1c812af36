"""How the client stands: what the toolbar of `openim-trio chat` shows."""

from __future__ import annotations

from enum import Enum

import attrs

from openim_trio.cli.chat_lines import Line, Peer, Span, line, note, problem, short
from openim_trio.client.events import (
    ConnectFailed,
    Connecting,
    ConnectSuccess,
    Event,
    RecvNewMessage,
    RecvOnlineOnlyMessage,
    SyncServerFailed,
    SyncServerFinish,
    SyncServerProgress,
    SyncServerStart,
    TotalUnreadChanged,
)
from openim_trio.domain.content_types import ContentType

TYPING_LASTS = 6.0
"""seconds after the last sign of it"""
BAR = 12
"""characters of a full progress bar"""


class Link(Enum):
    CONNECTING = "connecting"
    ONLINE = "online"
    WAITING = "waiting"


@attrs.frozen
class Status:
    """Times are seconds of one monotonic clock.

    retry_at    when WAITING: of the next attempt
    was_online  there was a connection since the start
    told_down   the user knows that there is no connection
    sync        messages fetched of those that were missing; None: nothing is fetched
    typing      who is, and until when that is believed
    """

    me: str
    server: str
    peer: Peer | None = None
    link: Link = Link.CONNECTING
    retry_at: float = 0.0
    was_online: bool = False
    told_down: bool = False
    sync: tuple[int, int] | None = None
    unread: int = 0
    waiting: int = 0
    typing: tuple[str, float] | None = None


def after(status: Status, event: Event, now: float) -> tuple[Status, Line | None]:
    """The status after an event, and what is to be said of it, if anything."""
    match event:
        case Connecting():
            return attrs.evolve(status, link=Link.CONNECTING), None
        case ConnectSuccess():
            return _online(status)
        case ConnectFailed():
            return _failed(status, event, now)
        case SyncServerStart():
            return attrs.evolve(status, sync=(0, 0)), None
        case SyncServerProgress(done=done, total=total):
            return attrs.evolve(status, sync=(done, total)), None
        case SyncServerFinish():
            fetched = status.sync[1] if status.sync else 0
            told = note(f"{_messages(fetched)} fetched that came meanwhile") if fetched else None
            return attrs.evolve(status, sync=None), told
        case SyncServerFailed(error=error):
            return status, problem(f"what came meanwhile, again soon: {error}")
        case TotalUnreadChanged(count=count):
            return attrs.evolve(status, unread=count), None
        case RecvOnlineOnlyMessage(message=message) if message.content_type == ContentType.TYPING:
            if message.send_id == status.me:
                return status, None
            if message.content.get("msgTips") == "yes":
                return attrs.evolve(status, typing=(message.send_id, now + TYPING_LASTS)), None
            return _typing_over(status, message.send_id), None
        case RecvNewMessage(message=message):
            return _typing_over(status, message.send_id), None
    return status, None


def toolbar(status: Status, now: float) -> Line:
    """One line; it is drawn again while it is shown, since it counts down."""
    parts = [_link(status, now), Span(f"{short(status.me)}{_open(status)}")]
    if status.sync is not None and status.sync[1]:
        parts.append(_progress(*status.sync))
    parts.append(Span(f"{status.unread} unread", "strong" if status.unread else ""))
    if status.waiting:
        parts.append(Span(f"{status.waiting} waiting", "warn"))
    if status.typing is not None and now < status.typing[1]:
        parts.append(Span(f"{short(status.typing[0])} is typing …", "note"))
    spans = [Span(" ")]
    for part in parts:
        spans += [part, Span("  │  ", "note")]
    return Line(tuple(spans[:-1]))


def connection(status: Status, now: float) -> str:
    """In words."""
    if status.link is Link.ONLINE:
        return f"connected to {status.server}"
    if status.link is Link.WAITING:
        return f"no connection to {status.server}; again in {_seconds(status.retry_at - now)}"
    return f"connecting to {status.server}"


def _online(status: Status) -> tuple[Status, Line | None]:
    told = line(("— connected" + (" again" if status.was_online else ""), "good"))
    return (
        attrs.evolve(status, link=Link.ONLINE, was_online=True, told_down=False),
        told if status.told_down or not status.was_online else None,
    )


def _failed(status: Status, event: ConnectFailed, now: float) -> tuple[Status, Line | None]:
    told: Line | None = None
    pause = _seconds(event.retry_in)
    if status.link is Link.ONLINE:
        told = line((f"— connection lost, again in {pause}: {event.error}", "warn"))
    elif not status.told_down:
        told = line((f"— no connection, again in {pause}: {event.error}", "warn"))
    changed = attrs.evolve(
        status,
        link=Link.WAITING,
        retry_at=now + event.retry_in,
        told_down=True,
        sync=None,
        typing=None,
    )
    return changed, told


def _typing_over(status: Status, user: str) -> Status:
    if status.typing is not None and status.typing[0] == user:
        return attrs.evolve(status, typing=None)
    return status


def _link(status: Status, now: float) -> Span:
    if status.link is Link.ONLINE:
        return Span("● online", "good")
    if status.link is Link.WAITING:
        return Span(f"○ offline, again in {_seconds(status.retry_at - now)}", "bad")
    return Span("◌ connecting", "warn")


def _open(status: Status) -> str:
    return f" → {status.peer.name}" if status.peer is not None else ""


def _progress(done: int, total: int) -> Span:
    full = BAR * done // total
    return Span(f"fetching {'━' * full}{'╌' * (BAR - full)} {done:,}/{total:,}", "warn")


def _seconds(seconds: float) -> str:
    return f"{max(0.1, seconds):.1f} s"


def _messages(count: int) -> str:
    return f"{count:,} message{'' if count == 1 else 's'}"
