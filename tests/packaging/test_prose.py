"""The check of the prose finds what it is for, and leaves code alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.prose import Part, faults, main

CASES: tuple[tuple[Part, str, list[str]], ...] = (
    ("docs", "It isn't\nso\nmany.\n", ["1 isn't", "2 so many"]),
    ("docs", "It has so many that it waits.\n", []),
    ("docs", "`so many` and ``can't``\n\n    so many\n\n```\nso many\n```\n", []),
    ("statsd_tcp", '"""Give it."""\n', ["1 give"]),
    ("statsd_tcp", '"""Give up."""\n', []),
    ("statsd_tcp", '"""``seconds`` gives the time."""\n', []),
    ("statsd_tcp", '"""A module."""\n\ndef each():\n    """Tell whether."""\n', ["4 tell whether"]),
    ("statsd_tcp", "x = 1  # so many\n\n# It is so\n# many.\n", ["1 so many", "3 so many"]),
    ("statsd_tcp", 'x = "it can\'t be read"\n', ["1 can't"]),
    ("statsd_tcp", '"""It is ``so many``."""\nso_many = nobody = 1\n', []),
    ("tests", 'x = "it can\'t be read"\n', []),
)


@pytest.mark.parametrize("part,source,expected", CASES)
def test_faults(part: Part, source: str, expected: list[str]) -> None:
    """A banned word is found with its line, also over the end of a line; code is not prose."""
    assert [f"{fault.line} {fault.found}" for fault in faults(source, Path("file"), part)] == expected


def test_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A fault is a line with its place and the better word, and the exit status is 1; without one it is 0."""
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text("It isn't.\n")
    assert main(tmp_path) == 1
    assert capsys.readouterr().err == "docs/page.md:1: isn't: cannot, is not, does not: no contractions\n"
    page.write_text("It is not.\n")
    assert main(tmp_path) == 0
