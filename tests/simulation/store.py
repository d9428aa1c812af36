"""The store in memory, as far as a chat needs it; `store.client.Store`.

Shared by all workers; each reaches it by calls of its own (`calls.Remote`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from openim_trio.domain.records import (
    ConversationRecord,
    GroupRecord,
    MemberRecord,
    TokenRecord,
    UserRecord,
)
from openim_trio.domain.rows import StoredRow
from tests.simulation.engines import WatchedRows


class StoredRows(WatchedRows):
    def _stored(self, conversation: str, seqs: Iterable[int]) -> list[StoredRow]:
        found = [self.slots[conversation, s] for s in seqs if (conversation, s) in self.slots]
        return [StoredRow(conversation, row.seq, row.kind, row.data) for row in found]

    async def read_ranges(self, ranges: Sequence[tuple[str, int, int]]) -> list[list[StoredRow]]:
        return [self._stored(name, range(first, last + 1)) for name, first, last in ranges]

    async def read_seqs(self, items: Sequence[tuple[str, Sequence[int]]]) -> list[list[StoredRow]]:
        return [self._stored(name, seqs) for name, seqs in items]


class Users:
    def __init__(self, names: Iterable[str]) -> None:
        self._records = {name: UserRecord(name, name) for name in names}

    async def get(self, user_id: str) -> UserRecord | None:
        return self._records.get(user_id)

    async def get_many(self, user_ids: Iterable[str]) -> dict[str, UserRecord]:
        return {u: self._records[u] for u in user_ids if u in self._records}


class Groups:
    """group -> members"""

    def __init__(self, groups: Mapping[str, Sequence[str]]) -> None:
        self._groups = groups

    async def get_many(self, group_ids: Sequence[str]) -> dict[str, GroupRecord]:
        return {g: GroupRecord(g, g) for g in group_ids if g in self._groups}

    async def members(self, group_id: str) -> list[MemberRecord]:
        return [MemberRecord(group_id, user) for user in self._groups.get(group_id, ())]

    async def memberships(self, user_id: str) -> list[str]:
        return [group for group, members in self._groups.items() if user_id in members]


class Conversations:
    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], ConversationRecord] = {}

    async def of_owner(self, owner: str) -> list[ConversationRecord]:
        return [row for (user, _), row in sorted(self._rows.items()) if user == owner]

    async def get_many(self, owner: str, names: Sequence[str]) -> list[ConversationRecord]:
        wanted = dict.fromkeys(names)
        return [self._rows[owner, name] for name in wanted if (owner, name) in self._rows]

    async def of_pairs(
        self, pairs: Iterable[tuple[str, str]]
    ) -> dict[tuple[str, str], ConversationRecord]:
        return {pair: self._rows[pair] for pair in pairs if pair in self._rows}

    async def owners_of(self, conversation_id: str) -> list[str]:
        return sorted(owner for owner, name in self._rows if name == conversation_id)

    async def ensure(self, records: Sequence[ConversationRecord]) -> list[tuple[str, str]]:
        new = []
        for record in records:
            pair = record.owner_user_id, record.conversation_id
            if pair not in self._rows:
                self._rows[pair] = record
                new.append(pair)
        return new

    async def raise_read_seqs(
        self, items: Sequence[tuple[str, str, int]], *, durable: bool = True
    ) -> None:
        for owner, name, seq in items:
            row = self._rows.get((owner, name))
            if row is not None and row.read_seq < seq:
                self._rows[owner, name] = attrs.evolve(row, read_seq=seq)


class Tokens:
    """Valid for ever."""

    def __init__(self) -> None:
        self._records: dict[str, TokenRecord] = {}

    def add(self, record: TokenRecord) -> None:
        self._records[record.token_hash] = record

    async def get(self, token_hash: str) -> TokenRecord | None:
        return self._records.get(token_hash)

    async def get_many(self, token_hashes: Iterable[str]) -> dict[str, TokenRecord]:
        return {h: self._records[h] for h in token_hashes if h in self._records}

    async def of_user(self, user_id: str) -> list[TokenRecord]:
        return [record for record in self._records.values() if record.user_id == user_id]

    async def set_state(self, token_hashes: Sequence[str], state: int) -> None:
        for name in token_hashes:
            self._records[name] = attrs.evolve(self._records[name], state=state)


class Nothing:
    """Collections that stay empty."""

    async def min_seqs(self, conversations: Sequence[str]) -> dict[str, int]:
        return {}

    async def within(
        self, user: str, ranges: Sequence[tuple[str, int, int]]
    ) -> dict[str, set[int]]:
        return {}


class OwnReadNotes:
    """In Redis: they go when it is wiped."""

    def __init__(self) -> None:
        self.notes: dict[tuple[str, str], int] = {}

    async def put(self, seqs: Mapping[tuple[str, str], int]) -> None:
        for pair, seq in seqs.items():
            self.notes[pair] = max(seq, self.notes.get(pair, 0))

    async def get(self, user_id: str, conversations: Sequence[str]) -> dict[str, int]:
        pairs = {name: (user_id, name) for name in conversations}
        return {name: self.notes[pair] for name, pair in pairs.items() if pair in self.notes}


@attrs.frozen
class MemoryStore:
    rows: StoredRows
    users: Users
    groups: Groups
    conversations: Conversations = attrs.field(factory=Conversations)
    tokens: Tokens = attrs.field(factory=Tokens)
    bounds: Nothing = attrs.field(factory=Nothing)
    hidden: Nothing = attrs.field(factory=Nothing)
    versions: Nothing = attrs.field(factory=Nothing)
    send_status: Nothing = attrs.field(factory=Nothing)
