"""python -m tests.simulation [append|chat]: simulate bad days, by number or for a while.

--seed N --trace            one of them, told step by step
--from-seed N --count M     a range of them
--from-seed N --seconds S   as many as there is time for
--without PRECAUTION        with a precaution taken out, until that is found
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from itertools import count

from tests.simulation import weakened, weakened_client
from tests.simulation.runs import HASH_SEED, STORIES, Main, course_of, report, without

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
    parser.add_argument("--from-seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=sys.maxsize)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    precautions = [*weakened.TAKEN_OUT, *weakened_client.TAKEN_OUT]
    parser.add_argument("--without", choices=precautions, metavar="PRECAUTION")
    args = parser.parse_args()
    if args.count == sys.maxsize and args.seconds == float("inf"):
        args.seconds = SHOW_EVERY
    stories = {name: main for name, main in STORIES.items() if args.story in (None, name)}
    if args.without:
        stories = {n: without(args.without, main) for n, main in stories.items()}
    if args.seed is not None:
        return max(_look(*story, args.seed, trace=args.trace) for story in stories.items())
    return _explore(stories, args)


def _look(story: str, main: Main, seed: int, *, trace: bool) -> int:
    """At one course; 0: all is well."""
    course = course_of(main, seed, echo=trace)
    if course.wrong:
        print(report(story, course), flush=True)
        return 1
    print(f"{story}, seed {seed}: all promises were kept (course {course.trace.digest[:16]})")
    return 0


def _explore(stories: dict[str, Main], args: argparse.Namespace) -> int:
    began = shown = time.perf_counter()
    wrong = 0
    for done in count(1):
        for story, main in stories.items():
            course = course_of(main, args.from_seed + done - 1)
            if course.wrong:
                wrong += 1
                print(report(story, course), flush=True)
        now = time.perf_counter()
        last = done == args.count or now - began > args.seconds or (args.without and wrong)
        if last or now - shown > SHOW_EVERY:
            shown = now
            print(f"{done} seeds of {', '.join(stories)}: {wrong} wrong", flush=True)
        if last:
            break
    return 1 if wrong else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != HASH_SEED:
        # The order of sets of strings is part of a course.
        os.environ["PYTHONHASHSEED"] = HASH_SEED
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    sys.exit(main())
