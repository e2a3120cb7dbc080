"""What the dashboard for Grafana shows: its rows, their panels, and the queries of each.

In a query ``$label`` is the label by which nodes differ, and ``$node`` are those that are chosen. The row of the fleet
uses what the rules record.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["ROWS", "Panel", "Query"]


class Query(NamedTuple):
    """An expression, and what its series are called."""

    expr: str
    legend: str = ""


class Panel(NamedTuple):
    """A panel. ``unit`` is one of Grafana's. With ``is_number`` it is the last value in large letters, else a graph."""

    title: str
    unit: str
    about: str
    queries: tuple[Query, ...]
    is_number: bool = False


_N = '{$label=~"$node"}'


def _rate(metric: str, by: str, matchers: str = "") -> str:
    return f'sum by ({by}) (rate(statscounter_{metric}{{$label=~"$node"{matchers}}}[$__rate_interval]))'


def _quantile(number: float, metric: str, by: str = "") -> str:
    return f"histogram_quantile({number}, {_rate(f'{metric}_bucket', f'le{by}')})"


def _lately(metric: str) -> str:
    return f"sum by (reason) (increase(statscounter_{metric}{_N}[1h])) > 0"


_SILENT = "node:statscounter_commits_total:known unless statscounter_commits_total"
_FLEET: Final = (
    Panel(
        "Connections of all nodes", "none", "Accepted since the beginning, exactly.",
        (Query("sum(listener:statscounter_connections_total:sum)"),), is_number=True,
    ),
    Panel(
        "Nodes", "none", "Nodes that are known, the silent ones included.",
        (Query("sum(statscounter:nodes:count)"),), is_number=True,
    ),
    Panel(
        "Silent nodes", "none", "Their last totals still count.",
        (Query(f"count({_SILENT}) or vector(0)"),), is_number=True,
    ),
    Panel(
        "Behind", "s", "For how long a node has not delivered what it has counted; of nodes that use remote write.",
        (Query("time() - min(statscounter:exact_until)"),), is_number=True,
    ),
    Panel(
        "Connections of the fleet", "cps", "Accepted per second, exactly, over five minutes.",
        (Query("sum by (listener) (listener:statscounter_connections:rate5m)", "{{listener}}"),),
    ),
    Panel(
        "Lines of the fleet", "cps", "Lines per second, good and bad, exactly, over five minutes.",
        (Query("sum by (listener) (listener:statscounter_lines:rate5m)", "{{listener}}"),),
    ),
    Panel(
        "Bad lines of the fleet", "percentunit", "The part of all lines that is rejected.",
        (Query("sum(reason:statscounter_bad_lines:rate5m) / sum(listener:statscounter_lines:rate5m)", "bad lines"),),
    ),
)  # fmt: skip
_LISTENERS: Final = (
    Panel(
        "Connections accepted", "cps", "Per second.",
        (Query(_rate("connections_total", "listener"), "{{listener}}"),),
    ),
    Panel(
        "Open connections", "short", "Accepted and not ended.",
        (Query(f"sum by (listener) (statscounter_connections_open{_N})", "{{listener}}"),),
    ),
    Panel(
        "How connections end", "cps", "Per second, by reason.",
        (Query(_rate("connections_closed_total", "reason") + " > 0", "{{reason}}"),),
    ),
    Panel(
        "Received", "Bps", "Bytes per second.",
        (Query(_rate("received_bytes_total", "listener"), "{{listener}}"),),
    ),
    Panel(
        "Samples", "cps", "Accepted values per second, by type.",
        (Query(_rate("samples_total", "type"), "{{type}}"),),
    ),
    Panel(
        "Bad lines", "cps", "Rejected lines per second, by reason.",
        (Query(_rate("bad_lines_total", "reason") + " > 0", "{{reason}}"),),
    ),
)  # fmt: skip
_KERNEL: Final = (
    Panel(
        "Accept queues", "percentunit", "How full the fullest queue of each listener is.",
        (
            Query(
                f"max by (listener) (statscounter_accept_queue_length{_N} / statscounter_accept_queue_limit{_N})",
                "{{listener}}",
            ),
        ),
    ),
    Panel(
        "Dropped by the kernel", "cps", "Attempts to connect, each repetition too, and datagrams, per second.",
        (
            Query(_rate("listen_drops_total", "listener"), "connections, {{listener}}"),
            Query(_rate("receive_drops_total", "listener"), "datagrams, {{listener}}"),
        ),
    ),
    Panel(
        "Accepting paused", "short", "Nodes at which a listener accepts nothing.",
        (Query(f"sum by (listener) (statscounter_accept_paused{_N})", "{{listener}}"),),
    ),
    Panel(
        "Findings", "short", "Nodes at which a limit of the kernel is hit, by limit.",
        (Query(f"sum by (id) (statscounter_kernel_finding{_N}) > 0", "{{id}}"),),
    ),
    Panel(
        "Sockets in TIME_WAIT", "short", "Of the whole machine.",
        (Query('sum by ($label) (statscounter_kernel_level{$label=~"$node", group="TCP", kind="tw"})', "{{$label}}"),),
    ),
    Panel(
        "Errors of accept", "cps", "Per second. The connections wait in the queue.",
        (Query(_rate("accept_errors_total", "errno") + " > 0", "{{errno}}"),),
    ),
)  # fmt: skip
_WORKERS: Final = (
    Panel(
        "Workers", "short", "By state.",
        (Query(f"sum by (state) (statscounter_workers{_N}) > 0", "{{state}}"),),
    ),
    Panel(
        "Workers replaced", "short", "Within an hour, by the cause of the end.",
        (Query(_lately("worker_restarts_total"), "{{reason}}"),),
    ),
    Panel(
        "Memory", "bytes", "In RAM, of each worker.",
        (Query(f"statscounter_worker_resident_memory_bytes{_N}", "{{$label}}, {{worker}}"),),
    ),
    Panel(
        "Open descriptors", "short", "Of each worker.",
        (Query(f"statscounter_worker_open_fds{_N}", "{{$label}}, {{worker}}"),),
    ),
    Panel(
        "Longest gap", "s", "The longest time in which a worker did not poll its sockets, since its start.",
        (Query(f"statscounter_reactor_gap_seconds_max{_N}", "{{$label}}"),),
    ),
    Panel(
        "Under way", "s", "The age of the oldest operation in progress.",
        (Query(f"max by (what) (statscounter_underway_seconds{_N}) > 1", "{{what}}"),),
    ),
)  # fmt: skip
_OUTPUTS: Final = (
    Panel(
        "Waiting", "short", "Flushes; of remote write requests, of repeaters lines.",
        (Query(f"sum by (output) (statscounter_output_queued{_N})", "{{output}}"),),
    ),
    Panel(
        "Queues", "percentunit", "How full the fullest queue is.",
        (Query(f"max by (output) (statscounter_output_queue_used_ratio{_N})", "{{output}}"),),
    ),
    Panel(
        "Since the last delivery", "s", "By the node that has waited longest.",
        (
            Query(
                f"time() - min by (output) (statscounter_output_last_success_timestamp_seconds{_N} > 0)", "{{output}}"
            ),
        ),
    ),
    Panel(
        "Failed attempts", "cps", "Per second.",
        (Query(_rate("output_failed_total", "output"), "{{output}}"),),
    ),
    Panel(
        "Given up", "cps", "Per second: flushes that were dropped, samples that were refused or skipped.",
        (
            Query(_rate("output_dropped_total", "output"), "dropped, {{output}}"),
            Query(_rate("output_refused_total", "output"), "refused, {{output}}"),
            Query(_rate("output_skipped_total", "output, reason") + " > 0", "{{reason}}, {{output}}"),
        ),
    ),
    Panel(
        "Requests of remote write", "s", "How long they take.",
        (
            Query(_quantile(0.5, "output_request_duration_seconds", ", output"), "median, {{output}}"),
            Query(_quantile(0.99, "output_request_duration_seconds", ", output"), "99 %, {{output}}"),
        ),
    ),
)  # fmt: skip
_STORE: Final = (
    Panel(
        "Commits", "s", "How long they take.",
        (
            Query(_quantile(0.5, "commit_duration_seconds"), "median"),
            Query(_quantile(0.99, "commit_duration_seconds"), "99 %"),
        ),
    ),
    Panel(
        "Series", "short", "StatsD series that are kept, by type.",
        (Query(f"sum by (type) (statscounter_series{_N})", "{{type}}"),),
    ),
    Panel(
        "Left out", "cps", "Data of series per second: too many, in conflict with others, or at a rule's word.",
        (
            Query(_rate("series_dropped_total", "reason"), "{{reason}}"),
            Query(_rate("series_conflicts_total", "reason") + " > 0", "conflict: {{reason}}"),
        ),
    ),
    Panel(
        "Expired series", "cps", "Per second, after --series-ttl.",
        (Query(_rate("series_expired_total", "$label"), "{{$label}}"),),
    ),
    Panel(
        "Faults", "short", "Of the store and of journals, within an hour.",
        (
            Query(_lately("store_faults_total"), "store: {{reason}}"),
            Query(_lately("recovery_faults_total"), "journals: {{reason}}"),
        ),
    ),
    Panel(
        "Set aside, and waiting", "short", "Ledgers that cannot be read, and journals that are not read to their end.",
        (
            Query(f"sum(statscounter_ledgers_set_aside{_N})", "set aside"),
            Query(f"sum(statscounter_journals_waiting{_N})", "waiting"),
        ),
    ),
)  # fmt: skip

ROWS: Final[dict[str, tuple[Panel, ...]]] = {
    "Fleet": _FLEET,
    "Listeners": _LISTENERS,
    "Kernel": _KERNEL,
    "Workers": _WORKERS,
    "Outputs": _OUTPUTS,
    "Store": _STORE,
}
