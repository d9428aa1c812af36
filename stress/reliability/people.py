"""A process of clients: `python -m stress.reliability.people PLAN`, started by the harness.

Words come over stdin: `calm`, from then on everybody is there, and `stop`.  When stdin ends, the
process does, too.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import ExitStack
from pathlib import Path

import structlog
import trio

from stress.reliability import journal
from stress.reliability.journal import Journal, Tail, path_of
from stress.reliability.person import Person
from stress.reliability.plan import Plan

CALM, STOP = b"calm", b"stop"


async def main(plan: Plan) -> None:
    calm, stop = trio.Event(), trio.Event()
    with ExitStack() as journals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_listen, calm, stop)
            async with trio.open_nursery() as people:
                for part in plan.parts:
                    path = path_of(Path(plan.directory), part.user)
                    past = list(Tail(path).read())
                    notes = journals.enter_context(Journal(path))
                    person = Person(plan, part, notes, calm=calm, stop=stop)
                    people.start_soon(_live, person, past)
            nursery.cancel_scope.cancel()


async def _live(person: Person, past: list[journal.Entry]) -> None:
    person.note(journal.Began(person.now, os.getpid()))
    try:
        await person.live(past)
    except Exception as error:
        person.note(journal.Trouble(person.now, f"{error!r}"))
        raise
    person.note(journal.Ended(person.now))


async def _listen(calm: trio.Event, stop: trio.Event) -> None:
    async with trio.lowlevel.FdStream(os.dup(0)) as stdin:
        async for words in stdin:
            for word in bytes(words).split():
                if word in (CALM, STOP):
                    calm.set()
                if word == STOP:
                    stop.set()
    if not stop.is_set():
        os._exit(1)  # the harness is gone


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    trio.run(main, Plan.read(Path(sys.argv[1])))
