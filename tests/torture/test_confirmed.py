"""The comparison of the clients' own books with the totals, and a short run of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.functional.metrics import Metrics
from tests.torture.calls import CallBook, Calls, added_up
from tests.torture.confirmed import READ, SENT, STORED, rows_of
from tests.torture.test_torture import run

SECONDS = 20


def wrong(level: str, calls: Calls, counted: int, *, killed: bool = False) -> list[str]:
    """Return what the comparison finds wrong."""
    one: Any = SimpleNamespace(name="hits", level=level, killed=killed, calls=lambda: calls)
    return [row.what for row in rows_of(one, Metrics(f"# TYPE hits counter\nhits {counted}\n")) if not row.right]


def test_equal() -> None:
    """At the level stored every call must be counted once, be confirmed, and not be in doubt."""
    assert wrong(STORED, Calls(10, 10), 10) == []
    assert wrong(STORED, Calls(10, 10), 9) == ["hits: counted"]
    assert wrong(STORED, Calls(10, 10), 11) == ["hits: counted"]
    assert wrong(STORED, Calls(10, 9), 10) == ["hits: confirmed"]
    assert wrong(STORED, Calls(10, 9, 1), 10) == ["hits: confirmed", "hits: in doubt or dropped"]


def test_between() -> None:
    """Of what was killed, and at the other levels, there are bounds."""
    for level, killed in ((STORED, True), (READ, False)):
        assert [wrong(level, Calls(10, 7), counted, killed=killed) != [] for counted in (6, 7, 10, 11)] == [
            True,
            False,
            False,
            True,
        ]
    assert [wrong(SENT, Calls(10, 10), counted) != [] for counted in (0, 10, 11)] == [False, False, True]


def test_books(tmp_path: Path) -> None:
    """A book says what was written last, also if its process has not closed it; one that is empty says nothing."""
    for number, name in enumerate("ab"):
        book = CallBook(tmp_path / name)
        book.make(3)
        book.make(2)
        book.note(number, 1, 0)
    (tmp_path / "c").touch()
    assert added_up(tmp_path.iterdir()) == Calls(10, 1, 2, 0)


@pytest.mark.proof
def test_a_short_run(tmp_path: Path) -> None:
    """Whatever is killed, reloaded and swallowed, with stored the clients' books are equal to the totals."""
    run(tmp_path, "tests.torture.confirmed", f"--seconds={SECONDS}")
