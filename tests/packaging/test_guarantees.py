"""Each promise of docs/guarantees.md names a test that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest


def rows(checkout: Path) -> list[list[str]]:
    """Return the cells of both tables' rows, without their heads."""
    text = (checkout / "docs" / "guarantees.md").read_text().partition("## The torture")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if row[-1] not in {"shown by", "---"}]


def test_every_row_has_a_test(checkout: Path) -> None:
    """No promise stands there without one."""
    found = rows(checkout)
    assert len(found) > 15
    assert [row[0] for row in found if len(row) != 4 or not re.search(r"`[a-z_/]+", row[3])] == []


def test_every_test_exists(checkout: Path) -> None:
    """Every file and function that is named is there."""
    tests = checkout / "tests"
    if not tests.is_dir():
        pytest.skip("no checkout")
    for row in rows(checkout):
        file = tests
        for path, function in re.findall(r"`([a-z_/.]*)(?:::)?([a-z_0-9]*)`", row[3]):
            if path and not path.startswith("test_"):
                file = tests / path
                assert file.exists(), path
            wanted = function or (path if path.startswith("test_") else "")
            if wanted:
                assert f"def {wanted}(" in file.read_text(), f"{wanted} in {file}"
