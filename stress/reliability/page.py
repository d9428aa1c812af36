"""A run as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from stress import figures
from stress.reliability import report
from stress.reliability.charts import Band, Line, distribution, over_time
from stress.reliability.result import Result

STYLE = """
:root { color-scheme: light dark; --ink: #1f2430; --dim: #667085; --paper: #fcfcfd;
  --card: #ffffff; --edge: #e4e7ec; --good: #067647; --bad: #b42318; --band: #f79009;
  --line-0: #98a2b3; --line-1: #1570ef; --line-2: #099250; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --dim: #98a2b3; --paper: #12151c;
  --card: #1a1f29; --edge: #2f3645; --good: #47cd89; --bad: #f97066; --band: #fdb022;
  --line-0: #7d89a0; --line-1: #53b1fd; --line-2: #3ccb7f; } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 64rem; padding: 2rem 1rem 4rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem }
p { margin: .25rem 0; color: var(--dim) }
code { font: .9em ui-monospace, monospace; overflow-wrap: anywhere }
.verdict { font-size: 1.15rem; font-weight: 600; margin: .75rem 0 }
.good { color: var(--good) } .bad { color: var(--bad) }
.card { background: var(--card); border: 1px solid var(--edge); border-radius: 10px;
  padding: 1rem; overflow-x: auto }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)) }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .2rem .75rem .2rem 0; vertical-align: top;
  border-bottom: 1px solid var(--edge); font-weight: 400 }
tr:last-child > * { border-bottom: 0 } th { color: var(--dim) }
td.number { text-align: right; font-variant-numeric: tabular-nums; padding-right: 0 }
svg { width: 100%; height: auto; display: block }
svg text { fill: var(--dim); font-size: 11px } .grid { stroke: var(--edge) }
.line { fill: none; stroke-width: 1.75; stroke-linejoin: round }
.line-0 { stroke: var(--line-0); stroke-dasharray: 4 3 } .line-1 { stroke: var(--line-1) }
.line-2 { stroke: var(--line-2) } .bar { fill: var(--line-1) }
.mark { stroke: var(--band); stroke-dasharray: 3 3 }
.band rect { fill: var(--band); opacity: .16 } .band text { fill: var(--ink) }
.band:hover rect { opacity: .35 }
.legend { display: flex; gap: 1.25rem; margin-bottom: .5rem; color: var(--dim) }
.legend svg { width: 26px; height: 10px; display: inline; margin-right: .4rem }
"""


def page(result: Result) -> str:
    found = report.document(result)
    good = not result.differences
    bands = [
        Band(x.name, x.began, x.ended, f"{x.name}, {x.began:.1f} to {x.ended:.1f} s: {x.what}")
        for x in sorted(result.happened, key=lambda x: x.began)
    ]
    body = [
        "<h1>Reliability test</h1>",
        f"<p>{found['began']}, seed {found['seed']}</p>",
        f"<p><code>{escape(result.command)}</code></p>",
        f'<p class="verdict {"good" if good else "bad"}">{report.verdict(result)}</p>',
        _differences(result),
        _over_time(result, bands),
        _latencies(result),
        _faults(result),
        '<h2>Figures</h2><div class="cards">',
        *(_table(part, found[part]) for part in ("messages", "connections", "seconds")),
        _table("settings", found["settings"]),
        _table("machine", found["machine"]),
        "</div>",
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Reliability test, seed {found['seed']}</title><style>{STYLE}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )


# -- charts ----------------------------------------------------------------------------------------


def _over_time(result: Result, bands: Sequence[Band]) -> str:
    series, until = result.ledger.series, result.seconds
    messages = [
        Line("queued", 0, report.per_second(series.queued, until)),
        Line("acknowledged", 1, report.per_second(series.sent, until)),
        Line("received", 2, report.per_second(series.received, until)),
    ]
    online = Line("online", 1, [(0.0, 0.0), *((s.at, float(s.online)) for s in result.samples)])
    unresolved = Line(
        "unresolved", 1, [(0.0, 0.0), *((s.at, float(s.unresolved)) for s in result.samples)]
    )
    return "".join(
        (
            _chart("Messages a second", messages, bands),
            _chart("Clients online", [online], bands),
            _chart("Sends without an end", [unresolved], bands),
        )
    )


def _chart(title: str, lines: Sequence[Line], bands: Sequence[Band], *, legend: bool = True) -> str:
    keys = "".join(
        f'<span><svg viewBox="0 0 26 10"><path class="line line-{line.style}" d="M0 5H26"/></svg>'
        f"{escape(line.name)}</span>"
        for line in lines
    )
    shown = f'<div class="legend">{keys}</div>' if len(lines) > 1 else ""
    return f'<h2>{title}</h2><div class="card">{shown}{over_time(title, lines, bands)}</div>'


def _latencies(result: Result) -> str:
    series = result.ledger.series
    title = "Queued to received, online"
    marks = {k: v for k, v in figures.percentiles(series.to_receipt).items() if k != "max"}
    values = [seconds * 1000 for seconds in series.to_receipt]
    rows = [
        (name, *(f"{values[which]:,.1f}" if values else "-" for which in PERCENTILES))
        for name, values in report.document(result)["latency_ms"].items()
    ]
    return (
        f'<h2>{title}</h2><div class="card">{distribution(title, values, marks)}</div>'
        f'<h2>Latency, ms</h2><div class="card">{_rows(("", *PERCENTILES), rows)}</div>'
    )


PERCENTILES = ("p50", "p90", "p99", "max")


# -- tables ----------------------------------------------------------------------------------------


def _differences(result: Result) -> str:
    parts = []
    for rule, whats in report.by_rule(result.differences).items():
        shown = "".join(f"<tr><td>{escape(what)}</td></tr>" for what in whats)
        parts.append(
            f'<h2 class="bad">Not so: {rule} ({len(whats):,})</h2>'
            f'<details class="card"><summary>which</summary><table>{shown}</table></details>'
        )
    return "".join(parts)


def _faults(result: Result) -> str:
    if not result.happened:
        return ""
    rows = [(x.name, f"{x.began:.1f}", f"{x.ended:.1f}", x.what) for x in result.happened]
    head = ("fault", "from, s", "to, s", "what")
    return f'<h2>Faults</h2><div class="card">{_rows(head, rows, numbers=(1, 2))}</div>'


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    right = set(numbers) or set(range(1, len(head)))

    def row(tag: str, cells: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=number' if at in right else ''}>{escape(cell)}</{tag}>"
            for at, cell in enumerate(cells)
        )

    body = "".join(f"<tr>{row('td', cells)}</tr>" for cells in rows)
    return f"<table><tr>{row('th', head)}</tr>{body}</table>"


def _table(name: str, values: dict[str, Any]) -> str:
    rows = "".join(
        f'<tr><th>{escape(key.replace("_", " "))}</th><td class="number">{_cell(value)}</td></tr>'
        for key, value in values.items()
    )
    return f'<div class="card"><strong>{name}</strong><table>{rows}</table></div>'


def _cell(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return escape(", ".join(map(str, value)) or "none")
    return escape(f"{value:,}" if isinstance(value, (int, float)) else str(value))
