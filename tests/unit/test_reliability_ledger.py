"""What the reliability test makes of journals meanwhile: counts, and what cannot be right."""

from __future__ import annotations

from stress.reliability import journal
from stress.reliability.differences import Rule
from stress.reliability.journal import Entry
from stress.reliability.ledger import Ledger
from stress.reliability.schedule import Part

CHAT = "si_ann_bob"


def ledger() -> Ledger:
    """Ann writes two letters, both to Bob."""
    found = Ledger(
        [
            Part(user="ann", process=0, letters=2, starts_after=0.0),
            Part(user="bob", process=1, letters=0, starts_after=0.0),
        ]
    )
    for user in found.people:
        found.take(user, [journal.Began(0.0, 1)])
    return found


def written(number: int) -> list[Entry]:
    return [journal.Intended(1.0, number, "bob"), journal.Queued(1.5, number, f"id{number}")]


def sent(number: int) -> Entry:
    return journal.Sent(2.0, number, f"id{number}")


def failed(number: int) -> Entry:
    return journal.Failed(2.0, number, f"id{number}", 10901)


def received(number: int, seq: int, *, conversation: str = CHAT, offline: bool = False) -> Entry:
    latency = 1.5
    return journal.Received(2.5, f"id{number}", "ann", number, conversation, seq, offline, latency)


def recovered(number: int) -> Entry:
    return journal.Recovered(9.0, f"id{number}", "ann", number)


def broken(ledger: Ledger) -> list[Rule]:
    return [difference.rule for difference in ledger.differences]


def test_what_goes_well_is_counted() -> None:
    found = ledger()
    found.take("ann", [*written(0), sent(0)])
    assert (found.all_queued, found.settled) == (False, False)
    found.take("ann", [*written(1), journal.Unknown(1.9, 1, "id1")])
    assert (found.all_queued, found.counts.unknown) == (True, 1)
    found.take("ann", [sent(1)])
    assert found.counts.unknown == 0
    assert [letter.number for letter in found.missing()] == [0, 1]
    assert not found.settled
    found.take("bob", [received(0, 1), received(1, 2, offline=True)])
    assert found.settled
    assert (found.counts.arrived, found.counts.offline) == (2, 1)
    assert list(found.series.to_ack) == [1.0, 1.0]
    assert list(found.series.to_receipt) == list(found.series.to_late_receipt) == [1.5]
    assert (found.series.queued[1], found.series.sent[2], found.series.received[2]) == (2, 2, 2)
    assert found.differences == []


def test_journals_are_read_in_any_order() -> None:
    found = ledger()
    found.take("bob", [received(0, 1), received(1, 2)])
    found.take("ann", [*written(0), sent(0), *written(1), sent(1)])
    assert found.settled
    assert found.differences == []


def test_what_failed_is_settled_without_arriving() -> None:
    found = ledger()
    found.take("ann", [*written(0), failed(0), *written(1), failed(1)])
    assert found.settled
    assert (found.counts.failed, found.counts.arrived) == (2, 0)


def test_who_is_online() -> None:
    found = ledger()
    found.take("ann", [journal.Link(1.0, up=True)])
    found.take("bob", [journal.Link(1.0, up=True)])
    assert found.online == 2
    found.take("ann", [journal.Link(2.0, up=False, how="cut")])
    found.take("bob", [journal.Began(3.0, 2)])
    assert found.online == 0


# -- what cannot be right --------------------------------------------------------------------------


def test_shown_twice() -> None:
    found = ledger()
    found.take("ann", [*written(0), sent(0)])
    found.take("bob", [received(0, 1), received(0, 1)])
    assert broken(found) == [Rule.ONCE]


def test_shown_after_it_was_recovered() -> None:
    found = ledger()
    found.take("ann", [*written(0), sent(0)])
    found.take("bob", [journal.Began(3.0, 2), recovered(0), received(0, 1)])
    assert broken(found) == [Rule.ONCE]


def test_shown_and_recovered_after_a_crash_is_right() -> None:
    found = ledger()
    found.take("ann", [*written(0), sent(0)])
    found.take("bob", [received(0, 1), journal.Began(3.0, 2), recovered(0)])
    assert broken(found) == []
    assert (found.counts.arrived, found.counts.recovered) == (1, 1)
    found.take("bob", [recovered(0)])
    assert broken(found) == [Rule.ONCE]


