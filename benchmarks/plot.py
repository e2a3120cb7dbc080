"""A chart of the comparison, written as SVG: bars with the extremes of the rounds, a panel for each workload."""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape

__all__ = ["Bar", "Panel", "draw"]

WIDTH = 850
LEFT, RIGHT = 150, 230
ROW, TITLE, GAP, MARGIN = 22, 30, 14, 16
OURS, OTHERS, INK, FAINT = "#1f6feb", "#8b949e", "#24292f", "#57606a"
FONT = "font-family='system-ui, sans-serif'"


@dataclass(frozen=True)
class Bar:
    """One server: its median and extremes, and what to say behind the bar."""

    name: str
    middle: float
    least: float
    most: float
    note: str
    ours: bool = False


@dataclass(frozen=True)
class Panel:
    """One workload. All bars have the same unit, which the title names."""

    title: str
    bars: tuple[Bar, ...]


def draw(panels: list[Panel], caption: str) -> str:
    """Draw the panels one below the other; the caption says how, where and when it was measured."""
    parts: list[str] = []
    y = MARGIN
    for panel in panels:
        y = _panel(parts, panel, y)
    parts.append(_text(MARGIN, y + 8, caption, FAINT, 11))
    height = y + 2 * MARGIN
    head = f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height}' viewBox='0 0 {WIDTH} {height}'>"
    ground = f"<rect width='{WIDTH}' height='{height}' fill='#ffffff'/>"
    return "\n".join([head, ground, *parts, "</svg>", ""])


def _panel(parts: list[str], panel: Panel, y: int) -> int:
    parts.append(_text(MARGIN, y + 14, panel.title, INK, 14, weight=600))
    y += TITLE
    scale = (WIDTH - LEFT - RIGHT) / max(bar.most for bar in panel.bars)
    for bar in panel.bars:
        _bar(parts, bar, y, scale)
        y += ROW
    return y + GAP


def _bar(parts: list[str], bar: Bar, y: int, scale: float) -> None:
    colour = OURS if bar.ours else OTHERS
    middle = y + ROW // 2
    end = LEFT + bar.middle * scale
    low, high = LEFT + bar.least * scale, LEFT + bar.most * scale
    parts.append(_text(LEFT - 8, middle + 4, bar.name, INK, 12, anchor="end", weight=600 if bar.ours else 400))
    parts.append(f"<rect x='{LEFT}' y='{y + 3}' width='{end - LEFT:.1f}' height='{ROW - 6}' rx='2' fill='{colour}'/>")
    parts.append(f"<line x1='{low:.1f}' x2='{high:.1f}' y1='{middle}' y2='{middle}' stroke='{INK}'/>")
    parts.append(_text(high + 8, middle + 4, bar.note, FAINT, 12))


def _text(x: float, y: float, words: str, colour: str, size: int, anchor: str = "start", weight: int = 400) -> str:
    place = f"x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}'"
    return f"<text {place} {FONT} font-size='{size}' font-weight='{weight}' fill='{colour}'>{escape(words)}</text>"
