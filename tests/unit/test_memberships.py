"""Members of a group are read once, however many ask at the same time."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from openim_trio.append.ports import StoreUnavailable
from openim_trio.domain.groups import Membership
from openim_trio.domain.records import MemberRecord
from openim_trio.services.memberships import Memberships

GROUP = "g1"


class SlowGroups:
    """A store whose reads of members end when they are told to."""

    def __init__(self) -> None:
        self.users = ["a"]
        self.reads: list[trio.Event] = []
        self.error: StoreUnavailable | None = None

    async def members(self, group_id: str) -> list[MemberRecord]:
        seen = [MemberRecord(group_id, user) for user in self.users]
        self.reads.append(trio.Event())
        await self.reads[-1].wait()
        if self.error is not None:
            raise self.error
        return seen


class Asking:
    def __init__(self) -> None:
        self.groups = SlowGroups()
        store: Any = self.groups
        self.memberships = Memberships(store)
        self.answers: list[Membership | StoreUnavailable] = []

    async def ask(self) -> None:
        try:
            self.answers.append(await self.memberships.members(GROUP))
        except StoreUnavailable as error:
            self.answers.append(error)

    def ids(self) -> list[set[str]]:
        return [set(a.ids) for a in self.answers if isinstance(a, Membership)]


@pytest.fixture
def asking() -> Asking:
    return Asking()


async def start(nursery: trio.Nursery, asking: Asking, number: int) -> None:
    for _ in range(number):
        nursery.start_soon(asking.ask)
    await trio.testing.wait_all_tasks_blocked()


async def test_who_asks_at_once_shares_a_read(asking: Asking) -> None:
    async with trio.open_nursery() as nursery:
        await start(nursery, asking, 5)
        [read] = asking.groups.reads
        read.set()
    assert asking.ids() == [{"a"}] * 5
    await asking.ask()
    assert len(asking.groups.reads) == 1  # now it is cached


async def test_a_read_from_before_a_change_is_not_shared(asking: Asking) -> None:
    async with trio.open_nursery() as nursery:
        await start(nursery, asking, 1)
        asking.groups.users.append("b")
        asking.memberships.drop([GROUP])
        await start(nursery, asking, 2)
        old, new = asking.groups.reads
        new.set()
        await trio.testing.wait_all_tasks_blocked()
        assert asking.ids() == [{"a", "b"}] * 2
        old.set()
    await asking.ask()
    assert asking.ids()[-1] == {"a", "b"}


async def test_an_unavailable_store_is_told_to_all(asking: Asking) -> None:
    asking.groups.error = StoreUnavailable("no primary")
    async with trio.open_nursery() as nursery:
        await start(nursery, asking, 3)
        [read] = asking.groups.reads
        read.set()
    assert len(asking.answers) == 3
    assert not asking.ids()


async def test_a_cancelled_reader_leaves_the_others_an_answer(asking: Asking) -> None:
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as first:
                await start(first, asking, 1)
                await start(nursery, asking, 2)
                scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        asking.groups.reads[-1].set()
    assert asking.ids() == [{"a"}] * 2
    assert len(asking.groups.reads) == 2
