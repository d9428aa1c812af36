"""The comparison at the end of the reliability test finds each kind of difference: journals,
databases and rows of a run without one are changed in one place."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest
from stress.reliability import journal, texts
from stress.reliability.comparison import Comparison, compare
from stress.reliability.differences import Rule
from stress.reliability.evidence import Held, Slot, slots_of
from stress.reliability.ledger import Ledger
from stress.reliability.schedule import Part

from openim_trio.client.model import MessageStatus
from openim_trio.domain.rows import RowKind, row_from_data
from openim_trio.wire.proto import sdkws_pb2

CHAT = "si_ann_bob"
SENT, FAILED, DELETED = MessageStatus.SENT, MessageStatus.FAILED, MessageStatus.DELETED


@attrs.define
class Run:
    """Ann writes a0 to a3 to Bob, a2 fails; Bob writes b0 to Ann.  Its server gave seq 3 to a
    message that was given up."""

    ledger: Ledger
    held: dict[str, list[Held]]
    slots: dict[str, list[Slot]]

    def compare(self) -> Comparison:
        return compare(self.ledger, self.held, self.slots)

    def rules(self) -> set[Rule]:
        return {difference.rule for difference in self.compare().differences}


ROWS = [("a0", "ann"), ("b0", "bob"), ("a2", "ann"), ("a1", "ann"), ("a3", "ann")]


def held(name: str, sender: str, seq: int, status: MessageStatus = SENT) -> Held:
    text = texts.compose(sender, int(name[1]), 1.0, 3)
    return Held(name, CHAT, seq, sender, text, status)


@pytest.fixture
def run() -> Run:
    ledger = Ledger(
        [
            Part(user="ann", process=0, letters=4, starts_after=0.0),
            Part(user="bob", process=0, letters=1, starts_after=0.0),
            Part(user="carl", process=1, letters=0, starts_after=0.0),
        ]
    )
    for user in ledger.people:
        ledger.take(user, [journal.Began(0.0, 1)])
    for seq, (name, sender) in enumerate(ROWS, 1):
        receiver = "bob" if sender == "ann" else "ann"
        number = int(name[1])
        ledger.take(sender, [journal.Intended(1.0, number, receiver)])
        ledger.take(sender, [journal.Queued(1.0, number, name)])
        if name == "a2":
            ledger.take(sender, [journal.Failed(2.0, number, name, 10901)])
            continue
        ledger.take(sender, [journal.Sent(2.0, number, name)])
        arrival = journal.Received(3.0, name, sender, number, CHAT, seq, False, 1.0)
        ledger.take(receiver, [arrival])
    both = [held(name, sender, seq) for seq, (name, sender) in enumerate(ROWS, 1) if name != "a2"]
    slots = [Slot(seq, name, sender, name != "a2") for seq, (name, sender) in enumerate(ROWS, 1)]
    return Run(
        ledger,
        {"ann": [*both, held("a2", "ann", 0, FAILED)], "bob": list(both), "carl": []},
        {CHAT: slots},
    )


def test_a_run_without_a_difference(run: Run) -> None:
    assert run.ledger.differences == []
    found = run.compare()
    assert found.differences == []
    assert (found.letters, found.conversations, found.rows) == (5, 1, 5)


def replace(user: str, name: str, **changes: object) -> Callable[[Run], None]:
    def change(run: Run) -> None:
        run.held[user] = [
            attrs.evolve(x, **changes) if x.client_msg_id == name else x for x in run.held[user]
        ]

    return change


def drop(user: str, name: str) -> Callable[[Run], None]:
    def change(run: Run) -> None:
        run.held[user] = [x for x in run.held[user] if x.client_msg_id != name]

    return change


def hold(user: str, *more: Held) -> Callable[[Run], None]:
    return lambda run: run.held[user].extend(more)


def rows(*more: Slot, without: int = 0) -> Callable[[Run], None]:
    def change(run: Run) -> None:
        run.slots[CHAT] = [x for x in run.slots[CHAT] if x.seq != without] + list(more)

    return change


def forget(run: Run) -> None:
    del run.ledger.letters["ann", 2]


def letter(sender: str, number: int, **changes: object) -> Callable[[Run], None]:
    def change(run: Run) -> None:
        for name, value in changes.items():
            setattr(run.ledger.letters[sender, number], name, value)

    return change


LOST, END, ORDER = Rule.DELIVERED, Rule.DEFINITE_END, Rule.SAME_ORDER
HOLES, FOREIGN = Rule.NO_HOLES, Rule.NOTHING_FOREIGN
DIFFERENCES = [
    (drop("bob", "a1"), {LOST, ORDER}),
    (rows(without=5), {LOST, ORDER}),
    (rows(without=4), {LOST, HOLES, ORDER}),
    (hold("bob", held("a1", "ann", 0)), {Rule.ONCE}),
    (hold("bob", held("a1", "ann", 6)), {Rule.ONCE, ORDER}),
    (hold("bob", held("a2", "ann", 0)), {Rule.FAILED_NEVER}),
    (rows(Slot(3, "a2", "ann", True), without=3), {Rule.FAILED_NEVER, HOLES, ORDER}),
    (letter("ann", 1, end=None), {END}),
    (letter("ann", 1, end=None, unknown=True), {END}),
    (forget, {END, FOREIGN}),
    (replace("ann", "a1", status=MessageStatus.SENDING), {END}),
    (replace("ann", "a1", status=MessageStatus.UNKNOWN), {END}),
    (replace("ann", "a2", status=SENT), {END}),
    (drop("ann", "a2"), {END}),
    (drop("ann", "a1"), {END, ORDER}),
    (letter("bob", 0, received=False), {Rule.SHOWN}),
    (replace("bob", "a1", seq=9), {ORDER}),
    (replace("ann", "a1", seq=9), {ORDER}),
    (replace("ann", "a1", seq=0), {ORDER}),
    (replace("bob", "a1", status=DELETED), {ORDER}),
    (rows(Slot(6, "a1", "ann", True)), {HOLES, ORDER}),
    (rows(Slot(6, "x9", "ann", True)), {FOREIGN, ORDER}),
    (lambda run: run.slots.update(si_x=[Slot(1, "x9", "x", True)]), {FOREIGN}),
    (hold("bob", held("x9", "ann", 0)), {FOREIGN}),
    (hold("carl", held("a1", "ann", 0)), {FOREIGN}),
    (hold("carl", attrs.evolve(held("a1", "ann", 1), conversation="x")), {FOREIGN, ORDER}),
    (replace("bob", "a1", text=texts.compose("ann", 0, 1.0, 3)), {FOREIGN}),
    (replace("ann", "a1", text=""), {FOREIGN}),
    (replace("bob", "a1", conversation="si_bob_carl"), {FOREIGN, ORDER}),
]  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), DIFFERENCES)
def test_each_difference_is_found(
    run: Run, change: Callable[[Run], None], expected: set[Rule]
) -> None:
    change(run)
    assert run.rules() == expected


def test_two_databases_that_agree_against_the_server(run: Run) -> None:
    for user in ("ann", "bob"):
        replace(user, "a0", seq=2)(run)
        replace(user, "b0", seq=1)(run)
    assert run.rules() == {Rule.SAME_ORDER}


def test_slots_without_a_message_are_nothing(run: Run) -> None:
    for user in ("ann", "bob"):
        hold(user, Held("t3", CHAT, 3, "ann", "", DELETED))(run)
    assert run.rules() == set()


def test_who_was_killed_may_have_been_shown_it_or_not(run: Run) -> None:
    letter("ann", 1, received=False)(run)
    run.ledger.take("bob", [journal.Began(5.0, 2)])
    found = run.compare()
    assert found.differences == []
    assert found.shown_or_not == 1
    drop("bob", "a1")(run)
    assert run.rules() == {Rule.DELIVERED, Rule.SAME_ORDER}


def test_rows_as_the_server_stores_them() -> None:
    data = sdkws_pb2.MsgData(clientMsgID="a0", sendID="ann", content=b'{"content":"hi"}')
    stored = [
        row_from_data(CHAT, seq, kind, data.SerializeToString(), 1)
        for seq, kind in ((1, RowKind.MESSAGE), (2, RowKind.TOMBSTONE))
    ]
    assert slots_of({CHAT: stored}) == {
        CHAT: [Slot(1, "a0", "ann", True), Slot(2, "a0", "ann", False)]
    }
