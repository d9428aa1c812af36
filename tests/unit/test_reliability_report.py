"""What the reliability test says at the end, as text, JSON and a page of its own."""

from __future__ import annotations

import json
import re
from collections import Counter
from xml.etree import ElementTree

import attrs
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from stress.reliability import journal, progress, report
from stress.reliability.__main__ import again, cli
from stress.reliability.breaking import Happened
from stress.reliability.charts import (
    CHARACTER,
    MOST_POINTS,
    Band,
    Line,
    distribution,
    lanes,
    nice_ceiling,
    over_time,
    thinned,
)
from stress.reliability.comparison import Comparison
from stress.reliability.differences import Difference, Rule
from stress.reliability.ledger import Counts, Ledger
from stress.reliability.page import page
from stress.reliability.result import Result, Sample
from stress.reliability.run import State
from stress.reliability.schedule import Part
from stress.reliability.settings import Settings

SVG = re.compile(r"<svg.*?</svg>")


@pytest.fixture
def result() -> Result:
    ledger = Ledger([Part(u, 0, n, 0.0) for u, n in (("ann", 3), ("bob", 0))])
    ledger.take("ann", [journal.Began(0.0, 1)])
    ledger.take("bob", [journal.Began(0.0, 1), journal.Link(0.5, up=True)])
    for number in range(3):
        name = f"id{number}"
        ledger.take("ann", [journal.Intended(1.0, number, "bob")])
        ledger.take("ann", [journal.Queued(1.0, number, name), journal.Sent(1.5, number, name)])
        arrival = (name, "ann", number, "si_ann_bob", number + 1, number == 2, 0.25)
        ledger.take("bob", [journal.Received(2.0 + number, *arrival)])
    return Result(
        settings=Settings(seed=42, faults=("worker-kill",)),
        command="python -m stress.reliability --out 'a & b'",
        machine={"cpu": "a <fast> one", "cores": 2},
        began=1_700_000_000.0,
        seconds=20.0,
        talking=12.0,
        ledger=ledger,
        samples=[Sample(float(at), 1, 3 - at) for at in range(3)],
        happened=[
            Happened("worker-kill", 3.0, 4.0, "worker <17>"),
            Happened("redis-freeze", 3.5, 9.0, "for 5.5 s"),
        ],
        comparison=Comparison([], letters=3, conversations=1, rows=3, shown_or_not=0),
        torn=0,
    )


def with_differences(result: Result, count: int) -> Result:
    found = [Difference(Rule.DELIVERED, f"letter {at} is <lost>") for at in range(count)]
    return attrs.evolve(result, comparison=attrs.evolve(result.comparison, differences=found))


def test_text(result: Result) -> None:
    text = report.text(result)
    assert "seed 42" in text
    assert "no difference in 3 messages" in text
    assert re.search(r"acknowledged +3\n", text)
    assert re.search(r"queued to received, online +p50 250.0", text)
    assert "worker-kill" in text


def test_every_difference_counts_and_some_are_listed(result: Result) -> None:
    text = report.text(with_differences(result, report.LISTED + 5))
    assert f"{report.LISTED + 5} differences" in text
    assert f"not so: {Rule.DELIVERED} ({report.LISTED + 5})" in text
    assert text.count("is <lost>") == report.LISTED
    assert "and 5 more" in text
    assert "1 difference\n" in report.text(with_differences(result, 1))


def test_what_is_seen_on_the_way_counts_too(result: Result) -> None:
    result.ledger.take("bob", [journal.Trouble(3.0, "kicked")])
    found = with_differences(result, 1)
    assert [x.rule for x in found.differences] == [Rule.NO_TROUBLE, Rule.DELIVERED]


def test_json(result: Result) -> None:
    found = json.loads(json.dumps(report.document(with_differences(result, 30))))
    assert found["seed"] == found["settings"]["seed"] == 42
    assert found["messages"]["acknowledged"] == 3
    assert found["latency_ms"]["queued to acknowledged"]["p50"] == 500.0
    assert [fault["name"] for fault in found["faults"]] == ["worker-kill", "redis-freeze"]
    assert len(found["differences"]) == 30, "all of them"


def test_the_page_needs_nothing_else(result: Result) -> None:
    text = page(result)
    assert not re.search(r"https?:|src=|@import|url\(|<link|<script", text)
    assert "prefers-color-scheme: dark" in text
    assert "no difference in 3 messages" in text
    assert "--out &#x27;a &amp; b&#x27;" in text


def test_charts_of_the_page_are_drawn(result: Result) -> None:
    drawn = [ElementTree.fromstring(svg) for svg in SVG.findall(page(result))]
    names = [svg.get("aria-label") for svg in drawn if svg.get("aria-label")]
    assert names == [
        "Messages a second",
        "Clients online",
        "Sends without an end",
        "Queued to received, online",
    ]
    bands = [g for svg in drawn for g in svg.iter("g") if g.get("class") == "band"]
    assert len(bands) == 2 * 3, "both faults in each chart over time"