def test_recovered_though_nobody_was_killed() -> None:
    found = ledger()
    found.take("bob", [recovered(0)])
    assert broken(found) == [Rule.SHOWN]


def test_who_iterates_may_be_told_again_of_the_last_one() -> None:
    found = Ledger([Part("ann", 0, 1, 0.0), Part("bob", 1, 0, 0.0, iterates=True)])
    for user in found.people:
        found.take(user, [journal.Began(0.0, 1)])
    found.take("bob", [received(0, 1), recovered(0)])
    assert broken(found) == []
    found.take("bob", [recovered(0)])
    assert broken(found) == [Rule.ONCE]
    author = Ledger([Part("ann", 0, 1, 0.0, iterates=True), Part("bob", 1, 0, 0.0)])
    author.take("ann", [journal.Began(0.0, 1), *written(0), sent(0), sent(0)])
    assert broken(author) == []
    assert author.counts.told_again == 1


def test_shown_out_of_order() -> None:
    found = ledger()
    found.take("bob", [received(1, 2), received(0, 1)])
    assert broken(found) == [Rule.SHOWN]


def test_shown_in_another_conversation() -> None:
    found = ledger()
    found.take("bob", [received(0, 1, conversation="si_ann_carl")])
    assert broken(found) == [Rule.NOTHING_FOREIGN]


def test_shown_though_it_failed() -> None:
    found = ledger()
    found.take("ann", [*written(0), failed(0)])
    found.take("bob", [received(0, 1)])
    assert broken(found) == [Rule.FAILED_NEVER]


def test_failed_though_it_was_shown() -> None:
    found = ledger()
    found.take("bob", [received(0, 1)])
    found.take("ann", [*written(0), failed(0)])
    assert broken(found) == [Rule.FAILED_NEVER]


def test_two_ends() -> None:
    for one, other in ((sent(0), failed(0)), (failed(0), sent(0)), (sent(0), sent(0))):
        found = ledger()
        found.take("ann", [*written(0), one, other])
        assert broken(found) == [Rule.DEFINITE_END]


def test_told_again_after_a_crash_is_right() -> None:
    found = ledger()
    found.take("ann", [*written(0), sent(0), journal.Began(3.0, 2), sent(0)])
    assert broken(found) == []
    assert (found.counts.sent, found.counts.told_again) == (1, 1)
    found.take("ann", [failed(0)])
    assert broken(found) == [Rule.DEFINITE_END]


def test_queued_twice() -> None:
    found = ledger()
    found.take("ann", [*written(0), *written(0)])
    assert broken(found) == [Rule.ONCE]


def test_two_ids_of_one_letter() -> None:
    found = ledger()
    found.take("ann", [*written(0), journal.Sent(2.0, 0, "other")])
    assert broken(found) == [Rule.ONCE]


def test_a_letter_that_nobody_was_to_write() -> None:
    for sender, number in (("ann", 2), ("ann", -1), ("carl", 0), ("bob", 0)):
        found = ledger()
        entry = journal.Received(1.0, "x", sender, number, CHAT, 1, False, 0.1)
        found.take("bob", [entry])
        assert broken(found) == [Rule.NOTHING_FOREIGN]


def test_shown_to_somebody_else() -> None:
    found = ledger()
    found.take("ann", [*written(0)])
    found.take("ann", [received(0, 1)])
    assert broken(found) == [Rule.NOTHING_FOREIGN]
    late = ledger()
    late.take("ann", [received(0, 1, conversation="si_ann_ann"), *written(0)])
    assert broken(late) == [Rule.NOTHING_FOREIGN]


def test_trouble() -> None:
    found = ledger()
    found.take("ann", [journal.Trouble(1.0, "kicked")])
    assert broken(found) == [Rule.NO_TROUBLE]


def test_only_killed_people_are_excused() -> None:
    found = ledger()
    found.take("ann", [*written(0), sent(0), *written(1), sent(1)])
    found.take("bob", [received(0, 1)])
    assert (found.settled, found.excused()) == (False, False)
    found.take("bob", [journal.Began(3.0, 2)])
    assert (found.settled, found.excused()) == (False, True)
