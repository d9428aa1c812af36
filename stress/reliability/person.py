"""One person: comes and goes, writes letters, and notes down whatever the client says."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import trio

from openim_trio.client import Client, Listener, Message, contents, events, open_client
from openim_trio.client.errors import ClientError
from stress.reliability import journal, texts
from stress.reliability.evidence import held_by
from stress.reliability.journal import Entry, Journal
from stress.reliability.plan import Plan
from stress.reliability.proxy_process import Order, give
from stress.reliability.schedule import Absence, Letter, Part, Way, absences, letters

AGAIN = 0.1
"""seconds after which a letter that the client did not take is offered again"""


class Person:
    """`calm`: set when nobody goes offline any more; `stop`: when it is over."""

    def __init__(
        self, plan: Plan, part: Part, notes: Journal, *, calm: trio.Event, stop: trio.Event
    ) -> None:
        self._plan = plan
        self._part = part
        self._notes = notes
        self._calm = calm
        self._stop = stop
        self._client: Client | None = None
        self._logged_in = trio.Event()
        self._unresolved: set[int] = set()
        self._room = trio.Event()

    @property
    def now(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._plan.began

    def note(self, entry: Entry) -> None:
        self._notes.write(entry)

    async def live(self, past: Sequence[Entry]) -> None:
        """Until `stop`.  `past`: what the journal says of an earlier life."""
        first = self._first_letter(past)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write_letters, first)
            await self._come_and_go(past)
            nursery.cancel_scope.cancel()

    # -- coming and going --------------------------------------------------------------------------

    async def _come_and_go(self, past: Sequence[Entry]) -> None:
        if not past:
            await self._rest(self._part.starts_after)
        away = absences(self._plan.seed, self._part.user, self._plan.scale)
        while not self._stop.is_set():
            settings = self._plan.settings(self._part)
            async with trio.open_nursery() as nursery, open_client(settings) as client:
                if self._part.iterates:
                    await nursery.start(self._iterate, client)
                else:
                    client.listen(Notes(self))
                absence = await self._use(client, away)
            self.note(journal.Link(self.now, up=False, how=Way.LEAVE))
            if absence is not None:
                await self._rest(absence.seconds)

    async def _iterate(
        self, client: Client, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Until the client is closed."""
        notes = Notes(self)
        async with client.events() as stream:
            task_status.started()
            async for event in stream:
                getattr(notes, event.callback)(event)

    async def _use(self, client: Client, away: Iterator[Absence]) -> Absence | None:
        """Until the client is to be closed, for that absence; None: for good."""
        for absence in away:
            if self._client is None:
                await client.login(self._part.user, self._plan.tokens[self._part.user])
                self._is_in(client)
            await self._rest(absence.after)
            if self._calm.is_set():
                await self._stop.wait()
                self._is_out()
                return None
            if absence.way is Way.CUT:
                await self._be_cut_off(absence.seconds)
                continue
            self._is_out()
            if absence.way is Way.LEAVE:
                return absence
            await client.logout()
            self.note(journal.Link(self.now, up=False, how=Way.LOGOUT))
            await self._rest(absence.seconds)
        return None

    async def _be_cut_off(self, seconds: float) -> None:
        order = Order("block", [self._part.user], seconds)
        try:
            await give(self._plan.orders_port, order)
        except (OSError, trio.TooSlowError) as error:
            self.note(journal.Trouble(self.now, f"the proxy does not listen: {error!r}"))
        self.note(journal.Link(self.now, up=False, how=Way.CUT))
        await self._rest(seconds)

    async def _rest(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self._calm.wait()

    def _is_in(self, client: Client) -> None:
        self._client = client
        self._logged_in.set()

    def _is_out(self) -> None:
        self._client = None
        self._logged_in = trio.Event()

    # -- writing letters ---------------------------------------------------------------------------

    def _first_letter(self, past: Sequence[Entry]) -> int:
        """Which one comes next.  The process may have died when it had handed one to the client
        and not noted that down: the database knows."""
        position, user = journal.position(past), self._part.user
        if not position.in_doubt:
            return position.number
        begin = texts.opening(user, position.number)
        for held in held_by(self._plan.data_dir(user), user):
            if held.sender == user and held.text.startswith(begin):
                self.note(journal.Queued(self.now, position.number, held.client_msg_id))
                return position.number + 1
        self.note(journal.NotQueued(self.now, position.number, "the process died"))
        return position.number

    async def _write_letters(self, first: int) -> None:
        part, plan = self._part, self._plan
        todo = letters(plan.seed, part.user, plan.users, part.letters)[first:]
        for letter in todo:
            due = part.starts_after + letter.number * plan.interval
            await trio.sleep(max(0.0, due - self.now))
            while len(self._unresolved) >= plan.in_flight:
                self._room = trio.Event()
                await self._room.wait()
            self._unresolved.add(letter.number)
            while not await self._taken(letter):
                pass

    async def _taken(self, letter: Letter) -> bool:
        """By the client."""
        while self._client is None:
            await self._logged_in.wait()
        at = self.now
        text = texts.compose(self._part.user, letter.number, at, letter.padding)
        self.note(journal.Intended(at, letter.number, letter.receiver))
        try:
            message = await self._client.messages.send(contents.text(text), to=letter.receiver)
        except ClientError as error:  # logged out, or closed, in between
            self.note(journal.NotQueued(self.now, letter.number, repr(error)))
            await trio.sleep(AGAIN)
            return False
        self.note(journal.Queued(self.now, letter.number, message.client_msg_id))
        return True

    def resolved(self, number: int) -> None:
        """It has its definite end."""
        self._unresolved.discard(number)
        self._room.set()


class Notes(Listener):
    """Into the journal, at once."""

    def __init__(self, person: Person) -> None:
        self._person = person

    # -- messages ----------------------------------------------------------------------------------

    def on_recv_new_message(self, event: events.RecvNewMessage) -> None:
        message, at = event.message, self._person.now
        letter = self._signature(message)
        if letter is not None:
            self._person.note(
                journal.Received(
                    at,
                    message.client_msg_id,
                    letter.sender,
                    letter.number,
                    message.conversation_id,
                    message.seq,
                    message.offline,
                    at - letter.at,
                )
            )

    def on_messages_recovered(self, event: events.MessagesRecovered) -> None:
        for message in event.messages:
            letter = self._signature(message)
            if letter is not None:
                self._person.note(
                    journal.Recovered(
                        self._person.now, message.client_msg_id, letter.sender, letter.number
                    )
                )

    def on_message_sent(self, event: events.MessageSent) -> None:
        letter = self._signature(event.message)
        if letter is not None:
            client_msg_id = event.message.client_msg_id
            self._person.note(journal.Sent(self._person.now, letter.number, client_msg_id))
            self._person.resolved(letter.number)

    def on_message_failed(self, event: events.MessageFailed) -> None:
        letter = self._signature(event.message)
        if letter is not None:
            client_msg_id, code = event.message.client_msg_id, int(event.error.code)
            self._person.note(journal.Failed(self._person.now, letter.number, client_msg_id, code))
            self._person.resolved(letter.number)

    def on_message_unknown(self, event: events.MessageUnknown) -> None:
        letter = self._signature(event.message)
        if letter is not None:
            client_msg_id = event.message.client_msg_id
            self._person.note(journal.Unknown(self._person.now, letter.number, client_msg_id))

    def _signature(self, message: Message) -> texts.Signature | None:
        found = texts.signature(message.text)
        if found is None:
            self._trouble(f"message {message.client_msg_id} is no letter")
        elif found.sender != message.send_id:
            self._trouble(f"message {message.client_msg_id} of {message.send_id} is by another")
        return found

    # -- connection --------------------------------------------------------------------------------

    def on_connect_success(self, event: events.ConnectSuccess) -> None:
        self._person.note(journal.Link(self._person.now, up=True))

    def on_connect_failed(self, event: events.ConnectFailed) -> None:
        self._person.note(journal.Link(self._person.now, up=False, how="lost"))
        self._person.note(journal.ConnectFailed(self._person.now, str(event.error)))

    # -- what never may happen ---------------------------------------------------------------------

    def on_recv_online_only_message(self, event: events.RecvOnlineOnlyMessage) -> None:
        self._trouble(f"message {event.message.client_msg_id} is stored nowhere")

    def on_kicked_offline(self, event: events.KickedOffline) -> None:
        self._trouble("kicked")

    def on_user_token_expired(self, event: events.UserTokenExpired) -> None:
        self._trouble("the token expired")

    def on_user_token_invalid(self, event: events.UserTokenInvalid) -> None:
        self._trouble(f"the token is refused: {event.error}")

    def on_local_database_failed(self, event: events.LocalDatabaseFailed) -> None:
        self._trouble(f"the database failed: {event.error}")

    def _trouble(self, what: str) -> None:
        self._person.note(journal.Trouble(self._person.now, what))
