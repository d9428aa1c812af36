"""One request for messages by ranges of seqs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from openim_trio.client.channel import Channel
from openim_trio.domain.conversations import is_notification
from openim_trio.wire.identifiers import Req
from openim_trio.wire.proto import sdkws_pb2


@attrs.frozen
class Ask:
    """The newest `num` messages of first..last."""

    conversation_id: str
    first: int
    last: int
    num: int


async def pull(
    channel: Channel, user_id: str, asks: Iterable[Ask]
) -> Mapping[str, Sequence[sdkws_pb2.MsgData]]:
    """What was asked for, by conversation, and nothing else that a server may send; none is empty.
    Raises what `Channel.call` raises."""
    request = sdkws_pb2.PullMessageBySeqsReq(userID=user_id)
    wanted = list(asks)
    for ask in wanted:
        request.seqRanges.add(
            conversationID=ask.conversation_id, begin=ask.first, end=ask.last, num=ask.num
        )
    answer = await channel.call(Req.PULL_RANGES, request, sdkws_pb2.PullMessageBySeqsResp)
    found: dict[str, Sequence[sdkws_pb2.MsgData]] = {}
    for ask in wanted:
        name = ask.conversation_id
        group = answer.notificationMsgs if is_notification(name) else answer.msgs
        if name in group:
            messages = [m for m in group[name].Msgs if ask.first <= m.seq <= ask.last]
            if messages:
                found[name] = messages
    return found
