"""Whatever comes in whatever order, the table of messages is what a simple model says."""

from __future__ import annotations

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from openim_trio.client.database import conversations, messages, rows
from openim_trio.client.database.messages import Verdict
from openim_trio.client.errors import InvalidArgument
from openim_trio.client.model import MessageStatus
from tests.support.local_database import CHAT, OWN, memory_database, text_message

Key = tuple[str, str]


@attrs.define
class Slot:
    shown: bool
    key: Key | None
    queued_here: bool = False


@attrs.define
class Model:
    """What the documentation of `messages` says, without a database."""

    slots: dict[int, Slot] = attrs.field(factory=dict)
    queued: dict[str, MessageStatus] = attrs.field(factory=dict)
    read_seq: int = 0
    cleared: int = 0

    def keys(self) -> set[Key]:
        return {slot.key for slot in self.slots.values() if slot.key}

    def store(self, seq: int, sender: str, name: str, status: int) -> Verdict:
        if seq in self.slots:
            return Verdict.KNOWN
        key = (sender, name) if name else None
        gone = status == 4 or seq <= self.cleared
        queued_here = sender == OWN and name in self.queued
        known = key in self.keys()
        if queued_here:
            del self.queued[name]
        if known and not gone:
            self.slots[seq] = Slot(False, None)
            return Verdict.DUPLICATE
        self.slots[seq] = Slot(not gone, None if known else key, queued_here)
        if gone:
            return Verdict.PLACEHOLDER
        if sender == OWN:
            self.read_seq = max(self.read_seq, seq)
        return Verdict.OWN if queued_here else Verdict.NEW

    def queue(self, name: str) -> bool:
        if not name or name in self.queued or (OWN, name) in self.keys():
            return False
        self.queued[name] = MessageStatus.SENDING
        return True

    def shown(self) -> list[int]:
        return sorted(seq for seq, slot in self.slots.items() if slot.shown)


SEQ = st.integers(1, 7)
NAME = st.sampled_from(["a", "b", "c", ""])
STEP = st.one_of(
    st.tuples(
        st.just("store"),
        st.lists(
            st.tuples(SEQ, st.sampled_from([OWN, "bob"]), NAME, st.sampled_from([2, 2, 2, 4])),
            max_size=4,
        ),
    ),
    st.tuples(st.just("queue"), NAME),
    st.tuples(st.just("acknowledge"), NAME),
    st.tuples(st.just("fail"), NAME),
    st.tuples(st.just("remove"), NAME),
    st.tuples(st.just("delete"), st.lists(SEQ, max_size=3)),
    st.tuples(st.just("clear"), SEQ),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(STEP, max_size=14))
def test_messages_are_what_the_model_says(steps: list[tuple[str, object]]) -> None:
    model = Model()
    with memory_database() as connection:
        conversations.ensure(connection, CHAT, 1, "bob", "")
        for step in steps:
            match step:
                case ("store", list(found)):
                    expected = [model.store(*one) for one in found]
                    stored = messages.store(
                        connection,
                        CHAT,
                        [
                            text_message(seq, sender, name, status=status)
                            for seq, sender, name, status in found
                        ],
                        own_user=OWN,
                        offline=False,
                    )
                    assert [one.verdict for one in stored] == expected
                case ("queue", str(name)):
                    try:
                        messages.insert_own(connection, CHAT, text_message(0, OWN, name))
                        done = True
                    except InvalidArgument:
                        done = False
                    assert done == model.queue(name)
                case ("acknowledge", str(name)):
                    messages.acknowledge(connection, OWN, name, "s", 1)
                    if name in model.queued:
                        model.queued[name] = MessageStatus.SENT
                case ("fail", str(name)):
                    messages.set_status(connection, OWN, name, MessageStatus.FAILED)
                    if name in model.queued:
                        model.queued[name] = MessageStatus.FAILED
                case ("remove", str(name)):
                    removed = messages.remove_unsent(connection, OWN, name)
                    assert removed == (model.queued.get(name) is MessageStatus.FAILED)
                    if removed:
                        del model.queued[name]
                case ("delete", list(seqs)):
                    gone = messages.mark_deleted(connection, CHAT, seqs)
                    assert [one.seq for one in gone] == [
                        seq for seq in model.shown() if seq in seqs
                    ]
                    for one in gone:
                        model.slots[one.seq].shown = False
                case ("clear", int(upto)):
                    messages.clear(connection, CHAT, upto)
                    model.cleared = max(model.cleared, upto)
                    for seq, slot in model.slots.items():
                        slot.shown = slot.shown and seq > upto

            page = messages.page(connection, CHAT, 0, 100)
            placed = [one for one in page if one.seq]
            assert [one.seq for one in placed] == model.shown()
            assert all(one.status is MessageStatus.SENT for one in placed)
            assert [(one.send_id, one.client_msg_id) for one in placed] == [
                model.slots[seq].key or (one.send_id, "")
                for seq, one in zip(model.shown(), placed, strict=True)
            ]
            unplaced = {one.client_msg_id: one.status for one in page if not one.seq}
            assert unplaced == model.queued
            assert [one.seq for one in messages.to_show(connection, CHAT, 0, 99, 99)] == [
                seq for seq in model.shown() if not model.slots[seq].queued_here
            ]
            found = conversations.get(connection, CHAT)
            assert found is not None
            assert found.read_seq == model.read_seq
            # Nothing that is not shown keeps what somebody wrote.
            hidden = connection.execute("SELECT text, data FROM messages WHERE kind <> 1")
            for text, data in hidden:
                assert not text
                assert b"hi" not in data
        assert {kind.value for kind in rows.Kind} == {1, 2, 3}
