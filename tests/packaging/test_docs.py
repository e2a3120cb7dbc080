"""The documents name what there is."""

from __future__ import annotations

import re
from pathlib import Path

from statsd_tcp.settings import OPTIONS


def test_options(checkout: Path) -> None:
    """The table of docs/running.md has a row for every option and no other."""
    text = (checkout / "docs" / "running.md").read_text()
    rows = re.findall(r"^\| (?:`-\w`, )?`--([a-z-]+)[ `]", text, re.MULTILINE)
    assert sorted([option.name for option in OPTIONS] + ["config"]) == sorted(rows)


def test_commands(checkout: Path) -> None:
    """Every command that the documents tell people to make is one of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (checkout / "Makefile").read_text(), re.MULTILINE))
    documents = [*checkout.glob("*.md"), *checkout.glob("docs/*.md"), *checkout.glob("newsfragments/*.md")]
    told = {
        name for path in documents for name in re.findall(r"(?:^ {4}|`)make ([a-z-]+)", path.read_text(), re.MULTILINE)
    }
    assert told
    assert told <= targets
