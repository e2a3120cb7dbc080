"""Expressions of the rules, the alerts and the dashboard: which metrics and labels they name, and which there are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import yaml

from statsd_tcp.files.shipped import shipped
from tests.panels import ROWS

__all__ = [
    "RATE_INTERVAL",
    "TARGET",
    "Known",
    "documented",
    "expressions",
    "faults",
    "filled_in",
    "recorded",
    "rules",
    "shown",
]

Known = Mapping[str, frozenset[str]]
"""The labels of each metric."""

TARGET: Final = frozenset({"node", "instance", "job"})
"""Labels that tell nodes apart: of remote write, and of scraping."""

RATE_INTERVAL: Final = "4m"
"""What Grafana puts in for queries of one minute's step."""

_METRIC = re.compile(r"(?<![\w:])((?:\w+:)?statscounter[\w:]*)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_LIST = re.compile(r"\b(?:by|without|on|ignoring) ?\(([^)]*)\)")
_ROW = re.compile(r"^\| `(statscounter_\w+)(?:\{([\w,]*)\})?` \| (\w+)", re.MULTILINE)


def rules() -> list[dict[str, str]]:
    """Return the rules and the alerts."""
    files = [yaml.safe_load(text) for name, text in shipped().items() if name.endswith(".yml")]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


def filled_in(query: str, label: str) -> str:
    """Return a query of the dashboard with its variables filled in; ``label`` is the one that nodes differ in."""
    return query.replace("$label", label).replace("$node", ".*").replace("$__rate_interval", RATE_INTERVAL)


def expressions() -> list[str]:
    """Return every expression that is shipped; those of the dashboard for both kinds of nodes."""
    queries = [query.expr for panels in ROWS.values() for panel in panels for query in panel.queries]
    return [rule["expr"] for rule in rules()] + [
        filled_in(query, label) for query in queries for label in ("node", "instance")
    ]


def documented(page: Path) -> Known:
    """Return the metrics that docs/metrics.md has."""
    found: dict[str, frozenset[str]] = {}
    for name, labels, kind in _ROW.findall(page.read_text()):
        own = frozenset(filter(None, labels.split(",")))
        suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        found |= {name + suffix: own | ({"le"} if suffix == "_bucket" else frozenset()) for suffix in suffixes}
    return found


def shown(samples: Iterable[tuple[str, Mapping[str, str]]]) -> Known:
    """Return the metrics of samples, each with its labels."""
    found: dict[str, frozenset[str]] = {}
    for name, labels in samples:
        found[name] = found.get(name, frozenset()) | frozenset(labels)
    return found


def recorded(known: Known) -> Known:
    """Return the metrics that the rules make of others, too, with the labels that theirs may have."""
    found = dict(known)
    for rule in rules():
        if "record" in rule:
            found[rule["record"]] = frozenset().union(
                *(found.get(name, frozenset()) for name, _ in _named(rule["expr"]))
            )
    return found


def faults(expression: str, known: Known) -> list[str]:
    """Return the metrics and labels of an expression that there are not."""
    named = list(_named(expression))
    wrong = [name for name, _ in named if name not in known]
    wrong += [
        f"{name}{{{label}}}"
        for name, labels in named
        for label in labels
        if label not in known.get(name, frozenset()) | TARGET
    ]
    any_of = TARGET.union(*(known.get(name, frozenset()) for name, _ in named))
    listed = [label.strip() for some in _LIST.findall(expression) for label in some.split(",")]
    return wrong + [label for label in listed if label not in any_of]


def _named(expression: str) -> Iterator[tuple[str, list[str]]]:
    for name, matchers in _METRIC.findall(expression):
        yield name, _MATCHER.findall(matchers)
