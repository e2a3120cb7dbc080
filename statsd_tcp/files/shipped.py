"""The files that users take for other programs, as texts, with the few words that differ from place to place put in.

    prometheus/rules.yml    sums and rates over all nodes
    prometheus/alerts.yml   what an operator must know
    grafana/*.json          the dashboard

In the package they are complete and valid: what differs has the value that most have.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

__all__ = ["DOCS", "SUFFIXES", "WINDOW", "shipped"]

WINDOW: Final = "30d"
"""How long a node that is silent still counts in the sums; PromQL's word for it."""

DOCS: Final = "docs"
"""Where the documents are: a folder, or the address of one."""

SUFFIXES: Final = frozenset({".json", ".yml"})


def shipped(window: str = WINDOW, docs: str = DOCS) -> dict[str, str]:
    """Return the texts of the files, by their names with folders."""
    return {
        name: text.replace(f"[{WINDOW}]", f"[{window}]").replace(f"{DOCS}/runbook.md", f"{docs}/runbook.md")
        for name, text in sorted(_texts(files("statsd_tcp.files"), ""))
    }


def _texts(folder: Traversable, prefix: str) -> Iterator[tuple[str, str]]:
    for entry in folder.iterdir():
        name = prefix + entry.name
        if entry.is_dir():
            yield from _texts(entry, f"{name}/")
        elif entry.name.endswith(tuple(SUFFIXES)):
            yield name, entry.read_text(encoding="utf-8")
