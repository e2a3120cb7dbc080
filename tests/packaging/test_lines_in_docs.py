"""Every line in a table of the documents means what the table says."""

from __future__ import annotations

from pathlib import Path

import pytest

from statsd_tcp.settings.endpoints import parse_listen
from statsd_tcp.wire.grammar import DIALECTS, named
from statsd_tcp.wire.line import parse_line
from statsd_tcp.wire.reasons import REASONS
from tests.documents import MIGRATION_PAGES, line_of, rows_of_lines, told

PROTOCOL = "protocol.md"


def meanings(row: dict[str, str], dialect: str) -> dict[str, str]:
    """Return what the columns of a row say, by the keys of the listener that they are about."""
    if "listener" in row:
        return {row["listener"].strip("`"): row["means"]}
    found = {f"dialect={column}": text for column, text in row.items() if column in DIALECTS}
    return found or {f"dialect={dialect}": row.get("means") or row["here"]}


def wrong(path: Path, dialect: str = "etsy") -> list[str]:
    """Return the lines in a document that mean something else."""
    found = []
    for row in rows_of_lines(path):
        for keys, text in meanings(row, dialect).items():
            grammar = named(parse_listen(f"tcp:0:{keys}").grammar)
            meaning = told(parse_line(line_of(row), grammar))
            if meaning != text:
                found.append(f"{row['line']} with {keys}: {meaning}, not {text}")
    return found


def test_protocol(checkout: Path) -> None:
    """The lines of docs/protocol.md, for each dialect and with each key of a listener that it shows."""
    path = checkout / "docs" / PROTOCOL
    assert len(rows_of_lines(path)) > 100
    assert wrong(path) == []


def test_reasons(checkout: Path) -> None:
    """Each reason has a row in docs/protocol.md, in the order in which they apply."""
    text = (checkout / "docs" / PROTOCOL).read_text().partition("## Reasons")[2]
    rows = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]
    assert rows[: len(REASONS)] == list(REASONS)


@pytest.mark.parametrize("page", MIGRATION_PAGES)
def test_migration_pages(checkout: Path, page: str) -> None:
    """What the page for users of another server says that a line means here, it does on a listener for them."""
    path = checkout / "docs" / page
    rows = rows_of_lines(path)
    assert len(rows) > 30
    assert wrong(path, MIGRATION_PAGES[page]) == []
    lines = [row["line"] for row in rows]
    assert len(set(lines)) == len(lines)
