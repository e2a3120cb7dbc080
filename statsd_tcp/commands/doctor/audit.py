"""``statscounter doctor audit FILE``: the settings in someone else's advice, judged; printed for people or as JSON."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from statsd_tcp.commands.doctor.as_json import JSON_VERSION
from statsd_tcp.commands.doctor.options import DoctorOptions
from statsd_tcp.commands.doctor.render import console_for, hanging
from statsd_tcp.commands.doctor.service import Service
from statsd_tcp.doctor.audit import judge
from statsd_tcp.doctor.audit.opinion import Grade, Remark
from statsd_tcp.doctor.examination import UNCHECKED
from statsd_tcp.doctor.references import references

__all__ = ["audit"]

_STYLES = {
    Grade.RIGHT: "green",
    Grade.OUTDATED: "yellow",
    Grade.IRRELEVANT: "dim",
    Grade.WRONG: "yellow",
    Grade.HARMFUL: "bold red",
    Grade.UNKNOWN: "magenta",
}
_LARGEST = 4 << 20
"""Bytes of the largest file that is taken for advice."""


def audit(options: DoctorOptions, service: Service) -> int:
    """Judge the file, and print it."""
    try:
        with options.path.open("rb") as file:
            text = file.read(_LARGEST).decode(errors="replace")
    except OSError as error:
        print(f"statscounter doctor: audit {options.path}: cannot be read: {error.strerror}", file=sys.stderr)
        return UNCHECKED
    goal = service.goal(options.rate, options.stall, options.workers)
    remarks = judge.audit(text, service.facts(), goal)
    worst = judge.status(remarks)
    if options.json:
        print(_json(options.path, remarks, worst))
    else:
        _print(console_for(sys.stdout), options.path, remarks)
    return worst


def _print(console: Console, path: Path, remarks: Sequence[Remark]) -> None:
    for remark in remarks:
        opinion = remark.opinion
        head = f"{remark.line:>5}  {opinion.grade:<11}"
        row = Text("\n".join(hanging(console, head, remark.subject)))
        row.stylize(_STYLES[opinion.grade], 7, 18)
        console.print(row, soft_wrap=True)
        why = f"{opinion.why} [{opinion.source}]"
        console.print(Text("\n".join(hanging(console, " " * 18, why)), style="dim"), soft_wrap=True)
    for name, address in sorted(_references(remarks).items()):
        console.print(Text(f"{name}: {address}", style="dim"), soft_wrap=True)
    counts = Counter(remark.opinion.grade for remark in remarks)
    words = ", ".join(f"{counts[grade]} {grade}" for grade in Grade if counts[grade])
    console.print(Text(f"{path}: {words or 'nothing in it is known to the doctor'}", style="bold"), soft_wrap=True)


def _references(remarks: Sequence[Remark]) -> dict[str, str]:
    return {name: where for remark in remarks for name, where in references(remark.opinion.source).items()}


def _json(path: Path, remarks: Sequence[Remark], status: int) -> str:
    rows = [
        {
            "line": one.line,
            "subject": one.subject,
            **msgspec.structs.asdict(one.opinion),
            "references": list(references(one.opinion.source).values()),
        }
        for one in remarks
    ]
    document = {"version": JSON_VERSION, "status": status, "file": str(path), "remarks": rows}
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
