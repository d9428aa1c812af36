"""What clients read: how far conversations go, and their messages.

The caller checks that `userID` is the acting user's; here every conversation is checked for that
user (`conversation_access`).  Conversations that may not be read are left out of the answer.

An answer stays under what official clients read in one frame, 1 MiB as transmitted.  Of a chat the
newest messages come (the client sees the gap and pulls it), of a notification conversation the
first ones: isEnd is then false and endSeq the last seq that came; the next pull goes on behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs

from openim_trio.domain import seq_ranges
from openim_trio.domain.conversations import (
    is_notification,
    notification_pair,
    notification_twin,
)
from openim_trio.domain.errors import args_error
from openim_trio.domain.presenting import present
from openim_trio.domain.records import ConversationRecord
from openim_trio.domain.send_rules import STATUS_DELETED
from openim_trio.domain.seq_ranges import SeqWindow
from openim_trio.services.conversation_access import NOTHING, ConversationAccess, View
from openim_trio.services.own_reads import OwnReads
from openim_trio.services.ports import HeadReader
from openim_trio.services.reading import Reader, Shown, Wanted
from openim_trio.store.conversations import Conversations
from openim_trio.store.rows import MongoRows, RowsTooLarge
from openim_trio.wire.proto import msg_pb2, sdkws_pb2

MAX_CONVERSATIONS = 1_000
MAX_CHAT_ROWS = 500
"""of one chat in one answer"""
MAX_NOTIFICATION_ROWS = 4_000
MAX_ROWS = 10_000
"""of all conversations in one answer"""
READ_ROWS = (MAX_ROWS, 1_000, 150, 20)
"""how many are read: fewer, where those before would be more bytes than one read may bring"""
MAX_LISTED_CHATS = 10_000
"""whose read seqs are asked for"""
MAX_LISTED = 2_000
"""seqs in one request"""
MAX_ANSWER = 900 * 1024
"""bytes; notifications count a quarter, since they shrink to less than that when compressed"""
NEWEST_AT_ONCE = 200
"""conversations whose newest message is looked for at a time"""
LAST_WINDOWS = (8, 64, 512)
"""newest rows looked at for a message that is still shown, round by round"""


@attrs.frozen(slots=True)
class _Part:
    """One range of a request that may be read."""

    asked: sdkws_pb2.SeqRange
    view: View
    window: SeqWindow


class PullService:
    def __init__(
        self,
        access: ConversationAccess,
        reader: Reader,
        conversations: Conversations,
        own_reads: OwnReads,
        rows: MongoRows,
        heads: HeadReader,
    ) -> None:
        self._access = access
        self._reader = reader
        self._conversations = conversations
        self._own_reads = own_reads
        self._rows = rows
        self._heads = heads

    # -- how far -----------------------------------------------------------------------------------

    async def max_seqs(self, user_id: str) -> sdkws_pb2.GetMaxSeqResp:
        """Of the user's chats, of their notification twins, and of the user's own notifications;
        those without messages are left out."""
        rows = await self._conversations.of_owner(user_id)
        limits = {row.conversation_id: row.max_seq for row in rows}
        heads = await self._heads.heads(_with_twins(user_id, limits))
        seqs = {name: min(head.seq, limits.get(name) or head.seq) for name, head in heads.items()}
        return sdkws_pb2.GetMaxSeqResp(maxSeqs={name: seq for name, seq in seqs.items() if seq})

    async def conversation_ids(self, user_id: str) -> list[str]:
        """The user's chats, their notification twins, and the user's own notifications."""
        rows = await self._conversations.of_owner(user_id)
        return _with_twins(user_id, [row.conversation_id for row in rows])

    async def read_and_max(
        self, req: msg_pb2.GetConversationsHasReadAndMaxSeqReq
    ) -> msg_pb2.GetConversationsHasReadAndMaxSeqResp:
        """Max, read seq and time of the last message, of all or the listed chats."""
        _check_count("conversationIDs", len(req.conversationIDs), MAX_LISTED_CHATS)
        rows = await self._own_reads.fresh(
            req.userID, await self._rows_of(req.userID, req.conversationIDs)
        )
        answer = msg_pb2.GetConversationsHasReadAndMaxSeqResp()
        heads = await self._heads.heads([row.conversation_id for row in rows])
        for row in rows:
            head = heads.get(row.conversation_id, NOTHING)
            newest = row.max_seq or head.seq
            seqs = answer.seqs[row.conversation_id]
            seqs.maxSeq = newest
            seqs.hasReadSeq = min(row.read_seq, newest)
            seqs.maxSeqTime = head.send_time
        if req.returnPinned:
            pinned = rows
            if req.conversationIDs:
                pinned = await self._conversations.of_owner(req.userID)
            answer.pinnedConversationIDs.extend(
                row.conversation_id for row in pinned if row.is_pinned
            )
        return answer

    async def _rows_of(self, user_id: str, listed: Sequence[str]) -> list[ConversationRecord]:
        if listed:
            return await self._conversations.get_many(user_id, listed)
        return await self._conversations.of_owner(user_id)

    # -- messages ----------------------------------------------------------------------------------

    async def pull_ranges(
        self, req: sdkws_pb2.PullMessageBySeqsReq
    ) -> sdkws_pb2.PullMessageBySeqsResp:
        _check_count("seqRanges", len(req.seqRanges), MAX_CONVERSATIONS)
        views = await self._access.views(
            req.userID, [item.conversationID for item in req.seqRanges]
        )
        parts: list[_Part] = []

        def plan(most: int) -> list[Wanted]:
            parts[:] = _parts(req.seqRanges, views, most)
            return [Wanted(part.view, part.window.first, part.window.last) for part in parts]

        _, shown = await self._read(req.userID, plan)
        answer = sdkws_pb2.PullMessageBySeqsResp()
        room = MAX_ANSWER
        for part, messages in zip(parts, shown, strict=True):
            room -= _fill_range(answer, part, req.order, messages, room)
        return answer

    async def pull_seqs(self, req: msg_pb2.GetSeqMessageReq) -> msg_pb2.GetSeqMessageResp:
        """Messages in the order of the listed seqs."""
        _check_count("conversations", len(req.conversations), MAX_CONVERSATIONS)
        _check_count("seqs", sum(len(c.seqs) for c in req.conversations), MAX_LISTED)
        views = await self._access.views(
            req.userID, [item.conversationID for item in req.conversations]
        )
        asked = {c.conversationID: list(c.seqs) for c in req.conversations}
        inside = {
            name: [s for s in dict.fromkeys(seqs) if views[name].low <= s <= views[name].high]
            for name, seqs in asked.items()
            if name in views
        }

        def plan(most: int) -> list[Wanted]:
            wanted = []
            for name, seqs in inside.items():
                some = tuple(seqs[:most])
                most -= len(some)
                wanted.append(Wanted(views[name], min(some, default=1), max(some, default=0), some))
            return wanted

        parts, shown = await self._read(req.userID, plan)
        answer = msg_pb2.GetSeqMessageResp()
        room = MAX_ANSWER
        for part, messages in zip(parts, shown, strict=True):
            name = part.view.conversation
            entry = _entry(answer, name)
            entry.isEnd, entry.endSeq = seq_ranges.list_end(
                req.order, asked[name], part.view.low, part.view.high
            )
            ordered = [messages[seq] for seq in part.numbers()]
            count = seq_ranges.fitting([_weight(name, m) for m in ordered], room)
            room -= sum(_weight(name, m) for m in ordered[:count])
            entry.Msgs.extend(ordered[:count])
            if count < len(inside[name]):
                entry.isEnd, entry.endSeq = False, 0
        return answer

    async def last_messages(self, req: msg_pb2.GetLastMessageReq) -> msg_pb2.GetLastMessageResp:
        _check_count("conversationIDs", len(req.conversationIDs), MAX_CONVERSATIONS)
        found = await self.newest(req.userID, req.conversationIDs)
        return msg_pb2.GetLastMessageResp(msgs=found)

    async def newest(self, user_id: str, names: Sequence[str]) -> dict[str, sdkws_pb2.MsgData]:
        """The newest message of each conversation that is still shown to the user; of the first
        ones, where all would be more than an answer holds."""
        views = await self._access.views(user_id, names)
        found: dict[str, sdkws_pb2.MsgData] = {}
        room = MAX_ANSWER
        for some in _chunks([view for view in views.values() if view.high >= view.low]):
            for name, message in (await self._newest_of(user_id, some)).items():
                room -= message.ByteSize()
                if room < 0:
                    return found
                found[name] = message
        return found

    async def _newest_of(self, user_id: str, views: Sequence[View]) -> dict[str, sdkws_pb2.MsgData]:
        by_name = {view.conversation: view for view in views}
        tops = {view.conversation: view.high for view in views}
        found: dict[str, sdkws_pb2.MsgData] = {}
        for size in LAST_WINDOWS:
            wanted = [
                Wanted(by_name[name], max(by_name[name].low, top - size + 1), top)
                for name, top in tops.items()
            ]
            found |= await self._newest_in(user_id, wanted)
            tops = {
                item.view.conversation: item.first - 1
                for item in wanted
                if item.view.conversation not in found and item.first > item.view.low
            }
        return {name: found[name] for name in by_name if name in found}

    async def _newest_in(
        self, user_id: str, wanted: Sequence[Wanted]
    ) -> dict[str, sdkws_pb2.MsgData]:
        """Large rows are read in halves, the newer one first."""
        try:
            shown = await self._reader.read(user_id, wanted)
        except RowsTooLarge:
            newer, older = _halves(wanted)
            found = await self._newest_in(user_id, newer)
            left = [item for item in older if item.view.conversation not in found]
            return found | await self._newest_in(user_id, left)
        newest = {
            item.view.conversation: _newest_shown(messages)
            for item, messages in zip(wanted, shown, strict=True)
        }
        return {name: message for name, message in newest.items() if message is not None}

    async def _read(
        self, user_id: str, plan: Callable[[int], list[Wanted]]
    ) -> tuple[list[Wanted], list[Shown]]:
        """`plan`: what is wanted if at most so many rows are read.  Large rows: fewer."""
        for most in READ_ROWS:
            wanted = plan(most)
            try:
                return wanted, await self._reader.read(user_id, wanted)
            except RowsTooLarge:
                continue
        raise args_error("seqs", "the messages are too large")

    async def rows_between(self, conversation: str, lo: int, hi: int) -> list[sdkws_pb2.MsgData]:
        """Rows lo..hi as everybody sees them, ascending, the newest MAX_CHAT_ROWS of them (fewer
        if they are large); for deliveries that were missed.  The caller knows who may see the
        conversation."""
        first = max(lo, hi - MAX_CHAT_ROWS + 1, 1)
        while True:
            try:
                [rows] = await self._rows.read_ranges([(conversation, first, hi)])
                break
            except RowsTooLarge:
                if first >= hi:
                    raise
                first = (first + hi + 1) // 2
        messages = []
        for row in rows:
            message = present(row)
            message.seq = row.seq
            messages.append(message)
        return messages


def _chunks(views: Sequence[View]) -> Iterator[Sequence[View]]:
    for at in range(0, len(views), NEWEST_AT_ONCE):
        yield views[at : at + NEWEST_AT_ONCE]


def _with_twins(user_id: str, chats: Iterable[str]) -> list[str]:
    names = dict.fromkeys(chats)
    names.update({notification_twin(name): None for name in list(names)})
    names[notification_pair(user_id, user_id)] = None
    return list(names)


def _check_count(field: str, count: int, limit: int) -> None:
    if count > limit:
        raise args_error(field, f"holds more than {limit} items")


def _halves(wanted: Sequence[Wanted]) -> tuple[list[Wanted], list[Wanted]]:
    if len(wanted) > 1:
        middle = len(wanted) // 2
        return list(wanted[:middle]), list(wanted[middle:])
    [item] = wanted
    if item.first >= item.last:
        raise RowsTooLarge
    middle = (item.first + item.last + 1) // 2
    return [attrs.evolve(item, first=middle)], [attrs.evolve(item, last=middle - 1)]


def _parts(ranges: Sequence[sdkws_pb2.SeqRange], views: dict[str, View], room: int) -> list[_Part]:
    """`room`: rows in all."""
    parts = []
    by_name = {item.conversationID: item for item in ranges}
    for name, item in by_name.items():
        view = views.get(name)
        if view is None or not room:
            continue
        if is_notification(name):
            limit = min(MAX_NOTIFICATION_ROWS, room)
            window = seq_ranges.whole_window(item.begin, item.end, view.low, view.high, limit)
        else:
            limit = min(MAX_CHAT_ROWS, room)
            window = seq_ranges.newest_window(
                item.begin, item.end, view.low, view.high, item.num, limit
            )
        if len(window):
            room -= len(window)
            parts.append(_Part(item, view, window))
    return parts


def _fill_range(
    answer: sdkws_pb2.PullMessageBySeqsResp,
    part: _Part,
    order: int,
    messages: Shown,
    room: int,
) -> int:
    """Returns how much room it took."""
    name = part.view.conversation
    whole = is_notification(name)
    from_end = sorted(messages, reverse=not whole)
    weights = [_weight(name, messages[seq]) for seq in from_end]
    count = seq_ranges.fitting(weights, room)
    if count == 0:
        return 0
    chosen = sorted(from_end[:count])
    entry = _entry(answer, name)
    entry.Msgs.extend(messages[seq] for seq in chosen)
    if whole and (part.window.cut or count < len(from_end)):
        entry.endSeq = chosen[-1]
    else:
        entry.isEnd = seq_ranges.range_is_end(
            order, part.asked.begin, part.asked.end, part.view.low, part.view.high
        )
    return sum(weights[:count])


def _entry(
    answer: sdkws_pb2.PullMessageBySeqsResp | msg_pb2.GetSeqMessageResp, name: str
) -> sdkws_pb2.PullMsgs:
    return answer.notificationMsgs[name] if is_notification(name) else answer.msgs[name]


def _weight(name: str, message: sdkws_pb2.MsgData) -> int:
    size = message.ByteSize() + 8
    return size // 4 if is_notification(name) else size


def _newest_shown(messages: Shown) -> sdkws_pb2.MsgData | None:
    for seq in sorted(messages, reverse=True):
        if messages[seq].status < STATUS_DELETED:
            return messages[seq]
    return None
