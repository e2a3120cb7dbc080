"""The dashboard for Grafana: ``python -m tests.dashboard`` writes the file that the package has.

What it shows is in `panels.ROWS`. Everything else is the same for all panels.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final

from tests.panels import ROWS, Panel

__all__ = ["FILE", "dashboard", "main", "text"]

FILE: Final = Path(__file__).parents[1] / "statsd_tcp" / "files" / "grafana" / "statscounter.json"

SCHEMA: Final = 37
"""Grafana 9.0 and later; newer ones convert it as they load it."""

_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH: Final = 24

_STEP: Final = "1m"
"""Grafana takes rates over four times as long. Remote write repeats what has not changed within two minutes, and a rate
needs two samples."""


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana has it."""
    return {
        "uid": "statscounter",
        "title": "statscounter",
        "description": "Written by statscounter files. The row Fleet needs the rules that it writes, too.",
        "tags": ["statscounter"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "",
        "templating": {"list": _variables()},
        "annotations": {"list": []},
        "links": [],
        "panels": list(_panels()),
    }


def _variables() -> list[dict[str, Any]]:
    labels = ("node", "instance")
    options = [{"text": label, "value": label, "selected": label == labels[0]} for label in labels]
    known = "label_values(statscounter_commits_total, $label)"
    return [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0},
        {
            "name": "label", "label": "Nodes by", "type": "custom", "query": ",".join(labels), "options": options,
            "current": options[0], "multi": False, "includeAll": False, "hide": 0,
            "description": "node for remote write, instance for scraping",
        },
        {
            "name": "node", "label": "Nodes", "type": "query", "datasource": _SOURCE, "definition": known,
            "query": {"query": known, "refId": "nodes"}, "refresh": 2, "sort": 1, "multi": True, "includeAll": True,
            "allValue": ".*", "current": {"text": "All", "value": "$__all"}, "hide": 0,
        },
    ]  # fmt: skip


def _panels() -> Iterator[dict[str, Any]]:
    numbers = count(1)
    y = 0
    for title, panels in ROWS.items():
        yield {
            "id": next(numbers), "type": "row", "title": title, "collapsed": False, "panels": [],
            "gridPos": {"x": 0, "y": y, "w": _WIDTH, "h": 1},
        }  # fmt: skip
        y += 1
        for numeric in (True, False):
            some = [panel for panel in panels if panel.is_number is numeric]
            width, height = (6, 4) if numeric else (8, 7)
            for place, panel in enumerate(some):
                row, column = divmod(place, _WIDTH // width)
                where = {"x": column * width, "y": y + row * height, "w": width, "h": height}
                yield _panel(next(numbers), panel, where)
            y += -(-len(some) * width // _WIDTH) * height


def _panel(number: int, panel: Panel, where: dict[str, int]) -> dict[str, Any]:
    targets = [
        {
            "refId": chr(ord("A") + place), "datasource": _SOURCE, "expr": query.expr,
            "legendFormat": query.legend or "__auto", "range": not panel.is_number, "instant": panel.is_number,
            "interval": "" if panel.is_number else _STEP,
        }
        for place, query in enumerate(panel.queries)
    ]  # fmt: skip
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    options: dict[str, Any] = {"colorMode": "none", "graphMode": "none", "reduceOptions": {"calcs": ["lastNotNull"]}}
    if not panel.is_number:
        defaults["custom"] = {"fillOpacity": 10, "showPoints": "never"}
        options = {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    return {
        "id": number,
        "type": "stat" if panel.is_number else "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "gridPos": where,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": targets,
    }


def text() -> str:
    """Return the file."""
    return json.dumps(dashboard(), indent=2) + "\n"


def main() -> None:
    """Write it."""
    FILE.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
