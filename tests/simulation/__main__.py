"""python -m tests.simulation [append|chat]: simulate bad days, by number or for a while.

--seed N --trace      one of them, told step by step
--seconds S --from-seed N   as many as there is time for
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import count

from tests.simulation.runs import STORIES, course_of, report

SHOW_EVERY = 60.0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("story", nargs="?", choices=list(STORIES), help="default: both")
    parser.add_argument("--seed", type=int, help="this one only")
    parser.add_argument("--trace", action="store_true", help="print what happens")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--from-seed", type=int, default=0)
    args = parser.parse_args()
    chosen = [args.story] if args.story else list(STORIES)
    if args.seed is not None:
        return sum(not _holds(story, args.seed, trace=args.trace) for story in chosen)
    return _explore(chosen, args.from_seed, args.seconds)


def _holds(story: str, seed: int, *, trace: bool = False) -> bool:
    course = course_of(STORIES[story], seed, echo=trace)
    if course.wrong:
        print(report(story, course), flush=True)
    elif trace:
        print(f"{story}, seed {seed}: all promises were kept")
    return not course.wrong


def _explore(stories: list[str], first: int, seconds: float) -> int:
    began = shown = time.perf_counter()
    wrong = 0
    for seed in count(first):
        wrong += sum(not _holds(story, seed) for story in stories)
        now = time.perf_counter()
        if now - began > seconds or now - shown > SHOW_EVERY:
            shown = now
            done = seed - first + 1
            print(f"{done} seeds of {', '.join(stories)}: {wrong} wrong", flush=True)
        if now - began > seconds:
            break
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
