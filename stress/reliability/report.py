"""A run in figures: for people as text, for programs as JSON."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Any

import attrs

from stress import figures
from stress.reliability.differences import Difference, Rule
from stress.reliability.result import Result

LISTED = 20
"""differences of one rule in the text; the JSON file has all"""


def document(result: Result) -> dict[str, Any]:
    """As JSON can hold it.  Times in seconds since the run began, latencies in ms."""
    ledger, counts, comparison = result.ledger, result.ledger.counts, result.comparison
    return {
        "command": result.command,
        "seed": result.settings.seed,
        "began": datetime.fromtimestamp(result.began, UTC).isoformat(timespec="seconds"),
        "settings": attrs.asdict(result.settings),
        "machine": result.machine,
        "messages": {
            "to be sent": ledger.total,
            "queued": counts.queued,
            "acknowledged": counts.sent,
            "failed for good": counts.failed,
            "without an end": counts.queued - counts.ended,
            "received": counts.arrived,
            "of them after being offline": counts.offline,
            "of them recovered": counts.recovered,
            "of them shown or not before a SIGKILL": comparison.shown_or_not,
            "ends told again": counts.told_again,
            "server rows": comparison.rows,
            "conversations": comparison.conversations,
        },
        "connections": {
            "made": counts.connections,
            "lost or refused": counts.connect_failures,
            "logins and starts of processes": sum(p.lives for p in ledger.people.values()),
            "letters that a client did not take at once": counts.refused,
            "journal lines cut off": result.torn,
        },
        "seconds": {
            "talking": round(result.talking, 1),
            "all": round(result.seconds, 1),
            "acknowledged a second": round(counts.sent / max(result.talking, 1.0), 1),
        },
        "latency_ms": {
            "queued to acknowledged": figures.percentiles(ledger.series.to_ack),
            "queued to received, online": figures.percentiles(ledger.series.to_receipt),
            "queued to received, offline": figures.percentiles(ledger.series.to_late_receipt),
        },
        "faults": [attrs.asdict(happened) for happened in result.happened],
        "differences": [{"rule": x.rule, "what": x.what} for x in result.differences],
    }


def text(result: Result) -> str:
    found = document(result)
    lines = [f"seed {found['seed']}    {found['command']}", ""]
    for part in ("messages", "connections", "seconds"):
        lines.append(part)
        lines += [f"    {name:42} {value:>12,}" for name, value in found[part].items()]
    lines.append("latency, ms")
    for name, values in found["latency_ms"].items():
        shown = "  ".join(f"{which} {value:,.1f}" for which, value in values.items())
        lines.append(f"    {name:42} {shown or '-'}")
    if result.happened:
        lines.append("faults")
        lines += [
            f"    {x.began:7.1f} to {x.ended:7.1f} s  {x.name:21} {x.what}" for x in result.happened
        ]
    return "\n".join([*lines, "", verdict(result), *_listed(result.differences)])


def verdict(result: Result) -> str:
    count = len(result.differences)
    if not count:
        return f"no difference in {result.ledger.total:,} messages"
    return f"{count:,} difference{'s' if count > 1 else ''}"


def by_rule(differences: list[Difference]) -> dict[Rule, list[str]]:
    found: dict[Rule, list[str]] = defaultdict(list)
    for difference in differences:
        found[difference.rule].append(difference.what)
    return found


def _listed(differences: list[Difference]) -> list[str]:
    lines = []
    for rule, whats in by_rule(differences).items():
        lines.append(f"not so: {rule} ({len(whats):,})")
        lines += [f"    {what}" for what in whats[:LISTED]]
        if len(whats) > LISTED:
            lines.append(f"    and {len(whats) - LISTED:,} more")
    return lines


def per_second(times: Counter[int], until: float) -> list[tuple[float, float]]:
    """(second, how many in it), also where there were none."""
    return [(float(second), float(times[second])) for second in range(int(until) + 1)]