def test_what_is_told_is_escaped(result: Result) -> None:
    text = page(with_differences(result, 3))
    assert "letter 2 is &lt;lost&gt;" in text
    assert "worker &lt;17&gt;" in text
    assert "a &lt;fast&gt; one" in text
    for raw in ("<lost>", "<17>", "<fast>"):
        assert raw not in text


def test_a_run_in_which_nothing_happened(result: Result) -> None:
    empty = Ledger([Part("ann", 0, 1, 0.0)])
    nothing = attrs.evolve(result, ledger=empty, samples=[], happened=[], seconds=0.0)
    assert "queued to acknowledged                     -" in report.text(nothing)
    for svg in SVG.findall(page(nothing)):
        ElementTree.fromstring(svg)


# -- charts ----------------------------------------------------------------------------------------


@given(st.floats(1e-6, 1e9))
def test_axes_end_at_a_round_number(value: float) -> None:
    found = nice_ceiling(value)
    assert value * (1 - 1e-6) <= found <= value * 2.5 * (1 + 1e-6)
    digits = f"{found:.6e}".partition("e")[0].rstrip("0")
    assert digits in ("1.", "2.", "2.5", "5.")


@given(st.lists(st.tuples(st.floats(0, 500), st.integers(1, 25)), max_size=30))
def test_labels_do_not_cover_each_other(found: list[tuple[float, int]]) -> None:
    bands = [Band("x" * size, begin, begin + 1, "") for begin, size in sorted(found)]
    rows = lanes(bands, 1.0)
    for row in set(rows):
        ends = 0.0
        for band, at in zip(bands, rows, strict=True):
            if at == row:
                assert band.begin >= ends
                ends = band.begin + len(band.label) * CHARACTER


def test_long_runs_are_thinned_without_losing_messages() -> None:
    points = [(float(at), 10.0) for at in range(10_000)]
    found = thinned(points)
    assert len(found) <= MOST_POINTS
    assert {y for _, y in found} == {10.0}
    assert thinned(points[:100]) == points[:100]


def test_seconds_without_messages_are_shown() -> None:
    assert report.per_second(Counter({1: 5, 3: 2}), 4.2) == [
        (0.0, 0.0), (1.0, 5.0), (2.0, 0.0), (3.0, 2.0), (4.0, 0.0)
    ]  # fmt: skip


@given(st.lists(st.floats(0.001, 10**6), max_size=50))
def test_distributions_of_anything(values: list[float]) -> None:
    svg = ElementTree.fromstring(distribution("d", values, {"p50": 3.0}))
    counts = [int(rect.findtext("title", "")) for rect in svg.iter("rect")]
    assert sum(counts) == len(values)


def test_a_line_stays_within_its_plot() -> None:
    svg = ElementTree.fromstring(
        over_time("t", [Line("a", 1, [(0.0, 0.0), (7.0, 83.0)])], [Band("b", 6.9, 7.0, "")])
    )
    _, _, width, height = map(float, svg.get("viewBox", "").split())
    [line] = [path for path in svg.iter("path") if path.get("class") == "line line-1"]
    numbers = [float(x) for x in re.findall(r"[\d.]+", line.get("d", ""))]
    assert all(0 <= x <= width for x in numbers[::2])
    assert all(0 <= y <= height for y in numbers[1::2])


# -- the terminal ----------------------------------------------------------------------------------


def test_progress_without_a_terminal_is_a_line_now_and_then() -> None:
    console = Console(record=True, force_terminal=False, width=300)
    with progress.shown(console) as show:
        for at in (1.0, 2.0, 12.0):
            counts = Counts(queued=1_234, sent=1_000)
            show(State("talking", at, 2_000, counts, 7, 10, ("worker-kill",), 2))
    lines = console.export_text().splitlines()
    assert len(lines) == 2
    assert "queued 1,234  acked 1,000" in lines[0]
    assert "online 7/10  DIFFERENCES 2  [worker-kill]" in lines[0]


def test_progress_on_a_terminal_is_a_bar() -> None:
    console = Console(record=True, force_terminal=True, width=100)
    with progress.shown(console) as show:
        show(State("calm", 1.0, 2_000, Counts(queued=2_000, sent=2_000), 7, 10, (), 0))
    assert "2000/2000" in console.export_text()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--faults", "earthquake"], "'earthquake': all, none, or some of worker-kill"),
        (["--clients", "1"], "--clients"),
        (["--messages", "many"], "--messages"),
        (["--clients", "4", "--processes", "5"], "--processes: more than --clients"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_bad_usage(arguments: list[str], why: str) -> None:
    found = CliRunner().invoke(cli, arguments)
    assert found.exit_code == 2
    assert why in found.output


def test_the_command_that_is_told_repeats_the_schedule() -> None:
    command = "python -m stress.reliability --quick --seed 7"
    assert again(["--quick"], 7) == command
    assert again(["--quick", "--seed", "7"], 7) == command
    assert again(["--seed=7"], 7) == "python -m stress.reliability --seed=7"
