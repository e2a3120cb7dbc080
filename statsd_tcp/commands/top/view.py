"""What is shown: of one service its parts, of several a row each and their sum. Pure: nodes in, text and tables out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from rich.console import Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from statsd_tcp.commands.top.feed import Node
from statsd_tcp.status.moments import Moment
from statsd_tcp.status.who_table import as_text, table

__all__ = ["HELP", "SORTS", "SOURCES", "View", "show", "spark"]

HELP = "q quit   s sort   p pause   w sources   / filter   ? help"

SORTS = ("rate", "name")

SOURCES = (5, 20, 0)
"""How many sources are shown, one after the other."""

_BARS = {True: "▁▂▃▄▅▆▇█", False: "_.-=+*#@"}
_WIDTH = 20
"""Characters of a line of bars: of a minute, each is the mean of three seconds."""

_NARROW = 12
"""The same for a node of a fleet."""

_REASONS = 5
"""Reasons that are shown, those that came most in the last second."""


class View(NamedTuple):
    """How it is wanted: the order of rows, a part of their names, whether the terminal has Unicode's bars.

    ``sources`` is how many of them are shown.
    """

    sort: str = SORTS[0]
    part: str = ""
    is_unicode: bool = True
    sources: int = SOURCES[0]


class _Row(NamedTuple):
    name: str
    rate: float
    cells: tuple[str, ...]


def show(nodes: Sequence[Node], view: View) -> RenderableType:
    """Show one service, or several of them."""
    return _one(nodes[0], view) if len(nodes) == 1 else _fleet(nodes, view)


def spark(values: Sequence[float], width: int, *, is_unicode: bool) -> str:
    """Draw values as a line of bars, of ``width`` characters at most; the highest is that of the greatest value."""
    step = -(-len(values) // width) if values else 1
    means = [sum(some) / len(some) for start in range(0, len(values), step) if (some := values[start : start + step])]
    bars, most = _BARS[is_unicode], max(means, default=0.0)
    return "".join(bars[min(len(bars) - 1, int(value / most * len(bars)))] if most else bars[0] for value in means)


def _one(node: Node, view: View) -> RenderableType:
    if not node.moments:
        return _head(node)
    last = node.moments[-1]
    parts: list[RenderableType] = [_head(node), *_findings(node)]
    heads = ("listener", "conn/s", "last minute", "open", "waiting", "drops/s", "lines/s")
    listeners = [_listener(node, name, last, view) for name in {**last.accepted, **last.lines}]
    parts.append(_table(heads, _chosen(listeners, view)))
    for title, field in (("ends of connections", last.closed), ("bad lines", last.bad)):
        most = sorted(field.items(), key=lambda item: -item[1])[:_REASONS]
        if most:
            parts.append(Text(f"{title}/s  " + "  ".join(f"{name} {rate:,.0f}" for name, rate in most)))
    parts += _sources(node, view)
    outputs = [_Row(name, waiting, (f"{waiting:,.0f}", *_output(node, name))) for name, waiting in last.queued.items()]
    if outputs:
        parts.append(_table(("output", "waiting", "sent", "failed", "error"), _chosen(outputs, view)))
    parts.append(Text(_workers(node)))
    return Group(*parts)


def _fleet(nodes: Sequence[Node], view: View) -> RenderableType:
    heads = ("node", "conn/s", "last minute", "open", "waiting", "drops/s", "lines/s", "bad/s")
    rows = [_node(node, view) for node in nodes]
    lasts = [node.moments[-1] for node in nodes if node.moments and not node.error]
    table = _table(heads, _chosen(rows, view))
    totals = [sum(map(field, lasts)) for field in _SUMS]
    table.add_row(f"{len(lasts)} of {len(nodes)}", _number(totals[0]), "", *map(_number, totals[1:]), style="bold")
    return Group(table, *(line for node in nodes for line in _remarks(node)))


def _sum(field: str) -> Callable[[Moment], float]:
    return lambda moment: sum(getattr(moment, field).values())


_SUMS = tuple(map(_sum, ("accepted", "open", "waiting", "drops", "lines", "bad")))
_RATE = _SUMS[0]


def _node(node: Node, view: View) -> _Row:
    if node.error or not node.moments:
        return _Row(node.name, -1.0, ())
    last = node.moments[-1]
    first, *others = (_number(field(last)) for field in _SUMS)
    bars = spark([_RATE(moment) for moment in node.moments], _NARROW, is_unicode=view.is_unicode)
    return _Row(node.name, _RATE(last), (first, bars, *others))


def _remarks(node: Node) -> Iterable[Text]:
    """Return what is wrong with a node of a fleet, a line each."""
    if node.error:
        yield Text(f"! {node.name}: {node.error}", style="bold red")
    elif not node.status.get("ready", True):
        yield Text(f"! {node.name}: not ready: {node.status.get('not_ready_because', '')}", style="bold red")
    else:
        for one in node.status.get("findings", ()):
            yield Text(f"! {node.name}: {one['text']}", style="yellow")


def _head(node: Node) -> Text:
    if node.error:
        return Text(f"{node.name}: {node.error}", style="bold red")
    status = node.status
    state = "ready" if status.get("ready") else f"not ready: {status.get('not_ready_because', '')}"
    series = node.moments[-1].series if node.moments else 0
    commit = node.moments[-1].commit if node.moments else None
    took = "" if commit is None else f", commits take {commit * 1000:.1f} ms"
    return Text(f"{node.name}  {status.get('statscounter', '')}  {state}  {series:,} series{took}", style="bold")


def _findings(node: Node) -> Iterable[Text]:
    for one in node.status.get("findings", ()):
        command = f": {one['command']}" if one["command"] else ""
        yield Text(f"! {one['text']}{command}", style="yellow")


def _sources(node: Node, view: View) -> Iterable[Text]:
    """Return the sources with the most connections, if the service shows them."""
    chosen = [one for one in node.sources if view.part in f"{one.source} {one.name} {one.listener}"][: view.sources]
    if chosen:
        head, *lines = as_text(table(chosen))
        yield Text(head, style="bold", no_wrap=True, overflow="ellipsis")
        yield from (Text(line, no_wrap=True, overflow="ellipsis") for line in lines)


def _listener(node: Node, name: str, last: Moment, view: View) -> _Row:
    rate = last.accepted.get(name)
    values = [moment.accepted.get(name, moment.lines.get(name, 0.0)) for moment in node.moments]
    bars = spark(values, _WIDTH, is_unicode=view.is_unicode)
    fields = (last.open, last.waiting, last.drops, last.lines)
    cells = ("" if rate is None else _number(rate), bars, *(_number(field.get(name)) for field in fields))
    return _Row(name, values[-1], cells)


def _output(node: Node, name: str) -> tuple[str, ...]:
    found = next((one for one in node.status.get("outputs", ()) if one["name"] == name), None)
    return ("", "", "") if found is None else (f"{found['sent']:,}", f"{found['failed']:,}", str(found["error"]))


def _workers(node: Node) -> str:
    found = [f"{one['slot']} {one['state']}" for one in node.status.get("workers", ())]
    return f"workers  {'  '.join(found)}" if found else ""


def _chosen(rows: Iterable[_Row], view: View) -> list[_Row]:
    chosen = [row for row in rows if view.part in row.name]
    return sorted(chosen, key=lambda row: row.name if view.sort == "name" else (-row.rate, row.name))


def _table(heads: Sequence[str], rows: Iterable[_Row]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, head in enumerate(heads):
        is_text = number == 0 or head in ("last minute", "error")
        justify: JustifyMethod = "left" if is_text else "right"
        table.add_column(head, justify=justify, overflow="fold", no_wrap=head not in (heads[0], "error"))
    for row in rows:
        table.add_row(row.name, *row.cells)
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"
