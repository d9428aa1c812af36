"""Pages of history: from the local database, and from the server what it lacks.

A sync leaves out what is older than `Settings.history_limit`, and may still be on its way.
"""

from __future__ import annotations

from openim_trio.client.account import Account
from openim_trio.client.database import messages, slots
from openim_trio.client.errors import NotConnected, ServerRefused
from openim_trio.client.model import Message
from openim_trio.client.pulls import Ask, pull
from openim_trio.domain.conversations import is_notification

MOST_BLOCKS = 5
"""looked at for one page; more than one only where messages in a row were deleted"""


async def page(
    account: Account, conversation_id: str, before_seq: int, count: int
) -> list[Message]:
    """Raises DatabaseError.  Without a connection, or when the server refuses: what is here."""
    if is_notification(conversation_id):
        return []  # they are carried out, not kept
    database = account.ledger.database
    last = before_seq - 1 if before_seq else account.ledger[conversation_id].head
    for _ in range(MOST_BLOCKS):
        first = max(1, last - count + 1)
        if not await _holds(account, conversation_id, first, last):
            try:
                await _pull(account, conversation_id, first, last)
            except (NotConnected, ServerRefused):
                break
        found = await database.read(
            lambda connection: messages.page(connection, conversation_id, before_seq, count)
        )
        if len(found) >= count or first == 1:
            return found
        last = first - 1
    return await database.read(
        lambda connection: messages.page(connection, conversation_id, before_seq, count)
    )


async def _holds(account: Account, conversation_id: str, first: int, last: int) -> bool:
    held = await account.ledger.database.read(
        lambda connection: slots.count(connection, conversation_id, first, last)
    )
    return held == last - first + 1


async def _pull(account: Account, conversation_id: str, first: int, last: int) -> None:
    ask = Ask(conversation_id, first, last, last - first + 1)
    found = await pull(account.channel(), account.user_id, [ask])
    await account.receiver.ingest(found, offline=True, again=True)
