"""Charts as SVG, to stand in a page: lines over time with labelled bands, and distributions.

Colours are classes (`line-0`, `band`, ...): the page's style sheet says what they are, in light and
in dark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import attrs

WIDTH, PLOT_HEIGHT = 960, 220
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 12, 30
LANE = 16
"""height of one row of labels"""
CHARACTER = 6.4
"""about how wide one is"""
MOST_POINTS = 480


@attrs.frozen
class Line:
    """Points with x rising.  `style`: number of its class."""

    name: str
    style: int
    points: Sequence[tuple[float, float]]


@attrs.frozen
class Band:
    """From `begin` to `end` on the x axis; `title` is shown when the pointer is on it."""

    label: str
    begin: float
    end: float
    title: str


def nice_ceiling(value: float) -> float:
    """1, 2, 2.5 or 5 times a power of ten, not below `value`."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    steps = (1.0, 2.0, 2.5, 5.0, 10.0)
    return next(step * power for step in steps if step * power >= value * (1 - 1e-9))


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most MOST_POINTS, each the mean of some neighbours."""
    step = math.ceil(len(points) / MOST_POINTS) or 1
    groups = [points[at : at + step] for at in range(0, len(points), step)]
    return [(group[0][0], sum(y for _, y in group) / len(group)) for group in groups]


def lanes(bands: Sequence[Band], scale: float) -> list[int]:
    """In which row each band's label stands, so that none covers another.  `scale`: pixels a unit
    of the x axis."""
    free: list[float] = []
    found = []
    for band in bands:
        begin = band.begin * scale
        lane = next((at for at, x in enumerate(free) if x <= begin), len(free))
        if lane == len(free):
            free.append(0.0)
        free[lane] = begin + len(band.label) * CHARACTER + 8
        found.append(lane)
    return found


class _Plot:
    def __init__(self, title: str, until: float, highest: float, *, above: int = 0) -> None:
        self.until = until or 1.0
        self.highest = highest
        self.top = TOP + above
        self.height = self.top + PLOT_HEIGHT + BOTTOM
        self.scale = (WIDTH - LEFT - RIGHT) / self.until
        self.parts = [
            f'<svg viewBox="0 0 {WIDTH} {self.height}" role="img" aria-label="{escape(title)}">'
        ]

    def x(self, value: float) -> float:
        return round(LEFT + value * self.scale, 1)

    def y(self, value: float) -> float:
        return round(self.top + PLOT_HEIGHT * (1 - value / self.highest), 1)

    def grid(self, unit: str = "") -> None:
        for step in range(5):
            value = self.highest * step / 4
            y = self.y(value)
            self.parts.append(f'<path class="grid" d="M{LEFT} {y}H{WIDTH - RIGHT}"/>')
            self.text(LEFT - 8, y + 4, f"{value:,.10g}{unit}", "end")

    def tick(self, value: float, text: str) -> None:
        """On the x axis; the last one must not be cut off."""
        at_the_end = value > self.until * 0.97
        self.text(self.x(value), self.height - 10, text, "end" if at_the_end else "middle")

    def text(self, x: float, y: float, text: str, anchor: str) -> None:
        self.parts.append(f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>')

    def done(self) -> str:
        return "".join([*self.parts, "</svg>"])


def over_time(title: str, lines: Sequence[Line], bands: Sequence[Band]) -> str:
    """x: seconds from 0 on."""
    shown = [attrs.evolve(line, points=thinned(line.points)) for line in lines]
    until = max((line.points[-1][0] for line in lines if line.points), default=1.0) or 1.0
    highest = nice_ceiling(max((y for line in shown for _, y in line.points), default=1.0))
    rows = lanes(bands, (WIDTH - LEFT - RIGHT) / until)
    plot = _Plot(title, until, highest, above=LANE * (max(rows, default=-1) + 1))
    for band, row in zip(bands, rows, strict=True):
        _band(plot, band, row)
    plot.grid()
    step = nice_ceiling(until / 8)
    for at in range(int(until / step) + 1):
        plot.tick(at * step, f"{at * step:,.10g} s")
    for line in shown:
        path = "L".join(f"{plot.x(x)} {plot.y(y)}" for x, y in line.points)
        if path:
            plot.parts.append(f'<path class="line line-{line.style}" d="M{path}"/>')
    return plot.done()


def _band(plot: _Plot, band: Band, row: int) -> None:
    x, baseline = plot.x(band.begin), TOP + LANE * row + 10
    width = max(2.0, plot.x(band.end) - x)
    bottom = plot.top + PLOT_HEIGHT
    plot.parts.append(
        f'<g class="band"><title>{escape(band.title)}</title>'
        f'<rect x="{x}" y="{baseline - 10}" width="{width:.1f}" height="{bottom - baseline + 10}"/>'
        f'<text x="{x + 3}" y="{baseline}">{escape(band.label)}</text></g>'
    )


def distribution(title: str, values: Sequence[float], marks: dict[str, float]) -> str:
    """How often which of `values` (milliseconds, above 0) came, on a logarithmic axis; `marks` are
    values with a name."""
    low = math.floor(math.log10(max(0.1, min(values, default=1.0))))
    high = max(low + 1, math.ceil(math.log10(max(0.2, *values, 0.0))))
    bars = 20 * (high - low)
    counts = [0] * bars
    for value in values:
        place = (math.log10(max(value, 0.1)) - low) / (high - low)
        counts[min(bars - 1, max(0, int(place * bars)))] += 1
    share = 100 / max(1, len(values))
    plot = _Plot(title, high - low, nice_ceiling(max(counts) * share))
    plot.grid("%")
    width = plot.scale * (high - low) / bars
    for at, count in enumerate(counts):
        if count:
            x, y = plot.x(at * (high - low) / bars), plot.y(count * share)
            height = round(plot.y(0) - y, 1)
            plot.parts.append(
                f'<rect class="bar" x="{x}" y="{y}" width="{width - 1:.1f}" height="{height}">'
                f"<title>{count:,}</title></rect>"
            )
    for power in range(low, high + 1):
        plot.tick(power - low, f"{10.0**power:,.10g} ms")
    for name, value in marks.items():
        x = plot.x(math.log10(max(value, 0.1)) - low)
        plot.parts.append(f'<path class="mark" d="M{x} {plot.top}V{plot.top + PLOT_HEIGHT}"/>')
        plot.text(x + 4, plot.top + 12, name, "start")
    return plot.done()
