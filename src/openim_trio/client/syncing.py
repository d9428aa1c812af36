"""What was missed: ends of conversations are compared with the server's, gaps are pulled.

The newest messages of each conversation come first, for whoever looks at it; then what is missing,
oldest first, so that messages can be shown in order while it goes on.  All of it is resumable: what
is held is in the database.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence

import attrs
import trio

from openim_trio.client.channel import Channel
from openim_trio.client.conversation_ids import parties
from openim_trio.client.database import conversations
from openim_trio.client.errors import ClientError, DatabaseError, ServerRefused, TokenRefused
from openim_trio.client.events import (
    Event,
    LocalDatabaseFailed,
    SyncServerFailed,
    SyncServerFinish,
    SyncServerProgress,
    SyncServerStart,
)
from openim_trio.client.ledger import Draft, Ledger
from openim_trio.client.machines.position import SeqRange
from openim_trio.client.pulls import Ask, pull
from openim_trio.client.receiving import Receiver
from openim_trio.client.settings import Settings
from openim_trio.domain.conversations import is_notification
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import msg_pb2, sdkws_pb2

GLANCE = 20
"""newest messages of a conversation, pulled before anything else"""
CONVERSATIONS_AT_ONCE = 50
FIRST_WAIT, LONGEST_WAIT = 0.5, 10.0
"""seconds to rest after a pull that failed, doubling"""


@attrs.frozen
class Wanted:
    """num      of the range, the newest so many
    whole    it is a whole gap, asked for alone
    witness  the seq above a whole gap, which is held; 0: there is none
    """

    conversation_id: str
    range: SeqRange
    num: int
    whole: bool = False
    witness: int = 0


class Syncing:
    """`on_complete(number)`: everything is held up to the heads that round `number` read.
    `on_changed`: conversations whose ends or read seqs changed."""

    def __init__(
        self,
        user_id: str,
        settings: Settings,
        ledger: Ledger,
        receiver: Receiver,
        emit: Callable[[Event], None],
        on_changed: Callable[[Iterable[str]], None],
        on_complete: Callable[[int], None],
    ) -> None:
        self._user_id = user_id
        self._settings = settings
        self._ledger = ledger
        self._receiver = receiver
        self._emit = emit
        self._on_changed = on_changed
        self._on_complete = on_complete
        self._reinstalled = len(ledger) == 0
        self._behind = {p.conversation_id for p in ledger if p.missing}
        self._glanced: set[str] = set()
        self._alone: dict[str, None] = {}
        self._later: set[str] = set()
        self._patience = FIRST_WAIT
        self._check_heads = False
        self._round = 0
        self._wake = trio.Event()

    def stored(self, conversation_ids: Iterable[str]) -> None:
        """Positions have moved: there may be gaps."""
        for name in conversation_ids:
            if self._ledger[name].missing:
                self._behind.add(name)
                self._wake.set()
            else:
                self._behind.discard(name)

    def check_heads(self) -> int:
        """Compare with the server soon.  Returns the number of that round."""
        self._check_heads = True
        self._wake.set()
        return self._round + 1

    async def run(self, channel: Channel) -> None:
        """While there is this connection.  Raises what ends it."""
        self._glanced.clear()
        self._alone.clear()
        self._later.clear()
        first, heads_due, wait = True, 0.0, FIRST_WAIT
        self._emit(SyncServerStart(reinstalled=self._reinstalled))
        while True:
            try:
                if self._check_heads or trio.current_time() >= heads_due:
                    self._check_heads = False
                    self._round += 1
                    number = self._round
                    await self._read_heads(channel)
                    heads_due = trio.current_time() + self._settings.check_heads_every
                    await self._fill(channel, progress=first)
                    if not self._later:
                        self._patience = FIRST_WAIT
                        self._on_complete(number)
                else:
                    await self._fill(channel, progress=first)
            except TokenRefused:
                raise
            except (ServerRefused, DatabaseError) as error:
                self._emit(_trouble(error, wait))
                heads_due = 0.0
                await trio.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT)
                continue
            wait = FIRST_WAIT
            if self._later:
                heads_due = min(heads_due, trio.current_time() + self._patience)
                self._patience = min(2 * self._patience, self._settings.check_heads_every)
            if first:
                self._emit(SyncServerFinish(reinstalled=self._reinstalled))
                first = self._reinstalled = False
            with trio.move_on_at(heads_due):
                await self._wake.wait()
            self._wake = trio.Event()

    # -- ends --------------------------------------------------------------------------------------

    async def _read_heads(self, channel: Channel) -> None:
        heads = await channel.call(
            Req.NEWEST_SEQ, sdkws_pb2.GetMaxSeqReq(userID=self._user_id), sdkws_pb2.GetMaxSeqResp
        )
        read = await channel.call(
            Req.READ_AND_MAX,
            msg_pb2.GetConversationsHasReadAndMaxSeqReq(userID=self._user_id, returnPinned=True),
            msg_pb2.GetConversationsHasReadAndMaxSeqResp,
        )
        seqs = {name: seq for name, seq in heads.maxSeqs.items() if seq > 0}

        def work(connection: sqlite3.Connection, draft: Draft) -> set[str]:
            changed = set()
            for name, head in seqs.items():
                position = draft[name].see_head(head)
                if self._reinstalled:
                    position = position.reset_to(self._uninteresting(name, head))
                if position != draft[name]:
                    draft.put(position)
                    changed.add(name)
            for name, seen in read.seqs.items():
                conversations.ensure(connection, name, *parties(name, self._user_id))
                if conversations.set_read(connection, name, seen.hasReadSeq):
                    changed.add(name)
            conversations.set_pinned(connection, set(read.pinnedConversationIDs))
            return changed

        changed = await self._ledger.commit(work)
        self._behind.update(name for name in changed if self._ledger[name].missing)
        self._behind.update(self._later)
        self._later.clear()
        self._on_changed(name for name in changed if not is_notification(name))

    def _uninteresting(self, name: str, head: int) -> int:
        """How much of a conversation a new device does without."""
        if is_notification(name):
            return head  # their effects are in the messages already
        limit = self._settings.history_limit
        return 0 if limit is None else max(0, head - limit)

    # -- gaps --------------------------------------------------------------------------------------

    async def _fill(self, channel: Channel, *, progress: bool) -> None:
        total = sum(self._ledger[name].missing for name in self._behind) if progress else 0
        while wanted := self._plan():
            await self._pull(channel, wanted)
            if total:
                left = sum(self._ledger[name].missing for name in self._behind)
                total = max(total, left)
                self._emit(SyncServerProgress(done=total - left, total=total))

    def _plan(self) -> list[Wanted]:
        """What the next pull asks for; empty: nothing is missing."""
        if self._alone:
            name = next(iter(self._alone))
            del self._alone[name]
            return [self._whole(name)] if self._ledger[name].missing else self._plan()
        new = [name for name in self._behind if name not in self._glanced]
        wanted: list[Wanted] = []
        room = self._settings.page
        for name in new or sorted(self._behind):
            position = self._ledger[name]
            if name in self._glanced or is_notification(name):
                gap = position.next_missing_ascending(room)
            else:
                gap = position.next_missing(min(GLANCE, room))
            if gap is None:
                self._behind.discard(name)
                continue
            wanted.append(Wanted(name, gap, len(gap)))
            room -= len(gap)
            if room <= 0 or len(wanted) == CONVERSATIONS_AT_ONCE:
                break
        if not wanted and self._behind:
            return self._plan()
        return wanted

    def _whole(self, name: str) -> Wanted:
        position = self._ledger[name]
        gap = position.next_missing_ascending(1 << 62)
        assert gap is not None
        witness = gap.last + 1 if position.holds(gap.last + 1) else 0
        return Wanted(name, gap, self._settings.page, whole=True, witness=witness)

    async def _pull(self, channel: Channel, wanted: Sequence[Wanted]) -> None:
        found = await pull(
            channel,
            self._user_id,
            (
                Ask(w.conversation_id, w.range.first, w.witness or w.range.last, w.num)
                for w in wanted
            ),
        )
        arrived: dict[str, Sequence[sdkws_pb2.MsgData]] = {}
        nothing: list[tuple[str, SeqRange]] = []
        for item in wanted:
            name, came = item.conversation_id, found.get(item.conversation_id, ())
            self._glanced.add(name)
            if any(message.seq <= item.range.last for message in came):
                arrived[name] = came
            elif came:
                # It shows what is above, the witness, and of the gap nothing: nothing of it is
                # there for this user.
                nothing.append((name, item.range))
            elif item.whole:
                # This may be a server that does not know of the newest messages at the moment: it
                # is asked again, with the ends of all conversations.
                self._later.add(name)
                self._behind.discard(name)
            else:
                self._alone[name] = None
        await self._receiver.ingest(arrived, offline=True, nothing_in=nothing)


def _trouble(error: ClientError, wait: float) -> Event:
    if isinstance(error, DatabaseError):
        return LocalDatabaseFailed(error=error, retry_in=wait)
    return SyncServerFailed(error=error)
