"""Breadth-first search over all reachable states of a model: safety in each, liveness at the end.

A state is any hashable value.  Breadth first, so a trace that is found is a shortest one.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterable
from typing import Generic, NamedTuple, Protocol, TypeVar

import attrs

State = TypeVar("State", bound=Hashable)


class Step(NamedTuple, Generic[State]):
    """What happens, what comes of it, and whether it is a fault.

    Liveness does not count on faults: nobody may need a crash to get on."""

    label: str
    state: State
    fault: bool = False


class Model(Protocol[State]):
    def initial(self) -> State: ...

    def steps(self, state: State) -> Iterable[Step[State]]: ...

    def violation(self, state: State) -> str:
        """What is broken in this state, "" if nothing is."""
        ...

    def is_good(self, state: State) -> bool:
        """A state that must stay within reach, without faults, from everywhere."""
        ...


@attrs.define
class Result:
    states: int = 0
    steps: int = 0
    violation: str = ""
    trace: list[str] = attrs.field(factory=list)
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        return not self.violation


class _Explored(Generic[State]):
    """States by number, how each was reached, and the way back along steps that are no faults."""

    def __init__(self, first: State) -> None:
        self.states = [first]
        self.number = {first: 0}
        self.parent = [-1]
        self.label = [""]
        self.before: list[list[int]] = [[]]

    def add(self, state: State, parent: int, label: str) -> tuple[int, bool]:
        number = self.number.get(state)
        if number is not None:
            return number, False
        number = self.number[state] = len(self.states)
        self.states.append(state)
        self.parent.append(parent)
        self.label.append(label)
        self.before.append([])
        return number, True

    def trace(self, number: int) -> list[str]:
        labels: list[str] = []
        while number > 0:
            labels.append(self.label[number])
            number = self.parent[number]
        return labels[::-1]

    def first_without_way_to(self, goals: Iterable[int]) -> int | None:
        reached = bytearray(len(self.states))
        stack = list(goals)
        for number in stack:
            reached[number] = 1
        while stack:
            for number in self.before[stack.pop()]:
                if not reached[number]:
                    reached[number] = 1
                    stack.append(number)
        lost = reached.find(0)
        return None if lost < 0 else lost


def explore(model: Model[State], *, liveness: bool = True) -> Result:
    """Every reachable state, or up to the first violation."""
    began = time.perf_counter()
    seen = _Explored(model.initial())
    result = Result()
    current = 0
    while current < len(seen.states) and result.holds:
        for step in model.steps(seen.states[current]):
            result.steps += 1
            number, is_new = seen.add(step.state, current, step.label)
            if is_new and (broken := model.violation(step.state)):
                result.violation = broken
                result.trace = seen.trace(number)
                break
            if liveness and not step.fault:
                seen.before[number].append(current)
        current += 1
    if result.holds and liveness:
        good = [i for i, state in enumerate(seen.states) if model.is_good(state)]
        lost = seen.first_without_way_to(good)
        if lost is not None:
            result.violation = "no good state can be reached any more"
            result.trace = seen.trace(lost)
    result.states = len(seen.states)
    result.seconds = time.perf_counter() - began
    return result
