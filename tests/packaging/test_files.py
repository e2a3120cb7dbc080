"""What `statscounter files` writes names what there is, and the dashboard is made as Grafana's users expect it."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.dashboard import FILE, text
from tests.panels import ROWS
from tests.promql import documented, expressions, faults, recorded


@pytest.fixture(name="panels", scope="module")
def graphs() -> list[dict[str, Any]]:
    """Return the panels of the shipped dashboard."""
    return [panel for panel in json.loads(FILE.read_text())["panels"] if panel["type"] != "row"]


def test_fresh() -> None:
    """The dashboard is what ``python -m tests.dashboard`` writes."""
    assert FILE.read_text() == text()


def test_documented(checkout: Path) -> None:
    """Every metric, and every label, of the rules, the alerts and the dashboard is in docs/metrics.md or recorded."""
    known = recorded(documented(checkout / "docs" / "metrics.md"))
    assert {found: faults(found, known) for found in expressions() if faults(found, known)} == {}


def test_faults_are_found() -> None:
    """An expression with a metric or a label that there is not is at fault."""
    known = {"statscounter_a": frozenset({"x"})}
    assert faults('sum by (x, node) (rate(statscounter_a{x="1", job="j"}[1m]))', known) == []
    assert faults('sum by (y) (statscounter_a{z="1"}) / statscounter_b', known) == [
        "statscounter_b",
        "statscounter_a{z}",
        "y",
    ]


def test_units(panels: list[dict[str, Any]]) -> None:
    """Every panel has a unit, a description and a query."""
    assert len(panels) > 30
    for panel in panels:
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["targets"], panel["title"]


def test_data_source(panels: list[dict[str, Any]]) -> None:
    """No data source is named: all that is asked is the one that the user chooses."""
    sources = re.findall(r'"uid": "(.*?)"', FILE.read_text())
    assert set(sources) == {"${datasource}", "statscounter"}
    assert {target["datasource"]["uid"] for panel in panels for target in panel["targets"]} == {"${datasource}"}


def test_picture(checkout: Path) -> None:
    """The picture of the documentation has all panels in their order: else draw it with ``dashboard_run``."""
    titles = re.findall(r"<text class='(?:row|title)'[^>]*>(.*?)</text>", (checkout / "docs/dashboard.svg").read_text())
    assert titles == [title for row, some in ROWS.items() for title in (row, *(panel.title for panel in some))]


def test_rates(panels: list[dict[str, Any]]) -> None:
    """A rate is over the interval that Grafana chooses; only what is rare is counted over an hour."""
    queries = " ".join(target["expr"] for panel in panels for target in panel["targets"])
    assert set(re.findall(r"\brate\([^\[]*\[(.*?)\]", queries)) == {"$__rate_interval"}
    steps = {target["interval"] for panel in panels for target in panel["targets"] if "rate(" in target["expr"]}
    # Four times as long is the interval of a rate. By remote write, counters may have a sample in two minutes.
    assert steps == {"1m"}
    assert set(re.findall(r"\bincrease\([^\[]*\[(.*?)\]", queries)) == {"1h"}


def test_places(panels: list[dict[str, Any]]) -> None:
    """No panel lies over another one, or beyond the edge, and no two have one number or title."""
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        assert (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)
    for key in ("id", "title"):
        assert len({panel[key] for panel in panels}) == len(panels)
