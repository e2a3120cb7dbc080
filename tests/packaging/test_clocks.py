"""No code that could be given a clock takes the time from the wall: the places where a clock is read are listed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = "statsd_tcp"

READ_HERE = {
    "ingest/eviction.py": "how long ago something was heard, which is such a tick",
    "ingest/intake.py": "the tick of a turn of the reactor, which all that comes in it shares",
    "ingest/moderation.py": "the same",
    "ingest/protocol.py": "the same",
    "ingest/tls_lane.py": "the same",
    "commands/load/generators.py": "processes that have no reactor, and start at one moment",
}
"""The modules that read a clock by themselves, and why. All others are given one: `time` is their default at most."""

CLOCKS = {
    "time": {"clock_gettime", "clock_gettime_ns"}
    | {f"{name}{unit}" for name in ("time", "monotonic", "perf_counter") for unit in ("", "_ns")},
    "datetime": {"now", "today", "utcnow"},
    "date": {"today"},
}


@cache
def modules(checkout: Path) -> list[tuple[str, ast.Module]]:
    """Return every module of the package, by its path."""
    paths = sorted((checkout / PACKAGE).rglob("*.py"))
    return [(str(path.relative_to(checkout / PACKAGE)), ast.parse(path.read_text())) for path in paths]


def is_clock(node: ast.AST) -> bool:
    """Return whether an expression names a function that tells the time."""
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.attr in CLOCKS.get(node.value.id, ())
    )


def defaults(tree: ast.Module) -> set[ast.AST]:
    """Return the default values of all arguments."""
    found = [node.args for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {default for arguments in found for default in (*arguments.defaults, *arguments.kw_defaults) if default}


def test_clocks_are_given(checkout: Path) -> None:
    """Only the listed modules read a clock; elsewhere it is the default of an argument."""
    found = {
        path
        for path, tree in modules(checkout)
        for node in {each for each in ast.walk(tree) if is_clock(each)} - defaults(tree)
    }
    assert found == set(READ_HERE)


def test_no_other_way(checkout: Path) -> None:
    """No module imports a clock by its name, which would not be seen here."""
    names = [
        (path, node.module, alias.name)
        for path, tree in modules(checkout)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert not [each for each in names if each[1] == "time" or each[2] == "runtimeSeconds"]


def test_reactors(checkout: Path) -> None:
    """Code that takes the process's reactor sets it to the monotonic clock."""
    takers = [tree for _, tree in modules(checkout) if "reactor" in set(_imported(tree))]
    assert len(takers) == 3
    for tree in takers:
        calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
        assert any(isinstance(each, ast.Name) and each.id == "use_monotonic" for each in calls)


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "twisted.internet":
            yield from (alias.name for alias in node.names)
