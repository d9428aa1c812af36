"""python -m tests.model [--deep]: search all states of the append protocol within bounds."""

from __future__ import annotations

import argparse
import sys

from tests.model.runs import ABLATIONS, DEEP, SMALL


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--deep", action="store_true", help="larger bounds: many minutes")
    wrong = 0
    for run in [*SMALL, *(DEEP if parser.parse_args().deep else [])]:
        result = run.explore()
        verdict = "holds" if result.holds else f"FAILS: {result.violation}"
        print(
            f"{run.title}: {verdict} [{result.states:,} states, {result.seconds:.1f} s]", flush=True
        )
        print("".join(f"    {label}\n" for label in result.trace), end="")
        wrong += not result.holds
    for name, run in ABLATIONS.items():
        result = run.explore()
        verdict = "HOLDS?" if result.holds else f"fails as it should: {result.violation}"
        print(f"{name}, {run.title}: {verdict} [{result.states:,} states]", flush=True)
        wrong += result.holds
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
