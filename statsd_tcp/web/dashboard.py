"""The page `/` for people: how the service does now, made of the status, and the ways to the other pages.

All of it is there without scripts: browsers then ask again every few seconds, and curl or a text browser reads it as
easily. With scripts the charts of the last ten minutes come before it, and both go on by themselves (`live`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any

from statsd_tcp.status.who_table import SourceRow, table

__all__ = ["NOT_SHOWN", "REFRESH", "SOURCES", "dashboard", "parts", "sources_part"]

REFRESH = 5
"""Seconds after which a browser without scripts asks again."""

SOURCES = 20
"""Sources that the page shows."""

NOT_SHOWN = "<p>Sources are shown over loopback, and to the networks of <code>--who-to</code>.</p>\n"
"""What stands in their place for others."""

_LINKS = (
    ("/metrics", "metrics for Prometheus"),
    ("/healthz", "does the service work"),
    ("/readyz", "does every listener accept"),
    ("/api/v1/status", "status as JSON"),
)
_WHO = ("/api/v1/who", "who is connecting, as JSON")

_PAGE = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{{title}}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<noscript><meta http-equiv="refresh" content="{REFRESH}"></noscript>
<link rel="icon" href="/assets/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/assets/uPlot.min.css">
<link rel="stylesheet" href="/assets/page.css">
<script defer src="/assets/uPlot.iife.min.js"></script>
<script defer src="/assets/charts.js"></script>
<script defer src="/assets/live.js"></script>
</head>
<body>
<header><h1>{{title}}</h1><p id="stream" role="status"></p></header>
<main>
<section id="state" aria-label="State">
{{state}}</section>
<section id="charts" aria-label="The last ten minutes" hidden></section>
<section id="sources" aria-label="Sources">
{{sources}}</section>
<section id="tables" aria-label="Details">
{{tables}}</section>
</main>
<footer><nav aria-label="Other pages"><ul>
{{links}}
</ul></nav></footer>
</body>
</html>
"""

_MIB = 1 << 20


def dashboard(
    status: dict[str, Any], healthy: tuple[bool, str], ready: tuple[bool, str], sources: str | None = None
) -> str:
    """Write the page; ``healthy`` and ``ready`` each with the reason if not.

    ``sources`` is markup, None where they are not counted.
    """
    title = escape(f"statscounter on {status['node']}")
    shown = _LINKS if sources is None else (*_LINKS, _WHO)
    links = "\n".join(f'<li><a href="{path}">{path}</a>: {escape(text)}</li>' for path, text in shown)
    return _PAGE.format(title=title, links=links, sources=sources or "", **parts(status, healthy, ready))


def parts(status: dict[str, Any], healthy: tuple[bool, str], ready: tuple[bool, str]) -> dict[str, str]:
    """Write the parts of the page that change, by their ids: how it is, and the details."""
    state = [
        *(f'<p class="{mark}"><b>{text}</b></p>' for mark, text in _states(status, healthy, ready)),
        *_summary(status),
        _table("Findings", ("what", "command"), ((one["text"], one["command"]) for one in status["findings"])),
    ]
    details = [
        _table("Listeners", _LISTENER, _listeners(status)),
        _table("Workers", ("slot", "process", "state", "last sign of life", "memory", "files"), _workers(status)),
        _table("Outputs", ("name", "waiting", "sent", "failed", "dropped", "last success", "error"), _outputs(status)),
        _table("Rejected lately", ("reason", "listener", "for example", "when"), _examples(status)),
        _table("Left out of /metrics", ("reason", "series", "type", "shown", "its type"), _conflicts(status)),
    ]
    return {"state": _joined(state), "tables": _joined(details)}


def sources_part(rows: Sequence[SourceRow]) -> str:
    """Write that part of the page which says where connections come from."""
    shown = table(rows, "≤", "≥")
    return _joined([_table("Sources, by connections in the last minute", shown.heads, shown.rows)])


def _joined(parts: Iterable[str]) -> str:
    return "".join(f"{part}\n" for part in parts if part)


def _summary(status: dict[str, Any]) -> Iterator[str]:
    rates = status["rates"]
    version, uptime = escape(status["statscounter"]), _span(status["uptime_seconds"])
    connections, lines = rates["connections_per_second"], rates["lines_per_second"]
    yield f"<p>version {version}, up for {uptime}; {connections:,.0f} connections/s, {lines:,.0f} lines/s</p>"
    lines, bad, series = (_number(status[field]) for field in ("lines", "bad_lines", "series"))
    yield f"<p>so far {lines} lines, {bad} of them bad; {series} series</p>"


def _states(status: dict[str, Any], healthy: tuple[bool, str], ready: tuple[bool, str]) -> Iterator[tuple[str, str]]:
    if healthy[0] and ready[0]:
        yield "good", "it works, and every listener accepts"
    if not healthy[0]:
        yield "bad", escape(f"it is not well: {healthy[1]}")
    if not ready[0]:
        yield "bad", escape(f"it is not ready: {ready[1]}")
    if status["last_commit_error"] and status["last_commit_error"] not in ready[1]:
        yield "bad", escape(f"commits fail: {status['last_commit_error']}")


_LISTENER = ("name", "address", "connections", "open", "lines", "datagrams", "waiting", "dropped")


def _listeners(status: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for one in status["listeners"]:
        queues = one.get("queues", ())
        yield (
            one["label"],
            " ".join(one["addresses"]),
            *(_number(one.get(field)) for field in ("connections", "open", "lines", "datagrams")),
            ", ".join(f"{queue['length']:,} of {queue['limit']:,}" for queue in queues),
            _number(sum(queue["drops"] for queue in queues) if queues else one.get("drops")),
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
        numbers = (_number(one[field]) for field in ("queued", "sent", "failed", "dropped"))
        lag = one["since_success"]
        yield one["name"], *numbers, "" if lag is None else f"{_span(lag)} ago", one["error"]


def _examples(status: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for one in status["examples"]:
        text = f"{one['text']} ..." if one["cut"] else one["text"]
        yield one["reason"], one["listener"], text, f"{_span(one['age_seconds'])} ago"


def _conflicts(status: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for one in status["conflicts"]:
        yield one["reason"], one["series"], one["type"], one["holder"], one["holder_type"]


def _table(title: str, heads: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    """Write a table with its title; nothing if there is nothing in it. A narrow screen scrolls it by itself."""
    written = [f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows]
    if not written:
        return ""
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    box = f'<div class="box" tabindex="0" role="region" aria-label="{title}">'
    caption = f"<caption>{title}</caption>"
    return "\n".join(
        [box, f"<table>{caption}\n<thead><tr>{head}</tr></thead>\n<tbody>", *written, "</tbody></table></div>"]
    )


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (rest, "s"))
    first = next((at for at, (number, _) in enumerate(parts) if number), len(parts) - 1)
    return " ".join(f"{number} {unit}" for number, unit in parts[first : first + 2])
