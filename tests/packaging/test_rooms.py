"""The rooms of the package, as docs/design.md lists them: data flows one way, and nothing imports back up."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Container, Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

from tests.patience import PATIENCE

PACKAGE = "statsd_tcp"
PURE = ("wire", "aggregate", "mapping")
IMPURE = {"twisted", "time", "datetime", "socket", "select", "selectors", "threading", "subprocess", "signal"}
IMPURE |= {"os", "pathlib", "tempfile", "shutil", "random", "secrets", "logging", "asyncio"}


@cache
def modules(checkout: Path) -> list[tuple[str, ast.Module]]:
    """Return every module of the package with the room that it is in."""
    paths = sorted((checkout / PACKAGE).rglob("*.py"))
    rooms = [path.relative_to(checkout / PACKAGE).parts[0].removesuffix(".py") for path in paths]
    found = zip(rooms, paths, strict=True)
    return [(room, ast.parse(path.read_text())) for room, path in found if room != "__init__"]


def imported(tree: ast.Module) -> Iterator[str]:
    """Yield the dotted names of all that a module imports, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def arrows(checkout: Path) -> dict[str, set[str]]:
    """Return for each room the rooms that it imports."""
    found: dict[str, set[str]] = defaultdict(set)
    rooms = {room for room, _ in modules(checkout)}
    for room, tree in modules(checkout):
        parts = [name.split(".") for name in imported(tree) if name.startswith(f"{PACKAGE}.")]
        found[room] |= {part[1] for part in parts if part[1] in rooms} - {room}
    return found


def test_order(checkout: Path) -> None:
    """Each room imports only rooms that stand above it in the table of the design document, which has them all."""
    text = (checkout / "docs" / "design.md").read_text()
    order = re.findall(r"^\| `(\w+)(?:/|\.py)` \|", text, re.MULTILINE)
    found = arrows(checkout)
    assert sorted(order) == sorted({room for room, _ in modules(checkout)})
    wrong = [(room, other) for room in order for other in found[room] if order.index(other) > order.index(room)]
    assert not wrong


def test_circles(checkout: Path) -> None:
    """No modules import each other in a circle, not in a function and not for their types either."""
    paths = sorted((checkout / PACKAGE).rglob("*.py"))
    names = {".".join(path.relative_to(checkout).with_suffix("").parts): path for path in paths}
    needs = {
        name: {_module_of(each, names) for each in imported(ast.parse(path.read_text()))}
        for name, path in names.items()
    }
    # It raises `CycleError`, which names them.
    order = [*TopologicalSorter(needs).static_order()]
    assert set(order) - {""} == names.keys()


def _module_of(name: str, modules: Container[str]) -> str:
    """Return the module that has a dotted name, "" if it is none of ours."""
    return next((each for each in (name, name.rpartition(".")[0]) if each in modules), "")


def test_numpy(checkout: Path) -> None:
    """The store, its two rooms and the sums of sources import numpy; nothing has it before the store is opened."""
    rooms = {room for room, tree in modules(checkout) for name in imported(tree) if name.partition(".")[0] == "numpy"}
    assert rooms == {"series", "flush", "store", "who"}
    starts = ("tap", "service.service", "startup", "workers.process", "commit.replay_process", "console.service_view")
    imports = "; ".join(
        f"import {PACKAGE}.{name}" for name in (*starts, "web.site", "commands.load.run", "doctor.start")
    )
    script = f"import sys; {imports}; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, cwd=checkout, timeout=PATIENCE).returncode == 0


def test_masked_arrays(checkout: Path) -> None:
    """Nothing calls what imports `numpy.ma` only to ask for masks: each start would pay for that."""
    calls = [node for _, tree in modules(checkout) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    plain = {call.func.attr for call in calls if isinstance(call.func, ast.Attribute) and not call.keywords}
    assert not plain & {"unique", "union1d", "setxor1d"}


def test_pure(checkout: Path) -> None:
    """The pure rooms import neither Twisted nor a clock, nor anything that waits or reaches outside the process."""
    parts = [(room, name.partition(".")[0]) for room, tree in modules(checkout) for name in imported(tree)]
    assert not [(room, name) for room, name in parts if room in PURE and name in IMPURE]
