"""What the panels of the dashboard show, drawn as SVG, for light and for dark pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

__all__ = ["Graph", "Point", "Shown", "Stat", "draw", "in_unit"]

Point = tuple[float, float]
"""A time, in seconds since 1970, and a value."""

WIDTH, MARGIN, GAP = 1200, 16, 10
STAT, GRAPH, TITLE = 66, 170, 30
PLOT_LEFT, PLOT_TOP, PLOT_BOTTOM = 62, 30, 46
MOST_NAMES = 4
LETTER = 6.2
LONG = 120
"""Seconds from which minutes are written."""

STYLE = """
svg { font-family: system-ui, sans-serif; --ground: #ffffff; --panel: #f6f8fa; --ink: #1f2328; --faint: #59636e;
  --line: #d1d9e0; --c0: #0969da; --c1: #bc4c00; --c2: #1a7f37; --c3: #8250df; --c4: #bf3989; --c5: #7d6600; }
@media (prefers-color-scheme: dark) { svg { --ground: #0d1117; --panel: #161b22; --ink: #e6edf3; --faint: #9198a1;
  --line: #3d444d; --c0: #58a6ff; --c1: #f0883e; --c2: #3fb950; --c3: #bc8cff; --c4: #ff7bbf; --c5: #d4a72c; } }
.ground { fill: var(--ground); } .panel { fill: var(--panel); stroke: var(--line); }
.row { fill: var(--ink); font-size: 16px; font-weight: 600; }
.title { fill: var(--ink); font-size: 12px; font-weight: 600; }
.number { fill: var(--ink); font-size: 24px; } .axis, .name { fill: var(--faint); font-size: 11px; }
.grid { stroke: var(--line); } polyline { fill: none; stroke-width: 1.5; }
""" + "".join(
    f".s{n} {{ stroke: var(--c{n % 6}); stroke-dasharray: {'none' if n < 6 else '4 2'}; }}\n" for n in range(12)
)


class Stat(NamedTuple):
    """A panel that is a number; None for no data."""

    title: str
    unit: str
    value: float | None


class Graph(NamedTuple):
    """A panel with curves, by their names."""

    title: str
    unit: str
    series: Mapping[str, Sequence[Point]]


Shown = Stat | Graph


def in_unit(value: float, unit: str) -> str:
    """Return a value as Grafana writes it in one of its units."""
    if unit == "percentunit":
        return f"{value * 100:.3g}%"
    if unit == "s":
        return _seconds(value)
    if unit == "none":
        return f"{value:,.0f}"
    step = 1024 if unit == "bytes" else 1000
    ends = {"bytes": ("B", "KiB", "MiB", "GiB"), "Bps": ("B/s", "kB/s", "MB/s", "GB/s")}
    power = 0
    while abs(value) >= step and power < 3:
        value, power = value / step, power + 1
    short = ("", " K", " M", " G")[power] + ("/s" if unit == "cps" else "")
    return f"{value:.3g} {ends[unit][power]}" if unit in ends else f"{value:.3g}{short}"


def _seconds(value: float) -> str:
    if value and abs(value) < 1:
        return f"{value * 1000:.3g} ms"
    return f"{value:.3g} s" if abs(value) < LONG else f"{value / 60:.3g} min"


def draw(rows: Mapping[str, Sequence[Shown]]) -> str:
    """Return the picture."""
    parts: list[str] = []
    graphs = [panel for panels in rows.values() for panel in panels if isinstance(panel, Graph)]
    points = [at for graph in graphs for some in graph.series.values() for at, _ in some]
    times = min(points), max(points)
    y = MARGIN
    for title, panels in rows.items():
        parts.append(f"<text class='row' x='{MARGIN}' y='{y + 18}'>{escape(title)}</text>")
        y += TITLE
        for kind, columns, height in ((Stat, 4, STAT), (Graph, 3, GRAPH)):
            some = [panel for panel in panels if isinstance(panel, kind)]
            width = (WIDTH - 2 * MARGIN - (columns - 1) * GAP) / columns
            for place, panel in enumerate(some):
                x, top = MARGIN + place % columns * (width + GAP), y + place // columns * (height + GAP)
                parts.append(f"<g transform='translate({x:.1f} {top})'>")
                parts.append(f"<rect class='panel' width='{width:.1f}' height='{height}' rx='4'/>")
                parts.append(f"<text class='title' x='10' y='19'>{escape(panel.title)}</text>")
                parts += _stat(panel) if isinstance(panel, Stat) else _graph(panel, width, times)
                parts.append("</g>")
            y += -(-len(some) // columns) * (height + GAP)
    height = y + MARGIN
    head = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height}' viewBox='0 0 {WIDTH} {height}' "
        "role='img' aria-label='The dashboard: six rows of panels with curves of a fleet of three nodes.'>"
    )
    ground = f"<rect class='ground' width='{WIDTH}' height='{height}'/>"
    return "\n".join([head, f"<style>{STYLE}</style>", ground, *parts, "</svg>", ""])


def _stat(panel: Stat) -> list[str]:
    words = "no data" if panel.value is None else in_unit(panel.value, panel.unit)
    return [f"<text class='number' x='10' y='52'>{escape(words)}</text>"]


def _graph(panel: Graph, width: float, times: tuple[float, float]) -> list[str]:
    bottom, right = GRAPH - PLOT_BOTTOM, width - 10
    if not any(panel.series.values()):
        where = f"x='{width / 2:.0f}' y='{GRAPH / 2:.0f}' text-anchor='middle'"
        return [f"<text class='name' {where}>nothing in this time</text>"]
    first, last = times
    top = max(value for some in panel.series.values() for _, value in some)
    # Round numbers are those that are written: of mebibytes, and of minutes.
    scale = {"bytes": 1 << 20, "s": 60 if top >= LONG else 1}.get(panel.unit, 1)
    most = scale * _ceiling(top / scale)
    across = (right - PLOT_LEFT) / max(last - first, 1.0)
    up = (bottom - PLOT_TOP) / most
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * (bottom - PLOT_TOP)
        parts.append(f"<line class='grid' x1='{PLOT_LEFT}' x2='{right:.1f}' y1='{y:.1f}' y2='{y:.1f}'/>")
        label = escape(in_unit(share * most, panel.unit))
        parts.append(f"<text class='axis' x='{PLOT_LEFT - 6}' y='{y + 4:.1f}' text-anchor='end'>{label}</text>")
    parts.append(f"<text class='axis' x='{right:.1f}' y='19' text-anchor='end'>{(last - first) / 60:.0f} min</text>")
    for number, some in enumerate(panel.series.values()):
        path = " ".join(f"{PLOT_LEFT + (at - first) * across:.0f},{bottom - value * up:.1f}" for at, value in some)
        parts.append(f"<polyline class='s{number % 12}' points='{path}'/>")
    return parts + _names(list(panel.series), width)


def _names(names: list[str], width: float) -> list[str]:
    """Return the names of the curves: two below each other, or four in two columns."""
    columns = 1 if len(names) <= MOST_NAMES / 2 else 2
    longest = int((width / columns - 40) / LETTER)
    parts = []
    for number, name in enumerate(names[:MOST_NAMES]):
        x, y = 12 + number % columns * (width - 20) / 2, GRAPH - 26 + number // columns * 16
        parts.append(f"<line class='s{number}' x1='{x:.0f}' x2='{x + 14:.0f}' y1='{y}' y2='{y}' stroke-width='2'/>")
        more = len(names) - MOST_NAMES
        text = f"{name}, and {more} more" if more > 0 and number == MOST_NAMES - 1 else name
        text = text if len(text) <= longest else f"{text[: longest - 1]}…"
        parts.append(f"<text class='name' x='{x + 19:.0f}' y='{y + 4}'>{escape(text)}</text>")
    return parts


def _ceiling(value: float) -> float:
    """Return a round number that is not less, 1 for nothing."""
    if value <= 0:
        return 1.0
    size = 1.0
    while size * 10 <= value:
        size *= 10
    while size > value:
        size /= 10
    return next(size * step for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if size * step >= value)
