"""The application on a device: what it asks for, and what it is told over all its lives."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import attrs
import trio

from openim_trio.client.events import (
    KickedOffline,
    Listener,
    MessageFailed,
    MessageSent,
    MessagesRecovered,
    RecvNewMessage,
    UserTokenExpired,
    UserTokenInvalid,
)

if TYPE_CHECKING:
    from tests.simulation.devices import Device


@attrs.frozen
class Asked:
    """A send that the application asked for; `name` is its clientMsgID."""

    name: str
    to: str
    group: str


@attrs.define(eq=False)
class Record:
    """What the application was told, over all lives.

    shown      conversation -> seqs, in the order in which they were shown
    seen       the same with what was reported as recovered
    recovered  conversation -> seqs
    ends       clientMsgID -> True (sent) or False (failed), each time it was told
    """

    shown: dict[str, list[int]] = attrs.field(factory=lambda: defaultdict(list))
    seen: dict[str, list[int]] = attrs.field(factory=lambda: defaultdict(list))
    recovered: dict[str, Counter[int]] = attrs.field(factory=lambda: defaultdict(Counter))
    ends: dict[str, list[bool]] = attrs.field(factory=lambda: defaultdict(list))
    logged_out: list[str] = attrs.field(factory=list)


class Ear(Listener):
    """One life's listener."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._life = device.life
        self._record = device.record

    async def on_recv_new_message(self, event: RecvNewMessage) -> None:
        device, message = self._device, event.message
        if not self._life.alive:
            return
        device.course.note(f"{device} is shown {message.conversation_id} {message.seq}")
        self._record.shown[message.conversation_id].append(message.seq)
        self._record.seen[message.conversation_id].append(message.seq)
        device.callbacks_left -= 1
        if not device.callbacks_left:
            device.crash("while it is shown a message")
        device.busy = True
        try:
            await trio.sleep(device.thinks)
        except trio.Cancelled:
            device.interruptions += 1
            raise
        finally:
            device.busy = False

    def on_messages_recovered(self, event: MessagesRecovered) -> None:
        if not self._life.alive:
            return
        for message in event.messages:
            name = message.conversation_id
            self._device.course.note(f"{self._device} recovers {name} {message.seq}")
            self._record.recovered[name][message.seq] += 1
            if message.seq not in self._record.seen[name]:
                self._record.seen[name].append(message.seq)

    def on_message_sent(self, event: MessageSent) -> None:
        self._end(event.message.client_msg_id, sent=True)

    def on_message_failed(self, event: MessageFailed) -> None:
        self._end(event.message.client_msg_id, sent=False)

    def _end(self, name: str, *, sent: bool) -> None:
        if self._life.alive:
            self._device.course.note(f"{self._device}: {name} {'sent' if sent else 'failed'}")
            self._record.ends[name].append(sent)

    def on_kicked_offline(self, event: KickedOffline) -> None:
        self._logged_out("kicked")

    def on_user_token_expired(self, event: UserTokenExpired) -> None:
        self._logged_out("token expired")

    def on_user_token_invalid(self, event: UserTokenInvalid) -> None:
        self._logged_out(f"token invalid: {event.error}")

    def _logged_out(self, why: str) -> None:
        if self._life.alive:
            self._record.logged_out.append(why)
