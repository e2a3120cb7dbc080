"""The doctor's findings as a table for people: one row a check, and under it how, why, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from textwrap import wrap
from typing import TextIO

from rich.console import Console
from rich.text import Text

from statsd_tcp.doctor.examination import UNCHECKED
from statsd_tcp.doctor.goal import Goal
from statsd_tcp.doctor.judgement import Judgement, Result, Verdict, Weight

__all__ = ["console_for", "hanging", "print_results", "verdict_style"]

_STYLES = {
    Verdict.OK: "green",
    Verdict.RAISE: "yellow",
    Verdict.LOWER: "yellow",
    Verdict.DEAD: "dim",
    Verdict.IRRELEVANT: "dim",
    Verdict.UNKNOWN: "magenta",
}
_SUMMARIES = {
    0: "fine: nothing on this machine stands in the way of {rate} connections per second",
    1: "warnings: {rate} connections per second will be reached, but not everything will hold",
    2: "this machine will not take {rate} connections per second as it is",
    UNCHECKED: "something that decides whether {rate} connections per second are reached could not be checked",
}
_VERDICT, _TITLE, _SCOPE = 11, 35, 8
"""Widths of the columns."""

_NARROWEST = 20
"""Columns left for a text on a terminal that is too small for it."""


def console_for(out: TextIO) -> Console:
    """Return a console: as wide as the terminal, or, for a pipe, without colours and without folding."""
    if out.isatty():
        return Console(file=out, highlight=False)
    return Console(file=out, highlight=False, color_system=None, force_terminal=False)


def verdict_style(verdict: Verdict, weight: Weight) -> str:
    """Return the colour of a verdict."""
    return "bold red" if weight is Weight.STOPS else _STYLES[verdict]


def print_results(
    console: Console, results: Sequence[Result], goal: Goal, title: str, kernel: str, status: int, *, brief: bool
) -> None:
    """Print everything (``brief``: only what is not fine), and what it means."""
    for line in _head(goal, title, kernel):
        console.print(Text("\n".join(hanging(console, "", line))), soft_wrap=True)
    shown = [one for one in results if not brief or _matters(one.judgement)]
    for layer, group in groupby(shown, key=lambda result: result.check.layer):
        console.print()
        console.print(Text(str(layer), style="bold"))
        for result in group:
            _print_result(console, result)
    console.print()
    summary = _SUMMARIES[status].format(rate=f"{goal.rate:,.0f}")
    console.print(Text("\n".join(hanging(console, "", summary)), style="bold"), soft_wrap=True)
    if any(remedy.automatic for one in results for remedy in one.judgement.remedies):
        console.print(Text("statscounter doctor write DIR makes files of the remedies, apply installs them"))


def _head(goal: Goal, title: str, kernel: str) -> list[str]:
    ports = [*(f"tcp:{port}" for port in goal.tcp_ports), *(f"udp:{port}" for port in goal.udp_ports)]
    ports += [f"unixgram:{path}" for path in goal.unixgram]
    return [
        f"{goal.rate:,.0f} connections/s, {goal.workers} workers, a stall of {goal.stall:g} s to survive",
        f"{' '.join(ports)}; {title}",
        f"Linux {kernel}",
    ]


def _matters(judgement: Judgement) -> bool:
    return judgement.weight > Weight.FINE or judgement.verdict in {Verdict.RAISE, Verdict.LOWER, Verdict.UNKNOWN}


def _print_result(console: Console, result: Result) -> None:
    judgement, check = result.judgement, result.check
    values = judgement.current + (f"  (needs {judgement.needed})" if judgement.needed else "")
    head = f"{judgement.verdict:<{_VERDICT}}{check.title:<{_TITLE}}{check.scope:<{_SCOPE}}"
    row = Text("\n".join(hanging(console, head, values)))
    row.stylize(verdict_style(judgement.verdict, judgement.weight), 0, _VERDICT)
    row.stylize("dim", _VERDICT + _TITLE, len(head))
    console.print(row, soft_wrap=True)
    for name, text in _details(judgement):
        lines = hanging(console, f"    {name:<6}", text)
        console.print(Text("\n".join(lines), style="" if name == "do" else "dim"), soft_wrap=True)


def hanging(console: Console, head: str, text: str) -> list[str]:
    """Fold a text, at blanks, after its head, to the width of the terminal; for a pipe not at all."""
    if not console.is_terminal:
        return [f"{head}{text}".rstrip()]
    room = max(_NARROWEST, console.width - len(head))
    first, *rest = wrap(text, room, break_on_hyphens=False) or [""]
    return [f"{head}{first}".rstrip(), *(" " * len(head) + line for line in rest)]


def _details(judgement: Judgement) -> list[tuple[str, str]]:
    rows = [("why", judgement.why)]
    if judgement.formula:
        rows.append(("need", judgement.formula))
    if judgement.counters:
        rows.append(("sign", "; ".join(f"{one.name} = {one.value:,}" for one in judgement.counters)))
    for remedy in judgement.remedies:
        rows += [("do", remedy.do), ("undo", remedy.undo)]
    return rows
