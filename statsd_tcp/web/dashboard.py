"""The page `/` for people: how the service does now, made of the status, and the ways to the other pages.

It has no scripts. Browsers ask for it again every few seconds; it is as easily read with curl or a text browser.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

__all__ = ["REFRESH", "dashboard"]

REFRESH = 5
"""Seconds after which a browser asks again."""

_STYLE = (
    "body{font:15px/1.4 system-ui,sans-serif;margin:2em;max-width:70em}"
    "table{border-collapse:collapse;margin:.3em 0 1.2em}"
    "th,td{text-align:left;padding:.15em 1.2em .15em 0;border-bottom:1px solid #ccc}"
    "th{font-weight:600}h2{font-size:1.05em;margin:0}.good{color:#063}.bad{color:#b00}"
)

_LINKS = (
    ("/metrics", "metrics for Prometheus"),
    ("/healthz", "does the service work"),
    ("/readyz", "does every listener accept"),
    ("/api/v1/status", "status as JSON"),
)

_MIB = 1 << 20


def dashboard(status: dict[str, Any], healthy: tuple[bool, str], ready: tuple[bool, str]) -> str:
    """Write the page; ``healthy`` and ``ready`` each with the reason if not."""
    title = f"statscounter {escape(status['statscounter'])}"
    rates = status["rates"]
    uptime, connections, lines = status["uptime_seconds"], rates["connections_per_second"], rates["lines_per_second"]
    return "\n".join(
        [
            f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title>',
            f'<meta http-equiv="refresh" content="{REFRESH}"><style>{_STYLE}</style></head>\n<body>\n<h1>{title}</h1>',
            *(f"<p class={mark}><b>{text}</b></p>" for mark, text in _states(status, healthy, ready)),
            f"<p>up for {_span(uptime)}; {connections:,.0f} connections/s, {lines:,.0f} lines/s</p>",
            _table("Findings", ("what", "command"), ((one["text"], one["command"]) for one in status["findings"])),
            _table("Listeners", ("", "address", "connections", "open", "waiting", "dropped"), _listeners(status)),
            _table("Workers", ("", "process", "state", "last sign of life", "memory", "open files"), _workers(status)),
            _table("Rejected lately", ("", "listener", "for example", ""), _examples(status)),
            _table("Left out of /metrics", ("", "series", "", "shown", ""), _conflicts(status)),
            _table("Outputs", ("", "waiting", "sent", "failed", "dropped", "error"), _outputs(status)),
            "<ul>",
            *(f'<li><a href="{path}">{path}</a>: {escape(text)}</li>' for path, text in _LINKS),
            "</ul>\n</body>\n</html>\n",
        ]
    )


def _states(status: dict[str, Any], healthy: tuple[bool, str], ready: tuple[bool, str]) -> Iterator[tuple[str, str]]:
    if healthy[0] and ready[0]:
        yield "good", "it works, and every listener accepts"
    if not healthy[0]:
        yield "bad", escape(f"it is not well: {healthy[1]}")
    if not ready[0]:
        yield "bad", escape(f"it is not ready: {ready[1]}")
    if status["last_commit_error"] and status["last_commit_error"] not in ready[1]:
        yield "bad", escape(f"commits fail: {status['last_commit_error']}")


def _listeners(status: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for one in status["listeners"]:
        queues = one.get("queues", ())
        yield (
            one["label"],
            " ".join(one["addresses"]),
            _number(one.get("connections")),
            _number(one.get("open")),
            ", ".join(f"{queue['length']:,} of {queue['limit']:,}" for queue in queues),
            _number(sum(queue["drops"] for queue in queues) if queues else None),
        )


def _workers(status: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for one in status["workers"]:
        age, memory = one.get("heartbeat_age_seconds"), one.get("resident_memory_bytes")
        yield (
            str(one["slot"]),
            str(one["pid"] or ""),
            f"{one['state']}, gets no new connections" if one["avoided"] else one["state"],
            "" if age is None else f"{age:.1f} s ago",
            "" if memory is None else f"{memory / _MIB:.0f} MiB",
            _number(one.get("open_fds")),
        )


def _outputs(status: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for one in status["outputs"]:
        yield one["name"], *(_number(one[field]) for field in ("queued", "sent", "failed", "dropped")), one["error"]


def _examples(status: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for one in status["examples"]:
        text = f"{one['text']} ..." if one["cut"] else one["text"]
        yield one["reason"], one["listener"], text, f"{_span(one['age_seconds'])} ago"


def _conflicts(status: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for one in status["conflicts"]:
        yield one["reason"], one["series"], one["type"], one["holder"], one["holder_type"]


def _table(title: str, heads: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    """Write a table with its title; nothing if there is nothing in it."""
    written = [f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows]
    head = "".join(f"<th>{name}</th>" for name in heads)
    return "\n".join([f"<h2>{title}</h2>\n<table>\n<tr>{head}</tr>", *written, "</table>"]) if written else ""


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (rest, "s"))
    first = next((at for at, (number, _) in enumerate(parts) if number), len(parts) - 1)
    return " ".join(f"{number} {unit}" for number, unit in parts[first : first + 2])
